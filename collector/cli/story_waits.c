/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/story_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/alike.h"
#include "correlate/ledger.h"

#define LEAST_WAIT 1000 /* waits below 1/1000 of the wall are only counted */
#define LEAST_PART 100  /* what lacks less than 1/100 of a wait lasted all of it */

/* ---- who ended it ---- */

static void put_who(const struct telling *telling, const struct span_row *row,
		    const struct json_value *who, struct buf *out)
{
	const char *span = json_read_text(who, "span_id");

	term_text(telling->term, json_read_text(who, "comm"), 16, false, out);
	buf_printf(out, "/%" PRIu64, json_read_uint(who, "tid"));
	if (!*span)
		return;
	if (strcmp(span, json_read_text(row->span, "span_id")) == 0) {
		buf_append_text(out, " in this span");
		return;
	}
	buf_printf(out, " in span %s", span);
	span_names_put(telling->names, telling->term, who, out);
}

static bool is_kind(const struct json_value *waker, const char *kind)
{
	return strcmp(json_read_text(waker, "kind"), kind) == 0;
}

static bool is_thread(const struct json_value *waker)
{
	return is_kind(waker, "thread");
}

static bool is_same_thread(const struct json_value *waker, const struct json_value *holder)
{
	return waker && holder && is_thread(waker) &&
	       json_read_uint(waker, "tid") == json_read_uint(holder, "tid") &&
	       json_read_uint(waker, "pid") == json_read_uint(holder, "pid");
}

static bool is_loopback(const char *target)
{
	return strncmp(target, "127.", 4) == 0 || strncmp(target, "[::1]", 5) == 0;
}

/* Within this machine the network is whoever sent; from elsewhere, whoever it interrupted. */
static bool is_sender(const struct json_value *wait, const struct json_value *waker)
{
	return is_kind(waker, "network") && *json_read_text(waker, "comm") &&
	       is_loopback(json_read_text(wait, "target"));
}

/* As the verdict says it (correlate/verdict_wait.c). */
static bool has_time_limit(const struct json_value *wait)
{
	static const char *const without[] = { "sleep", "poll", "disk", "fault", "other" };

	for (size_t i = 0; i < ARRAY_LEN(without); i++) {
		if (strcmp(json_read_text(wait, "reason"), without[i]) == 0)
			return false;
	}
	return true;
}

static void put_waker(const struct telling *telling, const struct span_row *row,
		      const struct json_value *wait, const struct json_value *waker,
		      struct buf *out)
{
	const char *span = json_read_text(waker, "span_id");

	if (is_kind(waker, "timer") && has_time_limit(wait)) {
		buf_append_text(out, "  timed out");
		return;
	}
	buf_append_text(out, "  woken by ");
	if (is_thread(waker) || is_sender(wait, waker)) {
		put_who(telling, row, waker, out);
		return;
	}
	term_text(telling->term, json_read_text(waker, "kind"), 16, false, out);
	if (*span)
		buf_printf(out, " in span %s", span);
	span_names_put(telling->names, telling->term, waker, out);
}

static bool is_held(const struct json_value *holder)
{
	return is_kind(holder, "held");
}

static bool are_held(const struct json_value *holders)
{
	for (size_t i = 0; i < json_read_count(holders); i++) {
		if (!is_held(json_read_at(holders, i)))
			return false;
	}
	return true;
}

/* As many as have a place, and some of the time was somebody else's. */
static bool are_more(const struct json_value *wait, const struct json_value *holders)
{
	uint64_t ns = json_read_uint(wait, "ns"), sum = 0;

	for (size_t i = 0; i < json_read_count(holders); i++)
		sum += json_read_uint(json_read_at(holders, i), "ns");
	return json_read_count(holders) >= LEDGER_MAX_WAKERS / 2 && sum < ns - ns / LEAST_PART;
}

static void put_had(const struct alike *alike, const struct json_value *holders, struct buf *out)
{
	const struct json_value *first = json_read_at(holders, 0);
	size_t count = json_read_count(holders);

	if (is_kind(first, "behind"))
		buf_append_text(out, "which waited for ");
	else if (count > 1)
		buf_printf(out, "%s by %zu%s in turn, the longest by ",
			   are_held(holders) ? "held" : "had", count,
			   are_more(alike->item, holders) ? " and more" : "");
	else
		buf_append_text(out, is_held(first) ? "held by " : "let go by ");
}

/* Of a lock: who had it the longest, and how that is known. Of an answer: whom the server waited
 * for. */
static void put_holder(const struct telling *telling, const struct span_row *row,
		       const struct alike *alike, const char *before, struct buf *out)
{
	const struct json_value *holders = json_read_get(alike->item, "holders");
	const struct json_value *first = json_read_at(holders, 0);
	uint64_t ns = json_read_uint(first, "ns");
	char text[16];

	buf_append_text(out, before);
	put_had(alike, holders, out);
	put_who(telling, row, first, out);
	if (ns >= alike->ns - alike->ns / LEAST_PART)
		return;
	term_duration(ns, text);
	buf_printf(out, " (%s)", text);
}

/* Who has the lock until it lets go of it is often who then wakes the next: said once. */
static void put_ended(const struct telling *telling, const struct span_row *row,
		      const struct alike *alike, struct buf *out)
{
	const struct json_value *waker = json_read_at(json_read_get(alike->item, "wakers"), 0);
	const struct json_value *holder = json_read_at(json_read_get(alike->item, "holders"), 0);
	bool is_said = is_same_thread(waker, holder);

	if (waker && !is_said)
		put_waker(telling, row, alike->item, waker, out);
	if (holder)
		put_holder(telling, row, alike, waker && !is_said ? ", " : "  ", out);
}

/* ---- the waits ---- */

static void put_wait(const struct telling *telling, const struct span_row *row,
		     const struct alike *alike, struct buf *out)
{
	const struct term *term = telling->term;
	char ns[16], share[16], longest[16];

	term_duration(alike->ns, ns);
	term_duration(alike->longest_ns, longest);
	term_percent(alike->ns, row->wall_ns, share);
	term_text(term, json_read_text(alike->item, "reason"), 8, true, out);
	buf_append_byte(out, ' ');
	term_text(term, json_read_text(alike->item, "target"), 24, true, out);
	buf_printf(out, " %8s %6s  ", ns, share);
	if (alike->count > 1)
		buf_printf(out, "%" PRIu64 " times, longest %s  ", alike->count, longest);
	term_text(term, json_read_text(alike->item, "decided_by"), 32, false, out);
	put_ended(telling, row, alike, out);
	buf_append_byte(out, '\n');
}

/* "in DB.query < handle_report": the innermost frames that say something, innermost first. */
static void put_where(const struct term *term, const struct json_value *of, struct buf *out)
{
	const struct json_value *where = json_read_get(of, "where");

	if (json_read_count(where) == 0)
		return;
	story_put_label(term, "", out);
	buf_append_text(out, "in ");
	for (size_t i = 0; i < json_read_count(where); i++) {
		buf_append_text(out, i ? " < " : "");
		term_text(term, json_read_as_text(json_read_at(where, i)), 48, false, out);
	}
	buf_append_byte(out, '\n');
}

/* Only their code differs. */
static bool looks_like(const struct json_value *a, const struct json_value *b)
{
	static const char *const shown[] = { "reason", "target", "decided_by" };

	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		if (strcmp(json_read_text(a, shown[i]), json_read_text(b, shown[i])) != 0)
			return false;
	}
	return true;
}

static size_t collect(const struct telling *telling, const struct json_value *waits,
		      struct alike list[static LEDGER_MAX_WAITS])
{
	size_t total = MIN(json_read_count(waits), (size_t)LEDGER_MAX_WAITS), count = 0;

	for (size_t i = 0; i < total; i++) {
		const struct json_value *wait = json_read_at(waits, i);
		struct alike *alike =
			alike_add(list, &count, wait, telling->with_stacks ? NULL : looks_like);

		alike->count += json_read_uint(wait, "count");
		alike->longest_ns = MAX(alike->longest_ns, json_read_uint(wait, "longest_ns"));
	}
	alike_sort(list, count);
	return count;
}

void story_put_waits(const struct telling *telling, const struct span_row *row, struct buf *out)
{
	const struct term *term = telling->term;
	struct alike list[LEDGER_MAX_WAITS];
	size_t count = collect(telling, json_read_get(row->span, "waits"), list), shown = 0;

	for (; shown < count && shown < STORY_WAITS; shown++) {
		if (shown && list[shown].ns < row->wall_ns / LEAST_WAIT)
			break;
		story_put_label(term, shown ? "" : "blocked", out);
		put_wait(telling, row, &list[shown], out);
		if (telling->with_stacks)
			story_put_stack(term, list[shown].item, out);
		else if (shown == 0)
			put_where(term, list[shown].item, out);
	}
	if (count > shown) {
		story_put_label(term, "", out);
		buf_printf(out, "and %zu smaller wait%s\n", count - shown,
			   count - shown == 1 ? "" : "s");
	}
}
