/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/bar.h"
#include "collector/cli/show.h"
#include "collector/clock.h"

#define DAY_NS        (24 * 3600 * NS_PER_SEC)
#define BAR_COLUMNS   20
#define FIXED_COLUMNS 68 /* of either table, without names and targets */
#define ID_COLUMNS    32
#define MIN_TEXT      12

static void put_ratio(const struct term *term, const struct json_value *ratio, struct buf *out)
{
	double value = json_read_as_double(ratio);
	enum term_colour colour = value < 0.3 ? TERM_RED : value > 0.7 ? TERM_GREEN : TERM_YELLOW;

	if (json_read_is_null(ratio))
		buf_append_text(out, "     -");
	else
		term_print(term, colour, out, "%6.3f", value);
}

/* "net 10.0.0.5:5432" */
static void put_wait(const struct term *term, const struct json_value *wait, unsigned columns,
		     struct buf *out)
{
	struct buf text;

	buf_init(&text, 0);
	if (wait)
		buf_printf(&text, "%s %s", json_read_text(wait, "reason"),
			   json_read_text(wait, "target"));
	buf_append_byte(&text, '\0');
	term_text(term, text.data ? text.data : "", columns, true, out);
	buf_fini(&text);
}

static void put_bar(const struct term *term, const struct bar_parts *parts, struct buf *cells,
		    struct buf *out)
{
	char *room = buf_reserve(cells, BAR_COLUMNS);

	if (!room)
		return;
	cells->len += BAR_COLUMNS;
	bar_compose(parts, room, BAR_COLUMNS);
	bar_put(term, room, BAR_COLUMNS, out);
}

static void put_head(const struct term *term, struct buf *out, const char *text)
{
	term_print(term, TERM_DIM, out, "%s", text);
	buf_append_byte(out, '\n');
}

/* What is left of the width for names and the wait. */
static unsigned text_columns(const struct term *term, unsigned fixed)
{
	return term->width > fixed + 3 * MIN_TEXT ? (term->width - fixed) / 3 : MIN_TEXT;
}

/* As `ls` does: the time of what is of today, the day of what is older. */
static void put_start(uint64_t unix_ns, struct buf *out)
{
	char time[32];

	term_time(unix_ns, time); /* 2026-01-31 08:00:00.000 */
	if (unix_ns + DAY_NS < clock_unix_ns())
		buf_printf(out, "%.11s ", time + 5);
	else
		buf_printf(out, "%s", time + 11);
}

static void put_span(const struct term *term, const struct json_value *span, unsigned columns,
		     struct buf *cells, struct buf *out)
{
	const struct json_value *ledger = json_read_get(span, "ledger");
	struct bar_parts parts;
	char wall[16];

	bar_parts_of_ledger(ledger, &parts);
	term_duration(json_read_uint(span, "wall_ns"), wall);
	put_start(json_read_uint(span, "start_unix_ns"), out);
	buf_printf(out, " %s ", json_read_text(span, "trace_id"));
	term_text(term, json_read_text(span, "service"), columns, true, out);
	buf_append_byte(out, ' ');
	term_text(term, json_read_text(span, "name"), columns, true, out);
	buf_printf(out, " %8s ", wall);
	put_ratio(term, json_read_get(ledger, "cpu_wall_ratio"), out);
	buf_append_byte(out, ' ');
	put_bar(term, &parts, cells, out);
	buf_append_byte(out, ' ');
	put_wait(term, json_read_at(json_read_get(span, "waits"), 0), columns, out);
	while (out->len && out->data[out->len - 1] == ' ')
		out->len--;
	buf_append_byte(out, '\n');
}

void show_spans(const struct term *term, const struct json_value *root, struct buf *cells,
		struct buf *out)
{
	const struct json_value *spans = json_read_get(root, "spans");
	unsigned columns = text_columns(term, FIXED_COLUMNS + ID_COLUMNS - 16);
	char head[512];

	snprintf(head, sizeof(head), "%-12s %-*s %-*s %-*s %8s %6s %-*s %s", "start", ID_COLUMNS,
		 "trace", columns, "service", columns, "span", "wall", "ratio", BAR_COLUMNS,
		 "where it went", "longest wait");
	put_head(term, out, head);
	for (size_t i = 0; i < json_read_count(spans); i++)
		put_span(term, json_read_at(spans, i), columns, cells, out);
	if (json_read_count(spans) == 0)
		buf_append_text(out, "no span matches\n");
	if (json_read_bool(root, "truncated"))
		term_print(term, TERM_YELLOW, out,
			   "the search was cut short by its deadline: narrow it with --from\n");
}

static double figure(const struct json_value *operation, const char *sort)
{
	const struct json_value *ratio = json_read_get(operation, "cpu_wall_ratio");
	struct bar_parts parts;

	if (strcmp(sort, "ratio") == 0)
		return json_read_is_null(ratio) ? -1e9 : -json_read_double(ratio, "p50");
	if (strcmp(sort, "wall") == 0)
		return json_read_double(json_read_get(operation, "wall_ns"), "p99");
	/* Time spent blocked, over all its spans. */
	bar_parts_of_shares(json_read_get(operation, "shares"), &parts);
	return bar_parts_blocked(&parts) * json_read_double(operation, "wall_sum_ns");
}

struct ranked {
	const struct json_value *operation;
	double figure;
};

static int by_figure(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return x->figure > y->figure ? -1 : x->figure < y->figure;
}

static void put_operation(const struct term *term, const struct json_value *operation,
			  unsigned columns, struct buf *cells, struct buf *out)
{
	const struct json_value *wall = json_read_get(operation, "wall_ns");
	const struct json_value *ratio = json_read_get(operation, "cpu_wall_ratio");
	char p50[16], p99[16], covered[16];
	struct bar_parts parts;

	bar_parts_of_shares(json_read_get(operation, "shares"), &parts);
	term_duration(json_read_uint(wall, "p50"), p50);
	term_duration(json_read_uint(wall, "p99"), p99);
	term_percent((uint64_t)(json_read_double(operation, "covered") * 10000), 10000, covered);
	term_text(term, json_read_text(operation, "service"), columns, true, out);
	buf_append_byte(out, ' ');
	term_text(term, json_read_text(operation, "name"), columns, true, out);
	buf_printf(out, " %6" PRIu64 " %8s %8s ", json_read_uint(operation, "count"), p50, p99);
	put_ratio(term, json_read_is_null(ratio) ? NULL : json_read_get(ratio, "p50"), out);
	buf_append_byte(out, ' ');
	put_bar(term, &parts, cells, out);
	buf_printf(out, " %8s ", covered);
	put_wait(term, json_read_at(json_read_get(operation, "top_waits"), 0), columns, out);
	while (out->len && out->data[out->len - 1] == ' ')
		out->len--;
	buf_append_byte(out, '\n');
}

static void put_operations(const struct term *term, const struct ranked *ranked, size_t count,
			   struct buf *cells, struct buf *out)
{
	unsigned columns = text_columns(term, FIXED_COLUMNS);
	char head[512];

	snprintf(head, sizeof(head), "%-*s %-*s %6s %8s %8s %6s %-*s %8s %s", columns, "service",
		 columns, "operation", "spans", "p50", "p99", "ratio", BAR_COLUMNS, "where it went",
		 "measured", "longest wait");
	put_head(term, out, head);
	for (size_t i = 0; i < count; i++)
		put_operation(term, ranked[i].operation, columns, cells, out);
	if (count == 0)
		buf_append_text(out, "no span is stored yet\n");
}

int show_operations(const struct term *term, const struct json_value *root, const char *sort,
		    unsigned long limit, struct buf *cells, struct buf *out)
{
	const struct json_value *operations = json_read_get(root, "operations");
	size_t count = json_read_count(operations);
	struct ranked *ranked = calloc(count + 1, sizeof(*ranked));

	if (!ranked)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		ranked[i].operation = json_read_at(operations, i);
		ranked[i].figure = figure(ranked[i].operation, sort);
	}
	qsort(ranked, count, sizeof(*ranked), by_figure);
	put_operations(term, ranked, MIN(count, limit), cells, out);
	free(ranked);
	return 0;
}
