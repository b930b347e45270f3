/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/spans: parameters -> store_query -> spans. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/base/json.h"
#include "collector/base/macros.h"
#include "collector/daemon.h"
#include "collector/engine.h"
#include "collector/query.h"
#include "collector/query/conditions.h"
#include "collector/query/stacks.h"
#include "collector/render.h"

#define MAX_LIMIT      1000
#define DEFAULT_LIMIT  20
#define PEEK_MAX_BYTES ((size_t)4 << 20)
#define MAX_PEEKS      16 /* traces of a page that are asked about in the engine */
#define CURSOR_CHARS   160

/* A page goes on behind the last span of the page before, whatever has come in since. */
struct page {
	bool is_wanted;
	struct store_position last; /* the last span shown */
	uint64_t dropped;           /* parts that had been dropped by then */
};

struct found {
	struct stacks stacks; /* their names */
	struct json json;
	struct page from;
	struct page last;
	size_t limit, shown;
	struct daemon *daemon;
	struct arena arena; /* of what the engine told */
	struct ledger *ledgers;
	size_t ledger_count;
	unsigned peeks;
	uint8_t peeked[TRACE_ID_BYTES]; /* the trace whose ledgers these are */
};

static const char *sort_name(unsigned sort)
{
	static const char *const names[] = {
		[STORE_SORT_START] = "start",
		[STORE_SORT_WALL] = "wall",
		[STORE_SORT_RATIO] = "ratio",
		[STORE_SORT_BLOCKED] = "blocked",
	};

	return names[sort];
}

/* The number up to the next '-' or the end, which goes. */
static bool take_number(char **at, uint64_t *out_number)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	errno = 0;
	*out_number = strtoull(*at, &end, 10);
	*at = *end == '-' ? end + 1 : end;
	return errno == 0 && (*end == '-' || *end == '\0');
}

static bool take_id(char **at, uint8_t *out_id, size_t bytes)
{
	bool is_id = strlen(*at) > 2 * bytes && (*at)[2 * bytes] == '-' &&
		     hex_decode((struct str){ *at, 2 * bytes }, out_id, bytes);

	*at += is_id ? 2 * bytes + 1 : 0;
	return is_id;
}

/* "<sort>-<pass>-<rank>-<start>-<trace>-<span>-<dropped>" as written below. */
static void read_cursor(struct params *params, int sort, struct page *page)
{
	struct str cursor = params_text(params, "cursor");
	char text[CURSOR_CHARS] = "", *at = text;
	struct store_position *last = &page->last;
	uint64_t of = 0, pass = 0;

	if (!cursor.len)
		return;
	page->is_wanted = true;
	if (cursor.len < sizeof(text))
		memcpy(text, cursor.data, cursor.len);
	if (!take_number(&at, &of) || !take_number(&at, &pass) || pass > 1 ||
	    !take_number(&at, &last->rank) || !take_number(&at, &last->start_unix_ns) ||
	    last->start_unix_ns == UINT64_MAX || !take_id(&at, last->trace_id, TRACE_ID_BYTES) ||
	    !take_id(&at, last->span_id, SPAN_ID_BYTES) || !take_number(&at, &page->dropped) || *at)
		params_complain(params, "'cursor' is none that was given out");
	else if (of != (uint64_t)sort)
		params_complain(params, "'cursor' was given out for another 'sort'");
	last->pass = (uint8_t)pass;
}

/* What the engine knows of the trace by now; the spans of one stand together mostly. */
static void peek(struct found *found, const uint8_t trace_id[TRACE_ID_BYTES])
{
	int rc;

	if (found->peeks == MAX_PEEKS || memcmp(found->peeked, trace_id, TRACE_ID_BYTES) == 0)
		return;
	memcpy(found->peeked, trace_id, TRACE_ID_BYTES);
	found->peeks++;
	found->ledger_count = 0;
	rc = engine_peek(daemon_engine(found->daemon), trace_id, &found->arena, &found->ledgers,
			 &found->ledger_count);
	if (rc < 0)
		found->ledger_count = 0;
	if (rc == -ETIMEDOUT) /* it is busy: leave it alone */
		found->peeks = MAX_PEEKS;
}

/* A span that has not settled, with its ledger so far. */
static void complete(struct found *found, struct store_span *span)
{
	peek(found, span->span.trace_id);
	if (memcmp(found->peeked, span->span.trace_id, TRACE_ID_BYTES) != 0)
		return;
	for (size_t i = 0; i < found->ledger_count; i++) {
		if (memcmp(found->ledgers[i].span_id, span->span.span_id, SPAN_ID_BYTES) == 0) {
			span->ledger = found->ledgers[i];
			span->has_ledger = true;
		}
	}
}

static void show(struct found *found, const struct store_span *stored)
{
	struct store_span span = *stored;

	if (!span.has_ledger)
		complete(found, &span);
	found->stacks.stored.near_unix_ns = span.span.end_unix_ns;
	render_span(
		&found->json, &span, RENDER_TRACE_ID,
		&(struct render_names){ stacks_put_json, stacks_code, &found->stacks, NULL, NULL });
	found->shown++;
}

static int on_span(const struct store_span *span, void *arg)
{
	struct found *found = arg;

	show(found, span);
	found->last.last = span->position;
	return buf_error(found->json.buf) ? 1 : 0;
}

static void put_cursor(struct found *found, int sort)
{
	const struct store_position *last = &found->last.last;
	char text[CURSOR_CHARS], trace[2 * TRACE_ID_BYTES + 1], span[2 * SPAN_ID_BYTES + 1];

	if (found->shown < found->limit)
		return json_null(&found->json, "next_cursor");
	hex_encode(last->trace_id, TRACE_ID_BYTES, trace);
	hex_encode(last->span_id, SPAN_ID_BYTES, span);
	snprintf(text, sizeof(text), "%d-%u-%" PRIu64 "-%" PRIu64 "-%s-%s-%" PRIu64, sort,
		 last->pass, last->rank, last->start_unix_ns, trace, span, found->last.dropped);
	json_text(&found->json, "next_cursor", text);
}

/* What lies behind the cursor may have been dropped since it was given out: a page that silently
 * lacks spans would look like the end. By start, only what is older than all that is left is gone.
 */
static bool is_gone(struct query *query, struct found *found, int sort)
{
	struct store_stats stats;

	store_stats(daemon_store(query->daemon), &stats);
	found->last.dropped = stats.parts_dropped;
	return found->from.is_wanted && found->from.dropped != stats.parts_dropped &&
	       (sort != STORE_SORT_START || found->from.last.start_unix_ns < stats.oldest_unix_ns);
}

void search_query(struct query *query)
{
	struct params *params = query->params;
	struct found found = { 0 };
	struct conditions conditions;
	struct store_query *search = &conditions.query;
	bool truncated = false;
	int sort, rc;

	conditions_read(&conditions, params);
	sort = params_choice(params, "sort", sort_name, STORE_SORT_BLOCKED + 1, STORE_SORT_START);
	found.limit = params_uint(params, "limit", 1, MAX_LIMIT, DEFAULT_LIMIT);
	read_cursor(params, sort, &found.from);
	if (query_check(query) < 0)
		return;
	if (is_gone(query, &found, sort))
		return answer_fail(query->answer, 410, "gone",
				   "the spans behind this cursor have been dropped by age or size");
	query->answer->has_etag = true;
	search->sort = sort;
	search->limit = found.limit;
	if (found.from.is_wanted)
		search->after = &found.from.last;
	if (found.from.is_wanted && sort == STORE_SORT_START &&
	    (!search->to_unix_ns || search->to_unix_ns > found.from.last.start_unix_ns))
		search->to_unix_ns = found.from.last.start_unix_ns + 1;
	json_init(&found.json, &query->answer->body);
	json_object(&found.json, NULL);
	json_array(&found.json, "spans");
	found.daemon = query->daemon;
	arena_init(&found.arena, PEEK_MAX_BYTES);
	stacks_init(&found.stacks, query->daemon);
	rc = store_search(daemon_store(query->daemon), search, on_span, &found, &truncated);
	stacks_fini(&found.stacks);
	arena_fini(&found.arena);
	if (rc < 0)
		return answer_storage(query->answer, "the spans", rc);
	json_end(&found.json);
	json_bool(&found.json, "truncated", truncated);
	put_cursor(&found, sort);
	json_end(&found.json);
}
