/* SPDX-License-Identifier: Apache-2.0 */
/* How many of the stacks that are taken on this machine reach the thread's first function, by
 * program and by the cause where they do not. Run by tests/bench/stacks/complete.
 *
 *   bench_complete PROGRAM...      prints "ready" once everything is attached; SIGTERM ends it */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/event_tails.h"
#include "bpf/probe.h"
#include "bpf/ring.h"
#include "collector/base/frame.h"
#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "correlate/again.h"

#define RING_BYTES (16u << 20)
#define CAUSES     16

struct seen {
	uint32_t pid;
	uint64_t times;
	char end[80]; /* "": complete */
};

struct program {
	char name[EVENT_COMM_BYTES];
	uint64_t stacks, complete;
	struct {
		char end[80];
		uint64_t stacks;
	} causes[CAUSES];
};

static volatile sig_atomic_t ended;
static struct probe *probe;
static struct ring *ring;
static struct map stacks;    /* id -> struct seen */
static struct map processes; /* pid -> comm */
static struct map lasts;     /* tid -> struct event_last */
static struct buf frames;
static struct program programs[64];
static size_t program_count;

static void on_term(int number)
{
	(void)number;
	ended = 1;
}

/* NULL: it is none. */
static const struct event_slice *whole_slice(const struct event_header *record)
{
	const struct event_again *again = (const void *)record;
	const struct event_slice *slice = (const void *)record;
	struct event_last *last;

	if (record->kind == EVENT_SLICE) {
		last = map_put(&lasts, &slice->tid);
		if (last)
			event_last_note(last, slice);
		return slice;
	}
	last = record->kind == EVENT_AGAIN ? map_get(&lasts, &again->tid) : NULL;
	if (!last || !event_again_follows(again, last))
		return NULL;
	event_again_apply(again, last);
	return &last->slice;
}

static int on_record(const struct event_header *record, void *arg)
{
	const struct event_slice *slice = whole_slice(record);
	struct event_tails tails;
	struct seen *seen;

	(void)arg;
	if (!slice || !event_slice_tails(slice, &tails) || !tails.stack_id)
		return 0;
	seen = map_put(&stacks, tails.stack_id);
	if (seen) {
		seen->pid = slice->pid;
		seen->times++;
	}
	return 0;
}

/* The outermost frame tells, if it says that there should be more. */
static void take_stack(const struct probe_stack *piece)
{
	struct frame frame, last = { 0 };
	struct wire_reader reader;
	struct seen *seen;

	if (piece->offset == 0)
		buf_clear(&frames);
	buf_append(&frames, piece->data, piece->bytes);
	if (frames.len != piece->total_bytes)
		return;
	seen = map_put(&stacks, &piece->id);
	reader = wire_read(buf_str(&frames));
	while (frame_next(&reader, &frame) == 1)
		last = frame;
	if (!seen)
		return;
	seen->pid = piece->pid;
	seen->end[0] = '\0';
	if (last.kind == FRAME_UNKNOWN && last.name.len && last.name.data[0] == '[')
		snprintf(seen->end, sizeof(seen->end), "%.*s", (int)last.name.len, last.name.data);
}

static void take_message(const struct probe_message *message, int ring_fd, int counters_fd)
{
	char *comm;

	switch (message->kind) {
	case PROBE_HELLO:
		if (ring_open(ring_fd, RING_BYTES, counters_fd, message->hello.cpus, &ring) < 0)
			exit(1);
		puts("ready");
		fflush(stdout);
		break;
	case PROBE_PROCESS:
		comm = map_put(&processes, &message->process.pid);
		if (comm && !message->process.gone)
			memcpy(comm, message->process.comm, EVENT_COMM_BYTES);
		break;
	case PROBE_STACK:
		take_stack(&message->stack);
		break;
	case PROBE_FAILED:
		fprintf(stderr, "%s\n", message->text);
		exit(77);
	}
}

static void watch(void)
{
	struct pollfd wait = { .fd = probe_fd(probe), .events = POLLIN };
	struct probe_message message;
	int ring_fd, counters_fd;

	while (!ended) {
		poll(&wait, 1, 10);
		while (probe_receive(probe, &message, &ring_fd, &counters_fd) == 1)
			take_message(&message, ring_fd, counters_fd);
		if (ring)
			ring_consume(ring, 0, on_record, NULL);
	}
}

static bool is_wanted(const char *comm, char **names)
{
	for (; *names; names++)
		if (strncmp(comm, *names, EVENT_COMM_BYTES - 1) == 0)
			return true;
	return false;
}

static struct program *program_of(uint32_t pid, char **names)
{
	const char *comm = map_get(&processes, &pid);

	if (!comm || !is_wanted(comm, names))
		return NULL;

	for (size_t i = 0; i < program_count; i++)
		if (strncmp(programs[i].name, comm, EVENT_COMM_BYTES) == 0)
			return &programs[i];
	if (program_count == ARRAY_LEN(programs))
		return NULL;
	memcpy(programs[program_count].name, comm, EVENT_COMM_BYTES);
	return &programs[program_count++];
}

static void sum_up(const struct seen *seen, char **names)
{
	struct program *program = program_of(seen->pid, names);
	size_t i = 0;

	if (!program)
		return;
	program->stacks += seen->times;
	if (!seen->end[0]) {
		program->complete += seen->times;
		return;
	}
	while (i < CAUSES - 1 && program->causes[i].stacks &&
	       strcmp(program->causes[i].end, seen->end) != 0)
		i++;
	snprintf(program->causes[i].end, sizeof(program->causes[i].end), "%s", seen->end);
	program->causes[i].stacks += seen->times;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100 * (double)part / (double)whole : 0;
}

static void report(void)
{
	uint64_t all = 0, complete = 0;

	printf("%-16s %10s %9s\n", "program", "stacks", "complete");
	for (size_t i = 0; i < program_count; i++) {
		const struct program *program = &programs[i];

		printf("%-16.16s %10llu %7.2f %%\n", program->name,
		       (unsigned long long)program->stacks,
		       percent(program->complete, program->stacks));
		for (size_t at = 0; at < CAUSES && program->causes[at].stacks; at++)
			printf("%16s %10llu %7.2f %% %s\n", "",
			       (unsigned long long)program->causes[at].stacks,
			       percent(program->causes[at].stacks, program->stacks),
			       program->causes[at].end);
		all += program->stacks;
		complete += program->complete;
	}
	printf("%-16s %10llu %7.2f %%\n", "all", (unsigned long long)all, percent(complete, all));
}

int main(int argc, char **argv)
{
	struct probe_options options = {
		.ring_bytes = RING_BYTES,
		.tick_hz = 99,
		.max_processes = 1024,
		.thread_bytes = 8u << 20,
		.rescan_ms = 500,
		.stacks_per_s = 10000,
		.stack_wait_us = 100,
		.kernel_stacks = 1,
	};
	const struct seen *seen;
	size_t cursor = 0;
	const void *key;

	if (argc < 2 || probe_start(&options, &probe) < 0)
		return 2;
	map_init(&stacks, sizeof(uint64_t), sizeof(struct seen), 0);
	map_init(&lasts, sizeof(uint32_t), sizeof(struct event_last), 0);
	map_init(&processes, sizeof(uint32_t), EVENT_COMM_BYTES, 0);
	buf_init(&frames, 1u << 20);
	signal(SIGTERM, on_term);
	watch();
	while ((seen = map_next(&stacks, &cursor, &key)))
		sum_up(seen, argv + 1);
	report();
	ring_close(ring);
	probe_stop(probe);
	return 0;
}
