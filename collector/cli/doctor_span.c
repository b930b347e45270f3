/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/doctor_span.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "collector/base/macros.h"
#include "correlate/ledger.h"

#define SHORT_SPAN_NS (20 * NS_PER_MS) /* two ticks at the default rate */

/* The examination: each link says whether it holds, and what to do when it does not. */
struct exam {
	struct doctor_report *report;
	const struct doctor_case *patient;
	const struct json_value *span;
	const struct json_value *ledger;
	enum ledger_none cause; /* with grade none */
};

static const char *grade_of(const struct json_value *span)
{
	return json_read_text(json_read_get(span, "ledger"), "grade");
}

static bool is_measured(const struct json_value *span)
{
	const char *grade = grade_of(span);

	return strcmp(grade, "exact") == 0 || strcmp(grade, "bounded") == 0;
}

static bool is_stored(struct exam *exam)
{
	const struct doctor_case *patient = exam->patient;
	const char *grpc = json_read_text(json_read_get(patient->status, "ports"), "grpc");

	if (json_read_count(json_read_get(patient->trace, "spans"))) {
		doctor_report_add(exam->report, DOCTOR_OK, "trace received",
				  "%zu of its spans are stored",
				  json_read_count(json_read_get(patient->trace, "spans")));
		return true;
	}
	doctor_report_add(exam->report, DOCTOR_BAD, "trace received",
			  "nothing of trace %s is stored", patient->trace_id);
	doctor_report_remedy(
		exam->report,
		"is it sampled, did the SDK flush (every 5 s), and does its exporter send "
		"OTLP/gRPC to %s? Old traces are dropped by --max-age-h and "
		"--max-data-mib",
		grpc);
	return false;
}

static const struct json_value *find_span(const struct json_value *spans, const char *span_id)
{
	const struct json_value *first = json_read_at(spans, 0);

	for (size_t i = 0; i < json_read_count(spans); i++) {
		const struct json_value *span = json_read_at(spans, i);

		if (span_id && strcasecmp(json_read_text(span, "span_id"), span_id) == 0)
			return span;
		if (!span_id && !is_measured(span))
			return span;
	}
	return span_id ? NULL : first;
}

static bool is_found(struct exam *exam)
{
	const struct doctor_case *patient = exam->patient;

	exam->span = find_span(json_read_get(patient->trace, "spans"), patient->span_id);
	exam->ledger = json_read_get(exam->span, "ledger");
	if (exam->span) {
		doctor_report_add(exam->report, DOCTOR_OK, "span received", "%s  %s (%s)",
				  json_read_text(exam->span, "span_id"),
				  json_read_text(exam->span, "name"),
				  json_read_text(exam->span, "service"));
		return true;
	}
	doctor_report_add(exam->report, DOCTOR_BAD, "span received",
			  "the trace is here, but not its span %s", patient->span_id);
	doctor_report_remedy(
		exam->report,
		"its service may not have flushed yet, sampled it out, or send elsewhere; "
		"`spanwise trace %s` shows what is here",
		patient->trace_id);
	return false;
}

static bool is_settled(struct exam *exam)
{
	if (!json_read_is_null(exam->ledger) && json_read_bool(exam->span, "settled")) {
		doctor_report_add(exam->report, DOCTOR_OK, "trace settled", "revision %" PRIu64,
				  json_read_uint(exam->ledger, "revision"));
		return true;
	}
	if (!json_read_is_null(exam->ledger)) {
		doctor_report_add(exam->report, DOCTOR_NOTE, "trace settled",
				  "not yet: spans may still come, and figures change");
		return true;
	}
	doctor_report_add(exam->report, DOCTOR_BAD, "trace settled",
			  "no, and it has no ledger yet");
	doctor_report_remedy(exam->report,
			     "wait until nothing new came for --settle-ms, and ask again");
	return false;
}

static enum ledger_none find_cause(const struct exam *exam)
{
	const char *text = json_read_text(exam->ledger, "reason");

	for (int i = NONE_NO_PROCESS; i <= NONE_BEFORE_START; i++) {
		if (strcmp(text, ledger_none_text(i)) == 0)
			return i;
	}
	return NONE_NOT_SET;
}

static bool is_watched(struct exam *exam)
{
	exam->cause = find_cause(exam);
	if (exam->cause == NONE_NO_KERNEL) {
		doctor_report_add(exam->report, DOCTOR_BAD, "kernel listened to", "no: %s",
				  json_read_text(exam->ledger, "reason"));
		doctor_report_remedy(
			exam->report,
			"start `spanwise serve` as root or by its systemd unit, then send "
			"new spans");
		return false;
	}
	if (exam->cause == NONE_BEFORE_START) {
		doctor_report_add(exam->report, DOCTOR_BAD, "kernel listened to",
				  "not at that time: %s", json_read_text(exam->ledger, "reason"));
		doctor_report_remedy(exam->report,
				     "nothing: what nobody watched is not known; newer "
				     "spans will have figures");
		return false;
	}
	doctor_report_add(exam->report, DOCTOR_OK, "kernel listened to", "yes");
	return true;
}

static bool is_process_known(struct exam *exam)
{
	uint64_t pid = json_read_uint(exam->span, "pid");

	if (exam->cause == NONE_FOREIGN) {
		doctor_report_add(exam->report, DOCTOR_BAD, "process known",
				  "it ran on another node");
		doctor_report_remedy(exam->report, "run spanwise on that node");
		return false;
	}
	if (exam->cause == NONE_NO_PROCESS) {
		doctor_report_add(exam->report, DOCTOR_BAD, "process known",
				  "nobody knows which process made it");
		doctor_report_remedy(exam->report,
				     "let the resource say process.pid or service.instance.id, or "
				     "install a writer of deploy/instrument, whose tags tell it");
		return false;
	}
	if (pid)
		doctor_report_add(exam->report, DOCTOR_OK, "process known", "pid %" PRIu64, pid);
	else
		doctor_report_add(exam->report, DOCTOR_OK, "process known", "yes");
	return true;
}

static const struct json_value *find_process(const struct exam *exam, const char *key)
{
	const struct json_value *probe = json_read_get(exam->patient->status, "probe");
	const struct json_value *list = json_read_get(probe, key);
	uint64_t pid = json_read_uint(exam->span, "pid");

	for (size_t i = 0; pid && i < json_read_count(list); i++) {
		if (json_read_uint(json_read_at(list, i), "pid") == pid)
			return json_read_at(list, i);
	}
	return NULL;
}

static void blame_writer(struct exam *exam)
{
	const struct json_value *unreadable = find_process(exam, "unreadable");
	const struct json_value *unsupported = find_process(exam, "unsupported");

	if (unreadable) {
		doctor_report_add(exam->report, DOCTOR_BAD, "process publishes",
				  "the probe cannot read it: %s",
				  json_read_text(unreadable, "error"));
		doctor_report_remedy(exam->report, "the probe needs CAP_SYS_PTRACE and "
						   "CAP_DAC_READ_SEARCH: `spanwise doctor` alone "
						   "tells which it has");
		return;
	}
	if (unsupported) {
		doctor_report_add(exam->report, DOCTOR_BAD, "process publishes",
				  "in a way that is not understood: %s",
				  json_read_text(unsupported, "variable"));
		doctor_report_remedy(exam->report,
				     "use a writer of the current otel_thread_ctx_v1");
		return;
	}
	doctor_report_add(exam->report, DOCTOR_BAD, "process publishes", "no tags at all");
	doctor_report_remedy(
		exam->report,
		"install a writer into the service: `pip install "
		"./deploy/instrument/python` for Python, deploy/instrument/c for C and "
		"C++; then restart it");
}

static bool is_publishing(struct exam *exam)
{
	const struct json_value *process = find_process(exam, "publishing");

	if (exam->cause == NONE_NO_TAGS) {
		blame_writer(exam);
		return false;
	}
	if (process)
		doctor_report_add(exam->report, DOCTOR_OK, "process publishes", "%s",
				  json_read_text(process, "variable"));
	else
		doctor_report_add(exam->report, DOCTOR_OK, "process publishes",
				  "yes, when the span ran");
	return true;
}

static bool is_observed(struct exam *exam)
{
	if (strcmp(grade_of(exam->span), "inferred") != 0) {
		doctor_report_add(exam->report, DOCTOR_OK, "tag observed", "its thread is certain");
		return true;
	}
	doctor_report_add(exam->report, DOCTOR_BAD, "tag observed",
			  "never: several threads could have carried it; the likeliest was taken");
	if (json_read_uint(exam->span, "wall_ns") < SHORT_SPAN_NS)
		doctor_report_remedy(
			exam->report,
			"no switch and no tick fell into it, which is normal for a span so "
			"short; a higher --tick-hz sees more of them");
	else
		doctor_report_remedy(
			exam->report,
			"its process publishes tags, but not of this span: was it made "
			"current (start_as_current_span, not start_span alone), and is the "
			"writer installed in the process that ran it?");
	return false;
}

static bool is_complete(struct exam *exam)
{
	uint64_t unknown = json_read_uint(exam->ledger, "unknown_ns");
	char text[16];

	term_duration(unknown, text);
	if (strcmp(grade_of(exam->span), "partial") != 0) {
		doctor_report_add(exam->report, DOCTOR_OK, "records complete", "%s unknown", text);
		return true;
	}
	doctor_report_add(exam->report, DOCTOR_BAD, "records complete",
			  "%s of it are unknown: records were lost, or the span is older than the "
			  "timelines",
			  text);
	doctor_report_remedy(exam->report,
			     "raise --ring-kib when `spanwise status` shows losses, "
			     "--memory-limit-mib when timelines reach back too little");
	return false;
}

static bool is_graded(struct exam *exam)
{
	const char *grade = grade_of(exam->span);
	char uncertain[16];

	term_duration(json_read_uint(exam->ledger, "uncertain_ns"), uncertain);
	if (is_measured(exam->span)) {
		doctor_report_add(exam->report, DOCTOR_OK, "ledger",
				  "%s: no figure is further from "
				  "the truth than %s",
				  grade, uncertain);
		return true;
	}
	doctor_report_add(exam->report, DOCTOR_BAD, "ledger", "%s: %s", grade,
			  json_read_text(exam->ledger, "reason"));
	doctor_report_remedy(exam->report, "every link before it holds: please report this with "
					   "`spanwise trace --json` of the trace");
	return false;
}

void doctor_span_check(struct doctor_report *report, const struct doctor_case *patient)
{
	static bool (*const links[])(struct exam * exam) = {
		is_stored,     is_found,    is_settled,  is_watched, is_process_known,
		is_publishing, is_observed, is_complete, is_graded,
	};
	struct exam exam = { .report = report, .patient = patient };

	report->section = "This span";
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		if (!links[i](&exam))
			return;
	}
}
