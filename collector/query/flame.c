/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/flame: the code of one span, of one trace, or of an operation's spans; with `a` and
 * `b`, which are selections as those of /api/v1/compare, by what two of them differ. */
#include "collector/flame.h"

#include <errno.h>

#include "collector/base/hex.h"
#include "collector/base/macros.h"
#include "collector/daemon.h"
#include "collector/flame_tree.h"
#include "collector/query.h"
#include "collector/query/slowest.h"
#include "collector/query/trace.h"
#include "collector/trace_events.h"

struct selection {
	struct str trace, span;
	struct conditions conditions;
	double quantile;
};

struct request {
	struct selection sides[2]; /* only the first, unless it is a difference */
	bool is_diff;
	int state, format, reason;
};

/* What one selection holds. */
struct gather {
	struct flame flame;
	struct trace_events *events; /* instead of sums; NULL: sums */
	const uint8_t *only;         /* the one span wanted; NULL: all */
	uint64_t open;               /* spans that have not settled */
};

static int on_span(const struct store_span *span, void *arg)
{
	struct gather *gather = arg;

	if (gather->only && memcmp(gather->only, span->span.span_id, SPAN_ID_BYTES) != 0)
		return 0;
	if (!span->has_ledger) {
		gather->open++;
		return 0;
	}
	if (gather->events)
		return trace_events_add(gather->events, span);
	return flame_add(&gather->flame, &span->ledger, span->service);
}

/* ---- what is asked for */

static const char *reason_name(unsigned reason)
{
	return ledger_reason_name(reason);
}

static void read_selection(struct params *params, struct selection *selection)
{
	conditions_read_scope(&selection->conditions, params);
	selection->trace = params_text(params, "trace");
	selection->span = params_text(params, "span");
	selection->quantile = params_double(params, "quantile", 0, 0.999999, 0);
	if (selection->span.len && !selection->trace.len)
		params_complain(params, "'span' needs 'trace'");
}

static void read_side(struct query *query, const char *name, struct params *side,
		      struct selection *selection)
{
	params_inherit(side, query->params);
	read_selection(side, selection);
	if (params_check(side) < 0)
		params_complain(query->params, "'%s': %.*s", name, (int)side->complaint.len,
				side->complaint.data);
}

/* `sides`: what the selections' texts are slices of; for params_fini. */
static int read_request(struct query *query, struct params sides[2], struct request *request)
{
	struct params *params = query->params;
	struct str a = params_text(params, "a"), b = params_text(params, "b");

	request->state = params_choice(params, "state", flame_state_name, FLAME_ALL + 1, FLAME_ALL);
	request->reason = params_choice(params, "reason", reason_name, REASON_COUNT, -1);
	request->format =
		params_choice(params, "format", flame_format_name, FLAME_FORMATS, FLAME_JSON);
	request->is_diff = a.len || b.len;
	params_parse(&sides[0], a, params->now_unix_ns);
	params_parse(&sides[1], b, params->now_unix_ns);
	if (request->is_diff) {
		read_side(query, "a", &sides[0], &request->sides[0]);
		read_side(query, "b", &sides[1], &request->sides[1]);
	} else {
		read_selection(params, &request->sides[0]);
	}
	if (request->reason >= 0 && request->state != FLAME_BLOCKED)
		params_complain(params, "'reason' needs state=blocked");
	if (request->is_diff && request->format != FLAME_JSON && request->format != FLAME_SVG &&
	    request->format != FLAME_COLLAPSED)
		params_complain(params, "a difference has the formats json, collapsed and svg");
	return query_check(query);
}

/* ---- reading */

static int gather_trace(struct query *query, const struct selection *selection,
			struct gather *gather)
{
	uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES];

	if (!hex_decode(selection->trace, trace_id, TRACE_ID_BYTES) ||
	    (selection->span.len && !hex_decode(selection->span, span_id, SPAN_ID_BYTES)))
		return -EINVAL;
	gather->only = selection->span.len ? span_id : NULL;
	gather->flame.is_self = !gather->only; /* a child's time is its parent's too */
	return store_each_of_trace(daemon_store(query->daemon), trace_id, on_span, gather);
}

static int gather_spans(struct query *query, const struct selection *selection,
			struct gather *gather)
{
	struct slowest slowest;
	int rc;

	if (!selection->trace.len) {
		rc = slowest_each(daemon_store(query->daemon), &selection->conditions,
				  selection->quantile, on_span, gather, &slowest);
		gather->flame.units = gather->flame.spans;
		gather->flame.read = rc == 0 ? slowest.read : 0;
		gather->flame.of = rc == 0 ? slowest_of(&slowest) : 0;
		gather->flame.is_share_exact = rc == 0 && slowest.is_exact;
		return rc;
	}
	rc = gather_trace(query, selection, gather);
	gather->flame.units = 1;
	if (rc == 0 && gather->flame.spans == 0 && (!gather->events || !gather->events->span_count))
		rc = -ENOENT;
	return rc;
}

/* ---- answering */

static void put_selection(const struct selection *selection, const struct gather *gather,
			  struct buf *title)
{
	const struct flame *flame = &gather->flame;
	uint64_t spans = gather->events ? gather->events->span_count : flame->spans;
	struct str operation = selection->conditions.query.operation;

	if (selection->span.len)
		buf_printf(title, "span %.*s", (int)selection->span.len, selection->span.data);
	else if (selection->trace.len)
		buf_printf(title, "trace %.*s", (int)selection->trace.len, selection->trace.data);
	else
		buf_printf(title, "%llu spans", (unsigned long long)spans);
	if (flame->read < flame->of)
		buf_printf(title, " (%llu read of %llu)", (unsigned long long)flame->read,
			   (unsigned long long)flame->of);
	if (operation.len)
		buf_printf(title, " %.*s", (int)operation.len, operation.data);
	if (selection->quantile > 0)
		buf_printf(title, ", the slowest %.4g %%", 100 * (1 - selection->quantile));
}

static void put_title(const struct request *request, const struct gather gathers[2],
		      struct buf *title)
{
	buf_printf(title, "%s of ", flame_state_name(request->state));
	put_selection(&request->sides[0], &gathers[0], title);
	if (request->is_diff) {
		buf_append_text(title, " (a) against ");
		put_selection(&request->sides[1], &gathers[1], title);
		buf_append_text(title, " (b)");
	}
	buf_append_byte(title, '\0');
}

static int answer(struct query *query, const struct request *request, struct gather gathers[2],
		  struct stacks *stacks)
{
	enum flame_format format = (enum flame_format)request->format;
	struct buf title, *body = &query->answer->body;
	int rc;

	buf_init(&title, 0);
	put_title(request, gathers, &title);
	rc = buf_error(&title);
	if (rc == 0 && gathers[0].events)
		rc = trace_events_write(gathers[0].events, title.data, body);
	else if (rc == 0 && request->is_diff)
		rc = flame_diff_write(&gathers[0].flame, &gathers[1].flame, format, title.data,
				      stacks, body);
	else if (rc == 0)
		rc = flame_write(&gathers[0].flame, format, title.data, stacks, body);
	if (rc == 0)
		query->answer->content_type = flame_content_type(format);
	buf_fini(&title);
	return rc;
}

static void fail(struct query *query, const struct gather *gather, int rc)
{
	if (rc == -EINVAL)
		answer_fail(query->answer, 400, "bad_id",
			    "a trace id is 32 hexadecimal digits, a span id 16");
	else if (rc == -ENOENT)
		answer_fail(query->answer, 404, "not_found",
			    gather->open ? "the trace has not settled yet: ask again"
					 : "no such trace or span with figures is stored");
	else if (rc == -ENOMEM)
		answer_fail(query->answer, 503, "no_memory", "out of memory");
	else
		answer_storage(query->answer, "the spans", rc);
}

static void run(struct query *query, const struct request *request)
{
	unsigned sides = request->is_diff ? 2 : 1, at = 0;
	struct gather gathers[2] = { { .open = 0 }, { .open = 0 } };
	struct trace_events events;
	struct stacks stacks;
	int rc = 0;

	stacks_init(&stacks, query->daemon);
	trace_events_init(&events, &stacks);
	for (unsigned i = 0; i < sides; i++) {
		flame_init(&gathers[i].flame, request->state, request->reason, false);
		gathers[i].flame.by_span = request->format == FLAME_OTLP;
		gathers[i].events = request->format == FLAME_PERFETTO ? &events : NULL;
	}
	for (; at < sides && rc == 0; at++)
		rc = gather_spans(query, &request->sides[at], &gathers[at]);
	stacks.stored.near_unix_ns = gathers[0].flame.last_unix_ns;
	if (rc == 0)
		rc = answer(query, request, gathers, &stacks);
	if (rc < 0)
		fail(query, &gathers[at ? at - 1 : 0], rc);
	for (unsigned i = 0; i < sides; i++)
		flame_fini(&gathers[i].flame);
	trace_events_fini(&events);
	stacks_fini(&stacks);
}

void flame_query(struct query *query)
{
	struct request request = { .is_diff = false };
	struct params sides[2];

	if (read_request(query, sides, &request) == 0)
		run(query, &request);
	for (unsigned i = 0; i < ARRAY_LEN(sides); i++)
		params_fini(&sides[i]);
}
