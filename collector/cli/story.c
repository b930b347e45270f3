/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/story.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/bar.h"
#include "collector/cli/story_code.h"
#include "collector/cli/story_parts.h"
#include "collector/cli/story_served.h"
#include "collector/cli/waterfall.h"

#define LEAST_SHARE 20 /* a span's own time must be 1/20 of the trace to be worth a story */

static const struct json_value *ledger_of(const struct span_row *row)
{
	return json_read_get(row->span, "ledger");
}

static bool has_figures(const struct span_row *row)
{
	return !json_read_is_null(json_read_get(ledger_of(row), "cpu_ns"));
}

static double self_ns(const struct span_row *row)
{
	struct bar_parts parts;

	bar_parts_of_ledger(json_read_get(ledger_of(row), "self"), &parts);
	return bar_parts_sum(&parts);
}

void story_put_label(const struct term *term, const char *label, struct buf *out)
{
	term_print(term, TERM_DIM, out, "  %-10s", label);
}

void story_put_stack(const struct term *term, const struct json_value *of, struct buf *out)
{
	const struct json_value *stack = json_read_get(of, "stack");

	for (size_t i = 0; i < json_read_count(stack); i++) {
		story_put_label(term, "", out);
		buf_append_text(out, "  ");
		term_text(term, json_read_as_text(json_read_at(stack, i)), 100, false, out);
		buf_append_byte(out, '\n');
	}
}

/* Of a span that ran more than it waited, whether or not it got a CPU at once: the code that most
 * of it ran under. */
static void put_code(const struct telling *telling, const struct span_row *row, struct buf *out)
{
	const struct json_value *code = json_read_get(row->span, "code");
	uint64_t running_ns = json_read_uint(ledger_of(row), "running_ns");
	struct bar_parts parts;

	bar_parts_of_ledger(ledger_of(row), &parts);
	if (running_ns < row->wall_ns / LEAST_SHARE || parts.running < bar_parts_blocked(&parts))
		return;
	story_put_code(telling->term, code, running_ns, out);
	if (telling->with_stacks)
		story_put_stack(telling->term, json_read_at(code, 0), out);
}

static void put_runnable(const struct term *term, const struct span_row *row, struct buf *out)
{
	const struct json_value *runnable = json_read_get(ledger_of(row), "runnable");
	uint64_t total = json_read_uint(ledger_of(row), "runnable_ns");
	uint64_t yielded_ns = json_read_uint(runnable, "yielded_ns");
	char woken[16], preempted[16], throttled[16], yielded[16];

	if (total < row->wall_ns / LEAST_SHARE)
		return;
	term_duration(json_read_uint(runnable, "woken_ns"), woken);
	term_duration(json_read_uint(runnable, "preempted_ns"), preempted);
	term_duration(json_read_uint(runnable, "throttled_ns"), throttled);
	story_put_label(term, "runnable", out);
	buf_printf(out, "%s after a wake-up, %s preempted, %s throttled by a CPU quota", woken,
		   preempted, throttled);
	if (yielded_ns) {
		term_duration(yielded_ns, yielded);
		buf_printf(out, ", %s given up by sched_yield", yielded);
	}
	buf_append_byte(out, '\n');
}

static void put_story(const struct telling *telling, const struct span_row *row, struct buf *out)
{
	const struct term *term = telling->term;
	const struct json_value *verdict = json_read_get(row->span, "verdict");
	char wall[16];

	term_duration(row->wall_ns, wall);
	buf_append_byte(out, '\n');
	term_colour(term, TERM_BOLD, out);
	term_text(term, json_read_text(row->span, "name"), 60, false, out);
	term_reset(term, out);
	buf_append_text(out, " (");
	term_text(term, json_read_text(row->span, "service"), 40, false, out);
	buf_printf(out, ")  %s  span %s\n", wall, json_read_text(row->span, "span_id"));
	story_put_label(term, "verdict", out);
	term_colour(term, TERM_CYAN, out);
	term_text(term, json_read_text(verdict, "text"), 1000, false, out);
	term_reset(term, out);
	buf_append_byte(out, '\n');
	put_runnable(term, row, out);
	put_code(telling, row, out);
	story_put_waits(telling, row, out);
	story_put_served(term, telling->tree, row, telling->names, out);
	story_put_items(term, row, out);
}

/* The span without figures that comes first, as the example to ask the doctor about. */
static void put_unmeasured(const struct term *term, const struct span_tree *tree, struct buf *out)
{
	const struct span_row *first = NULL;
	size_t count = 0;

	for (size_t i = 0; i < tree->count; i++) {
		const struct span_row *row = &tree->rows[i];

		if (has_figures(row) || json_read_is_null(ledger_of(row)))
			continue;
		first = first ? first : row;
		count++;
	}
	if (!first)
		return;
	buf_append_byte(out, '\n');
	term_print(term, TERM_YELLOW, out, "%zu of %zu spans have no figures", count, tree->count);
	buf_append_text(out, ": ");
	term_text(term, json_read_text(first->span, "service"), 40, false, out);
	buf_append_text(out, ": ");
	term_text(term, json_read_text(ledger_of(first), "reason"), 200, false, out);
	buf_append_text(out, ". Ask `spanwise doctor TRACE ");
	buf_printf(out, "%s`\n", json_read_text(first->span, "span_id"));
}

/* Of those that are nobody's children, if there are such with figures: who answers may end later
 * than who asked. */
static const struct span_row *longest(const struct span_tree *tree)
{
	const struct span_row *best = NULL;

	for (size_t i = 0; i < tree->count; i++) {
		const struct span_row *row = &tree->rows[i];
		bool is_root = row->parent < 0, best_is_root = best && best->parent < 0;

		if (has_figures(row) &&
		    (!best || (is_root == best_is_root ? row->wall_ns > best->wall_ns : is_root)))
			best = row;
	}
	return best;
}

static bool is_among(const struct span_row *row, const struct span_row *const *told, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (told[i] == row)
			return true;
	}
	return false;
}

static const struct span_row *most_self(const struct span_tree *tree,
					const struct span_row *const *told, unsigned count)
{
	const struct span_row *best = NULL;
	double least = (double)(tree->end_ns - tree->start_ns) / LEAST_SHARE;

	for (size_t i = 0; i < tree->count; i++) {
		const struct span_row *row = &tree->rows[i];
		double ns = has_figures(row) ? self_ns(row) : 0;

		if (ns > least && !is_among(row, told, count)) {
			best = row;
			least = ns;
		}
	}
	return best;
}

void story_put_all(const struct term *term, const struct span_tree *tree, struct span_names *names,
		   bool with_stacks, struct buf *out)
{
	const struct telling telling = { term, names, with_stacks, tree };
	const struct span_row *told[WATERFALL_STORIES];
	const struct span_row *row = longest(tree);
	unsigned count = 0;

	while (row && count < WATERFALL_STORIES) {
		put_story(&telling, row, out);
		told[count++] = row;
		row = most_self(tree, told, count);
	}
	put_unmeasured(term, tree, out);
}
