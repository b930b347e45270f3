/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/doctor_daemon.h"

#include <inttypes.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/clock.h"

#define MAX_CLOCK_BOUND_NS NS_PER_MS
#define MAX_PROCESS_ROWS   32 /* of each kind */
#define RECENT_NS          (10 * 60 * NS_PER_SEC)

static bool has_feature(const struct json_value *kernel, const char *name)
{
	const struct json_value *features = json_read_get(kernel, "features");

	for (size_t i = 0; i < json_read_count(features); i++) {
		if (strcmp(json_read_as_text(json_read_at(features, i)), name) == 0)
			return true;
	}
	return false;
}

static void check_features(struct doctor_report *report, const struct json_value *kernel)
{
	static const struct {
		const char *name;
		const char *without;
	} wanted[] = {
		{ "switch", "nothing is accounted" },
		{ "waking", "runnable time and wakers are not known" },
		{ "tick", "a tag that changes while its thread runs is noticed late" },
		{ "life", "forks and ends of processes are noticed late" },
		{ "interrupts", "a wake-up by a device may name the wrong thread" },
	};

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		if (has_feature(kernel, wanted[i].name))
			continue;
		doctor_report_add(report, i < 2 ? DOCTOR_BAD : DOCTOR_NOTE, "attached",
				  "%s is not attached: %s", wanted[i].name, wanted[i].without);
		if (i < 2)
			doctor_report_remedy(report,
					     "the daemon's log says why; a restart tries again");
		else if (strcmp(wanted[i].name, "tick") == 0)
			doctor_report_remedy(
				report,
				"unless tick_hz is 0: start as root, or set "
				"kernel.perf_event_paranoid to 2 (3, Debian's default, lets none "
				"but an administrator open perf events)");
	}
}

static void check_kernel(struct doctor_report *report, const struct json_value *status)
{
	const struct json_value *kernel = json_read_get(status, "kernel");
	const struct json_value *probe = json_read_get(status, "probe");
	const char *error = json_read_text(kernel, "error");

	report->section = "The probe";
	if (!json_read_bool(kernel, "available")) {
		doctor_report_add(report, DOCTOR_BAD, "listens", "%s",
				  *error ? error : "no kernel records come in");
		doctor_report_remedy(
			report, "start `spanwise serve` as root or by its systemd unit; until then "
				"spans are stored and graded none");
		return;
	}
	doctor_report_add(report, DOCTOR_OK, "listens", "%" PRIu64 " records so far",
			  json_read_uint(kernel, "records"));
	check_features(report, kernel);
	if (json_read_uint(probe, "restarts"))
		doctor_report_add(report, DOCTOR_NOTE, "restarts",
				  "%" PRIu64 "; the gaps are graded partial",
				  json_read_uint(probe, "restarts"));
}

static void add_process(struct doctor_report *report, enum doctor_level level, const char *name,
			const struct json_value *process)
{
	const char *variable = json_read_text(process, "variable");
	const char *error = json_read_text(process, "error");

	doctor_report_add(report, level, name, "pid %" PRIu64 " %s%s%s%s%s",
			  json_read_uint(process, "pid"), json_read_text(process, "comm"),
			  *variable ? ": " : "", variable, *error ? ": " : "", error);
}

static void add_processes(struct doctor_report *report, const struct json_value *list,
			  enum doctor_level level, const char *name)
{
	size_t count = json_read_count(list);

	for (size_t i = 0; i < count && i < MAX_PROCESS_ROWS; i++)
		add_process(report, level, name, json_read_at(list, i));
	if (count > MAX_PROCESS_ROWS)
		doctor_report_add(report, level, name, "and %zu more", count - MAX_PROCESS_ROWS);
}

static void check_processes(struct doctor_report *report, const struct json_value *status)
{
	const struct json_value *probe = json_read_get(status, "probe");
	uint64_t refused = json_read_uint(probe, "processes_refused");

	report->section = "Processes that publish their spans";
	if (json_read_count(json_read_get(probe, "publishing")) == 0)
		doctor_report_add(report, DOCTOR_NOTE, "publishes", "none, of %" PRIu64 " seen",
				  json_read_uint(probe, "processes_seen"));
	add_processes(report, json_read_get(probe, "publishing"), DOCTOR_OK, "publishes");
	add_processes(report, json_read_get(probe, "unsupported"), DOCTOR_NOTE, "not understood");
	add_processes(report, json_read_get(probe, "unreadable"), DOCTOR_NOTE, "not readable");
	if (!refused)
		return;
	doctor_report_add(report, DOCTOR_BAD, "too many", "%" PRIu64 " found no room", refused);
	doctor_report_remedy(report, "raise --max-processes");
}

static void remedy_no_tags(struct doctor_report *report)
{
	doctor_report_remedy(
		report,
		"install a writer into the service: `pip install "
		"./deploy/instrument/python` for Python, deploy/instrument/c for C and C++, "
		"or an SDK that publishes otel_thread_ctx_v1; then restart it");
}

static void remedy_no_process(struct doctor_report *report)
{
	doctor_report_remedy(report,
			     "let its resource say which process it is: process.pid or "
			     "service.instance.id (OTEL_RESOURCE_ATTRIBUTES, or the SDK's process "
			     "resource detector), or install a writer of deploy/instrument");
}

static void check_service(struct doctor_report *report, const struct json_value *service)
{
	const char *name = json_read_text(service, "service");
	uint64_t spans = json_read_uint(service, "spans");
	uint64_t no_tags = json_read_uint(service, "without_tags");
	uint64_t no_process = json_read_uint(service, "without_process");
	uint64_t foreign = json_read_uint(service, "from_elsewhere");
	uint64_t last = json_read_uint(service, "last_unix_ns"), now = clock_unix_ns();
	bool is_old = last + RECENT_NS < now;

	if (no_tags) {
		doctor_report_add(report, is_old ? DOCTOR_NOTE : DOCTOR_BAD, "publishes none",
				  "%s: %" PRIu64 " of %" PRIu64 " spans came from processes that "
				  "publish no tags",
				  name, no_tags, spans);
		remedy_no_tags(report);
	}
	if (no_process) {
		doctor_report_add(report, is_old ? DOCTOR_NOTE : DOCTOR_BAD, "process not known",
				  "%s: of %" PRIu64 " of %" PRIu64
				  " spans nobody knows which process "
				  "made them",
				  name, no_process, spans);
		remedy_no_process(report);
	}
	if (foreign)
		doctor_report_add(report, DOCTOR_NOTE, "on another node",
				  "%s: %" PRIu64 " of %" PRIu64 " spans: run spanwise there too",
				  name, foreign, spans);
	if (!no_tags && !no_process && !foreign)
		doctor_report_add(report, DOCTOR_OK, "sends spans", "%s: %" PRIu64, name, spans);
}

static void check_services(struct doctor_report *report, const struct json_value *status)
{
	const struct json_value *services = json_read_get(status, "services");
	const char *grpc = json_read_text(json_read_get(status, "ports"), "grpc");

	report->section = "Services that send spans";
	for (size_t i = 0; i < json_read_count(services); i++)
		check_service(report, json_read_at(services, i));
	if (json_read_count(services) == 0)
		doctor_report_add(report, DOCTOR_NOTE, "sends spans",
				  "none yet; set OTEL_EXPORTER_OTLP_ENDPOINT=http://%s and "
				  "OTEL_EXPORTER_OTLP_PROTOCOL=grpc in your service",
				  grpc);
}

static void check_clock(struct doctor_report *report, const struct json_value *status)
{
	uint64_t bound = json_read_uint(json_read_get(status, "clock"), "bound_ns");
	char text[16];

	term_duration(bound, text);
	doctor_report_add(report, bound <= MAX_CLOCK_BOUND_NS ? DOCTOR_OK : DOCTOR_BAD, "clock",
			  "Unix time and the kernel's clock agree within %s", text);
	if (bound > MAX_CLOCK_BOUND_NS)
		doctor_report_remedy(report, "the machine's clock is being stepped: let chrony or "
					     "systemd-timesyncd slew it");
}

struct loss {
	const char *name;
	const char *remedy; /* NULL: rare ones are rebuilt or graded, and only noted */
};

static const struct loss losses[] = {
	{ "ring_full", "raise --ring-kib; the spans touched are graded partial" },
	{ "storage_full", "more threads than the table holds: raise memory_limit_mib" },
	{ "malformed", "probe and collector do not understand each other: reinstall spanwise" },
	{ "tag_fault", NULL },
	{ "tag_updating", NULL },
	{ "switch_in", NULL },
	{ "switch_out", NULL },
	{ "cpu_chain", NULL },
	{ "waking", NULL },
};

static void check_losses(struct doctor_report *report, const struct json_value *status)
{
	const struct json_value *kernel = json_read_get(status, "kernel");
	const struct json_value *lost = json_read_get(kernel, "lost");
	uint64_t records = json_read_uint(kernel, "records");
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(losses); i++) {
		uint64_t count = json_read_uint(lost, losses[i].name);

		if (!count)
			continue;
		any = true;
		doctor_report_add(report, losses[i].remedy ? DOCTOR_BAD : DOCTOR_NOTE,
				  "records lost", "%s: %" PRIu64 " beside %" PRIu64 " records",
				  losses[i].name, count, records);
		if (losses[i].remedy)
			doctor_report_remedy(report, "%s", losses[i].remedy);
	}
	if (!any)
		doctor_report_add(report, DOCTOR_OK, "records lost", "none of %" PRIu64, records);
}

static void check_storage(struct doctor_report *report, const struct json_value *status)
{
	const struct json_value *storage = json_read_get(status, "storage");
	const struct json_value *memory = json_read_get(status, "memory");
	const struct json_value *correlator = json_read_get(status, "correlator");
	const char *error = json_read_text(storage, "error");
	uint64_t used = json_read_uint(memory, "used_bytes") >> 20;
	uint64_t limit = json_read_uint(memory, "limit_bytes") >> 20;
	uint64_t gone = json_read_uint(correlator, "ledgers_lost");

	if (*error) {
		doctor_report_add(report, DOCTOR_BAD, "storage", "%s", error);
		doctor_report_remedy(report,
				     "make room on the disk of %s; senders keep their spans "
				     "and try again",
				     json_read_text(status, "data"));
	} else {
		doctor_report_add(
			report, DOCTOR_OK, "storage", "%" PRIu64 " spans and %" PRIu64 " ledgers",
			json_read_uint(storage, "spans"), json_read_uint(storage, "ledgers"));
	}
	if (gone) {
		doctor_report_add(report, DOCTOR_BAD, "ledgers lost", "%" PRIu64, gone);
		doctor_report_remedy(report, "the disk is slower than the spans come: raise "
					     "--memory-limit-mib, or give it a faster disk");
	}
	doctor_report_add(report, used <= limit ? DOCTOR_OK : DOCTOR_BAD, "memory",
			  "%" PRIu64 " of %" PRIu64 " MiB", used, limit);
	if (used > limit)
		doctor_report_remedy(report, "please report this with `spanwise status --json`");
}

void doctor_daemon_check(struct doctor_report *report, const struct json_value *status)
{
	check_kernel(report, status);
	check_processes(report, status);
	check_services(report, status);
	report->section = "Clock, losses, storage";
	check_clock(report, status);
	check_losses(report, status);
	check_storage(report, status);
}
