/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/metrics_operations.h"
#include "collector/metrics_text.h"
#include "otlp/span.h"

static struct buf out;
static struct metrics_text text;
static struct metrics_operations *operations;

static int make(void **state)
{
	(void)state;
	buf_init(&out, 0);
	return metrics_operations_new(2, &operations);
}

static int drop(void **state)
{
	(void)state;
	metrics_operations_free(operations);
	buf_fini(&out);
	return 0;
}

static const char *written(bool is_open)
{
	buf_clear(&out);
	metrics_text_init(&text, is_open, &out);
	metrics_operations_write(operations, &text);
	metrics_text_end(&text);
	buf_append_byte(&out, '\0');
	return out.data;
}

static void assert_line(const char *line)
{
	size_t len = strlen(line);
	const char *at = strstr(out.data, line);

	if (!at || (at != out.data && at[-1] != '\n') || at[len] != '\n')
		fail_msg("no line %s in\n%s", line, out.data);
}

static struct ledger ledger_of(uint64_t wall_ms, uint64_t cpu_ms)
{
	struct ledger ledger = {
		.trace_id = { 0x4b, 0xf9 },
		.start_unix_ns = 1763798400 * NS_PER_SEC,
		.wall_ns = wall_ms * NS_PER_MS,
		.cpu_ns = cpu_ms * NS_PER_MS,
		.grade = GRADE_EXACT,
	};

	ledger.all.blocked_ns[REASON_NET] = ledger.wall_ns - ledger.cpu_ns;
	return ledger;
}

static void an_operation_counts_seconds_and_names_a_trace(void **state)
{
	struct ledger first = ledger_of(612, 38), second = ledger_of(388, 12), none = { 0 };
	uint32_t number = metrics_operations_find(operations, STR("shop"), STR("GET \"a\\b\n\""),
						  SPAN_KIND_SERVER);

#define NAMES "service=\"shop\",operation=\"GET \\\"a\\\\b\\n\\\"\",kind=\"server\""
	(void)state;
	assert_int_equal(number, 1);
	metrics_operations_add(operations, number, &first);
	metrics_operations_add(operations, number, &second);
	metrics_operations_add(operations, number, &none);
	written(true);
	assert_line("# TYPE spanwise_span_wall_seconds counter");
	assert_line("# UNIT spanwise_span_wall_seconds seconds");
	assert_line("spanwise_span_wall_seconds_total{" NAMES "} 1 # "
		    "{trace_id=\"4bf90000000000000000000000000000\"} 0.388 1763798400.388");
	assert_line("spanwise_span_cpu_seconds_total{" NAMES "} 0.05 # "
		    "{trace_id=\"4bf90000000000000000000000000000\"} 0.012 1763798400.388");
	assert_line("spanwise_span_blocked_seconds_total{" NAMES ",reason=\"net\"} 0.95");
	assert_line("spanwise_spans_settled_total{" NAMES ",covered=\"true\"} 2");
	assert_line("spanwise_spans_settled_total{" NAMES ",covered=\"false\"} 1");
	assert_line("# EOF");
}

static void the_older_format_has_no_exemplars(void **state)
{
	struct ledger ledger = ledger_of(612, 38);

	(void)state;
	metrics_operations_add(operations, 0, &ledger);
	written(false);
	assert_line("# TYPE spanwise_span_wall_seconds_total counter");
	assert_line("spanwise_span_wall_seconds_total{service=\"(other)\",operation=\"(other)\","
		    "kind=\"(other)\"} 0.612");
	assert_null(strstr(out.data, "# EOF"));
	assert_null(strstr(out.data, "# UNIT"));
}

static void the_number_of_series_is_bounded(void **state)
{
	struct ledger ledger = ledger_of(1000, 0);
	unsigned lines = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		char name[2] = { (char)('0' + i % 50), 'x' };
		uint32_t number =
			metrics_operations_find(operations, STR("s"), (struct str){ name, 2 }, 0);

		assert_int_equal(number, i % 50 < 2 ? 1 + i % 50 : 0);
		metrics_operations_add(operations, number, &ledger);
	}
	for (const char *at = written(true); (at = strstr(at, "\nspanwise_")); at++)
		lines++;
	assert_int_equal(lines, 3 * 7); /* five families, one of them twice, and one reason */
	assert_non_null(strstr(out.data, "operation=\"(other)\",kind=\"(other)\"} 96 "));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(an_operation_counts_seconds_and_names_a_trace),
		TEST(the_older_format_has_no_exemplars),
		TEST(the_number_of_series_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
