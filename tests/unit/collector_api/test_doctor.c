/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/cli/doctor_daemon.h"
#include "collector/cli/doctor_span.h"
#include "correlate/ledger.h"

#define STATUS                                                                                     \
	"{\"ports\":{\"grpc\":\"127.0.0.1:4317\"},\"kernel\":{\"available\":true,\"features\":["   \
	"\"switch\",\"waking\",\"tick\",\"life\",\"interrupts\"],\"records\":9,\"lost\":{%s}},"    \
	"\"probe\":{\"publishing\":[{\"pid\":10,\"variable\":\"otel_thread_ctx_v1\"}],"            \
	"\"unreadable\":[{\"pid\":11,\"error\":\"Permission denied\"}]},"                          \
	"\"services\":[{\"service\":\"shop\",\"spans\":5,\"without_tags\":%d,"                     \
	"\"last_unix_ns\":\"9000000000000000000\"}],\"clock\":{\"bound_ns\":500},"                 \
	"\"storage\":{\"error\":null},\"memory\":{\"used_bytes\":1,\"limit_bytes\":2}}"

#define WELL ((const char *)NULL)

static struct json_value *read_json(const char *text)
{
	struct json_value *root;

	assert_int_equal(json_read(str_of(text), &root, NULL), 0);
	return root;
}

static struct json_value *read_status(const char *lost, int without_tags)
{
	char text[2048];

	snprintf(text, sizeof(text), STATUS, lost, without_tags);
	return read_json(text);
}

/* The name of the first bad row, which must come with a remedy; WELL: there is none. */
static void expect_first_bad(const struct doctor_report *report, const char *name)
{
	const struct doctor_row *bad = doctor_report_first_bad(report);

	assert_int_equal(doctor_report_is_well(report), !name);
	if (!name) {
		assert_null(bad);
		return;
	}
	assert_non_null(bad);
	assert_string_equal(bad->name, name);
	assert_non_null(bad->remedy);
}

/* The span as it is within a trace of one span; NULL: the trace is not stored. */
static void examine(const char *span, const char *wanted_id, const char *first_bad)
{
	struct json_value *status = read_status("", 0), *trace = NULL;
	struct doctor_case patient = { .status = status, .trace_id = "t", .span_id = wanted_id };
	struct doctor_report report;
	char text[2048];

	if (span) {
		snprintf(text, sizeof(text), "{\"spans\":[%s]}", span);
		trace = read_json(text);
	}
	patient.trace = trace;
	assert_int_equal(doctor_report_init(&report), 0);
	doctor_span_check(&report, &patient);
	expect_first_bad(&report, first_bad);
	doctor_report_fini(&report);
	json_read_free(trace);
	json_read_free(status);
}

static void examine_ledger(int pid, const char *ledger, const char *first_bad)
{
	char span[1024];

	snprintf(span, sizeof(span),
		 "{\"span_id\":\"aa\",\"pid\":%d,\"settled\":true,\"wall_ns\":1,\"ledger\":%s}",
		 pid, ledger);
	examine(span, NULL, first_bad);
}

static void examine_none(int pid, enum ledger_none cause, const char *first_bad)
{
	char ledger[512];

	snprintf(ledger, sizeof(ledger), "{\"grade\":\"none\",\"reason\":\"%s\",\"cpu_ns\":null}",
		 ledger_none_text(cause));
	examine_ledger(pid, ledger, first_bad);
}

static void the_first_broken_link_of_a_span_is_named(void **state)
{
	(void)state;
	examine(NULL, NULL, "trace received");
	examine("{\"span_id\":\"aa\"}", "bb", "span received");
	examine("{\"span_id\":\"aa\",\"settled\":false,\"ledger\":null}", "AA", "trace settled");
	examine_none(0, NONE_NO_KERNEL, "kernel listened to");
	examine_none(0, NONE_BEFORE_START, "kernel listened to");
	examine_none(0, NONE_FOREIGN, "process known");
	examine_none(0, NONE_NO_PROCESS, "process known");
	examine_none(12, NONE_NO_TAGS, "process publishes");
	examine_none(11, NONE_NO_TAGS, "process publishes");
	examine_ledger(10, "{\"grade\":\"inferred\",\"cpu_ns\":1}", "tag observed");
	examine_ledger(10, "{\"grade\":\"partial\",\"cpu_ns\":1,\"unknown_ns\":5}",
		       "records complete");
	examine_ledger(10, "{\"grade\":\"bounded\",\"cpu_ns\":1,\"uncertain_ns\":5}", WELL);
	examine_ledger(10, "{\"grade\":\"exact\",\"cpu_ns\":1,\"uncertain_ns\":0}", WELL);
}

static void a_trace_is_judged_by_its_worst_span(void **state)
{
	(void)state;
	examine("{\"span_id\":\"aa\",\"settled\":true,\"ledger\":{\"grade\":\"exact\"}},"
		"{\"span_id\":\"bb\",\"settled\":true,\"ledger\":{\"grade\":\"inferred\"}}",
		NULL, "tag observed");
}

static void check_daemon(const char *lost, int without_tags, const char *first_bad)
{
	struct json_value *status = read_status(lost, without_tags);
	struct doctor_report report;

	assert_int_equal(doctor_report_init(&report), 0);
	doctor_daemon_check(&report, status);
	expect_first_bad(&report, first_bad);
	doctor_report_fini(&report);
	json_read_free(status);
}

static void what_the_daemon_reports_is_judged(void **state)
{
	(void)state;
	check_daemon("", 0, WELL);
	check_daemon("\"cpu_chain\":3", 0, WELL);
	check_daemon("\"ring_full\":3", 0, "records lost");
	check_daemon("", 2, "publishes none");
}

static void without_a_kernel_it_says_so_first(void **state)
{
	struct json_value *status =
		read_json("{\"kernel\":{\"available\":false,\"error\":\"no BPF\"}}");
	struct doctor_report report;

	(void)state;
	assert_int_equal(doctor_report_init(&report), 0);
	doctor_daemon_check(&report, status);
	expect_first_bad(&report, "listens");
	doctor_report_fini(&report);
	json_read_free(status);
}

static void the_report_reads_alike_as_text_and_json(void **state)
{
	struct term term = { .width = 80 };
	struct doctor_report report;
	struct json_value *root;
	struct buf out;

	(void)state;
	assert_int_equal(doctor_report_init(&report), 0);
	report.section = "One";
	doctor_report_add(&report, DOCTOR_OK, "a", "fine %d", 1);
	doctor_report_add(&report, DOCTOR_BAD, "b", "evil\033[2J");
	doctor_report_remedy(&report, "mend %s", "it");
	buf_init(&out, 0);
	doctor_report_text(&report, &term, &out);
	buf_append_byte(&out, '\0');
	assert_string_equal(out.data, "One\n  ok   a                    fine 1\n"
				      "  BAD  b                    evil?[2J"
				      "  <- the first that is broken\n      do: mend it\n\n"
				      "Not all is well; begin with: b\n");
	buf_clear(&out);
	doctor_report_json(&report, &out);
	assert_int_equal(json_read(buf_str(&out), &root, NULL), 0);
	assert_false(json_read_bool(root, "well"));
	assert_string_equal(json_read_text(root, "first_broken"), "b");
	assert_int_equal(json_read_count(json_read_get(root, "checks")), 2);
	json_read_free(root);
	buf_fini(&out);
	doctor_report_fini(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_broken_link_of_a_span_is_named),
		cmocka_unit_test(a_trace_is_judged_by_its_worst_span),
		cmocka_unit_test(what_the_daemon_reports_is_judged),
		cmocka_unit_test(without_a_kernel_it_says_so_first),
		cmocka_unit_test(the_report_reads_alike_as_text_and_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
