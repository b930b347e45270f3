/* SPDX-License-Identifier: Apache-2.0 */
/* What one attach and its detach cost: ns, least and median of interleaved
 * rounds against an empty loop: plain, and in exact mode. Built twice: with the
 * writer inside the executable, and inside a shared library. Beside it what
 * another way to exact mode would cost the thread: a uprobe on the attach
 * function, that only counts; and one on a 5-byte nop, which newer kernels make
 * a call. */
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "deploy/instrument/c/spanwise_context.h"

#define ROUNDS 31
#define TURNS  1000000
#define PROBED 10000 /* turns with a uprobe */

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double empty_loop(int turns)
{
	double start = now_ns();

	for (int i = 0; i < turns; i++)
		__asm__ volatile("" ::: "memory");
	return (now_ns() - start) / turns;
}

static double attach_loop(int turns)
{
	const uint8_t trace_id[16] = { 1 }, span_id[8] = { 2 };
	struct spanwise_token token;
	double start = now_ns();

	for (int i = 0; i < turns; i++) {
		spanwise_attach(trace_id, span_id, 1, &token);
		__asm__ volatile("" ::: "memory");
		spanwise_detach(&token);
	}
	return (now_ns() - start) / turns;
}

void marked(void);
__asm__(".text\n.globl marked\n.type marked, @function\nmarked:\n"
	".byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n\tret\n.size marked, . - marked\n");

static double marked_loop(int turns)
{
	double start = now_ns();

	for (int i = 0; i < turns; i++)
		marked();
	return (now_ns() - start) / turns;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *what, double (*loop)(int turns), int turns)
{
	double cost_ns[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		double base = empty_loop(turns);

		cost_ns[i] = loop(turns) - base;
	}
	qsort(cost_ns, ROUNDS, sizeof(cost_ns[0]), ascending);
	printf("%s: %s %.2f ns (least of %d x %d), median %.2f ns\n", WRITER_FORM, what, cost_ns[0],
	       ROUNDS, turns, cost_ns[ROUNDS / 2]);
}

/* Where in which file the function lies. */
static int find_code(const void *function, char path[static 512], uint64_t *out_offset)
{
	uint64_t address = (uint64_t)(uintptr_t)function, start, end, offset;
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[1024];
	int found = 0;

	while (maps && !found && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %511s", &start,
			   &end, &offset, path) == 4 &&
		    start <= address && address < end) {
			*out_offset = address - start + offset;
			found = 1;
		}
	}
	if (maps)
		fclose(maps);
	return found;
}

/* -1: not here, or not allowed. */
static int open_uprobe(const void *function)
{
	struct perf_event_attr event = { .size = sizeof(event) };
	uint64_t offset;
	FILE *type = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	char path[512];
	int is_known = type && fscanf(type, "%u", &event.type) == 1;

	if (type)
		fclose(type);
	if (!is_known || !find_code(function, path, &offset))
		return -1;
	event.probe_offset = offset;
	event.uprobe_path = (uint64_t)(uintptr_t)path;
	return (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void measure_probed(const char *what, const void *function, double (*loop)(int turns))
{
	int fd = open_uprobe(function);

	if (fd < 0) {
		printf("%s: %s: no uprobes here, or not root\n", WRITER_FORM, what);
		return;
	}
	measure(what, loop, PROBED);
	close(fd);
}

int main(void)
{
	measure("attach + detach", attach_loop, TURNS);
	measure_probed("attach + detach, uprobe on attach",
		       (const void *)(uintptr_t)spanwise_attach, attach_loop);
	measure_probed("call, uprobe on its nop", (const void *)(uintptr_t)marked, marked_loop);
	if (spanwise_exact_mode() == 0)
		measure("attach + detach, exact mode", attach_loop, TURNS);
	return 0;
}
