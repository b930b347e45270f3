/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/base/wire.h"
#include "collector/replay.h"
#include "collector/tap.h"
#include "otlp/otlp_decode.h"

#define FLAGS_OF_A_LOCAL_PARENT "\x85\x01\x00\x01\x00\x00" /* field 16, fixed32 */

static char path[64];
static unsigned ledgers;

static void on_ledgers(const struct ledger *settled, size_t count, void *arg)
{
	(void)settled;
	(void)arg;
	ledgers += (unsigned)count;
}

static const struct correlator_options options = {
	.limit_bytes = 8 << 20,
	.settle_ns = NS_PER_SEC,
	.reach_ns = 60 * NS_PER_SEC,
	.max_trace_spans = 100,
	.on_ledgers = on_ledgers,
};

static int set_up(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/spanwise-replay-%d", getpid());
	unlink(path);
	ledgers = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static struct span_batch *one_span(uint8_t id, uint8_t parent)
{
	uint8_t trace_id[16] = { id }, span_id[8] = { id }, parent_id[8] = { parent };
	struct buf span, scope, resource, body;
	struct span_batch *batch;

	buf_init(&span, 0);
	buf_init(&scope, 0);
	buf_init(&resource, 0);
	buf_init(&body, 0);
	wire_put_bytes(&span, 1, (struct str){ (char *)trace_id, 16 });
	wire_put_bytes(&span, 2, (struct str){ (char *)span_id, 8 });
	if (parent) {
		wire_put_bytes(&span, 4, (struct str){ (char *)parent_id, 8 });
		buf_append(&span, FLAGS_OF_A_LOCAL_PARENT, 6);
	}
	wire_put_bytes(&span, 5, STR("GET /report"));
	wire_put_fixed64(&span, 7, 1000 * NS_PER_SEC);
	wire_put_fixed64(&span, 8, 1000 * NS_PER_SEC + id);
	wire_put_bytes(&scope, 2, buf_str(&span));
	wire_put_bytes(&resource, 2, buf_str(&scope));
	wire_put_bytes(&body, 1, buf_str(&resource));
	buf_fini(&span);
	buf_fini(&scope);
	buf_fini(&resource);
	assert_int_equal(otlp_decode(body.data, body.len, NULL, &batch), 0); /* takes the body */
	assert_int_equal(batch->span_count, 1);
	return batch;
}

static void record_some(void)
{
	struct event_process process = { .pid = 42, .publish = PUBLISH_TAGS };
	struct tap tap;

	assert_int_equal(tap_init(&tap, &options, path), 0);
	tap_kernel(&tap, true);
	tap_gap(&tap, 0, 100);
	tap_loss(&tap, 200, 300, 2);
	tap_process(&tap, &process);
	tap_clock(&tap, 10 * NS_PER_SEC, 1000 * NS_PER_SEC, 10 * NS_PER_SEC + 50);
	tap_coarse_clock(&tap, 1000 * NS_PER_SEC, 4000000);
	for (uint8_t id = 1; id < 20; id++) {
		struct span_batch *batch = one_span(id, 0);

		if (id % 2)
			batch->body.len = 0; /* as from the store: made again from its parts */
		tap_spans(&tap, batch);
		otlp_batch_free(batch);
		tap_advance(&tap, (10 + id) * NS_PER_SEC);
	}
	tap_settle_all(&tap);
	tap_fini(&tap);
	assert_int_equal(ledgers, 19);
}

static void a_replay_makes_the_same_ledgers(void **state)
{
	struct replay_options quiet = { 0 };
	struct replay_result result;

	(void)state;
	record_some();
	assert_int_equal(replay_run(path, &quiet, &result), 0);
	assert_true(result.is_equal);
	assert_int_equal(result.recorded, 19);
	assert_int_equal(result.ledgers, 19);
	replay_fini(&result);
}

/* Spans whose parents are missing are settled at once only because nothing may be kept. */
static void a_limit_is_set_again(void **state)
{
	struct replay_options quiet = { 0 };
	struct replay_result result;
	struct tap tap;

	(void)state;
	assert_int_equal(tap_init(&tap, &options, path), 0);
	tap_kernel(&tap, true);
	tap_clock(&tap, 10 * NS_PER_SEC, 1000 * NS_PER_SEC, 10 * NS_PER_SEC + 50);
	tap_advance(&tap, 10 * NS_PER_SEC);
	for (uint8_t id = 1; id < 10; id++) {
		struct span_batch *batch = one_span(id, 200);

		tap_spans(&tap, batch);
		otlp_batch_free(batch);
	}
	tap_advance(&tap, 10 * NS_PER_SEC + 100);
	assert_int_equal(ledgers, 0);
	tap_limit(&tap, 0);
	tap_advance(&tap, 10 * NS_PER_SEC + 200);
	assert_int_equal(ledgers, 9);
	tap_fini(&tap);
	assert_int_equal(replay_run(path, &quiet, &result), 0);
	assert_true(result.is_equal);
	assert_int_equal(result.ledgers, 9);
	replay_fini(&result);
}

/* Copies a recording; `change` may drop an entry (false). */
static void copy(bool (*change)(const struct record_entry *entry))
{
	char other[80];
	struct record_reader *reader;
	struct record_writer *writer;
	struct record_entry entry;

	snprintf(other, sizeof(other), "%s.copy", path);
	unlink(other);
	assert_int_equal(record_reader_open(path, &reader), 0);
	assert_int_equal(record_writer_open(other, &writer), 0);
	while (record_next(reader, &entry) == 1) {
		if (change(&entry))
			record_put(writer, entry.kind, entry.data.data, entry.data.len);
	}
	record_reader_close(reader);
	assert_int_equal(record_writer_close(writer), 0);
	assert_int_equal(rename(other, path), 0);
}

static bool drop_spans(const struct record_entry *entry)
{
	return entry->kind != RECORD_SPANS;
}

static bool drop_ledgers(const struct record_entry *entry)
{
	return entry->kind != RECORD_LEDGER;
}

static void a_ledger_that_no_longer_comes_out_is_a_difference(void **state)
{
	struct replay_options quiet = { 0 };
	struct replay_result result;

	(void)state;
	record_some();
	copy(drop_spans);
	assert_int_equal(replay_run(path, &quiet, &result), 0);
	assert_false(result.is_equal);
	assert_int_equal(result.differs_at, 0);
	replay_fini(&result);
}

static void a_ledger_that_was_not_recorded_is_a_difference(void **state)
{
	struct replay_options quiet = { 0 };
	struct replay_result result;

	(void)state;
	record_some();
	copy(drop_ledgers);
	assert_int_equal(replay_run(path, &quiet, &result), 0);
	assert_false(result.is_equal);
	replay_fini(&result);
}

static void what_is_no_recording_is_refused(void **state)
{
	struct replay_options quiet = { 0 };
	struct replay_result result;
	FILE *file = fopen(path, "w");

	(void)state;
	assert_non_null(file);
	fputs("something else altogether", file);
	fclose(file);
	assert_int_equal(replay_run(path, &quiet, &result), -EBADMSG);
	replay_fini(&result);
	unlink(path);
	assert_int_equal(replay_run(path, &quiet, &result), -ENOENT);
	replay_fini(&result);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_replay_makes_the_same_ledgers),
		TEST(a_limit_is_set_again),
		TEST(a_ledger_that_no_longer_comes_out_is_a_difference),
		TEST(a_ledger_that_was_not_recorded_is_a_difference),
		TEST(what_is_no_recording_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
