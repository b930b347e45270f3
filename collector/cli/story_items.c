/* SPDX-License-Identifier: Apache-2.0 */
/* The time on no thread: what was awaited. */
#include "collector/cli/story_parts.h"

#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/alike.h"
#include "correlate/ledger.h"

static bool is_call(const struct json_value *item)
{
	return strcmp(json_read_text(item, "kind"), "child") == 0;
}

/* Calls of one name to one peer; an item of another kind is on its own. */
static bool is_same_call(const struct json_value *a, const struct json_value *b)
{
	return is_call(a) && is_call(b) &&
	       strcmp(json_read_text(a, "name"), json_read_text(b, "name")) == 0 &&
	       strcmp(json_read_text(a, "peer"), json_read_text(b, "peer")) == 0;
}

static size_t collect(const struct json_value *items, struct alike list[static LEDGER_MAX_ITEMS])
{
	size_t total = MIN(json_read_count(items), (size_t)LEDGER_MAX_ITEMS), count = 0;

	for (size_t i = 0; i < total; i++)
		alike_add(list, &count, json_read_at(items, i), is_same_call)->count++;
	alike_sort(list, count);
	return count;
}

static void put_peer(const struct term *term, const struct json_value *item, struct buf *out)
{
	const char *peer = json_read_text(item, "peer");

	if (!*peer)
		return;
	buf_append_text(out, " to ");
	term_text(term, peer, 40, false, out);
}

static void put_call(const struct term *term, const struct alike *awaited, struct buf *out)
{
	const char *server = json_read_text(awaited->item, "server_span_id");

	buf_append_text(out, awaited->count > 1 ? "in the calls " : "in ");
	term_text(term, json_read_text(awaited->item, "name"), 40, false, out);
	put_peer(term, awaited->item, out);
	if (*server && awaited->count > 1)
		buf_printf(out, " (the longest served by span %s)", server);
	else if (*server)
		buf_printf(out, " (served by span %s)", server);
}

static void put_item(const struct term *term, const struct span_row *row,
		     const struct alike *awaited, struct buf *out)
{
	const char *kind = json_read_text(awaited->item, "kind");
	const char *peer = json_read_text(awaited->item, "peer");
	const char *server = json_read_text(awaited->item, "server_span_id");
	char ns[16], share[16];

	term_duration(awaited->ns, ns);
	term_percent(awaited->ns, row->wall_ns, share);
	buf_printf(out, "%8s %6s  ", ns, share);
	if (is_call(awaited->item)) {
		put_call(term, awaited, out);
	} else if (strcmp(kind, "answer") == 0) {
		buf_append_text(out, "awaiting the answer");
		buf_append_text(out, *peer ? " of " : "");
		term_text(term, peer, 40, false, out);
		if (*server)
			buf_printf(out, " (served by span %s)", server);
	} else if (strcmp(kind, "queued") == 0) {
		buf_append_text(out, "before a thread was seen with it: queued or awaited");
	} else {
		buf_append_text(out, "no thread and no child span: awaiting in the runtime");
	}
	buf_append_byte(out, '\n');
}

void story_put_items(const struct term *term, const struct span_row *row, struct buf *out)
{
	struct alike list[LEDGER_MAX_ITEMS];
	const struct json_value *ledger = json_read_get(row->span, "ledger");
	size_t count = collect(json_read_get(ledger, "elsewhere"), list);

	for (size_t i = 0; i < count && i < STORY_ITEMS; i++) {
		story_put_label(term, i ? "" : "elsewhere", out);
		put_item(term, row, &list[i], out);
	}
}
