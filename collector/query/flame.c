/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/flame: the code of one span, of one trace, or of an operation's spans. */
#include "collector/flame.h"

#include <errno.h>

#include "collector/base/hex.h"
#include "collector/daemon.h"
#include "collector/query.h"
#include "collector/query/slowest.h"
#include "collector/query/trace.h"

struct gather {
	struct flame flame;
	const uint8_t *only; /* the one span wanted; NULL: all */
	uint64_t open;       /* spans that have not settled */
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
	return flame_add(&gather->flame, &span->ledger);
}

struct request {
	struct str trace, span;
	struct conditions conditions;
	double quantile;
	int state, format, reason;
};

static const char *reason_name(unsigned reason)
{
	return ledger_reason_name(reason);
}

static int read_request(struct query *query, struct request *request)
{
	struct params *params = query->params;

	conditions_read_scope(&request->conditions, params);
	request->trace = params_text(params, "trace");
	request->span = params_text(params, "span");
	request->quantile = params_double(params, "quantile", 0, 0.999999, 0);
	request->state = params_choice(params, "state", flame_state_name, FLAME_ALL + 1, FLAME_ALL);
	request->reason = params_choice(params, "reason", reason_name, REASON_COUNT, -1);
	request->format =
		params_choice(params, "format", flame_format_name, FLAME_FORMATS, FLAME_JSON);
	if (request->span.len && !request->trace.len)
		params_complain(params, "'span' needs 'trace'");
	if (request->reason >= 0 && request->state != FLAME_BLOCKED)
		params_complain(params, "'reason' needs state=blocked");
	return query_check(query);
}

static int gather_trace(struct query *query, const struct request *request, struct gather *gather)
{
	uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES];

	if (!hex_decode(request->trace, trace_id, TRACE_ID_BYTES) ||
	    (request->span.len && !hex_decode(request->span, span_id, SPAN_ID_BYTES)))
		return -EINVAL;
	gather->only = request->span.len ? span_id : NULL;
	gather->flame.is_self = !gather->only; /* a child's time is its parent's too */
	return store_each_of_trace(daemon_store(query->daemon), trace_id, on_span, gather);
}

static void put_title(const struct request *request, const struct gather *gather, struct buf *title)
{
	buf_printf(title, "%s of ", flame_state_name(request->state));
	if (request->span.len)
		buf_printf(title, "span %.*s", (int)request->span.len, request->span.data);
	else if (request->trace.len)
		buf_printf(title, "trace %.*s", (int)request->trace.len, request->trace.data);
	else
		buf_printf(title, "%llu spans", (unsigned long long)gather->flame.spans);
	if (request->conditions.query.operation.len)
		buf_printf(title, " %.*s", (int)request->conditions.query.operation.len,
			   request->conditions.query.operation.data);
	if (request->quantile > 0)
		buf_printf(title, ", the slowest %.4g %%", 100 * (1 - request->quantile));
	buf_append_byte(title, '\0');
}

static int answer(struct query *query, const struct request *request, struct gather *gather)
{
	struct stacks stacks;
	struct buf title;
	int rc;

	stacks_init(&stacks, query->daemon);
	buf_init(&title, 0);
	put_title(request, gather, &title);
	rc = buf_error(&title);
	if (rc == 0)
		rc = flame_write(&gather->flame, (enum flame_format)request->format, title.data,
				 &stacks, &query->answer->body);
	if (rc == 0)
		query->answer->content_type = flame_content_type(request->format);
	buf_fini(&title);
	stacks_fini(&stacks);
	return rc;
}

void flame_query(struct query *query)
{
	struct gather gather = { .only = NULL };
	struct request request;
	struct slowest slowest;
	int rc;

	if (read_request(query, &request) < 0)
		return;
	flame_init(&gather.flame, request.state, request.reason, false);
	if (request.trace.len)
		rc = gather_trace(query, &request, &gather);
	else
		rc = slowest_each(daemon_store(query->daemon), &request.conditions,
				  request.quantile, on_span, &gather, &slowest);
	if (rc == -EINVAL)
		answer_fail(query->answer, 400, "bad_id",
			    "a trace id is 32 hexadecimal digits, a span id 16");
	else if (rc == -ENOENT || (rc == 0 && request.trace.len && gather.flame.spans == 0))
		answer_fail(query->answer, 404, "not_found",
			    gather.open ? "the trace has not settled yet: ask again"
					: "no such trace or span with figures is stored");
	else if (rc < 0)
		answer_storage(query->answer, "the spans", rc);
	else if (answer(query, &request, &gather) < 0)
		answer_fail(query->answer, 503, "no_memory", "out of memory");
	flame_fini(&gather.flame);
}
