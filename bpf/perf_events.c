/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/perf_events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/perf_event.h>

#include "bpf/event.h"
#include "collector/base/macros.h"

/* An MMAP2 record takes about 130 bytes: 32 KiB hold 250, more than a large program maps at start.
 * The kernel also writes 72 bytes for each thread that begins or ends, asked or not. */
#define RING_PAGES 8u

struct mapping_ring {
	int fd;
	struct perf_event_mmap_page *head; /* NULL: CPU not online */
};

struct mapping_events {
	int epoll_fd;
	unsigned cpus;
	size_t page_bytes;
	struct mapping_ring rings[];
};

/* What was opened ahead: a descriptor for each CPU, or nothing (0). */
static struct kept {
	int ticks[EVENT_MAX_CPUS];
	int mappings[EVENT_MAX_CPUS];
} kept;

static int open_event(struct perf_event_attr *attr, unsigned cpu)
{
	long fd = syscall(SYS_perf_event_open, attr, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : (int)fd;
}

static int open_tick(unsigned cpu, uint32_t hz)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_freq = hz,
		.freq = 1,
		.disabled = 1, /* until a program is attached */
	};

	return open_event(&attr, cpu);
}

static int open_mapping(unsigned cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.mmap = 1, /* executable mappings only */
		.mmap2 = 1,
		.watermark = 1,
		/* Waking the reader for each record costs whoever makes a thread 40 us where
		 * an interrupt to oneself leaves the virtual machine, and 0.2 us without. */
		.wakeup_watermark = RING_PAGES * (uint32_t)sysconf(_SC_PAGESIZE) / 2,
	};

	return open_event(&attr, cpu);
}

/* ---- opened ahead */

/* The kernel's own restrictions end at 2, and leave CAP_PERFMON alone. */
static bool is_for_administrators_only(void)
{
	FILE *file = fopen("/proc/sys/kernel/perf_event_paranoid", "re");
	int level = 0;

	if (!file)
		return false;
	if (fscanf(file, "%d", &level) != 1)
		level = 0;
	fclose(file);
	return level > 2;
}

void perf_events_keep(uint32_t hz)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);

	if (!is_for_administrators_only())
		return;
	for (unsigned cpu = 0; cpu < EVENT_MAX_CPUS && cpu < cpus; cpu++) {
		kept.ticks[cpu] = hz > 0 ? MAX(0, open_tick(cpu, hz)) : 0;
		kept.mappings[cpu] = MAX(0, open_mapping(cpu));
	}
}

/* One more descriptor of a kept event; -1: there is none. */
static int take_kept(const int *of, unsigned cpu)
{
	return cpu < EVENT_MAX_CPUS && of[cpu] ? fcntl(of[cpu], F_DUPFD_CLOEXEC, 0) : -1;
}

int perf_events_open_tick(unsigned cpu, uint32_t hz)
{
	int fd = take_kept(kept.ticks, cpu);

	return fd >= 0 ? fd : open_tick(cpu, hz);
}

/* ---- mappings */

static size_t ring_bytes(const struct mapping_events *events)
{
	return (1 + RING_PAGES) * events->page_bytes;
}

static int open_ring(struct mapping_events *events, unsigned cpu)
{
	struct mapping_ring *ring = &events->rings[cpu];
	struct epoll_event interest = { .events = EPOLLIN };

	ring->fd = take_kept(kept.mappings, cpu);
	if (ring->fd < 0)
		ring->fd = open_mapping(cpu);
	if (ring->fd < 0)
		return ring->fd;
	void *head =
		mmap(NULL, ring_bytes(events), PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);

	if (head == MAP_FAILED)
		return -errno;
	ring->head = head;
	return epoll_ctl(events->epoll_fd, EPOLL_CTL_ADD, ring->fd, &interest) < 0 ? -errno : 0;
}

int mapping_events_open(unsigned cpus, struct mapping_events **out_events)
{
	struct mapping_events *events =
		calloc(1, sizeof(*events) + cpus * sizeof(events->rings[0]));
	int status = 0;

	if (!events)
		return -ENOMEM;
	events->cpus = cpus;
	events->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		events->rings[cpu].fd = -1;
	events->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (events->epoll_fd < 0)
		status = -errno;
	for (unsigned cpu = 0; cpu < cpus && status == 0; cpu++) {
		status = open_ring(events, cpu);
		if (status == -ENODEV)
			status = 0;
	}
	if (status < 0) {
		mapping_events_close(events);
		return status;
	}
	*out_events = events;
	return 0;
}

void mapping_events_close(struct mapping_events *events)
{
	if (!events)
		return;
	for (unsigned cpu = 0; cpu < events->cpus; cpu++) {
		if (events->rings[cpu].head)
			munmap(events->rings[cpu].head, ring_bytes(events));
		if (events->rings[cpu].fd >= 0)
			close(events->rings[cpu].fd);
	}
	if (events->epoll_fd >= 0)
		close(events->epoll_fd);
	free(events);
}

int mapping_events_fd(const struct mapping_events *events)
{
	return events->epoll_fd;
}

/* Records may wrap around the end of the area; what we want fits into a few bytes. */
static void copy_out(const char *area, size_t area_bytes, uint64_t at, void *to, size_t bytes)
{
	size_t begin = at % area_bytes;
	size_t first = bytes < area_bytes - begin ? bytes : area_bytes - begin;

	memcpy(to, area + begin, first);
	memcpy((char *)to + first, area, bytes - first);
}

static void drain(struct mapping_events *events, struct mapping_ring *ring,
		  void (*on_mapping)(uint32_t pid, void *), void *arg)
{
	const char *area = (const char *)ring->head + events->page_bytes;
	size_t area_bytes = RING_PAGES * events->page_bytes;
	uint64_t end = __atomic_load_n(&ring->head->data_head, __ATOMIC_ACQUIRE);
	uint64_t at = ring->head->data_tail;
	uint32_t last_pid = 0;

	while (at < end) {
		struct {
			struct perf_event_header header;
			uint32_t pid;
		} record;

		copy_out(area, area_bytes, at, &record, sizeof(record));
		if (record.header.size < sizeof(record.header))
			break;
		if (record.header.type == PERF_RECORD_MMAP2 && record.pid != last_pid) {
			on_mapping(record.pid, arg);
			last_pid = record.pid;
		}
		at += record.header.size;
	}
	__atomic_store_n(&ring->head->data_tail, end, __ATOMIC_RELEASE);
}

void mapping_events_consume(struct mapping_events *events, void (*on_mapping)(uint32_t pid, void *),
			    void *arg)
{
	for (unsigned cpu = 0; cpu < events->cpus; cpu++)
		if (events->rings[cpu].head)
			drain(events, &events->rings[cpu], on_mapping, arg);
}
