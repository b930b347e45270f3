/* SPDX-License-Identifier: Apache-2.0 */
/* watch PID [SECONDS [SPANS]]: what the BPF programs read in a process that discovery has found.
 *
 * Prints "process VARIABLE" and then each span seen, once: "thread TID TRACE SPAN". Ends after
 * SECONDS (10), or when that many different ones were seen. Exit status: 0 a span was seen; 1 none;
 * 2 usage, or no right to use BPF. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bpf/discovery.h"
#include "bpf/event_tails.h"
#include "bpf/ring.h"
#include "bpf/worker_programs.h"
#include "collector/base/macros.h"
#include "collector/clock.h"

#define RING_BYTES (4u << 20)
#define MAX_SEEN   1024

struct seen {
	uint32_t tid;
	struct event_tag tag;
};

struct watch {
	struct programs *programs;
	struct ring *ring;
	uint32_t pid;
	size_t count, wanted;
	struct seen seen[MAX_SEEN];
};

static void on_process(const struct event_process *process, const struct tag_descriptor *descriptor,
		       void *arg)
{
	struct watch *watch = arg;

	if (process->pid != watch->pid)
		return;
	if (process->variable[0])
		printf("process %s\n", process->variable);
	programs_follow(watch->programs, process->pid, descriptor);
}

static void print_hex(const uint8_t *bytes, size_t count)
{
	putchar(' ');
	for (size_t i = 0; i < count; i++)
		printf("%02x", bytes[i]);
}

static void note(struct watch *watch, uint32_t tid, const struct event_tag *tag)
{
	struct seen seen = { .tid = tid, .tag = *tag };

	for (size_t i = 0; i < watch->count; i++)
		if (memcmp(&watch->seen[i], &seen, sizeof(seen)) == 0)
			return;
	if (watch->count == MAX_SEEN)
		return;
	watch->seen[watch->count++] = seen;
	printf("thread %u", tid);
	print_hex(tag->trace_id, sizeof(tag->trace_id));
	print_hex(tag->span_id, sizeof(tag->span_id));
	putchar('\n');
}

static int on_record(const struct event_header *record, void *arg)
{
	const struct event_slice *slice = (const struct event_slice *)record;
	struct watch *watch = arg;
	struct event_tails tails;

	if (record->kind == EVENT_SLICE && slice->pid == watch->pid &&
	    event_slice_tails(slice, &tails) && tails.tag_out)
		note(watch, slice->tid, tails.tag_out);
	return 0;
}

static void run(struct watch *watch, struct discovery *discovery, uint64_t until_ns)
{
	while (watch->count < watch->wanted && clock_mono_ns() < until_ns) {
		struct timespec pause = { 0, (long)(10 * NS_PER_MS) };

		discovery_run(discovery, clock_mono_ns(), 50 * NS_PER_MS);
		nanosleep(&pause, NULL);
		ring_consume(watch->ring, 0, on_record, watch);
	}
}

static int open_all(struct watch *watch, struct discovery **out_discovery)
{
	const struct programs_options options = { .probe = { .ring_bytes = RING_BYTES,
							     .tick_hz = 99,
							     .max_processes = 64,
							     .thread_bytes = 1 << 20 } };
	const struct discovery_options looks = {
		.max_processes = 4096, .rescan_ms = 200, .on_process = on_process, .arg = watch
	};
	char why[512];

	if (programs_open(&options, why, sizeof(why), &watch->programs) < 0) {
		fprintf(stderr, "%s\n", why);
		return -1;
	}
	if (ring_open(programs_records_fd(watch->programs), RING_BYTES,
		      programs_counters_fd(watch->programs), programs_cpus(watch->programs),
		      &watch->ring) < 0)
		return -1;
	return discovery_new(&looks, out_discovery);
}

int main(int argc, char **argv)
{
	static struct watch watch = { .wanted = MAX_SEEN };
	struct discovery *discovery;
	uint64_t seconds = argc > 2 ? strtoul(argv[2], NULL, 10) : 10;

	if (argc < 2) {
		fprintf(stderr, "usage: watch PID [SECONDS [SPANS]]\n");
		return 2;
	}
	watch.pid = (uint32_t)strtoul(argv[1], NULL, 10);
	if (argc > 3)
		watch.wanted = strtoul(argv[3], NULL, 10);
	setvbuf(stdout, NULL, _IOLBF, 0); /* others wait for what it says */
	if (open_all(&watch, &discovery) < 0)
		return 2;
	run(&watch, discovery, clock_mono_ns() + seconds * NS_PER_SEC);
	discovery_free(discovery);
	ring_close(watch.ring);
	programs_close(watch.programs);
	return watch.count > 0 ? 0 : 1;
}
