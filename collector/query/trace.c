/* SPDX-License-Identifier: Apache-2.0 */
/* A trace, or one span of it: what is stored, with the ledgers of what has not settled yet. */
#include "collector/query/trace.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/base/arena.h"
#include "collector/base/breath.h"
#include "collector/base/hex.h"
#include "collector/base/json.h"
#include "collector/base/map.h"
#include "collector/clock.h"
#include "collector/daemon.h"
#include "collector/engine.h"
#include "collector/query.h"
#include "collector/query/stacks.h"
#include "collector/query/subtree.h"
#include "collector/render.h"

#define PEEK_MAX_BYTES ((size_t)32 << 20)

/* One rendered span; they come in the order of commits and go out by their start. */
struct piece {
	uint64_t start_unix_ns;
	size_t offset;
	size_t len;
};

struct gather {
	const struct map *peeked; /* span id -> const struct ledger *; NULL: nobody was asked */
	const uint8_t *only;      /* the one span wanted; NULL: all */
	unsigned parts;           /* enum render_part */
	struct stacks stacks;     /* their names */
	struct subtrees subtrees; /* for verdicts */
	struct buf text;          /* the pieces, one after the other */
	struct piece *pieces;     /* owned */
	size_t count, cap;
	bool all_settled;
};

static int add_piece(struct gather *gather, uint64_t start_unix_ns, size_t offset)
{
	if (gather->count == gather->cap) {
		size_t cap = gather->cap ? 2 * gather->cap : 64;
		struct piece *pieces = reallocarray(gather->pieces, cap, sizeof(*pieces));

		if (!pieces)
			return -ENOMEM;
		gather->pieces = pieces;
		gather->cap = cap;
	}
	gather->pieces[gather->count++] =
		(struct piece){ start_unix_ns, offset, gather->text.len - offset };
	return buf_error(&gather->text);
}

/* A late span has its trace's ledgers computed again: the newer revision wins. */
static bool supersedes(const struct ledger *peeked, const struct store_span *span)
{
	return !span->has_ledger || peeked->revision > span->ledger.revision;
}

static int on_span(const struct store_span *stored, void *arg)
{
	struct gather *gather = arg;
	struct store_span span = *stored;
	size_t offset = gather->text.len;
	const struct ledger **peeked =
		gather->peeked ? map_get(gather->peeked, span.span.span_id) : NULL;
	struct json json;

	if (peeked && supersedes(*peeked, stored)) {
		span.has_ledger = true;
		span.ledger = **peeked;
	}
	if (span.has_ledger)
		subtrees_add(&gather->subtrees, &span.span, &span.ledger);
	gather->all_settled &= span.has_ledger && span.ledger.settled;
	if (gather->only && memcmp(gather->only, span.span.span_id, SPAN_ID_BYTES) != 0)
		return 0;
	breath_take();
	gather->stacks.stored.near_unix_ns = span.span.end_unix_ns;
	json_init(&json, &gather->text);
	render_span(&json, &span, gather->parts,
		    &(struct render_names){ stacks_put_json, stacks_code, &gather->stacks,
					    subtrees_main, &gather->subtrees });
	return add_piece(gather, span.span.start_unix_ns, offset);
}

static int by_start(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->start_unix_ns != y->start_unix_ns)
		return x->start_unix_ns < y->start_unix_ns ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void put_trace(const struct gather *gather, const uint8_t trace_id[TRACE_ID_BYTES],
		      struct buf *out)
{
	struct json json;

	json_init(&json, out);
	json_object(&json, NULL);
	json_hex(&json, "trace_id", trace_id, TRACE_ID_BYTES);
	json_bool(&json, "settled", gather->all_settled);
	json_array(&json, "spans");
	for (size_t i = 0; i < gather->count; i++) {
		const struct piece *piece = &gather->pieces[i];

		json_raw(&json, NULL,
			 (struct str){ gather->text.data + piece->offset, piece->len });
	}
	json_end(&json);
	json_end(&json);
}

/* An engine that is busy or gone only costs the ledgers that are not settled. */
static int peek(struct query *query, const uint8_t trace_id[TRACE_ID_BYTES], struct arena *arena,
		struct map *peeked)
{
	struct ledger *ledgers;
	size_t count;

	if (engine_peek(daemon_engine(query->daemon), trace_id, arena, &ledgers, &count) < 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		const struct ledger **slot = map_put(peeked, ledgers[i].span_id);

		if (!slot)
			return -ENOMEM;
		*slot = &ledgers[i];
	}
	return 0;
}

static void forget(struct gather *gather)
{
	buf_clear(&gather->text);
	gather->count = 0;
	gather->all_settled = true;
}

static int read_all(struct query *query, const uint8_t trace_id[TRACE_ID_BYTES],
		    struct gather *gather)
{
	struct store *store = daemon_store(query->daemon);
	int rc;

	subtrees_fini(&gather->subtrees);
	subtrees_init(&gather->subtrees);
	forget(gather);
	rc = store_each_of_trace(store, trace_id, on_span, gather);
	if (rc < 0 || !gather->subtrees.is_wanted)
		return rc;
	subtrees_seal(&gather->subtrees); /* again, with their names */
	forget(gather);
	return store_each_of_trace(store, trace_id, on_span, gather);
}

/* Once more, with what the engine knows: asked before the store, so what settles in between stands
 * in one of the two. */
static int read_unsettled(struct query *query, const uint8_t trace_id[TRACE_ID_BYTES],
			  struct gather *gather)
{
	struct arena arena;
	struct map peeked;
	int rc;

	arena_init(&arena, PEEK_MAX_BYTES);
	map_init(&peeked, SPAN_ID_BYTES, sizeof(struct ledger *), clock_mono_ns());
	gather->peeked = &peeked;
	rc = peek(query, trace_id, &arena, &peeked);
	if (rc == 0)
		rc = read_all(query, trace_id, gather);
	gather->peeked = NULL;
	map_fini(&peeked);
	arena_fini(&arena);
	return rc;
}

/* Reads the trace into `gather`. The engine, which has better to do, is asked only for a trace of
 * which something has not settled. */
static int collect(struct query *query, const uint8_t trace_id[TRACE_ID_BYTES],
		   struct gather *gather)
{
	int rc;

	buf_init(&gather->text, ANSWER_MAX_BYTES);
	stacks_init(&gather->stacks, query->daemon);
	subtrees_init(&gather->subtrees);
	rc = read_all(query, trace_id, gather);
	if (rc == 0 && !gather->all_settled)
		rc = read_unsettled(query, trace_id, gather);
	if (rc == 0 && gather->count)
		qsort(gather->pieces, gather->count, sizeof(*gather->pieces), by_start);
	subtrees_fini(&gather->subtrees);
	stacks_fini(&gather->stacks);
	return rc;
}

static void fini(struct gather *gather)
{
	buf_fini(&gather->text);
	free(gather->pieces);
}

void trace_fail(struct query *query, int rc)
{
	struct str id = query->segments[0];

	if (rc == -ENOENT)
		answer_fail(query->answer, 404, "not_found", "no trace %.*s is stored", (int)id.len,
			    id.data);
	else if (rc == -EMSGSIZE)
		answer_fail(query->answer, 413, "too_large", "the trace exceeds %zu MiB as JSON",
			    ANSWER_MAX_BYTES >> 20);
	else
		answer_fail(query->answer, 500, "storage", "the trace cannot be read: %s",
			    strerror(-rc));
}

static bool read_trace_id(struct query *query, uint8_t trace_id[TRACE_ID_BYTES])
{
	if (hex_decode(query->segments[0], trace_id, TRACE_ID_BYTES) &&
	    !hex_is_zero(trace_id, TRACE_ID_BYTES))
		return true;
	answer_fail(query->answer, 400, "bad_trace_id",
		    "a trace id is 32 hexadecimal digits, not all zero");
	return false;
}

void trace_query_all(struct query *query)
{
	struct gather gather = { 0 };
	uint8_t trace_id[TRACE_ID_BYTES];
	int format, rc;

	format = params_choice(query->params, "format", trace_format_name, TRACE_FORMATS,
			       TRACE_JSON);
	if (params_flag(query->params, "timeline"))
		gather.parts |= RENDER_TIMELINE;
	if (query_check(query) < 0 || !read_trace_id(query, trace_id))
		return;
	if (format == TRACE_OTLP)
		return trace_otlp(query, trace_id);
	query->answer->has_etag = true;
	rc = collect(query, trace_id, &gather);
	if (rc == 0)
		put_trace(&gather, trace_id, &query->answer->body);
	else
		trace_fail(query, rc);
	fini(&gather);
}

void trace_query_one(struct query *query)
{
	struct gather gather = { .parts = RENDER_TRACE_ID };
	uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES];
	int rc;

	if (params_flag(query->params, "timeline"))
		gather.parts |= RENDER_TIMELINE;
	if (query_check(query) < 0 || !read_trace_id(query, trace_id))
		return;
	if (!hex_decode(query->segments[1], span_id, SPAN_ID_BYTES) ||
	    hex_is_zero(span_id, SPAN_ID_BYTES))
		return answer_fail(query->answer, 400, "bad_span_id",
				   "a span id is 16 hexadecimal digits, not all zero");
	gather.only = span_id;
	query->answer->has_etag = true;
	rc = collect(query, trace_id, &gather);
	if (rc < 0)
		trace_fail(query, rc);
	else if (gather.count == 0)
		answer_fail(query->answer, 404, "not_found",
			    "the trace is stored, but no span %.*s", (int)query->segments[1].len,
			    query->segments[1].data);
	else
		buf_append(&query->answer->body, gather.text.data, gather.text.len);
	fini(&gather);
}

const char *trace_format_name(unsigned format)
{
	static const char *const names[] = { [TRACE_JSON] = "json", [TRACE_OTLP] = "otlp" };

	return names[format];
}
