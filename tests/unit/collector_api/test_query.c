/* SPDX-License-Identifier: Apache-2.0 */
/* The routes over a store and an engine of the test's own. */
#include <stdio.h>
#include <stdlib.h>

#include "collector/base/json_read.h"
#include "collector/base/macros.h"
#include "collector/query.h"
#include "tests/unit/collector_api/query_world.h"

static int reset(void **state)
{
	(void)state;
	stored_count = peeked_count = peek_count = 0;
	is_ready = true;
	return 0;
}

/* The answer as JSON; its status is checked. */
static struct json_value *ask(const char *path, const char *query, int status)
{
	struct json_value *root = NULL;
	struct answer answer;

	answer_init(&answer);
	query_run(NULL, str_of(path), str_of(query), STR("application/json"), &answer);
	assert_int_equal(answer.status, status);
	assert_int_equal(json_read(buf_str(&answer.body), &root, NULL), 0);
	answer_fini(&answer);
	return root;
}

static void expect_error(const char *path, const char *query, int status, const char *code)
{
	struct json_value *root = ask(path, query, status);
	const struct json_value *error = json_read_get(root, "error");

	assert_string_equal(json_read_text(error, "code"), code);
	assert_true(strlen(json_read_text(error, "message")) > 0);
	json_read_free(root);
}

static uint64_t cpu_ns(const struct json_value *root, size_t index)
{
	const struct json_value *span = json_read_at(json_read_get(root, "spans"), index);

	return json_read_uint(json_read_get(span, "ledger"), "cpu_ns");
}

static void errors_have_a_status_and_a_code(void **state)
{
	(void)state;
	expect_error("/api/v1/traces/" TRACE, "", 404, "not_found");
	expect_error("/api/v1/traces/xyz", "", 400, "bad_trace_id");
	expect_error("/api/v1/traces/00000000000000000000000000000000", "", 400, "bad_trace_id");
	expect_error("/api/v1/spans/" TRACE "/12", "", 400, "bad_span_id");
	expect_error("/api/v1/spans/" TRACE "/0000000000000001", "", 404, "not_found");
	expect_error("/api/v1/traces/" TRACE, "format=yaml", 400, "bad_parameter");
	expect_error("/api/v1/spans", "limit=0", 400, "bad_parameter");
	expect_error("/api/v1/spans", "from=now&to=-1h", 400, "bad_parameter");
	expect_error("/api/v1/spans", "cursor=x", 400, "bad_parameter");
	expect_error("/api/v1/spans", "sort=wall&cursor=1-1", 400, "bad_parameter");
	expect_error("/api/v1/traces/", "", 404, "no_such_path");
	expect_error("/api/v1/traces/" TRACE "/", "", 404, "no_such_path");
	expect_error("/%00", "", 400, "bad_path");
}

static void spans_of_a_trace_come_by_start(void **state)
{
	struct json_value *root;
	struct store_span *span;

	(void)state;
	add_span(2, START + 50, 10);
	span = add_span(1, START, 100);
	span->has_ledger = true;
	span->ledger = make_ledger(1, 1, true);
	root = ask("/api/v1/traces/" TRACE, "", 200);
	assert_string_equal(json_read_text(root, "trace_id"), TRACE);
	assert_false(json_read_bool(root, "settled"));
	assert_int_equal(json_read_count(json_read_get(root, "spans")), 2);
	assert_int_equal(cpu_ns(root, 0), 10);
	assert_true(json_read_is_null(
		json_read_get(json_read_at(json_read_get(root, "spans"), 1), "ledger")));
	json_read_free(root);
}

static void the_newer_of_stored_and_pending_ledgers_is_shown(void **state)
{
	struct json_value *root;
	struct store_span *span;

	(void)state;
	for (uint8_t id = 1; id <= 2; id++) {
		span = add_span(id, START + id, 100);
		span->has_ledger = true;
		span->ledger = make_ledger(id, 2, true);
	}
	add_span(3, START + 3, 100);
	peeked[0] = make_ledger(1, 1, false);
	peeked[1] = make_ledger(2, 3, false);
	peeked[2] = make_ledger(3, 4, false);
	peeked_count = 3;
	root = ask("/api/v1/traces/" TRACE, "", 200);
	assert_int_equal(cpu_ns(root, 0), 20);
	assert_int_equal(cpu_ns(root, 1), 30);
	assert_int_equal(cpu_ns(root, 2), 40);
	assert_false(json_read_bool(root, "settled"));
	json_read_free(root);
}

/* The engine has better to do, and may be busy: then settled traces are read all the same. */
static void a_settled_trace_is_read_without_the_engine(void **state)
{
	struct json_value *root;
	struct store_span *span = add_span(1, START, 100);

	(void)state;
	span->has_ledger = true;
	span->ledger = make_ledger(1, 1, true);
	root = ask("/api/v1/traces/" TRACE, "", 200);
	assert_true(json_read_bool(root, "settled"));
	assert_int_equal(peek_count, 0);
	json_read_free(root);
	/* A late span is on its way to new ledgers for all of them. */
	add_span(2, START + 50, 10);
	root = ask("/api/v1/spans/" TRACE "/0000000000000001", "", 200);
	assert_int_equal(peek_count, 1);
	json_read_free(root);
}

static void a_search_shows_what_the_engine_knows_by_now(void **state)
{
	const struct json_value *span;
	struct json_value *root;

	(void)state;
	add_span(1, START, 100);
	add_span(2, START, 100);
	peeked[0] = make_ledger(1, 1, false);
	peeked_count = 1;
	root = ask("/api/v1/spans", "", 200);
	span = json_read_at(json_read_get(root, "spans"), 0);
	assert_false(json_read_bool(span, "settled"));
	assert_int_equal(json_read_uint(json_read_get(span, "ledger"), "cpu_ns"), 10);
	span = json_read_at(json_read_get(root, "spans"), 1);
	assert_true(json_read_is_null(json_read_get(span, "ledger")));
	json_read_free(root);
}

static void one_span_is_found_among_its_trace(void **state)
{
	struct json_value *root;

	(void)state;
	add_span(1, START, 100);
	add_span(2, START, 200);
	root = ask("/api/v1/spans/" TRACE "/0000000000000002", "timeline=1", 200);
	assert_int_equal(json_read_uint(root, "wall_ns"), 200);
	assert_string_equal(json_read_text(root, "trace_id"), TRACE);
	assert_false(json_read_is_null(json_read_get(root, "timeline")));
	json_read_free(root);
	expect_error("/api/v1/spans/" TRACE "/0000000000000003", "", 404, "not_found");
}

static void conditions_reach_the_store(void **state)
{
	struct json_value *root;

	(void)state;
	root = ask(
		"/api/v1/spans",
		"service=shop&operation=GET+%2F&from=2025-11-22T08:00:00Z&to=1763798401000000000"
		"&min_wall_ms=1.5&max_ratio=0.25&reason=lock&grade=exact&status=error&kind=client"
		"&sort=blocked&limit=7&attr.a=b",
		200);
	assert_int_equal(asked.from_unix_ns, START);
	assert_int_equal(asked.to_unix_ns, START + NS_PER_SEC);
	assert_int_equal(asked.min_wall_ns, 1500000);
	assert_true(asked.max_ratio == 0.25);
	assert_int_equal(asked.reason, REASON_LOCK);
	assert_int_equal(asked.grade, GRADE_EXACT);
	assert_int_equal(asked.status, SPAN_STATUS_ERROR);
	assert_int_equal(asked.kind, SPAN_KIND_CLIENT);
	assert_int_equal(asked.sort, STORE_SORT_BLOCKED);
	assert_int_equal(asked.limit, 7);
	assert_non_null(asked.match);
	json_read_free(root);
	root = ask("/api/v1/spans", "", 200);
	assert_int_equal(asked.reason, -1);
	assert_true(asked.max_ratio < 0);
	assert_null(asked.match);
	json_read_free(root);
}

static void pages_neither_repeat_nor_skip_spans_of_one_start(void **state)
{
	static const uint64_t starts[] = { 9, 7, 7, 7, 7, 7, 3 };
	char query[256] = "limit=2";
	unsigned seen = 0;

	(void)state;
	for (uint8_t i = 0; i < ARRAY_LEN(starts); i++)
		add_span((uint8_t)(i + 1), START + starts[i], 1);
	for (int pages = 0; pages < 10 && *query; pages++) {
		struct json_value *root = ask("/api/v1/spans", query, 200);
		const struct json_value *spans = json_read_get(root, "spans");
		const char *cursor = json_read_text(root, "next_cursor");

		for (size_t i = 0; i < json_read_count(spans); i++) {
			const char *id = json_read_text(json_read_at(spans, i), "span_id");

			assert_int_equal(strtoul(id, NULL, 16), ++seen);
		}
		query[0] = '\0';
		if (*cursor)
			snprintf(query, sizeof(query), "limit=2&cursor=%s", cursor);
		json_read_free(root);
	}
	assert_int_equal(seen, ARRAY_LEN(starts));
}

/* Four spans of 100 to 400 ns, the last without figures. */
static void add_settled(void)
{
	for (uint8_t id = 1; id <= 4; id++) {
		struct store_span *span = add_span(id, START + id, 100u * id);

		span->has_ledger = true;
		span->ledger = make_ledger(id, 1, true);
		span->ledger.wall_ns = 100u * id;
		span->ledger.all.elsewhere_ns = span->ledger.wall_ns - 100;
		memcpy(span->ledger.trace_id, span->span.trace_id, TRACE_ID_BYTES);
		span->ledger.waits = waits;
		span->ledger.wait_count = 1;
		if (id == 4)
			span->ledger.grade = GRADE_NONE;
	}
}

static void operations_are_summed_from_spans_with_figures(void **state)
{
	const struct json_value *operation, *shares, *examples;
	struct json_value *root;

	(void)state;
	add_settled();
	root = ask("/api/v1/operations", "", 200);
	operation = json_read_at(json_read_get(root, "operations"), 0);
	assert_int_equal(json_read_count(json_read_get(root, "operations")), 1);
	assert_int_equal(json_read_uint(operation, "count"), 4);
	assert_int_equal(json_read_uint(operation, "without_tags"), 1);
	assert_true(json_read_double(operation, "covered") == 0.75);
	assert_int_equal(json_read_uint(json_read_get(operation, "wall_ns"), "p50"), 200);
	assert_int_equal(json_read_uint(json_read_get(operation, "wall_ns"), "max"), 400);
	assert_true(json_read_double(operation, "ratio") == 0.05);
	assert_true(json_read_double(json_read_get(operation, "cpu_wall_ratio"), "p90") > 0.099);
	shares = json_read_get(operation, "shares");
	assert_true(json_read_double(shares, "running") == 0.2);
	assert_true(json_read_double(json_read_get(shares, "blocked"), "net") == 0.3);
	examples = json_read_get(operation, "examples");
	assert_int_equal(json_read_uint(json_read_get(examples, "slow"), "wall_ns"), 400);
	assert_int_equal(json_read_uint(json_read_get(examples, "low_ratio"), "wall_ns"), 300);
	json_read_free(root);
}

static void waits_are_those_of_the_slowest(void **state)
{
	const struct json_value *wait;
	struct json_value *root;

	(void)state;
	add_settled();
	root = ask("/api/v1/waits", "service=shop&quantile=0.25", 200);
	assert_int_equal(asked.limit, 3);
	assert_int_equal(asked.min_wall_ns, 100);
	assert_int_equal(asked.sort, STORE_SORT_WALL);
	assert_int_equal(json_read_uint(json_read_get(root, "covered"), "spans"), 3);
	assert_int_equal(json_read_uint(json_read_get(root, "covered"), "with_figures"), 3);
	assert_int_equal(json_read_count(json_read_get(root, "waits")), 1);
	wait = json_read_at(json_read_get(root, "waits"), 0);
	assert_string_equal(json_read_text(wait, "reason"), "net");
	assert_string_equal(json_read_text(wait, "target"), "10.0.0.5:5432");
	assert_string_equal(json_read_text(wait, "stack_id"), "0000000000000777");
	assert_int_equal(json_read_uint(wait, "ns"), 180);
	assert_int_equal(json_read_uint(wait, "spans"), 3);
	assert_true(json_read_double(wait, "share") == 0.3);
	assert_string_equal(json_read_text(json_read_at(json_read_get(wait, "wakers"), 0), "comm"),
			    "postgres");
	json_read_free(root);
	json_read_free(ask("/api/v1/waits", "quantile=1", 400));
	json_read_free(ask("/api/v1/waits", "min_wall_ms=1", 400));
}

static void a_comparison_adds_up(void **state)
{
	const struct json_value *change, *means;
	struct json_value *root;

	(void)state;
	add_settled();
	/* A: the two that end before START + 300; B: all. */
	root = ask("/api/v1/compare", "service=shop&a=to%3D1763798400000000300&b=quantile%3D0.1",
		   200);
	assert_int_equal(json_read_uint(json_read_get(root, "a"), "count"), 2);
	assert_string_equal(json_read_text(json_read_get(root, "a"), "read"), "rollups");
	assert_string_equal(json_read_text(json_read_get(root, "b"), "read"), "examples");
	change = json_read_get(root, "change");
	means = json_read_get(change, "mean_ns");
	assert_int_equal(json_read_double(means, "wall"),
			 json_read_double(means, "running") + json_read_double(means, "runnable") +
				 json_read_double(json_read_get(means, "blocked"), "net") +
				 json_read_double(means, "elsewhere") +
				 json_read_double(means, "unknown"));
	assert_int_equal(json_read_count(json_read_get(change, "waits")), 1);
	json_read_free(root);
	json_read_free(ask("/api/v1/compare", "a=what%3D1", 400));
	json_read_free(ask("/api/v1/compare", "what=1", 400));
}

static void services_list_their_operations(void **state)
{
	struct json_value *root = ask("/api/v1/services", "", 200);
	const struct json_value *services = json_read_get(root, "services");

	(void)state;
	assert_int_equal(json_read_count(services), 2);
	assert_string_equal(json_read_text(json_read_at(services, 1), "service"), "shop");
	assert_int_equal(json_read_count(json_read_get(json_read_at(services, 1), "operations")),
			 2);
	json_read_free(root);
}

static void a_cursor_into_dropped_data_is_gone(void **state)
{
	char query[256], by_wall[256];
	struct json_value *root;

	(void)state;
	add_span(1, START, 1);
	add_span(2, START, 1);
	root = ask("/api/v1/spans", "limit=1", 200);
	snprintf(query, sizeof(query), "cursor=%s", json_read_text(root, "next_cursor"));
	json_read_free(root);
	root = ask("/api/v1/spans", "limit=1&sort=wall", 200);
	snprintf(by_wall, sizeof(by_wall), "sort=wall&cursor=%s",
		 json_read_text(root, "next_cursor"));
	json_read_free(root);
	expect_error("/api/v1/spans", by_wall + strlen("sort=wall&"), 400, "bad_parameter");
	json_read_free(ask("/api/v1/spans", by_wall, 200));
	json_read_free(ask("/api/v1/spans", query, 200));
	stats.parts_dropped = 1;
	stats.oldest_unix_ns = START;
	json_read_free(ask("/api/v1/spans", query, 200));
	stats.oldest_unix_ns = START + 1;
	json_read_free(ask("/api/v1/spans", query, 410));
	json_read_free(ask("/api/v1/spans", by_wall, 410));
	stats = (struct store_stats){ 0 };
}

static void readiness_is_the_daemons(void **state)
{
	struct answer answer;

	(void)state;
	for (int ready = 0; ready < 2; ready++) {
		is_ready = ready;
		answer_init(&answer);
		query_run(NULL, STR("/readyz"), STR(""), STR(""), &answer);
		assert_int_equal(answer.status, ready ? 200 : 503);
		answer_fini(&answer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(errors_have_a_status_and_a_code, reset),
		cmocka_unit_test_setup(spans_of_a_trace_come_by_start, reset),
		cmocka_unit_test_setup(the_newer_of_stored_and_pending_ledgers_is_shown, reset),
		cmocka_unit_test_setup(a_settled_trace_is_read_without_the_engine, reset),
		cmocka_unit_test_setup(a_search_shows_what_the_engine_knows_by_now, reset),
		cmocka_unit_test_setup(one_span_is_found_among_its_trace, reset),
		cmocka_unit_test_setup(conditions_reach_the_store, reset),
		cmocka_unit_test_setup(pages_neither_repeat_nor_skip_spans_of_one_start, reset),
		cmocka_unit_test_setup(operations_are_summed_from_spans_with_figures, reset),
		cmocka_unit_test_setup(waits_are_those_of_the_slowest, reset),
		cmocka_unit_test_setup(a_comparison_adds_up, reset),
		cmocka_unit_test_setup(services_list_their_operations, reset),
		cmocka_unit_test_setup(a_cursor_into_dropped_data_is_gone, reset),
		cmocka_unit_test_setup(readiness_is_the_daemons, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
