/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/arena.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/ledger_set.h"
#include "collector/log.h"
#include "collector/metrics.h"
#include "collector/queue.h"
#include "collector/stack_book.h"
#include "collector/thread_rank.h"
#include "collector/ticket.h"
#include "storage/store.h"

#define RETRY_EVERY_NS NS_PER_SEC
#define LOOK_EVERY_NS  (5 * NS_PER_SEC)
/* Nobody waits for ledgers: they wait for a batch to share its commit, but no longer than this. */
#define LEDGERS_WAIT_NS (100 * NS_PER_MS)
#define MANY_LEDGERS    8 /* of what may wait, so much: they do not wait any more */
#define ROWS_BYTES      ((size_t)256 << 10)

/* Ledgers of several traces that share an arena. The last one of the queue is still filled. */
struct rows {
	struct queue_link link;
	struct arena arena;             /* owned: holds the ledgers */
	struct store_ledger_rows *sets; /* owned: one for each trace */
	size_t set_count, set_room;
	size_t ledger_count;
};

struct writer {
	struct writer_options options;
	pthread_t thread;
	pthread_mutex_t lock; /* all down to the blank line */
	pthread_cond_t news;
	struct queue tickets;
	struct queue rows;
	uint64_t rows_since_ns; /* when the first of them came */
	size_t ledger_count, ledger_bytes;
	uint64_t ledgers_written;
	int error;
	bool is_held; /* the rows are not complete */
	bool is_stopping;

	const struct span_batch **batches; /* writer thread: arrays of the group */
	const uint8_t **none_causes;
	struct store_ledger_rows *row_views;
	size_t batch_room, cause_room, row_room;
	uint64_t next_look_ns;
};

/* What one commit is made of. */
struct group {
	struct queue tickets;
	struct queue rows;
	const struct store_stack *stacks; /* whose names came late */
	size_t stack_count;
};

static void free_rows(struct rows *rows)
{
	if (!rows)
		return;
	arena_fini(&rows->arena);
	free(rows->sets);
	free(rows);
}

/* What waiting ledgers cost. */
static size_t bytes_of(const struct rows *rows)
{
	return sizeof(*rows) + rows->set_room * sizeof(*rows->sets) + rows->arena.used_bytes;
}

static bool make_room(void **array, size_t *room, size_t need, size_t bytes)
{
	void *bigger;

	if (need <= *room)
		return true;
	bigger = realloc(*array, need * bytes);
	if (!bigger)
		return false;
	*array = bigger;
	*room = need;
	return true;
}

/* Only what the store needs to see. */
static int commit(struct writer *writer, const struct group *group)
{
	struct store_group view = {
		.batch_count = group->tickets.count,
		.stacks = group->stacks,
		.stack_count = group->stack_count,
		.find_stack = writer->options.stacks ? stack_book_find : NULL,
		.find_arg = writer->options.stacks,
	};
	size_t i = 0;

	for (struct queue_link *at = group->rows.first; at; at = at->next)
		view.row_count += CONTAINER_OF(at, struct rows, link)->set_count;

	if (!make_room((void **)&writer->batches, &writer->batch_room, view.batch_count,
		       sizeof(*writer->batches)) ||
	    !make_room((void **)&writer->none_causes, &writer->cause_room, view.batch_count,
		       sizeof(*writer->none_causes)) ||
	    !make_room((void **)&writer->row_views, &writer->row_room, view.row_count,
		       sizeof(*writer->row_views)))
		return -ENOMEM;
	for (struct queue_link *at = group->tickets.first; at; at = at->next) {
		const struct ticket *ticket = CONTAINER_OF(at, struct ticket, link);

		writer->batches[i] = ticket->batch;
		writer->none_causes[i++] = ticket->none_causes;
	}
	i = 0;
	for (struct queue_link *at = group->rows.first; at; at = at->next) {
		const struct rows *rows = CONTAINER_OF(at, struct rows, link);

		memcpy(writer->row_views + i, rows->sets, rows->set_count * sizeof(*rows->sets));
		i += rows->set_count;
	}
	view.batches = writer->batches;
	view.none_causes = writer->none_causes;
	view.rows = writer->row_views;
	return store_commit(writer->options.store, &view, clock_unix_ns());
}

/* The disk, not the data: what else could be committed would fail as well. */
static bool is_of_the_disk(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || rc == -EIO || rc == -EROFS;
}

static void complain(int rc)
{
	if (rc == -ENOSPC || rc == -EDQUOT)
		LOG_LIMITED(LOG_ERROR, "store: the disk is full: spans are refused and senders try "
				       "again; free some space, or lower max_data_mib or max_age_h "
				       "and restart; writing resumes by itself");
	else
		LOG_LIMITED(LOG_ERROR,
			    "store: commit failed: %s; spans are refused and senders try again",
			    strerror(-rc));
}

/* One batch that cannot be stored must not take the others along. */
static void commit_each(struct writer *writer, struct queue *tickets)
{
	for (struct queue_link *at = tickets->first; at; at = at->next) {
		struct ticket *ticket = CONTAINER_OF(at, struct ticket, link);
		struct group single = { .tickets = { at, at, 1 } };
		struct queue_link *next = at->next;

		at->next = NULL;
		ticket->result = commit(writer, &single);
		at->next = next;
	}
}

static void give_back(struct writer *writer, struct queue *tickets)
{
	struct queue_link *link;

	if (tickets->count == 0)
		return;
	while ((link = queue_pop(tickets)))
		writer->options.on_written(CONTAINER_OF(link, struct ticket, link),
					   writer->options.arg);
	writer->options.on_group(writer->options.arg);
}

static void drop_rows(struct writer *writer, struct queue *rows, bool are_written)
{
	struct queue_link *link;
	size_t bytes = 0, count = 0;

	while ((link = queue_pop(rows))) {
		struct rows *set = CONTAINER_OF(link, struct rows, link);

		bytes += bytes_of(set);
		count += set->ledger_count;
		free_rows(set);
	}
	pthread_mutex_lock(&writer->lock);
	writer->ledger_bytes -= bytes;
	writer->ledger_count -= count;
	writer->ledgers_written += are_written ? count : 0;
	pthread_mutex_unlock(&writer->lock);
}

static void keep_rows(struct writer *writer, struct queue *rows)
{
	pthread_mutex_lock(&writer->lock);
	queue_prepend(&writer->rows, queue_take(rows));
	pthread_mutex_unlock(&writer->lock);
}

static void set_results(struct queue *tickets, int result)
{
	for (struct queue_link *at = tickets->first; at; at = at->next)
		CONTAINER_OF(at, struct ticket, link)->result = result;
}

/* Returns the error of the commit. */
static int write_group(struct writer *writer, struct group *group)
{
	int rc = commit(writer, group);

	metrics_add(writer->options.metrics, METRIC_GROUPS, 1);
	if (rc < 0) {
		metrics_add(writer->options.metrics, METRIC_COMMITS_FAILED, 1);
		complain(rc);
	}
	pthread_mutex_lock(&writer->lock);
	if (writer->error && rc == 0)
		log_line(LOG_INFO, "store: writing again");
	writer->error = rc;
	pthread_mutex_unlock(&writer->lock);
	set_results(&group->tickets, rc);
	if (rc < 0 && !is_of_the_disk(rc) && group->tickets.count > 1)
		commit_each(writer, &group->tickets);
	give_back(writer, &group->tickets);
	if (rc == 0)
		drop_rows(writer, &group->rows, true);
	else
		keep_rows(writer, &group->rows);
	return rc;
}

/* Without commits nobody else would notice that a part's hour is over. */
static void end_part(struct writer *writer)
{
	uint64_t now_ns = clock_mono_ns();
	int rc;

	if (now_ns < writer->next_look_ns)
		return;
	writer->next_look_ns = now_ns + LOOK_EVERY_NS;
	rc = store_end_part(writer->options.store, clock_unix_ns());
	if (rc < 0)
		LOG_LIMITED(LOG_WARNING, "store: a part could not be ended: %s", strerror(-rc));
}

static bool has_many_ledgers(const struct writer *writer)
{
	return writer->ledger_bytes >= writer->options.max_ledger_bytes / MANY_LEDGERS;
}

/* Locked. Held ones have all the room there is. */
static bool may_take_rows(const struct writer *writer)
{
	return writer->rows.first && (!writer->is_held || writer->is_stopping ||
				      writer->ledger_bytes >= writer->options.max_ledger_bytes);
}

/* Locked. After a failure, ledgers alone are no reason to hurry. */
static bool is_due(const struct writer *writer, int last_error)
{
	if (writer->is_stopping || writer->tickets.first)
		return true;
	return !last_error && may_take_rows(writer) &&
	       (has_many_ledgers(writer) ||
		clock_mono_ns() >= writer->rows_since_ns + LEDGERS_WAIT_NS);
}

/* Locked. */
static uint64_t next_due_ns(const struct writer *writer, int last_error, uint64_t retry_ns)
{
	uint64_t ledgers_ns = writer->rows_since_ns + LEDGERS_WAIT_NS;

	if (last_error)
		return retry_ns;
	if (!writer->rows.first || (ledgers_ns <= clock_mono_ns() && !may_take_rows(writer)))
		return writer->next_look_ns; /* or when those that are late are held no more */
	return MIN(ledgers_ns, writer->next_look_ns);
}

/* Waits until there is something to write. Returns false when it is over and nothing is left. */
static bool wait_for_group(struct writer *writer, int last_error, struct group *out_group)
{
	uint64_t retry_ns = clock_mono_ns() + RETRY_EVERY_NS;
	bool goes_on;

	pthread_mutex_lock(&writer->lock);
	while (!is_due(writer, last_error)) {
		uint64_t until_ns = next_due_ns(writer, last_error, retry_ns);
		struct timespec until = { .tv_sec = (time_t)(until_ns / NS_PER_SEC),
					  .tv_nsec = (long)(until_ns % NS_PER_SEC) };

		if (until_ns <= clock_mono_ns())
			break;
		pthread_cond_timedwait(&writer->news, &writer->lock, &until);
	}
	out_group->tickets = queue_take(&writer->tickets);
	out_group->rows = may_take_rows(writer) ? queue_take(&writer->rows) : (struct queue){ 0 };
	goes_on = !writer->is_stopping || out_group->tickets.first || out_group->rows.first;
	pthread_mutex_unlock(&writer->lock);
	return goes_on;
}

static bool is_stopping(struct writer *writer)
{
	bool stopping;

	pthread_mutex_lock(&writer->lock);
	stopping = writer->is_stopping;
	pthread_mutex_unlock(&writer->lock);
	return stopping;
}

/* One that a failed commit takes along is asked for again by the next ledger that names it. */
static void take_late_stacks(struct writer *writer, struct arena *arena, struct group *group)
{
	group->stack_count = 0;
	group->stacks = writer->options.stacks ? stack_book_take_late(writer->options.stacks, arena,
								      &group->stack_count)
					       : NULL;
}

static void *run(void *arg)
{
	struct writer *writer = arg;
	struct group group;
	int rc = 0;

	pthread_setname_np(pthread_self(), "writer");
	thread_rank_set(THREAD_RANK_INGEST);
	while (wait_for_group(writer, rc, &group)) {
		struct arena names;

		arena_init(&names, 0);
		take_late_stacks(writer, &names, &group);
		if (group.tickets.first || group.rows.first || group.stack_count)
			rc = write_group(writer, &group);
		arena_fini(&names);
		if (rc < 0 && is_stopping(writer))
			break;
		end_part(writer);
	}
	return NULL;
}

int writer_start(const struct writer_options *options, struct writer **out_writer)
{
	struct writer *writer = calloc(1, sizeof(*writer));
	pthread_condattr_t monotonic;
	int rc;

	if (!writer)
		return -ENOMEM;
	writer->options = *options;
	pthread_mutex_init(&writer->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&writer->news, &monotonic);
	pthread_condattr_destroy(&monotonic);
	rc = -pthread_create(&writer->thread, NULL, run, writer);
	if (rc < 0) {
		free(writer);
		return rc;
	}
	*out_writer = writer;
	return 0;
}

void writer_stop(struct writer *writer)
{
	if (!writer)
		return;
	pthread_mutex_lock(&writer->lock);
	writer->is_stopping = true;
	pthread_cond_signal(&writer->news);
	pthread_mutex_unlock(&writer->lock);
	pthread_join(writer->thread, NULL);
	if (writer->ledger_count)
		log_line(LOG_ERROR,
			 "store: %zu ledgers could not be written: %s; their spans get new ones, "
			 "graded partial, at the next start",
			 writer->ledger_count, strerror(-writer->error));
	set_results(&writer->tickets, -ESHUTDOWN);
	give_back(writer, &writer->tickets);
	drop_rows(writer, &writer->rows, false);
	pthread_cond_destroy(&writer->news);
	pthread_mutex_destroy(&writer->lock);
	free(writer->batches);
	free(writer->none_causes);
	free(writer->row_views);
	free(writer);
}

void writer_batch(struct writer *writer, struct ticket *ticket)
{
	pthread_mutex_lock(&writer->lock);
	queue_push(&writer->tickets, &ticket->link);
	pthread_cond_signal(&writer->news);
	pthread_mutex_unlock(&writer->lock);
}

/* The rows that are being filled, with room for one more set; NULL: out of memory. Locked. */
static struct rows *open_rows(struct writer *writer)
{
	struct rows *rows =
		writer->rows.first ? CONTAINER_OF(writer->rows.last, struct rows, link) : NULL;

	if (!rows || rows->arena.used_bytes >= ROWS_BYTES) {
		rows = calloc(1, sizeof(*rows));
		if (!rows)
			return NULL;
		queue_push(&writer->rows, &rows->link);
		writer->ledger_bytes += bytes_of(rows);
	}
	if (rows->set_count == rows->set_room) {
		size_t room = MAX(16, rows->set_room * 2);
		void *sets = realloc(rows->sets, room * sizeof(*rows->sets));

		if (!sets)
			return NULL;
		writer->ledger_bytes += (room - rows->set_room) * sizeof(*rows->sets);
		rows->sets = sets;
		rows->set_room = room;
	}
	return rows;
}

static bool append(struct writer *writer, const struct ledger *ledgers, size_t count)
{
	struct rows *rows;
	struct ledger *copies;
	size_t before;

	if (writer->ledger_bytes > 2 * writer->options.max_ledger_bytes)
		return false;
	rows = open_rows(writer);
	if (!rows)
		return false;
	before = rows->arena.used_bytes;
	copies = ledger_set_copy(ledgers, count, &rows->arena);
	writer->ledger_bytes += rows->arena.used_bytes - before;
	if (!copies)
		return false;
	rows->sets[rows->set_count++] = (struct store_ledger_rows){ copies, count };
	rows->ledger_count += count;
	writer->ledger_count += count;
	return true;
}

bool writer_ledgers(struct writer *writer, const struct ledger *ledgers, size_t count)
{
	bool is_taken, is_first;

	pthread_mutex_lock(&writer->lock);
	is_first = !writer->rows.first;
	if (is_first)
		writer->rows_since_ns = clock_mono_ns();
	is_taken = append(writer, ledgers, count);
	if (is_first || (has_many_ledgers(writer) && may_take_rows(writer)))
		pthread_cond_signal(&writer->news);
	pthread_mutex_unlock(&writer->lock);
	return is_taken;
}

void writer_hold(struct writer *writer, bool is_held)
{
	pthread_mutex_lock(&writer->lock);
	writer->is_held = is_held;
	if (is_due(writer, 0))
		pthread_cond_signal(&writer->news);
	pthread_mutex_unlock(&writer->lock);
}

bool writer_has_room(struct writer *writer)
{
	bool has_room;

	pthread_mutex_lock(&writer->lock);
	has_room = writer->ledger_bytes < writer->options.max_ledger_bytes;
	pthread_mutex_unlock(&writer->lock);
	return has_room;
}

void writer_snapshot(struct writer *writer, struct writer_snapshot *out_snapshot)
{
	pthread_mutex_lock(&writer->lock);
	*out_snapshot = (struct writer_snapshot){
		.queued_batches = writer->tickets.count,
		.queued_ledgers = writer->ledger_count,
		.ledger_bytes = writer->ledger_bytes,
		.ledgers_written = writer->ledgers_written,
		.error = writer->error,
	};
	pthread_mutex_unlock(&writer->lock);
}
