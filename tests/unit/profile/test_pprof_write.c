/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/wire.h"
#include "otlp/pprof_fields.h"
#include "otlp/pprof_write.h"

static unsigned count_field(struct str message, uint32_t number)
{
	struct wire_reader reader = wire_read(message);
	struct wire_field field;
	unsigned count = 0;

	while (wire_next(&reader, &field) == 1)
		count += field.number == number;
	return count;
}

static struct buf write_two(const char *shared)
{
	struct pprof_head head = { .period_type = STR("cpu"),
				   .period_unit = STR("nanoseconds"),
				   .period = 10 };
	struct pprof_frame a[] = { { .name = str_of(shared) },
				   { .name = STR("main"), .module = STR("/bin/x") } };
	struct pprof_frame b[] = { { .name = STR("leaf"), .line = 7 }, { .name = str_of(shared) } };
	struct pprof_label label = { .key = STR("span_id"), .text = STR("00f0") };
	struct pprof_writer *writer = pprof_writer_new(&head);
	struct buf out;

	assert_non_null(writer);
	pprof_writer_type(writer, STR("samples"), STR("count"));
	pprof_writer_type(writer, STR("cpu"), STR("nanoseconds"));
	pprof_writer_sample(writer, a, 2, (int64_t[]){ 1, 10 }, &label, 1);
	pprof_writer_sample(writer, b, 2, (int64_t[]){ 2, 20 }, NULL, 0);
	buf_init(&out, 0);
	assert_int_equal(pprof_writer_finish(writer, &out), 0);
	pprof_writer_free(writer);
	return out;
}

static void each_function_and_text_is_written_once(void **state)
{
	struct buf out = write_two("work");

	(void)state;
	assert_int_equal(count_field(buf_str(&out), PPROF_PROFILE_SAMPLE), 2);
	assert_int_equal(count_field(buf_str(&out), PPROF_PROFILE_FUNCTION), 3);
	assert_int_equal(count_field(buf_str(&out), PPROF_PROFILE_LOCATION), 3);
	assert_int_equal(count_field(buf_str(&out), PPROF_PROFILE_MAPPING), 1);
	/* "", cpu, nanoseconds, samples, count, work, main, /bin/x, leaf, span_id, 00f0 */
	assert_int_equal(count_field(buf_str(&out), PPROF_PROFILE_STRING), 11);
	buf_fini(&out);
}

static void a_sample_without_types_is_refused(void **state)
{
	struct pprof_head head = { 0 };
	struct pprof_writer *writer = pprof_writer_new(&head);
	struct buf out;

	(void)state;
	pprof_writer_sample(writer, NULL, 0, NULL, NULL, 0);
	buf_init(&out, 0);
	assert_int_equal(pprof_writer_finish(writer, &out), -EINVAL);
	buf_fini(&out);
	pprof_writer_free(writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_function_and_text_is_written_once),
		cmocka_unit_test(a_sample_without_types_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
