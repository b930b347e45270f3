/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/story_served.h"

#include <stdio.h>
#include <string.h>

#include "collector/base/macros.h"

#define LEAST_SHARE 20 /* of the span's time that who ended its waits must have ended */
#define DELAY_BYTES 64

struct served {
	const struct span_row *call, *server;
	uint64_t ns; /* of the call's time */
};

static bool is_below(const struct span_tree *tree, const struct span_row *row,
		     const struct span_row *above)
{
	while (row != above && row->parent >= 0)
		row = &tree->rows[row->parent];
	return row == above;
}

static const struct span_row *find(const struct span_tree *tree, const char *span_id)
{
	for (size_t i = 0; i < tree->count; i++) {
		if (strcmp(json_read_text(tree->rows[i].span, "span_id"), span_id) == 0)
			return &tree->rows[i];
	}
	return NULL;
}

/* Longest first; what does not find room is the shortest. */
static size_t insert(struct served *list, size_t count, struct served served)
{
	size_t at = MIN(count, (size_t)STORY_SERVED);

	while (at > 0 && list[at - 1].ns < served.ns) {
		if (at < STORY_SERVED)
			list[at] = list[at - 1];
		at--;
	}
	if (at < STORY_SERVED)
		list[at] = served;
	return MIN(count + 1, (size_t)STORY_SERVED);
}

static size_t collect(const struct span_tree *tree, const struct span_row *row, struct served *list)
{
	size_t count = 0;

	for (size_t i = 0; i < tree->count; i++) {
		const struct json_value *links = json_read_get(tree->rows[i].span, "links");

		for (size_t k = 0; k < json_read_count(links); k++) {
			const struct json_value *link = json_read_at(links, k);
			const struct span_row *server = find(tree, json_read_text(link, "span_id"));

			if (server && strcmp(json_read_text(link, "via"), "parent") == 0 &&
			    is_below(tree, &tree->rows[i], row))
				count = insert(list, count,
					       (struct served){ &tree->rows[i], server,
								json_read_uint(link, "ns") });
		}
	}
	return count;
}

/* "answered  500 ms  82 %  by SELECT in db, passed on by others: ", and what it did. */
struct line {
	const char *label, *name, *service, *passed, *verdict;
	uint64_t ns;
};

static void put_line(const struct term *term, const struct span_row *row, const struct line *line,
		     struct buf *out)
{
	char ns[16], share[16];

	term_duration(line->ns, ns);
	term_percent(line->ns, row->wall_ns, share);
	term_print(term, TERM_DIM, out, "  %-10s", line->label);
	buf_printf(out, "%8s %6s  by ", ns, share);
	term_text(term, line->name, 40, false, out);
	buf_append_text(out, " in ");
	term_text(term, line->service, 40, false, out);
	buf_append_text(out, line->passed);
	buf_append_text(out, ": ");
	term_text(term, *line->verdict ? line->verdict : "no figures", 300, false, out);
	buf_append_byte(out, '\n');
}

static bool has_figures(const struct span_row *row)
{
	const struct json_value *ledger = json_read_get(row->span, "ledger");

	return !json_read_is_null(json_read_get(ledger, "cpu_ns"));
}

/* What went by before: it stood in a queue, or somebody else kept who answers busy. Both have
 * figures, so they are of this node, and of one clock. */
static void say_delay(const struct span_row *row, const struct served *served,
		      char out[static DELAY_BYTES])
{
	uint64_t from = served->call->start_ns, to = served->server->start_ns;
	char ns[16];

	out[0] = '\0';
	if (to < from || to - from < row->wall_ns / LEAST_SHARE || !has_figures(served->call) ||
	    !has_figures(served->server))
		return;
	term_duration(to - from, ns);
	snprintf(out, DELAY_BYTES, ", taken up %s after the call began", ns);
}

static void put_answered(const struct term *term, const struct span_row *row,
			 const struct served *served, const char *label, struct buf *out)
{
	const struct json_value *span = served->server->span;
	const char *text = json_read_text(json_read_get(span, "verdict"), "text");
	char delay[DELAY_BYTES];

	say_delay(row, served, delay);
	put_line(term, row,
		 &(struct line){ .label = label,
				 .name = json_read_text(span, "name"),
				 .service = json_read_text(span, "service"),
				 .passed = delay,
				 .verdict = text,
				 .ns = served->ns },
		 out);
}

/* Of another trace, and worth a line; those of this one stand in the picture. */
static bool is_told(const struct span_tree *tree, const struct span_row *row,
		    const struct json_value *link)
{
	return json_read_uint(link, "ns") >= row->wall_ns / LEAST_SHARE &&
	       strcmp(json_read_text(link, "via"), "parent") != 0 &&
	       !find(tree, json_read_text(link, "span_id"));
}

/* What the links of a span tell holds those of the spans below it. */
static void put_released(const struct term *term, const struct span_tree *tree,
			 const struct span_row *row, struct span_names *names, struct buf *out)
{
	const struct json_value *links = json_read_get(row->span, "links");
	size_t put = 0;

	for (size_t i = 0; i < json_read_count(links) && put < STORY_SERVED; i++) {
		const struct json_value *link = json_read_at(links, i);
		const struct span_name *by =
			is_told(tree, row, link)
				? span_names_find(names, json_read_text(link, "trace_id"),
						  json_read_text(link, "span_id"))
				: NULL;

		if (!by || !by->name[0])
			continue;
		put_line(term, row,
			 &(struct line){ .label = put++ ? "" : "released",
					 .name = by->name,
					 .service = by->service,
					 .passed = strcmp(json_read_text(link, "via"), "chain") == 0
							   ? ", passed on"
							   : "",
					 .verdict = by->verdict,
					 .ns = json_read_uint(link, "ns") },
			 out);
	}
}

void story_put_served(const struct term *term, const struct span_tree *tree,
		      const struct span_row *row, struct span_names *names, struct buf *out)
{
	struct served list[STORY_SERVED];
	size_t count = collect(tree, row, list);

	for (size_t i = 0; i < count; i++)
		put_answered(term, row, &list[i], i ? "" : "answered", out);
	put_released(term, tree, row, names, out);
}
