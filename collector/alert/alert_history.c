/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alert_history.h"

#include <errno.h>

#include "collector/alert/alert_table.h"
#include "collector/base/macros.h"
#include "collector/clock.h"

#define MINUTE_NS (60 * NS_PER_SEC)

/* An operation and how its alert stands. */
struct past {
	struct alert_subject subject;
	struct alert_life life;
	uint64_t seen_unix_ns;
};

struct history {
	const struct alert_history_options *options;
	struct alert_table table;
	struct map by_name; /* hash of the subject -> struct past */
	struct arena arena;
	uint64_t now_unix_ns;
};

static struct str keep(struct arena *arena, struct str text)
{
	char *copy = arena_alloc(arena, text.len + 1);

	if (copy && text.len)
		memcpy(copy, text.data, text.len);
	return (struct str){ copy, text.len };
}

static struct past *find(struct history *history, const struct alert_subject *subject)
{
	uint64_t key = map_hash(subject->service.data, subject->service.len, subject->kind);
	struct past *past;

	key = map_hash(subject->operation.data, subject->operation.len, key);
	past = map_put(&history->by_name, &key);
	if (past && !past->subject.service.data) {
		past->subject.service = keep(&history->arena, subject->service);
		past->subject.operation = keep(&history->arena, subject->operation);
		past->subject.kind = subject->kind;
		if (!past->subject.service.data || !past->subject.operation.data)
			return NULL;
	}
	return past;
}

static int step(struct history *history, struct past *past, const struct alert_row *row)
{
	const struct alert_history_options *options = history->options;
	struct alert_input input = alert_table_input(&history->table, row, options->rule);
	enum alert_state before = past->life.state;
	struct alert_verdict verdict;

	alert_judge(options->rule, &input, &verdict);
	alert_step(options->rule, verdict.judgement, history->now_unix_ns, &past->life);
	past->seen_unix_ns = history->now_unix_ns;
	if (past->life.state == before)
		return 0;
	return options->visit(&past->subject, &past->life, &verdict, history->now_unix_ns,
			      options->arg);
}

/* Those that the table no longer knows fall silent. */
static int step_silent(struct history *history)
{
	struct past *past;
	size_t cursor = 0;
	int rc = 0;

	while (rc == 0 && (past = map_next(&history->by_name, &cursor, NULL))) {
		if (past->seen_unix_ns != history->now_unix_ns)
			rc = step(history, past, NULL);
	}
	return rc;
}

static int evaluate(struct history *history, struct store *store)
{
	const struct alert_rule *rule = history->options->rule;
	int rc = alert_table_read(&history->table, store, history->now_unix_ns);

	for (size_t i = 0; i < history->table.count && rc == 0; i++) {
		const struct alert_row *row = history->table.rows[i];
		struct past *past;

		if (!alert_rule_matches(rule, &row->subject))
			continue;
		past = find(history, &row->subject);
		rc = past ? step(history, past, row) : -ENOMEM;
	}
	return rc ? rc : step_silent(history);
}

int alert_history_run(struct store *store, const struct alert_history_options *options,
		      uint64_t *out_until_unix_ns)
{
	/* The table takes rules by the array; this one is not changed. */
	const struct alert_rules rules = { (struct alert_rule *)options->rule, 1, 1 };
	struct history history = { .options = options };
	int rc = 0;

	alert_table_init(&history.table, &rules);
	if (!strchr(options->rule->service, '*'))
		history.table.service = str_of(options->rule->service);
	if (!strchr(options->rule->operation, '*'))
		history.table.operation = str_of(options->rule->operation);
	map_init(&history.by_name, sizeof(uint64_t), sizeof(struct past), 1);
	arena_init(&history.arena, 0);
	/* The last moment of a minute sees all of it. */
	history.now_unix_ns = (options->from_unix_ns / MINUTE_NS + 1) * MINUTE_NS - 1;
	while (rc == 0 && history.now_unix_ns < options->to_unix_ns &&
	       clock_mono_ns() < options->deadline_mono_ns) {
		rc = evaluate(&history, store);
		history.now_unix_ns += MINUTE_NS;
	}
	*out_until_unix_ns = MIN(history.now_unix_ns + 1 - MINUTE_NS, options->to_unix_ns);
	alert_table_fini(&history.table);
	map_fini(&history.by_name);
	arena_fini(&history.arena);
	return rc;
}
