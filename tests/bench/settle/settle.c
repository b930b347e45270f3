/* SPDX-License-Identifier: Apache-2.0 */
/* What settling a trace costs as it grows: CPU us a span, of traces of 1,000 and of 10,000 spans
 * (as many as the daemon takes of one), and how much dearer a span of the large one is. A thread
 * carries all; it waits within each span, and after it.
 *
 *   fan           a root with children
 *   tree          four children each
 *   chain         each span below the one before
 *   chain unseen  ... of which the thread shows the root alone: the others are placed
 *   chain idle    ... and it shows nothing, now and then */
#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collector/base/macros.h"
#include "correlate/correlator.h"

#define PID       10
#define FEW       1000u
#define MANY      10000u
#define STEP_NS   1500u
#define BEGIN_NS  NS_PER_SEC
#define EPOCH_NS  1700000000000000123ull
#define SCHED_NS  123456789ull
#define SWITCHES  200 /* before the trace, so that the CPU's clock is known */
#define SYS_FUTEX 202

enum shape { FAN, TREE, CHAIN, CHAIN_UNSEEN, CHAIN_IDLE, SHAPES };

static const char *const names[SHAPES] = { "fan", "tree", "chain", "chain unseen", "chain idle" };

struct player {
	struct correlator *correlator;
	enum shape shape;
	uint32_t spans;
	uint64_t time_ns, out_ns, exec_ns;
	uint64_t shown;                /* id; 0: nothing */
	uint64_t *start_ns, *end_ns;   /* owned, by id */
	uint32_t *first_child, *after; /* owned, by id */
	size_t ledgers;
};

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static void count(const struct ledger *ledgers, size_t many, void *arg)
{
	struct player *player = arg;

	(void)ledgers;
	player->ledgers += many;
}

static struct event_tag tag_of(uint64_t id)
{
	struct event_tag tag = { .trace_id = { 1 } };

	memcpy(tag.span_id, &id, sizeof(id));
	return tag;
}

/* The thread ran since it came in, and waits now, showing that span. */
static void wait_showing(struct player *player, uint64_t id)
{
	struct {
		struct event_slice slice;
		struct event_tag tags[2];
	} record = { 0 };
	struct event_slice *s = &record.slice;
	uint64_t in_ns = player->time_ns, out_ns = in_ns + STEP_NS;
	unsigned tags = 0;

	s->header.kind = EVENT_SLICE;
	s->header.flags = EVENT_STOLEN_UNTOLD | (player->out_ns ? 0u : EVENT_FIRST);
	s->pid = s->tid = PID;
	s->prev_out_ns = player->out_ns;
	s->waking_ns = s->in_ns = in_ns;
	s->out_ns = player->out_ns = out_ns;
	s->exec_in_ns = player->exec_ns;
	s->exec_out_ns = player->exec_ns += out_ns - in_ns;
	s->exec_start_in_ns = in_ns - SCHED_NS;
	s->exec_start_out_ns = out_ns - SCHED_NS;
	s->syscall = SYS_FUTEX;
	s->state = 1;
	if (id) {
		s->header.flags |= EVENT_TAG_OUT;
		record.tags[tags++] = tag_of(id);
	}
	if (player->shown == id) {
		s->header.flags |= EVENT_TAG_SAME;
	} else if (player->shown) {
		s->header.flags |= EVENT_TAG_IN;
		record.tags[tags++] = tag_of(player->shown);
	} else {
		s->header.flags |= EVENT_TAG_IN_NONE;
	}
	s->header.bytes = (uint16_t)(sizeof(*s) + tags * sizeof(record.tags[0]));
	player->shown = id;
	player->time_ns = out_ns + STEP_NS;
	correlator_record(player->correlator, &s->header);
}

static uint32_t parent_of(const struct player *player, uint32_t id)
{
	switch (player->shape) {
	case FAN:
		return id > 1 ? 1 : 0;
	case TREE:
		return (id + 2) / 4;
	default:
		return id - 1;
	}
}

static uint64_t shown_in(const struct player *player, uint32_t id)
{
	if (player->shape == CHAIN_UNSEEN)
		return id ? 1 : 0;
	return player->shape == CHAIN_IDLE && id % 8 == 7 ? 0 : id;
}

/* Depth first, without recursion. */
static void run_spans(struct player *player)
{
	for (uint32_t id = player->spans; id > 1; id--) {
		uint32_t parent = parent_of(player, id);

		player->after[id] = player->first_child[parent];
		player->first_child[parent] = id;
	}
	for (uint32_t at = 1, next; at; at = next) {
		player->start_ns[at] = player->time_ns + STEP_NS / 2;
		wait_showing(player, shown_in(player, at));
		next = player->first_child[at];
		while (at && !next) {
			player->end_ns[at] = player->time_ns + STEP_NS / 2;
			next = player->after[at];
			at = parent_of(player, at);
			wait_showing(player, shown_in(player, at));
		}
	}
}

static void send_spans(struct player *player)
{
	struct span_resource resource = { .bytes = STR("resource"),
					  .service_name = STR("shop"),
					  .process_pid = PID };
	struct span *spans = calloc(player->spans, sizeof(*spans));
	struct span_batch batch = { .spans = spans,
				    .resources = &resource,
				    .span_count = player->spans,
				    .resource_count = 1 };

	assert(spans);
	for (uint32_t id = 1; id <= player->spans; id++) {
		struct span *span = &spans[id - 1];
		uint64_t own = id, parent = parent_of(player, id);

		*span = (struct span){ .start_unix_ns = EPOCH_NS + player->start_ns[id],
				       .end_unix_ns = EPOCH_NS + player->end_ns[id],
				       .trace_id = { 1 },
				       .name = STR("work"),
				       .kind = 1 };
		memcpy(span->span_id, &own, sizeof(own));
		memcpy(span->parent_span_id, &parent, sizeof(parent));
	}
	correlator_spans(player->correlator, &batch);
	free(spans);
}

static void clock_at(struct player *player, uint64_t mono_ns)
{
	correlator_clock(player->correlator, mono_ns - 20, EPOCH_NS + mono_ns, mono_ns + 20);
}

static void allocate(struct player *player)
{
	size_t room = player->spans + 2;

	player->start_ns = calloc(room, sizeof(*player->start_ns));
	player->end_ns = calloc(room, sizeof(*player->end_ns));
	player->first_child = calloc(room, sizeof(*player->first_child));
	player->after = calloc(room, sizeof(*player->after));
	assert(player->start_ns && player->end_ns && player->first_child && player->after);
}

static void release(struct player *player)
{
	correlator_free(player->correlator);
	free(player->start_ns);
	free(player->end_ns);
	free(player->first_child);
	free(player->after);
}

/* CPU us a span. */
static double measure(enum shape shape, uint32_t spans)
{
	struct player player = { .shape = shape, .spans = spans, .time_ns = BEGIN_NS };
	const struct correlator_options options = { .limit_bytes = 256u << 20,
						    .settle_ns = 10 * NS_PER_SEC,
						    .reach_ns = 60 * NS_PER_SEC,
						    .max_trace_spans = MANY,
						    .on_ledgers = count,
						    .arg = &player };
	const struct event_process process = { .pid = PID, .ns_pid = PID, .publish = PUBLISH_TAGS };
	uint64_t took_ns;

	allocate(&player);
	if (correlator_new(&options, &player.correlator) < 0)
		abort();
	correlator_process(player.correlator, &process);
	clock_at(&player, BEGIN_NS / 2);
	for (int i = 0; i < SWITCHES; i++)
		wait_showing(&player, 0);
	run_spans(&player);
	wait_showing(&player, 0);
	clock_at(&player, player.time_ns + NS_PER_SEC);
	send_spans(&player);
	took_ns = cpu_ns();
	correlator_settle_all(player.correlator);
	took_ns = cpu_ns() - took_ns;
	assert(player.ledgers == spans);
	release(&player);
	return (double)took_ns / 1000.0 / spans;
}

int main(int argc, char **argv)
{
	printf("CPU us a span   %8u %8u   times\n", FEW, MANY);
	for (int shape = 0; shape < SHAPES; shape++) {
		double few, many;

		if (argc > 1 && strcmp(argv[1], names[shape]) != 0)
			continue;
		few = measure((enum shape)shape, FEW);
		many = measure((enum shape)shape, MANY);
		printf("%-14s  %8.2f %8.2f %7.1f\n", names[shape], few, many, many / few);
	}
	return 0;
}
