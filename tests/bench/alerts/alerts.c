/* SPDX-License-Identifier: Apache-2.0 */
/* What evaluating alert rules costs: 1,000 rules as the default one, for 1,000 operations, over
 * rollups on disk that reach back a day. Prints the share of a core for one evaluation each 15 s.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "collector/alert/alert_book.h"
#include "collector/base/macros.h"
#include "tests/lib/storage_fixture.h"

#define RULES      1000u
#define MINUTES    75u /* before now, and as many before this time yesterday */
#define DAY_NS     (86400 * NS_PER_SEC)
#define MINUTE_NS  (60 * NS_PER_SEC)
#define EVERY_NS   (15 * NS_PER_SEC)
#define ROUNDS     20u /* five minutes */
#define SPANS_EACH 4u  /* of an operation, a minute */

static char names[RULES][32];

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

/* `each` spans of every operation that ended right before `now_ns`. */
static void commit(struct store *store, uint64_t now_ns, unsigned each, uint64_t *number)
{
	static struct fixture_span spans[RULES];
	static struct ledger ledgers[RULES];

	for (unsigned i = 0; i < each; i++) {
		for (unsigned j = 0; j < RULES; j++) {
			uint64_t wall_ns = (20 + (*number * 2654435761u) % 800) * NS_PER_MS;

			++*number;
			spans[j] = (struct fixture_span){
				.trace = *number,
				.span = *number,
				.service = "bench",
				.name = names[j],
				.start_ns = now_ns - wall_ns - 1,
				.wall_ns = wall_ns,
				.kind = SPAN_KIND_SERVER,
			};
			ledgers[j] = fixture_ledger(&spans[j], 1, (uint32_t)*number);
		}
		if (fixture_commit_spans(store, spans, RULES, now_ns) < 0 ||
		    fixture_commit_ledgers(store, ledgers, RULES, now_ns) < 0)
			exit(1);
	}
}

static void fill(struct store *store, uint64_t now_ns, uint64_t *number)
{
	for (unsigned day = 2; day-- > 0;) {
		for (unsigned minute = MINUTES; minute-- > 0;)
			commit(store, now_ns - day * DAY_NS - minute * MINUTE_NS, SPANS_EACH,
			       number);
	}
}

static void add_rules(struct alert_rules *rules)
{
	struct buf message;

	buf_init(&message, 0);
	for (unsigned i = 0; i < RULES; i++) {
		struct alert_rule *rule;
		char name[32];

		snprintf(name, sizeof(name), "rule-%u", i);
		snprintf(names[i], sizeof(names[i]), "GET /operation/%u", i);
		if (alert_rules_add(rules, str_of(name), &rule, &message) < 0 ||
		    alert_rule_set(rule, "service", "bench", &message) < 0 ||
		    alert_rule_set(rule, "operation", names[i], &message) < 0 ||
		    alert_rule_set(rule, "min_count", "10", &message) < 0 ||
		    alert_rule_set(rule, "when", "ratio < 0.30 and wall_p99 > 1.25 * before",
				   &message) < 0)
			exit(1);
	}
	buf_fini(&message);
}

static void on_evidence(const struct alert *alert, uint64_t now_unix_ns, struct buf *out, void *arg)
{
	(void)alert;
	(void)now_unix_ns;
	(void)out;
	(void)arg;
}

static void on_event(const struct alert *alert, struct alert_batch *batch, void *arg)
{
	unsigned *events = arg;

	(void)alert;
	(void)batch;
	++*events;
}

struct cost {
	uint64_t read_ns, judge_ns, most_ns;
};

static void evaluate(struct alert_table *table, struct alert_book *book, struct store *store,
		     uint64_t now_ns, struct cost *cost)
{
	struct alert_batch batch;
	uint64_t began = cpu_ns(), read, done;

	alert_batch_init(&batch);
	if (alert_table_read(table, store, now_ns) < 0)
		exit(1);
	read = cpu_ns();
	alert_book_evaluate(book, table, now_ns, &batch);
	done = cpu_ns();
	alert_batch_fini(&batch);
	cost->read_ns += read - began;
	cost->judge_ns += done - read;
	cost->most_ns = MAX(cost->most_ns, done - began);
}

static void run(struct store *store, const struct alert_rules *rules, uint64_t now_ns,
		uint64_t *number)
{
	unsigned events = 0;
	struct alert_book_options options = { rules, on_evidence, on_event, &events };
	struct alert_book_counts counts;
	struct alert_table table;
	struct alert_book *book;
	struct cost cost = { 0 };

	alert_table_init(&table, rules);
	if (alert_book_new(&options, &book) < 0)
		exit(1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		now_ns += EVERY_NS;
		commit(store, now_ns, 1, number);
		evaluate(&table, book, store, now_ns, &cost);
	}
	alert_book_count(book, &counts);
	printf("%zu rules, %zu operations, %u evaluations, one each %llu s: %.2f ms each (reading "
	       "%.2f, judging %.2f; at most %.2f) = %.2f %% of a core\n",
	       rules->count, table.count, ROUNDS, EVERY_NS / NS_PER_SEC,
	       (double)(cost.read_ns + cost.judge_ns) / ROUNDS / 1e6,
	       (double)cost.read_ns / ROUNDS / 1e6, (double)cost.judge_ns / ROUNDS / 1e6,
	       (double)cost.most_ns / 1e6,
	       100.0 * (double)(cost.read_ns + cost.judge_ns) / (double)(ROUNDS * EVERY_NS));
	printf("alerts that came of it: %" PRIu64 " pending, %" PRIu64 " firing, %" PRIu64
	       " without data\n",
	       counts.states[ALERT_STATE_PENDING], counts.states[ALERT_STATE_FIRING],
	       counts.states[ALERT_STATE_NO_DATA]);
	alert_book_free(book);
	alert_table_fini(&table);
}

int main(void)
{
	char *path = fixture_folder();
	struct store_options options = fixture_options(path);
	uint64_t now_ns = FIXTURE_T0 + 2 * DAY_NS, number = 0;
	struct alert_rules rules = { 0 };
	struct store *store;

	options.max_bytes = (uint64_t)8 << 30;
	options.max_age_ns = 30 * DAY_NS;
	options.part_ns = 3600 * NS_PER_SEC;
	store = fixture_open(&options);
	add_rules(&rules);
	fill(store, now_ns, &number);
	fixture_pack(store, now_ns);
	run(store, &rules, now_ns, &number);
	store_close(store);
	alert_rules_fini(&rules);
	fixture_remove(path);
	free(path);
	return 0;
}
