/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alert_table.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/alert/alert_source.h"
#include "collector/base/macros.h"

#define MINUTE_NS       (60 * NS_PER_SEC)
#define HOUR_MINUTES    60
#define DAY_MINUTES     (24 * 60)
#define TABLE_MAX_BYTES ((size_t)64 << 20)

/* -1: the length is new. */
static int find_window(const struct alert_table *table, uint32_t minutes)
{
	for (unsigned i = 0; i < table->window_count; i++) {
		if (table->windows[i].minutes == minutes)
			return (int)i;
	}
	return -1;
}

static void clear_rows(struct alert_table *table)
{
	map_clear(&table->by_name);
	table->count = 0;
	table->refused = 0;
	table->minute = 0;
	arena_fini(&table->arena);
	arena_init(&table->arena, TABLE_MAX_BYTES);
}

void alert_table_init(struct alert_table *table, const struct alert_rules *rules)
{
	*table = (struct alert_table){ 0 };
	arena_init(&table->arena, TABLE_MAX_BYTES);
	map_init(&table->by_name, sizeof(uint64_t), sizeof(struct alert_row *), 1);
	for (size_t i = 0; i < rules->count; i++) {
		const struct alert_rule *rule = &rules->items[i];
		int at = find_window(table, rule->window_minutes);
		bool before = alert_rule_uses(rule, AGAINST_BEFORE);

		if (at < 0 && table->window_count == ALERT_MAX_WINDOWS)
			continue;
		if (at < 0) {
			at = (int)table->window_count++;
			table->windows[at].minutes = rule->window_minutes;
		}
		table->windows[at].uses_hour |= before || alert_rule_uses(rule, AGAINST_HOUR);
		table->windows[at].uses_yesterday |=
			before || alert_rule_uses(rule, AGAINST_YESTERDAY);
	}
}

void alert_table_fini(struct alert_table *table)
{
	map_fini(&table->by_name);
	arena_fini(&table->arena);
	free(table->rows);
}

int alert_table_check(const struct alert_rules *rules, struct buf *message)
{
	struct alert_table table;
	int rc = 0;

	alert_table_init(&table, rules);
	for (size_t i = 0; i < rules->count && rc == 0; i++) {
		if (find_window(&table, rules->items[i].window_minutes) < 0) {
			buf_printf(message, "alerts have more than %d different windows\n",
				   ALERT_MAX_WINDOWS);
			rc = -EINVAL;
		}
	}
	alert_table_fini(&table);
	return rc;
}

static bool is_same(const struct alert_subject *a, const struct alert_subject *b)
{
	return a->kind == b->kind && str_eq(a->operation, b->operation) &&
	       str_eq(a->service, b->service);
}

/* Two subjects of one hash are told apart by trying the next number. */
static struct alert_row **place_of(const struct alert_table *table,
				   const struct alert_subject *subject, uint64_t *out_key)
{
	uint64_t key = map_hash(subject->service.data, subject->service.len, subject->kind);

	key = map_hash(subject->operation.data, subject->operation.len, key);
	for (;; key++) {
		struct alert_row **place = map_get(&table->by_name, &key);

		*out_key = key;
		if (!place || is_same(&(*place)->subject, subject))
			return place;
	}
}

const struct alert_row *alert_table_find(const struct alert_table *table,
					 const struct alert_subject *subject)
{
	uint64_t key;
	struct alert_row **place = place_of(table, subject, &key);

	return place ? *place : NULL;
}

static struct str keep(struct arena *arena, struct str text)
{
	char *copy = arena_alloc(arena, text.len + 1);

	if (copy && text.len)
		memcpy(copy, text.data, text.len);
	return (struct str){ copy, text.len };
}

static bool make_room(struct alert_table *table)
{
	size_t cap = table->cap ? 2 * table->cap : 64;
	struct alert_row **rows;

	if (table->count < table->cap)
		return true;
	rows = reallocarray(table->rows, cap, sizeof(*rows));
	if (!rows)
		return false;
	table->rows = rows;
	table->cap = cap;
	return true;
}

/* Finds or makes. NULL: over the limits. */
static struct alert_row *take_row(struct alert_table *table, const struct alert_subject *subject)
{
	uint64_t key;
	struct alert_row **place = place_of(table, subject, &key), *row;

	if (place)
		return *place;
	if (table->count == ALERT_MAX_OPERATIONS || !make_room(table))
		return NULL;
	row = arena_alloc(&table->arena, sizeof(*row));
	if (!row)
		return NULL;
	row->subject.service = keep(&table->arena, subject->service);
	row->subject.operation = keep(&table->arena, subject->operation);
	row->subject.kind = subject->kind;
	row->measures = arena_alloc(&table->arena,
				    table->window_count * ALERT_STRETCHES * sizeof(*row->measures));
	if (!row->subject.service.data || !row->subject.operation.data || !row->measures)
		return NULL;
	place = map_put(&table->by_name, &key);
	if (!place)
		return NULL;
	*place = row;
	table->rows[table->count++] = row;
	return row;
}

struct filling {
	struct alert_table *table;
	unsigned slot;
};

static int on_operation(const struct alert_subject *subject, const struct alert_measure *measure,
			void *arg)
{
	struct filling *filling = arg;
	struct alert_row *row = take_row(filling->table, subject);

	if (row)
		row->measures[filling->slot] = *measure;
	else
		filling->table->refused++;
	return 0;
}

/* The minutes of a stretch, seen from the minute that runs. */
static struct alert_range range_of(const struct alert_window *window, enum alert_stretch stretch,
				   uint32_t minute)
{
	uint32_t to = minute + 1, from = to - window->minutes;

	switch (stretch) {
	case STRETCH_HOUR:
		return (struct alert_range){ .from_minute = from - HOUR_MINUTES,
					     .to_minute = from };
	case STRETCH_YESTERDAY:
		return (struct alert_range){ .from_minute = from - DAY_MINUTES,
					     .to_minute = to - DAY_MINUTES };
	default:
		return (struct alert_range){ .from_minute = from, .to_minute = to };
	}
}

static int fill(struct alert_table *table, struct store *store, unsigned window,
		enum alert_stretch stretch, uint32_t minute)
{
	struct alert_range range = range_of(&table->windows[window], stretch, minute);
	struct filling filling = { table, window * ALERT_STRETCHES + stretch };

	range.service = table->service;
	range.operation = table->operation;
	for (size_t i = 0; i < table->count; i++)
		table->rows[i]->measures[filling.slot] = (struct alert_measure){ 0 };
	return alert_source_each(store, &range, on_operation, &filling);
}

int alert_table_read(struct alert_table *table, struct store *store, uint64_t now_unix_ns)
{
	uint32_t minute = (uint32_t)(now_unix_ns / MINUTE_NS);
	bool is_new = minute != table->minute;
	int rc = 0;

	if (is_new)
		clear_rows(table);
	for (unsigned i = 0; i < table->window_count && rc == 0; i++) {
		rc = fill(table, store, i, STRETCH_WINDOW, minute);
		if (rc == 0 && is_new && table->windows[i].uses_hour)
			rc = fill(table, store, i, STRETCH_HOUR, minute);
		if (rc == 0 && is_new && table->windows[i].uses_yesterday)
			rc = fill(table, store, i, STRETCH_YESTERDAY, minute);
	}
	if (rc < 0)
		clear_rows(table);
	else
		table->minute = minute;
	return rc;
}

struct alert_input alert_table_input(const struct alert_table *table, const struct alert_row *row,
				     const struct alert_rule *rule)
{
	int at = find_window(table, rule->window_minutes);
	const struct alert_measure *measures;

	if (!row || at < 0)
		return (struct alert_input){ 0 };
	measures = row->measures + (unsigned)at * ALERT_STRETCHES;
	return (struct alert_input){
		.window = &measures[STRETCH_WINDOW],
		.hour = &measures[STRETCH_HOUR],
		.yesterday = &measures[STRETCH_YESTERDAY],
	};
}
