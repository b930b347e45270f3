/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/storage/store_context.h"

static void the_original_bytes_come_back(void **state)
{
	struct context *context = *state;
	struct fixture_span spans[40];
	struct span_batch *batch;
	static struct seen seen;
	struct buf all = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(spans); i++)
		spans[i] = span_of(7, i + 1);
	batch = fixture_batch(spans, ARRAY_LEN(spans));
	for (size_t i = 0; i < batch->span_count; i++)
		buf_append_str(&all, batch->spans[i].bytes);
	assert_int_equal(fixture_commit_spans(context->store, spans, ARRAY_LEN(spans), FIXTURE_T0),
			 0);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(look(context->store, 7, &seen), 0);
		assert_int_equal(seen.count, ARRAY_LEN(spans));
		assert_true(str_eq(buf_str(&seen.bytes), buf_str(&all)));
		if (round == 0)
			reopen(context);
		else
			fixture_pack(context->store, FIXTURE_T0 + HOUR_NS);
	}
	buf_fini(&all);
	buf_fini(&seen.bytes);
	otlp_batch_free(batch);
}

static int check_fields(const struct store_span *span, void *arg)
{
	const struct fixture_span *wanted = arg;

	assert_true(str_eq(span->service, str_of("unknown_service")));
	assert_true(str_eq(span->span.name, str_of(wanted->name)));
	assert_true(str_eq(span->span.peer, STR("10.0.0.5")));
	assert_true(str_eq(span->resource.host_name, STR("node-1")));
	assert_int_not_equal(span->scope.bytes.len, 0);
	assert_int_equal(span->span.start_unix_ns, wanted->start_ns);
	assert_int_equal(span->span.end_unix_ns, wanted->start_ns + wanted->wall_ns);
	assert_int_equal(span->span.kind, wanted->kind);
	assert_int_equal(span->span.status, wanted->status);
	return 42;
}

static void each_field_of_a_span_comes_back(void **state)
{
	struct context *context = *state;
	struct fixture_span span = span_of(1, 1);
	uint8_t id[TRACE_ID_BYTES];

	span.service = "";
	span.kind = SPAN_KIND_CLIENT;
	fixture_trace_id(1, id);
	assert_int_equal(fixture_commit_spans(context->store, &span, 1, FIXTURE_T0), 0);
	assert_int_equal(store_each_of_trace(context->store, id, check_fields, &span), 42);
	fixture_trace_id(2, id);
	assert_int_equal(store_each_of_trace(context->store, id, check_fields, &span), -ENOENT);
}

static void a_resent_span_is_shown_once(void **state)
{
	struct context *context = *state;
	struct fixture_span first[] = { span_of(1, 1), span_of(1, 2) };
	struct fixture_span again[] = { span_of(1, 2), span_of(1, 3), span_of(1, 3) };
	static struct seen seen;

	assert_int_equal(fixture_commit_spans(context->store, first, 2, FIXTURE_T0), 0);
	assert_int_equal(fixture_commit_spans(context->store, again, 3, FIXTURE_T0 + HOUR_NS), 0);
	assert_int_equal(look(context->store, 1, &seen), 0);
	assert_int_equal(seen.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(seen.numbers[i], i + 1);
	buf_fini(&seen.bytes);
}

static void the_newest_revision_of_a_ledger_wins(void **state)
{
	struct context *context = *state;
	struct fixture_span span = span_of(1, 1);
	struct ledger first = fixture_ledger(&span, 1, 4), second = fixture_ledger(&span, 2, 3);
	static struct seen seen;

	assert_int_equal(fixture_commit_spans(context->store, &span, 1, FIXTURE_T0), 0);
	assert_int_equal(look(context->store, 1, &seen), 0);
	assert_int_equal(seen.revisions[0], 0);
	assert_int_equal(fixture_commit_ledgers(context->store, &second, 1, FIXTURE_T0), 0);
	assert_int_equal(fixture_commit_ledgers(context->store, &first, 1, FIXTURE_T0), 0);
	assert_int_equal(look(context->store, 1, &seen), 0);
	assert_int_equal(seen.revisions[0], 2);
	reopen(context);
	assert_int_equal(look(context->store, 1, &seen), 0);
	assert_int_equal(seen.revisions[0], 2);
	buf_fini(&seen.bytes);
}

static void a_group_may_hold_spans_and_their_ledgers(void **state)
{
	struct context *context = *state;
	struct fixture_span spans[] = { span_of(1, 1), span_of(2, 2) };
	struct ledger ledgers[] = { fixture_ledger(&spans[0], 1, 4),
				    fixture_ledger(&spans[1], 1, 3) };
	struct span_batch *batch = fixture_batch(spans, 2);
	const struct span_batch *batches[] = { batch, batch };
	struct store_ledger_rows rows[] = { { &ledgers[0], 1 }, { &ledgers[1], 1 } };
	struct store_group group = {
		.batches = batches, .batch_count = 2, .rows = rows, .row_count = 2
	};
	static struct seen seen;

	assert_int_equal(store_commit(context->store, &group, FIXTURE_T0), 0);
	otlp_batch_free(batch);
	for (uint64_t trace = 1; trace <= 2; trace++) {
		assert_int_equal(look(context->store, trace, &seen), 0);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.revisions[0], 1);
	}
	buf_fini(&seen.bytes);
}

static int check_settled(const struct store_span *span, void *arg)
{
	const struct ledger *ledger = &span->ledger;
	const struct fixture_span *wanted = arg;

	assert_true(span->has_ledger);
	assert_int_equal(ledger->grade, GRADE_NONE);
	assert_int_equal(ledger->none_cause, NONE_NO_PROCESS);
	assert_int_equal(ledger->revision, 1);
	assert_true(ledger->settled);
	assert_int_equal(ledger->start_unix_ns, wanted->start_ns);
	assert_int_equal(ledger->wall_ns, wanted->wall_ns);
	assert_memory_equal(ledger->trace_id, span->span.trace_id, TRACE_ID_BYTES);
	assert_memory_equal(ledger->span_id, span->span.span_id, SPAN_ID_BYTES);
	return 42;
}

static int count_batch(const struct span_batch *batch, void *arg);

static void a_span_may_be_settled_by_its_commit(void **state)
{
	struct context *context = *state;
	struct fixture_span span = span_of(1, 1);
	struct store_stats stats;
	uint8_t id[TRACE_ID_BYTES];
	uint64_t unsettled = 0;

	fixture_trace_id(1, id);
	assert_int_equal(
		fixture_commit_settled(context->store, &span, 1, NONE_NO_PROCESS, FIXTURE_T0), 0);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(store_each_of_trace(context->store, id, check_settled, &span), 42);
		store_each_unsettled(context->store, 0, count_batch, &unsettled);
		assert_int_equal(unsettled, 0);
		store_stats(context->store, &stats);
		assert_int_equal(stats.spans, 1);
		assert_int_equal(stats.ledgers, 1);
		if (round == 0)
			reopen(context);
		else
			fixture_pack(context->store, FIXTURE_T0 + HOUR_NS);
	}
}

static void a_ledger_that_follows_all_the_same_wins(void **state)
{
	struct context *context = *state;
	struct fixture_span span = span_of(1, 1);
	struct ledger ledger = fixture_ledger(&span, 1, GRADE_EXACT);
	static struct seen seen;

	ledger.revision = 3;
	assert_int_equal(fixture_commit_settled(context->store, &span, 1, NONE_NO_TAGS, FIXTURE_T0),
			 0);
	assert_int_equal(fixture_commit_ledgers(context->store, &ledger, 1, FIXTURE_T0), 0);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(look(context->store, 1, &seen), 0);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.revisions[0], 3);
		if (round == 0)
			reopen(context);
		else
			fixture_pack(context->store, FIXTURE_T0 + HOUR_NS);
	}
	buf_fini(&seen.bytes);
}

/* Some traces over several parts, while the clock jumps about. */
static void parts_follow_each_other_though_the_clock_goes_back(void **state)
{
	struct context *context = *state;
	const int64_t hours[] = { 0, 1, 2, -5, -4, 3, 3, 100, 4 };
	static struct seen seen;
	struct store_stats stats;

	for (size_t i = 0; i < ARRAY_LEN(hours); i++) {
		struct fixture_span span = span_of(1, i + 1);
		uint64_t now_ns = FIXTURE_T0 + (uint64_t)(hours[i] * (int64_t)HOUR_NS);

		assert_int_equal(fixture_commit_spans(context->store, &span, 1, now_ns), 0);
	}
	store_stats(context->store, &stats);
	assert_true(stats.parts > 5);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(look(context->store, 1, &seen), 0);
		assert_int_equal(seen.count, ARRAY_LEN(hours));
		for (size_t i = 0; i < seen.count; i++)
			assert_int_equal(seen.numbers[i], i + 1);
		fixture_pack(context->store, FIXTURE_T0 + 4 * HOUR_NS);
		reopen(context);
	}
	buf_fini(&seen.bytes);
}

static void an_index_that_is_spilled_is_still_found(void **state)
{
	struct context *context = *state;
	struct store_stats stats;

	context->options.index_bytes = 4096;
	reopen(context);
	commit_many(context, 2000, FIXTURE_T0);
	store_stats(context->store, &stats);
	assert_true(stats.index_bytes < 20000);
	expect_many(context, 2000);
	reopen(context);
	expect_many(context, 2000);
	fixture_pack(context->store, FIXTURE_T0 + HOUR_NS);
	expect_many(context, 2000);
	reopen(context);
	expect_many(context, 2000);
}

/* More entries of one trace than a chunk of its index holds, spans and ledgers by turns. */
static void a_trace_of_very_many_blocks_can_be_packed(void **state)
{
	struct context *context = *state;
	static struct seen seen;

	for (uint64_t i = 0; i < 700; i++) {
		struct fixture_span span = span_of(9, i + 1);
		struct ledger ledger = fixture_ledger(&span, 1, 4);

		assert_int_equal(fixture_commit_spans(context->store, &span, 1, FIXTURE_T0), 0);
		assert_int_equal(fixture_commit_ledgers(context->store, &ledger, 1, FIXTURE_T0), 0);
	}
	for (int round = 0; round < 2; round++) {
		assert_int_equal(look(context->store, 9, &seen), 0);
		assert_int_equal(seen.count, 700);
		for (size_t i = 0; i < seen.count; i++) {
			assert_int_equal(seen.numbers[i], i + 1);
			assert_int_equal(seen.revisions[i], 1);
		}
		fixture_pack(context->store, FIXTURE_T0 + HOUR_NS);
	}
	buf_fini(&seen.bytes);
}

static void a_packed_part_is_smaller(void **state)
{
	struct context *context = *state;
	struct store_stats before, after;

	commit_many(context, 3000, FIXTURE_T0);
	store_stats(context->store, &before);
	fixture_pack(context->store, FIXTURE_T0 + HOUR_NS);
	store_stats(context->store, &after);
	assert_true(after.bytes < before.bytes / 4 * 3);
	assert_true(after.blocks < before.blocks);
	assert_int_equal(after.spans, before.spans);
	assert_int_equal(after.ledgers, before.ledgers);
}

static int count_batch(const struct span_batch *batch, void *arg)
{
	uint64_t *sum = arg;

	for (uint32_t i = 0; i < batch->span_count; i++) {
		uint64_t number;

		memcpy(&number, batch->spans[i].span_id, sizeof(number));
		assert_true(batch->spans[i].resource < batch->resource_count);
		assert_int_not_equal(batch->spans[i].bytes.len, 0);
		*sum += number;
	}
	return 0;
}

static void spans_without_a_ledger_are_told(void **state)
{
	struct context *context = *state;
	struct fixture_span spans[4], again;
	struct ledger ledgers[2];
	uint64_t sum = 0;

	for (size_t i = 0; i < 4; i++)
		spans[i] = span_of(i, 1ull << i);
	ledgers[0] = fixture_ledger(&spans[1], 1, 4);
	ledgers[1] = fixture_ledger(&spans[2], 1, 0);
	assert_int_equal(fixture_commit_spans(context->store, spans, 4, FIXTURE_T0), 0);
	assert_int_equal(fixture_commit_ledgers(context->store, &ledgers[0], 1, FIXTURE_T0), 0);
	/* ... in the next part, where a settled span is sent again, too. */
	assert_int_equal(
		fixture_commit_ledgers(context->store, &ledgers[1], 1, FIXTURE_T0 + HOUR_NS), 0);
	again = spans[1];
	assert_int_equal(fixture_commit_spans(context->store, &again, 1, FIXTURE_T0 + HOUR_NS), 0);
	for (int round = 0; round < 2; round++) {
		sum = 0;
		assert_int_equal(store_each_unsettled(context->store, 0, count_batch, &sum), 0);
		assert_int_equal(sum, 1 + 8);
		fixture_pack(context->store, FIXTURE_T0 + 2 * HOUR_NS);
		reopen(context);
	}
	sum = 0;
	assert_int_equal(
		store_each_unsettled(context->store, FIXTURE_T0 + HOUR_NS, count_batch, &sum), 0);
	assert_int_equal(sum, 0);
}

static int note_operation(struct str service, struct str operation, uint8_t kind, uint64_t spans,
			  void *arg)
{
	buf_printf(arg, "%.*s|%.*s|%d|%d\n", (int)service.len, service.data, (int)operation.len,
		   operation.data, kind, (int)spans);
	return 0;
}

static void operations_are_listed_with_their_spans(void **state)
{
	struct context *context = *state;
	struct buf text = { 0 };

	commit_many(context, 600, FIXTURE_T0);
	commit_many(context, 600, FIXTURE_T0 + HOUR_NS);
	for (int round = 0; round < 3; round++) {
		buf_clear(&text);
		assert_int_equal(store_each_operation(context->store, note_operation, &text), 0);
		buf_append_byte(&text, 0);
		assert_string_equal(text.data, "pay|GET /report|2|204\npay|SELECT|2|192\n"
					       "shop|GET /report|2|396\nshop|SELECT|2|408\n");
		if (round == 1)
			fixture_pack(context->store, FIXTURE_T0 + 2 * HOUR_NS);
		reopen(context);
	}
	buf_fini(&text);
}

static void a_tool_reads_what_a_dead_daemon_left(void **state)
{
	struct context *context = *state;
	struct store_options options = context->options;
	static struct seen seen;
	int status;
	pid_t pid;

	store_close(context->store);
	context->store = NULL;
	pid = fork();
	if (pid == 0) { /* dies without closing anything */
		struct fixture_span span = span_of(1, 1);

		context->store = fixture_open(&options);
		_exit(fixture_commit_spans(context->store, &span, 1, FIXTURE_T0) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	options.read_only = true;
	context->store = fixture_open(&options);
	assert_int_equal(look(context->store, 1, &seen), 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(store_maintain(context->store, FIXTURE_T0), -EROFS);
	buf_fini(&seen.bytes);
}

static void only_its_user_may_read_it(void **state)
{
	struct context *context = *state;
	struct fixture_span span = span_of(1, 1);
	struct stat stat_buf;
	char command[512];
	FILE *found;

	assert_int_equal(fixture_commit_spans(context->store, &span, 1, FIXTURE_T0), 0);
	assert_int_equal(stat(context->path, &stat_buf), 0);
	snprintf(command, sizeof(command), "find '%s' -mindepth 1 -perm /077", context->path);
	found = popen(command, "r");
	assert_non_null(found);
	assert_int_equal(fgetc(found), EOF);
	pclose(found);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_original_bytes_come_back),
		TEST(each_field_of_a_span_comes_back),
		TEST(a_resent_span_is_shown_once),
		TEST(the_newest_revision_of_a_ledger_wins),
		TEST(a_group_may_hold_spans_and_their_ledgers),
		TEST(a_span_may_be_settled_by_its_commit),
		TEST(a_ledger_that_follows_all_the_same_wins),
		TEST(parts_follow_each_other_though_the_clock_goes_back),
		TEST(an_index_that_is_spilled_is_still_found),
		TEST(a_trace_of_very_many_blocks_can_be_packed),
		TEST(a_packed_part_is_smaller),
		TEST(spans_without_a_ledger_are_told),
		TEST(operations_are_listed_with_their_spans),
		TEST(a_tool_reads_what_a_dead_daemon_left),
		TEST(only_its_user_may_read_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
