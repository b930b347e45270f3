/* SPDX-License-Identifier: Apache-2.0 */
#include "profile_builder.h"

#include <stdio.h>

#include "collector/base/macros.h"
#include "otlp/otlp_profiles.h"
#include "otlp/otlp_profiles_write.h"

struct seen {
	unsigned profiles, samples;
	char types[4][16];
	int64_t sums[4];
	struct buf stacks;
};

static int on_profile(void *arg, const struct otlp_profile_head *head)
{
	struct seen *seen = arg;

	assert_true(seen->profiles < ARRAY_LEN(seen->types));
	snprintf(seen->types[seen->profiles++], 16, "%.*s", (int)head->type.len, head->type.data);
	assert_true(str_eq(head->unit, STR("nanoseconds")));
	return 0;
}

static int on_sample(void *arg, const struct str *frames, size_t frame_count, int64_t value)
{
	struct seen *seen = arg;

	seen->samples++;
	seen->sums[seen->profiles - 1] += value;
	for (size_t i = 0; i < frame_count; i++)
		buf_printf(&seen->stacks, "%s%.*s", i ? "<" : "", (int)frames[i].len,
			   frames[i].data);
	buf_append_byte(&seen->stacks, '\n');
	return 0;
}

static const struct pprof_frame frames[] = {
	{ .name = { "recv", sizeof("recv") - 1 },
	  .module = { "/lib/libc.so.6", sizeof("/lib/libc.so.6") - 1 },
	  .address = 0x1234,
	  .type = { "native", sizeof("native") - 1 } },
	{ .name = { "query", sizeof("query") - 1 },
	  .file = { "db.py", sizeof("db.py") - 1 },
	  .line = 12,
	  .type = { "cpython", sizeof("cpython") - 1 } },
	{ .name = { "main", sizeof("main") - 1 } },
};

static void put_sample(struct otlp_profiles_writer *writer, size_t skip, int64_t value,
		       const uint8_t *trace_id, const uint8_t *span_id)
{
	struct otlp_profiles_sample sample = {
		.frames = frames + skip,
		.frame_count = ARRAY_LEN(frames) - skip,
		.value = value,
		.trace_id = trace_id,
		.span_id = span_id,
		.key = STR("spanwise.wait.reason"),
		.text = skip ? (struct str){ 0 } : STR("net"),
	};

	otlp_profiles_writer_sample(writer, &sample);
}

static void what_is_written_is_read_again(void **state)
{
	static const uint8_t trace_id[16] = { 1 }, span_id[8] = { 2 };
	struct otlp_profiles_writer *writer = otlp_profiles_writer_new(STR("x"), STR("1"));
	struct otlp_profiles_type type = { STR("cpu"), STR("nanoseconds"), 5, 6 };
	struct seen seen = { 0 };
	struct otlp_profiles_visitor visitor = { on_profile, on_sample, &seen };
	uint64_t bad = 0;
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	buf_init(&seen.stacks, 0);
	otlp_profiles_writer_service(writer, STR("shop"));
	otlp_profiles_writer_profile(writer, &type);
	put_sample(writer, 1, 40, trace_id, span_id);
	type.type = STR("off_cpu");
	otlp_profiles_writer_profile(writer, &type);
	put_sample(writer, 0, 500, trace_id, span_id);
	put_sample(writer, 0, 7, NULL, NULL);
	otlp_profiles_writer_service(writer, STR("billing"));
	type.type = STR("cpu");
	otlp_profiles_writer_profile(writer, &type);
	put_sample(writer, 2, 3, NULL, NULL);
	assert_int_equal(otlp_profiles_writer_finish(writer, &out), 0);
	assert_int_equal(otlp_profiles_read(buf_str(&out), &visitor, &bad), 0);
	buf_append_byte(&seen.stacks, 0);
	assert_int_equal(bad, 0);
	assert_int_equal(seen.profiles, 3);
	assert_string_equal(seen.types[1], "off_cpu");
	assert_true(seen.sums[0] == 40 && seen.sums[1] == 507 && seen.sums[2] == 3);
	assert_string_equal(seen.stacks.data,
			    "query<main\nrecv<query<main\nrecv<query<main\nmain\n");
	assert_true(otlp_profiles_looks_like(buf_str(&out)));
	buf_fini(&seen.stacks);
	buf_fini(&out);
	otlp_profiles_writer_free(writer);
}

static void nothing_is_a_dictionary_of_empty_entries(void **state)
{
	struct otlp_profiles_writer *writer = otlp_profiles_writer_new(STR("x"), STR("1"));
	struct seen seen = { 0 };
	struct otlp_profiles_visitor visitor = { on_profile, on_sample, &seen };
	uint64_t bad = 0;
	struct buf out;

	(void)state;
	buf_init(&out, 0);
	assert_int_equal(otlp_profiles_writer_finish(writer, &out), 0);
	assert_int_equal(otlp_profiles_read(buf_str(&out), &visitor, &bad), 0);
	assert_int_equal(seen.profiles, 0);
	buf_fini(&out);
	otlp_profiles_writer_free(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(nothing_is_a_dictionary_of_empty_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
