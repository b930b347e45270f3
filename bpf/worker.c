/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/worker.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "bpf/discovery.h"
#include "bpf/perf_events.h"
#include "bpf/probe_keeper.h"
#include "bpf/probe_packet.h"
#include "bpf/stack_worker.h"
#include "bpf/worker_programs.h"
#include "bpf/worker_why.h"
#include "collector/base/macros.h"

/* News come in bursts (a program start maps a dozen libraries): after each look at them we rest, so
 * that a burst costs one look and not a dozen. Also the longest that a new program waits. */
#define REST_NS         (2 * NS_PER_MS)
#define DISCOVERY_SLICE (20 * NS_PER_MS)  /* of one discovery_run, between looks at the socket */
#define LONGEST_NAP_MS  20                /* forks, exits and mappings do not wake us */
#define YOUNG_NS        (250 * NS_PER_MS) /* a new program still loads its libraries: ... */
#define YOUNG_NAP_MS    2                 /* ... these are looked for more often */
#define STATS_EVERY_NS  NS_PER_SEC
#define TIDY_EVERY_NS   (10 * NS_PER_SEC)
#define SPARE_BYTES     ((size_t)1 << 20) /* of the heap, that may stay for what comes next */

struct worker {
	const struct probe_options *options;
	int socket_fd;
	int epoll_fd; /* owned, as is all below */
	struct programs *programs;
	struct ring_buffer *control;
	struct mapping_events *mappings; /* NULL: not to be had */
	struct discovery *discovery;
	struct stack_worker *stacks; /* NULL: none are taken */
	uint64_t stats_due_ns;
	uint64_t tidy_due_ns;
	uint64_t young_until_ns; /* since the last exec */
	uint32_t refused;        /* processes for which the map was full */
	bool stopping;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static void tell(struct worker *worker, const struct probe_message *message, int ring_fd,
		 int counters_fd)
{
	if (probe_packet_send(worker->socket_fd, message, ring_fd, counters_fd) < 0)
		worker->stopping = true;
}

static void tell_note(struct worker *worker, const char *text)
{
	struct probe_message message = { .kind = PROBE_NOTE };

	snprintf(message.text, sizeof(message.text), "%s", text);
	tell(worker, &message, -1, -1);
}

/* ---- what the others report */

static void on_process(const struct event_process *process, const struct tag_descriptor *descriptor,
		       void *arg)
{
	struct worker *worker = arg;
	struct probe_message message = { .kind = PROBE_PROCESS, .process = *process };

	if (programs_follow(worker->programs, process->pid, descriptor) < 0) {
		if (worker->refused++ == 0)
			tell_note(worker,
				  "more processes publish a context than are followed: raise the "
				  "number of processes (max_processes)");
		message.process.publish = PUBLISH_UNREADABLE;
		message.process.error = -E2BIG;
	}
	if (process->publish == PUBLISH_TAGS && !process->gone)
		stack_worker_meet(worker->stacks, process->pid);
	tell(worker, &message, -1, -1);
}

static void on_exit_of(struct worker *worker, uint32_t pid)
{
	stack_worker_gone(worker->stacks, pid);
	discovery_on_exit(worker->discovery, pid);
}

static void on_exec(struct worker *worker, uint32_t pid)
{
	stack_worker_forget(worker->stacks, pid);
	discovery_on_exec(worker->discovery, pid);
	worker->young_until_ns = now_ns() + YOUNG_NS;
}

static int on_news(void *arg, void *data, size_t bytes)
{
	struct worker *worker = arg;
	const struct worker_news *news = data;

	if (bytes < sizeof(*news))
		return 0;
	if (news->kind == EVENT_FORK)
		discovery_on_fork(worker->discovery, news->pid, news->other_pid);
	else if (news->kind == EVENT_EXEC)
		on_exec(worker, news->pid);
	else if (news->kind == NEWS_LOG)
		discovery_on_log(worker->discovery, news->pid);
	else
		on_exit_of(worker, news->pid);
	return 0;
}

static void on_mapping(uint32_t pid, void *arg)
{
	struct worker *worker = arg;

	if (programs_is_followed(worker->programs, pid))
		stack_worker_meet(worker->stacks, pid);
	discovery_on_mapping(worker->discovery, pid);
}

/* ---- life */

/* Everything that epoll watches is told apart by polling it all: there are three of them. */
static int watch(struct worker *worker, int fd, uint32_t events)
{
	struct epoll_event interest = { .events = events, .data.fd = fd };

	return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &interest) < 0 ? -errno : 0;
}

/* They do the same, and cost more at each switch. */
static void tell_raw(struct worker *worker)
{
	char text[sizeof(((struct probe_message *)0)->text)];

	if (!(programs_features(worker->programs) & PROBE_RAW_TP))
		return;
	snprintf(text, sizeof(text),
		 "raw tracepoints are used, which cost more at each switch: this kernel does not "
		 "load the typed programs (%.150s)",
		 programs_why_raw(worker->programs));
	tell_note(worker, text);
}

/* Without these a dlopen is noticed by the next rescan only. */
static void open_mappings(struct worker *worker)
{
	int status = mapping_events_open(programs_cpus(worker->programs), &worker->mappings);

	if (status == 0)
		status = watch(worker, mapping_events_fd(worker->mappings), EPOLLIN);
	if (status < 0)
		tell_note(worker,
			  "libraries that are loaded later are noticed by rescans only: the "
			  "kernel refused perf events for mappings");
}

static int open_discovery(struct worker *worker)
{
	struct discovery_options options = {
		.max_processes = worker->options->max_processes,
		.rescan_ms = worker->options->rescan_ms,
		.tells_mappings = worker->mappings,
		.on_process = on_process,
		.arg = worker,
	};

	return discovery_new(&options, &worker->discovery);
}

/* Without names stacks are of no use, but all else is. */
static void open_stacks(struct worker *worker)
{
	struct unwind_load_fds tables;

	programs_tables(worker->programs, &tables);
	if (worker->options->stacks_per_s &&
	    stack_worker_start(programs_stacks_fd(worker->programs), &tables, worker->socket_fd,
			       worker->options->symbol_bytes, &worker->stacks) < 0)
		tell_note(worker, "stacks are not named: the thread for it could not start");
}

static int open_all(struct worker *worker, char *why, size_t why_bytes)
{
	struct programs_options options = { .probe = *worker->options };

	if (worker_why_ahead("/proc/self/timens_offsets", why, why_bytes))
		return -EXDEV;
	int status = programs_open(&options, why, why_bytes, &worker->programs);

	if (status < 0)
		return status;
	tell_raw(worker);
	snprintf(why, why_bytes, "the probe's worker could not start: out of memory or files");
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (worker->epoll_fd < 0)
		return -errno;
	worker->control =
		ring_buffer__new(programs_control_fd(worker->programs), on_news, worker, NULL);
	if (!worker->control)
		return -errno;
	status = watch(worker, worker->socket_fd, 0);
	if (status == 0)
		status = watch(worker, ring_buffer__epoll_fd(worker->control), EPOLLIN);
	if (status < 0)
		return status;
	open_mappings(worker);
	open_stacks(worker);
	return open_discovery(worker);
}

static void close_all(struct worker *worker)
{
	stack_worker_stop(worker->stacks);
	discovery_free(worker->discovery);
	mapping_events_close(worker->mappings);
	ring_buffer__free(worker->control);
	if (worker->epoll_fd >= 0)
		close(worker->epoll_fd);
	programs_close(worker->programs);
}

static void tell_hello(struct worker *worker)
{
	struct probe_message message = {
		.kind = PROBE_HELLO,
		.hello = {
			.version = EVENT_VERSION,
			.features = programs_features(worker->programs) |
				    (worker->mappings ? PROBE_MMAP_EVENTS : 0),
			.ring_bytes = worker->options->ring_bytes,
			.cpus = programs_cpus(worker->programs),
			.map_bytes = programs_map_bytes(worker->programs),
			.time_ns = now_ns(),
		},
	};

	tell(worker, &message, programs_records_fd(worker->programs),
	     programs_counters_fd(worker->programs));
}

/* ---- each second */

static uint64_t rss_bytes(void)
{
	unsigned long long size = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file) {
		if (fscanf(file, "%llu %llu", &size, &resident) != 2)
			resident = 0;
		fclose(file);
	}
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Tables and names are made in room that is needed for a moment: several times what stays. */
static void tidy(struct worker *worker)
{
#ifdef __GLIBC__
	uint64_t now = now_ns();

	if (now < worker->tidy_due_ns)
		return;
	worker->tidy_due_ns = now + TIDY_EVERY_NS;
	if (mallinfo2().fordblks > SPARE_BYTES)
		malloc_trim(0);
#else
	(void)worker;
#endif
}

static void tell_stats(struct worker *worker)
{
	struct discovery_stats found;
	struct probe_message message = { .kind = PROBE_STATS };

	discovery_stats(worker->discovery, &found);
	message.stats = (struct probe_stats){
		.map_bytes = programs_map_bytes(worker->programs),
		.table_bytes = programs_table_bytes(worker->programs),
		.processes_seen = found.processes_seen,
		.processes_publishing = found.processes_publishing,
		.processes_unreadable = found.processes_unreadable,
		.files_refused = found.files_refused,
		.process_refused = worker->refused + found.processes_refused,
		.worker_rss_bytes = rss_bytes(),
	};
	if (worker->stacks) {
		struct symbolizer_stats named;
		struct unwind_load_stats walked;

		stack_worker_stats(worker->stacks, &named, &walked);
		message.stats.frames = named.frames;
		message.stats.frames_unnamed = named.unnamed;
		message.stats.frames_unknown = named.unknown;
		message.stats.symbol_bytes = named.bytes;
		message.stats.unwind_processes = walked.processes;
		message.stats.unwind_files = walked.files.files;
		message.stats.unwind_refused = walked.files.refused;
		message.stats.unwind_rows = (uint32_t)walked.files.rows;
		message.stats.unwind_build_ns = walked.files.build_ns;
	}
	tell(worker, &message, -1, -1);
}

/* ---- the loop */

/* Waits for news, at most `nap_ms`. */
static void nap(struct worker *worker, int nap_ms)
{
	struct epoll_event ready[4];
	struct timespec rest = { .tv_nsec = REST_NS };
	int count = epoll_wait(worker->epoll_fd, ready, ARRAY_LEN(ready), nap_ms);

	for (int i = 0; i < count; i++)
		if (ready[i].data.fd == worker->socket_fd)
			worker->stopping = true;
	if (count > 0 && !worker->stopping)
		nanosleep(&rest, NULL);
}

static int milliseconds_until(uint64_t due_ns)
{
	uint64_t now = now_ns();

	return due_ns <= now ? 0 : (int)((due_ns - now) / NS_PER_MS + 1);
}

static int longest_nap_ms(const struct worker *worker)
{
	return now_ns() < worker->young_until_ns ? YOUNG_NAP_MS : LONGEST_NAP_MS;
}

static void loop(struct worker *worker)
{
	while (!worker->stopping) {
		ring_buffer__consume(worker->control);
		if (worker->mappings)
			mapping_events_consume(worker->mappings, on_mapping, worker);
		int wanted_ms = discovery_run(worker->discovery, now_ns(), DISCOVERY_SLICE);

		if (now_ns() >= worker->stats_due_ns) {
			tidy(worker);
			tell_stats(worker);
			worker->stats_due_ns = now_ns() + STATS_EVERY_NS;
		}
		nap(worker, MAX(0, MIN(MIN(wanted_ms, longest_nap_ms(worker)),
				       milliseconds_until(worker->stats_due_ns))));
	}
}

int worker_run(const struct probe_options *options, int socket_fd)
{
	struct worker worker = { .options = options, .socket_fd = socket_fd, .epoll_fd = -1 };
	struct probe_message failed = { .kind = PROBE_FAILED };
	int status = open_all(&worker, failed.text, sizeof(failed.text));

	if (status < 0) {
		failed.error = status;
		tell(&worker, &failed, -1, -1);
	} else {
		tell_hello(&worker);
		loop(&worker);
	}
	close_all(&worker);
	return status < 0 ? WORKER_REFUSED : WORKER_STOPPED;
}
