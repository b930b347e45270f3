/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/status.h"

#include <string.h>

#include "collector/base/macros.h"
#include "collector/config.h"
#include "collector/daemon.h"
#include "collector/self_watch.h"
#include "collector/snapshot.h"

static const char *const limit_names[CORRELATOR_LIMITS] = {
#define X(name, what) #name,
#include "correlate/limits.def"
#undef X
};

static const char *const loss_names[LOSS_KINDS] = {
	[LOSS_RING_FULL] = "ring_full", [LOSS_STORAGE_FULL] = "storage_full",
	[LOSS_TAG_FAULT] = "tag_fault", [LOSS_TAG_UPDATING] = "tag_updating",
	[LOSS_SWITCH_IN] = "switch_in", [LOSS_SWITCH_OUT] = "switch_out",
	[LOSS_CPU_CHAIN] = "cpu_chain", [LOSS_WAKING] = "waking",
	[LOSS_STACK] = "stack",         [LOSS_CHANGES] = "changes",
};

static const struct feature {
	uint32_t bit;
	const char *name;
} features[] = {
	{ PROBE_SWITCH, "switch" },
	{ PROBE_WAKING, "waking" },
	{ PROBE_TICK, "tick" },
	{ PROBE_LIFE, "life" },
	{ PROBE_INTERRUPTS, "interrupts" },
	{ PROBE_MMAP_EVENTS, "mmap_events" },
	{ PROBE_RAW_TP, "raw_tp" },
};

static void render_kernel(const struct snapshot *snapshot, struct json *json)
{
	const struct engine_snapshot *engine = &snapshot->engine;

	json_object(json, "kernel");
	json_bool(json, "available", engine->kernel);
	json_array(json, "features");
	for (size_t i = 0; i < ARRAY_LEN(features); i++) {
		if (engine->features & features[i].bit)
			json_text(json, NULL, features[i].name);
	}
	json_end(json);
	if (*snapshot->probe.text)
		json_text(json, "error", snapshot->probe.text);
	else
		json_null(json, "error");
	json_uint(json, "records", engine->kernel_counters.records);
	json_uint(json, "ticks", engine->kernel_counters.ticks);
	json_object(json, "lost");
	for (size_t i = 0; i < LOSS_KINDS; i++)
		json_uint(json, loss_names[i], engine->kernel_counters.lost[i]);
	json_uint(json, "malformed", engine->ring_malformed);
	json_end(json);
	json_uint(json, "ring_bytes", engine->ring_bytes);
	json_uint(json, "ring_backlog_bytes", engine->ring_backlog_bytes);
	json_end(json);
}

static void put_text(struct json *json, const char *key, const char *text, size_t size)
{
	json_str(json, key, (struct str){ text, strnlen(text, size) });
}

#define PUT_TEXT(json, key, array) put_text(json, key, array, sizeof(array))

static void render_process(struct json *json, const struct event_process *process)
{
	json_object(json, NULL);
	json_uint(json, "pid", process->pid);
	json_uint(json, "ns_pid", process->ns_pid);
	PUT_TEXT(json, "comm", process->comm);
	PUT_TEXT(json, "executable", process->executable);
	PUT_TEXT(json, "variable", process->variable);
	PUT_TEXT(json, "service", process->service_name);
	if (process->error)
		json_text(json, "error", strerror(-process->error));
	json_end(json);
}

struct process_list {
	struct json *json;
	uint32_t publish;
};

static int visit_process(const struct event_process *process, void *arg)
{
	const struct process_list *list = arg;

	if (process->publish == list->publish)
		render_process(list->json, process);
	return 0;
}

static void render_processes(struct daemon *daemon, struct json *json, const char *key,
			     uint32_t publish)
{
	struct process_list list = { json, publish };

	json_array(json, key);
	probe_watch_each_process(daemon_probe(daemon), visit_process, &list);
	json_end(json);
}

/* Who is walked by tables, and what the names cost. */
static void render_stacks(const struct probe_stats *stats, struct json *json)
{
	json_object(json, "stacks");
	json_uint(json, "processes", stats->unwind_processes);
	json_uint(json, "table_files", stats->unwind_files);
	json_uint(json, "table_files_refused", stats->unwind_refused);
	json_uint(json, "table_rows", stats->unwind_rows);
	json_uint(json, "table_build_ns", stats->unwind_build_ns);
	json_uint(json, "frames", stats->frames);
	json_uint(json, "frames_unnamed", stats->frames_unnamed);
	json_uint(json, "frames_unknown", stats->frames_unknown);
	json_uint(json, "symbol_bytes", stats->symbol_bytes);
	json_end(json);
}

static void render_probe(struct daemon *daemon, const struct snapshot *snapshot, struct json *json)
{
	const struct probe_stats *stats = &snapshot->probe.stats;

	json_object(json, "probe");
	json_text(json, "state", probe_watch_state_name(snapshot->probe.state));
	json_uint(json, "restarts", snapshot->engine.restarts);
	json_uint(json, "resident_bytes", stats->worker_rss_bytes);
	json_uint(json, "map_bytes", snapshot->probe.map_bytes);
	json_uint(json, "processes_seen", stats->processes_seen);
	json_uint(json, "processes_publishing", stats->processes_publishing);
	json_uint(json, "processes_unreadable", stats->processes_unreadable);
	json_uint(json, "processes_refused", stats->process_refused);
	render_stacks(stats, json);
	json_uint(json, "files_refused", stats->files_refused);
	render_processes(daemon, json, "publishing", PUBLISH_TAGS);
	render_processes(daemon, json, "unreadable", PUBLISH_UNREADABLE);
	render_processes(daemon, json, "unsupported", PUBLISH_UNSUPPORTED);
	json_end(json);
}

static int visit_service(const struct service_count *service, void *arg)
{
	struct json *json = arg;

	json_object(json, NULL);
	json_text(json, "service", service->name);
	json_uint(json, "spans", service->spans);
	json_object(json, "ledgers");
	for (size_t i = 0; i < ARRAY_LEN(service->graded); i++)
		json_uint(json, ledger_grade_name((enum ledger_grade)i), service->graded[i]);
	json_end(json);
	json_uint(json, "without_tags", service->none_by_cause[NONE_NO_TAGS]);
	json_uint(json, "without_process", service->none_by_cause[NONE_NO_PROCESS]);
	json_uint(json, "from_elsewhere", service->none_by_cause[NONE_FOREIGN]);
	json_time(json, "last_unix_ns", service->last_unix_ns);
	json_end(json);
	return 0;
}

static void render_correlator(const struct snapshot *snapshot, struct json *json)
{
	const struct correlator_stats *stats = &snapshot->engine.correlator;

	json_object(json, "clock");
	json_uint(json, "bound_ns", stats->clock_bound_ns);
	json_uint(json, "pairs", snapshot->engine.clock_pairs);
	json_end(json);
	json_object(json, "correlator");
	json_uint(json, "slices", stats->slices);
	json_uint(json, "slices_folded", stats->slices_folded);
	json_uint(json, "slices_malformed", stats->slices_malformed);
	json_uint(json, "slices_rebuilt", stats->slices_rebuilt);
	json_uint(json, "changes_refused", stats->changes_refused);
	json_uint(json, "looks_refused", stats->looks_refused);
	json_uint(json, "chain_gaps", stats->chain_gaps);
	json_uint(json, "slices_crowded", stats->slices_crowded);
	json_object(json, "limits");
	for (size_t i = 0; i < ARRAY_LEN(limit_names); i++)
		json_uint(json, limit_names[i], stats->limits[i]);
	json_end(json);
	json_uint(json, "tags_seen", stats->tags_seen);
	json_uint(json, "spans", stats->spans);
	json_uint(json, "spans_duplicate", stats->spans_duplicate);
	json_uint(json, "spans_late", stats->spans_late);
	json_uint(json, "spans_over_limit", stats->spans_over_limit);
	json_object(json, "ledgers");
	for (size_t i = 0; i < ARRAY_LEN(stats->ledgers); i++)
		json_uint(json, ledger_grade_name((enum ledger_grade)i), stats->ledgers[i]);
	json_end(json);
	json_uint(json, "ledgers_lost", snapshot->engine.ledgers_lost);
	json_uint(json, "traces_settled", stats->traces_settled);
	json_uint(json, "traces_revised", stats->traces_revised);
	json_uint(json, "traces_forced", stats->traces_forced);
	json_uint(json, "traces_unsampled", stats->traces_unsampled);
	json_uint(json, "traces_pending", stats->traces_pending);
	json_uint(json, "traces_resting", stats->traces_resting);
	json_uint(json, "threads", stats->threads);
	json_uint(json, "processes", stats->processes);
	json_uint(json, "reach_ns", stats->reach_ns);
	json_end(json);
}

static void render_storage(const struct snapshot *snapshot, struct json *json)
{
	const struct store_stats *stats = &snapshot->store;

	json_object(json, "storage");
	json_uint(json, "parts", stats->parts);
	json_uint(json, "bytes", stats->bytes);
	json_uint(json, "blocks", stats->blocks);
	json_uint(json, "spans", stats->spans);
	json_uint(json, "ledgers", stats->ledgers);
	json_uint(json, "commits", stats->commits);
	json_uint(json, "sync_ns", stats->sync_ns);
	json_time(json, "oldest_unix_ns", stats->oldest_unix_ns);
	json_uint(json, "parts_dropped", stats->parts_dropped);
	json_uint(json, "spans_dropped", stats->spans_dropped);
	json_uint(json, "queued_batches", snapshot->writer.queued_batches);
	json_uint(json, "queued_ledgers", snapshot->writer.queued_ledgers);
	if (snapshot->writer.error)
		json_text(json, "error", strerror(-snapshot->writer.error));
	else
		json_null(json, "error");
	json_end(json);
}

static void render_memory(const struct snapshot *snapshot, struct json *json)
{
	const struct correlator_stats *correlator = &snapshot->engine.correlator;

	json_object(json, "memory");
	json_uint(json, "limit_bytes", snapshot->plan.limit_bytes);
	json_uint(json, "used_bytes",
		  snapshot->own_anonymous_bytes + snapshot->probe.stats.worker_rss_bytes +
			  snapshot->probe.map_bytes);
	json_uint(json, "resident_bytes", snapshot->memory.resident_bytes);
	json_uint(json, "tidied", snapshot->memory.tidied);
	json_uint(json, "collector_bytes", snapshot->own_anonymous_bytes);
	json_uint(json, "probe_bytes", snapshot->probe.stats.worker_rss_bytes);
	json_uint(json, "bpf_map_bytes", snapshot->probe.map_bytes);
	json_object(json, "shares");
	json_uint(json, "correlator", snapshot->memory.shares.correlator_bytes);
	json_uint(json, "in_flight", snapshot->memory.shares.in_flight_bytes);
	json_end(json);
	json_object(json, "parts");
	json_uint(json, "in_flight", snapshot->in_flight_bytes);
	json_uint(json, "timelines", correlator->timeline_bytes);
	json_uint(json, "folds", correlator->fold_bytes);
	json_uint(json, "traces", correlator->trace_bytes);
	json_uint(json, "services", snapshot->engine.services_bytes);
	json_uint(json, "ledgers", snapshot->writer.ledger_bytes);
	json_uint(json, "index", snapshot->store.index_bytes);
	json_end(json);
	json_end(json);
}

void status_render(struct daemon *daemon, struct json *json)
{
	struct snapshot snapshot;

	snapshot_take(daemon, &snapshot);
	json_object(json, NULL);
	json_text(json, "version", SPANWISE_VERSION);
	json_double(json, "uptime_s", snapshot.uptime_s, 3);
	json_bool(json, "ready", snapshot.ready);
	self_watch_render(daemon_self_watch(daemon), json);
	render_kernel(&snapshot, json);
	render_probe(daemon, &snapshot, json);
	json_array(json, "services");
	engine_each_service(daemon_engine(daemon), visit_service, json);
	json_end(json);
	render_correlator(&snapshot, json);
	render_storage(&snapshot, json);
	render_memory(&snapshot, json);
	json_object(json, "ports");
	json_text(json, "grpc", daemon_grpc_address(daemon));
	json_text(json, "http", daemon_http_address(daemon));
	json_text(json, "api", daemon_api_address(daemon));
	json_end(json);
	json_text(json, "data", daemon_config(daemon)->data);
	json_end(json);
}
