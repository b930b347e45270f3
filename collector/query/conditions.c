/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/conditions.h"

#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/query.h"
#include "collector/render.h"
#include "otlp/otlp_attribute.h"

#define MAX_WALL_MS      1e12
#define MIN_TRACE_DIGITS 4

static const char *reason_name(unsigned reason)
{
	return ledger_reason_name(reason);
}

static const char *grade_name(unsigned grade)
{
	return ledger_grade_name(grade);
}

static bool has_attribute(const struct store_span *span, struct str key, struct str text)
{
	struct otlp_value value;

	if (otlp_attribute_find(span->span.bytes, OTLP_OWNER_SPAN, key, &value) < 0 &&
	    otlp_attribute_find(span->resource.bytes, OTLP_OWNER_RESOURCE, key, &value) < 0)
		return false;
	return otlp_attribute_matches(&value, text);
}

static bool match_attributes(const struct store_span *span, void *arg)
{
	const struct conditions *conditions = arg;

	for (unsigned i = 0; i < conditions->attribute_count; i++) {
		if (!has_attribute(span, conditions->attributes[i].key,
				   conditions->attributes[i].value))
			return false;
	}
	return true;
}

static void read_attributes(struct conditions *conditions, struct params *params)
{
	unsigned cursor = 0;
	struct str key, value;

	while (params_next_prefixed(params, "attr.", &cursor, &key, &value)) {
		unsigned i = conditions->attribute_count;

		if (i == CONDITIONS_MAX_ATTRIBUTES)
			return params_complain(params, "more than %d conditions on attributes",
					       CONDITIONS_MAX_ATTRIBUTES);
		conditions->attributes[i].key = key;
		conditions->attributes[i].value = value;
		conditions->attribute_count++;
	}
	if (conditions->attribute_count) {
		conditions->query.match = match_attributes;
		conditions->query.match_arg = conditions;
	}
}

void conditions_read_scope(struct conditions *conditions, struct params *params)
{
	struct store_query *query = &conditions->query;

	*conditions = (struct conditions){
		.query = { .max_ratio = -1,
			   .reason = -1,
			   .grade = -1,
			   .status = -1,
			   .kind = -1,
			   .mono_ns = clock_mono_ns,
			   .deadline_mono_ns = clock_mono_ns() + QUERY_DEADLINE_NS },
	};
	query->service = params_text(params, "service");
	query->operation = params_text(params, "operation");
	query->from_unix_ns = params_time(params, "from", 0);
	query->to_unix_ns = params_time(params, "to", 0);
	if (query->to_unix_ns && query->to_unix_ns <= query->from_unix_ns)
		params_complain(params, "'to' must be later than 'from'");
}

/* The first digits of a trace id, as the range of ids that begin so. */
static void read_trace(struct conditions *conditions, struct params *params)
{
	struct str digits = params_text(params, "trace");
	char first[2 * TRACE_ID_BYTES], last[2 * TRACE_ID_BYTES];

	if (digits.len == 0)
		return;
	memset(first, '0', sizeof(first));
	memset(last, 'f', sizeof(last));
	if (digits.len >= MIN_TRACE_DIGITS && digits.len <= sizeof(first)) {
		memcpy(first, digits.data, digits.len);
		memcpy(last, digits.data, digits.len);
	}
	if (digits.len < MIN_TRACE_DIGITS || digits.len > sizeof(first) ||
	    !hex_decode((struct str){ first, sizeof(first) }, conditions->first_trace,
			TRACE_ID_BYTES) ||
	    !hex_decode((struct str){ last, sizeof(last) }, conditions->last_trace, TRACE_ID_BYTES))
		return params_complain(params,
				       "'trace' must be the first %d to %d hexadecimal digits of a "
				       "trace id",
				       MIN_TRACE_DIGITS, 2 * TRACE_ID_BYTES);
	conditions->query.first_trace = conditions->first_trace;
	conditions->query.last_trace = conditions->last_trace;
}

struct store_rollup_query conditions_rollups(const struct conditions *conditions)
{
	const struct store_query *query = &conditions->query;

	return (struct store_rollup_query){
		.service = query->service,
		.operation = query->operation,
		.from_unix_ns = query->from_unix_ns,
		.to_unix_ns = query->to_unix_ns,
		.deadline_mono_ns = query->deadline_mono_ns,
		.mono_ns = query->mono_ns,
	};
}

void conditions_read(struct conditions *conditions, struct params *params)
{
	struct store_query *query = &conditions->query;

	conditions_read_scope(conditions, params);
	query->min_wall_ns =
		(uint64_t)(params_double(params, "min_wall_ms", 0, MAX_WALL_MS, 0) * NS_PER_MS);
	query->max_ratio = params_double(params, "max_ratio", 0, 1e6, -1);
	query->reason = params_choice(params, "reason", reason_name, REASON_COUNT, -1);
	query->grade = params_choice(params, "grade", grade_name, GRADE_EXACT + 1, -1);
	query->status =
		params_choice(params, "status", render_status_name, SPAN_STATUS_ERROR + 1, -1);
	query->kind = params_choice(params, "kind", render_kind_name, SPAN_KIND_CONSUMER + 1, -1);
	read_trace(conditions, params);
	read_attributes(conditions, params);
}
