/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alert_book.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "collector/alert/alert_entry.h"
#include "collector/base/macros.h"

struct alert_book {
	struct alert_book_options options;
	pthread_mutex_t lock; /* written by the alert thread only, which reads without it */
	struct map by_name;   /* hash of rule and names -> struct alert * */
	struct alert_book_counts counts;
	uint64_t seed;
	uint64_t round;
};

/* One evaluation. */
struct round {
	struct alert_book *book;
	const struct alert_table *table;
	struct alert_batch *batch;
	uint64_t now_unix_ns;
};

int alert_book_new(const struct alert_book_options *options, struct alert_book **out_book)
{
	struct alert_book *book = calloc(1, sizeof(*book));
	int rc = book ? -pthread_mutex_init(&book->lock, NULL) : -ENOMEM;

	if (rc == 0 && getrandom(&book->seed, sizeof(book->seed), 0) != sizeof(book->seed))
		rc = -EIO;
	if (rc < 0) {
		free(book);
		return rc;
	}
	book->options = *options;
	map_init(&book->by_name, sizeof(uint64_t), sizeof(struct alert *), 1);
	*out_book = book;
	return 0;
}

void alert_book_free(struct alert_book *book)
{
	struct alert **place;
	size_t cursor = 0;

	if (!book)
		return;
	while ((place = map_next(&book->by_name, &cursor, NULL)))
		alert_entry_free(*place);
	map_fini(&book->by_name);
	pthread_mutex_destroy(&book->lock);
	free(book);
}

static uint64_t hash_of(const struct alert_book *book, const struct alert_rule *rule,
			const struct alert_subject *subject)
{
	uint64_t hash = map_hash(rule->name, strlen(rule->name), book->seed + subject->kind);

	hash = map_hash(subject->service.data, subject->service.len, hash);
	return map_hash(subject->operation.data, subject->operation.len, hash);
}

static bool is_it(const struct alert *alert, const struct alert_rule *rule,
		  const struct alert_subject *subject)
{
	return alert->rule == rule && alert->kind == subject->kind &&
	       str_eq(str_of(alert->service), subject->service) &&
	       str_eq(str_of(alert->operation), subject->operation);
}

static struct alert_subject subject_of(const struct alert *alert)
{
	return (struct alert_subject){ str_of(alert->service), str_of(alert->operation),
				       alert->kind };
}

/* The hash is seeded at random; should two have the same, the later one is refused and counted. */
static struct alert *find(const struct alert_book *book, const struct alert_rule *rule,
			  const struct alert_subject *subject)
{
	uint64_t key = hash_of(book, rule, subject);
	struct alert **place = map_get(&book->by_name, &key);

	return place && is_it(*place, rule, subject) ? *place : NULL;
}

/* NULL: over the limit, or out of memory; counted. Takes `alert`. */
static struct alert *insert(struct alert_book *book, struct alert *alert)
{
	uint64_t key;
	struct alert **place = NULL;

	pthread_mutex_lock(&book->lock);
	if (alert && book->by_name.count < ALERT_MAX_ALERTS) {
		struct alert_subject subject = subject_of(alert);

		key = hash_of(book, alert->rule, &subject);
		place = map_get(&book->by_name, &key) ? NULL : map_put(&book->by_name, &key);
	}
	if (place)
		*place = alert;
	else
		book->counts.refused++;
	pthread_mutex_unlock(&book->lock);
	if (!place)
		alert_entry_free(alert);
	return place ? alert : NULL;
}

static void drop(struct alert_book *book, struct alert *alert)
{
	struct alert_subject subject = subject_of(alert);
	uint64_t key = hash_of(book, alert->rule, &subject);

	pthread_mutex_lock(&book->lock);
	map_delete(&book->by_name, &key);
	pthread_mutex_unlock(&book->lock);
	alert_entry_free(alert);
}

/* Also that there is no data: a restart does not begin its time anew. */
static bool is_kept(const struct alert_life *life)
{
	return life->state != ALERT_STATE_INACTIVE;
}

static bool is_same(const struct alert_life *a, const struct alert_life *b)
{
	return a->state == b->state && a->since_unix_ns == b->since_unix_ns &&
	       a->fired_unix_ns == b->fired_unix_ns && a->ended_unix_ns == b->ended_unix_ns &&
	       a->better_unix_ns == b->better_unix_ns;
}

/* What the disk shall know of it. */
static void note(struct round *round, const struct alert *alert, const struct alert_life *before)
{
	if (is_same(before, &alert->life))
		return;
	if (is_kept(&alert->life))
		alert_entry_put(alert, round->batch);
	else if (is_kept(before))
		alert_entry_remove(alert, round->batch);
}

/* For free(); NULL: nothing is known. */
static char *look_why(struct round *round, const struct alert *alert)
{
	struct alert_book *book = round->book;
	struct buf text;
	char *copy = NULL;

	buf_init(&text, 0);
	book->options.on_evidence(alert, round->now_unix_ns, &text, book->options.arg);
	if (text.len && !buf_error(&text))
		copy = strndup(text.data, text.len);
	buf_fini(&text);
	return copy;
}

static void tell(struct round *round, struct alert *alert, enum alert_change change)
{
	struct alert_book *book = round->book;

	if (change != ALERT_FIRED && change != ALERT_ENDED)
		return;
	pthread_mutex_lock(&book->lock);
	book->counts.fired += change == ALERT_FIRED;
	book->counts.ended += change == ALERT_ENDED;
	pthread_mutex_unlock(&book->lock);
	book->options.on_event(alert, round->batch, book->options.arg);
}

/* When nothing is heard any more, an alert still says what it fired for. */
static void note_verdict(struct alert *alert, const struct alert_verdict *verdict)
{
	if (verdict->judgement < ALERT_NO_DATA) {
		alert->verdict = *verdict;
		alert->has_figures = true;
	}
	alert->verdict.judgement = verdict->judgement;
}

/* Nobody sees an alert fire before it can say why. */
static void step(struct round *round, struct alert *alert, const struct alert_row *row,
		 const struct alert_verdict *verdict)
{
	struct alert_book *book = round->book;
	struct alert_input input = alert_table_input(round->table, row, alert->rule);
	struct alert_life before = alert->life, after = alert->life;
	enum alert_change change =
		alert_step(alert->rule, verdict->judgement, round->now_unix_ns, &after);
	char *evidence = change == ALERT_FIRED ? look_why(round, alert) : NULL;

	pthread_mutex_lock(&book->lock);
	alert->life = after;
	note_verdict(alert, verdict);
	alert->round = book->round;
	alert->window = input.window ? *input.window : (struct alert_measure){ 0 };
	if (change == ALERT_FIRED) {
		free(alert->evidence);
		alert->evidence = evidence;
	}
	pthread_mutex_unlock(&book->lock);
	tell(round, alert, change);
	note(round, alert, &before);
	if (alert->life.state == ALERT_STATE_INACTIVE)
		drop(book, alert);
}

/* Most of what is looked at is clear, and was: nothing is made of it. */
static void evaluate(struct round *round, const struct alert_rule *rule,
		     const struct alert_row *row, const struct alert_subject *subject)
{
	struct alert_input input = alert_table_input(round->table, row, rule);
	struct alert *alert = find(round->book, rule, subject);
	struct alert_verdict verdict;

	alert_judge(rule, &input, &verdict);
	if (!alert && (verdict.judgement == ALERT_CLEAR || verdict.judgement == ALERT_NEAR))
		return;
	if (!alert)
		alert = insert(round->book, alert_entry_new(rule, subject));
	if (alert)
		step(round, alert, row, &verdict);
}

/* It names one operation: there is an alert also when nothing is heard of it. */
static void evaluate_single(struct round *round, const struct alert_rule *rule)
{
	struct alert_subject subject = { str_of(rule->service), str_of(rule->operation), 0 };
	unsigned found = 0;

	for (; subject.kind <= SPAN_KIND_CONSUMER; subject.kind++) {
		const struct alert_row *row = alert_table_find(round->table, &subject);

		if (!row || !alert_rule_matches(rule, &subject))
			continue;
		evaluate(round, rule, row, &subject);
		found++;
	}
	subject.kind = rule->kind < 0 ? 0 : (uint8_t)rule->kind;
	if (!found)
		evaluate(round, rule, NULL, &subject);
}

static void evaluate_rule(struct round *round, const struct alert_rule *rule)
{
	const struct alert_table *table = round->table;

	if (alert_rule_is_single(rule)) {
		evaluate_single(round, rule);
		return;
	}
	for (size_t i = 0; i < table->count; i++) {
		if (alert_rule_matches(rule, &table->rows[i]->subject))
			evaluate(round, rule, table->rows[i], &table->rows[i]->subject);
	}
}

struct list {
	struct alert **items; /* owned */
	size_t count;
};

static struct list list_all(struct alert_book *book)
{
	struct list list = { malloc((book->by_name.count + 1) * sizeof(struct alert *)), 0 };
	struct alert **place;
	size_t cursor = 0;

	while (list.items && (place = map_next(&book->by_name, &cursor, NULL)))
		list.items[list.count++] = *place;
	return list;
}

/* Alerts whose operation is no longer heard of at all. One that fires goes on until its time is
 * over; others have nothing more to say. */
static void evaluate_silent(struct round *round)
{
	static const struct alert_verdict silence = { .judgement = ALERT_NO_DATA };
	struct list list = list_all(round->book);

	for (size_t i = 0; i < list.count; i++) {
		struct alert *alert = list.items[i];
		const struct alert_life before = alert->life;

		if (alert->round == round->book->round)
			continue;
		if (alert->life.state == ALERT_STATE_FIRING) {
			step(round, alert, NULL, &silence);
			continue;
		}
		if (is_kept(&before))
			alert_entry_remove(alert, round->batch);
		drop(round->book, alert);
	}
	free(list.items);
}

void alert_book_evaluate(struct alert_book *book, const struct alert_table *table,
			 uint64_t now_unix_ns, struct alert_batch *batch)
{
	struct round round = { book, table, batch, now_unix_ns };

	book->round++;
	for (size_t i = 0; i < book->options.rules->count; i++)
		evaluate_rule(&round, &book->options.rules->items[i]);
	evaluate_silent(&round);
}

struct loading {
	struct alert_book *book;
	struct alert_batch *batch;
};

static int on_entry(struct str key, struct str value, void *arg)
{
	struct loading *loading = arg;
	struct alert *alert;

	if (alert_entry_read(value, loading->book->options.rules, &alert) < 0)
		alert_batch_remove(loading->batch, key);
	else
		insert(loading->book, alert);
	return 0;
}

int alert_book_load(struct alert_book *book, struct state_kv *kv, struct alert_batch *batch)
{
	struct loading loading = { book, batch };

	return state_kv_each(kv, STR(ALERT_ENTRY_PREFIX), on_entry, &loading);
}

int alert_book_each(struct alert_book *book, int (*visit)(const struct alert *alert, void *arg),
		    void *arg)
{
	struct alert **place;
	size_t cursor = 0;
	int rc = 0;

	pthread_mutex_lock(&book->lock);
	while (rc == 0 && (place = map_next(&book->by_name, &cursor, NULL)))
		rc = visit(*place, arg);
	pthread_mutex_unlock(&book->lock);
	return rc;
}

void alert_book_count(struct alert_book *book, struct alert_book_counts *out_counts)
{
	struct alert **place;
	size_t cursor = 0;

	pthread_mutex_lock(&book->lock);
	*out_counts = book->counts;
	while ((place = map_next(&book->by_name, &cursor, NULL)))
		out_counts->states[(*place)->life.state]++;
	pthread_mutex_unlock(&book->lock);
}
