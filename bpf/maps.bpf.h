/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Maps that more than one program uses, and the counting of what is lost. */
#pragma once

#include "bpf/vmlinux.h"

#include "bpf/tag.h"
#include "bpf/task.bpf.h"
#include "bpf/worker_shared.h"

struct worker_shared shared;

/* Records to the collector, drained every 10 ms; the size is an option of the worker. Full: the
 * record is dropped, counted (LOSS_RING_FULL) and owned up to in the thread's next record. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} records SEC(".maps");

/* struct worker_news to the worker: one per fork, exec and exit of a process, and a few when it
 * turns out to keep logs. 64 KiB hold 2,700, more than a machine forks in the worker's longest nap.
 * Full: the periodic rescan finds out. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} control SEC(".maps");

/* pid -> how it publishes. As many as the operator allows; one that does not fit is not tracked,
 * and the worker counts it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct tag_descriptor);
} descriptors SEC(".maps");

/* CPU -> its counters, mapped by the collector; cut to the number of possible CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, EVENT_MAX_CPUS);
	__type(key, __u32);
	__type(value, struct event_counters);
} counters SEC(".maps");

static __always_inline struct worker_cpu *this_cpu(void)
{
	return &shared.cpus[bpf_get_smp_processor_id() & (EVENT_MAX_CPUS - 1)];
}

static __always_inline struct event_counters *this_cpu_counters(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&counters, &cpu);
}

/* Atomic, for a fork may be interrupted by a waking; it is rare. */
static __always_inline void count_lost(enum event_loss cause)
{
	struct event_counters *count = this_cpu_counters();

	if (count)
		__sync_fetch_and_add(&count->lost[cause], 1);
}

/* Two wake it, for spans are being made already: a new program, and one that turns out to keep
 * logs. */
static __always_inline void tell_worker(__u32 kind, __u32 pid, __u32 other_pid)
{
	struct worker_news news = { .kind = kind, .pid = pid, .other_pid = other_pid };
	bool is_urgent = kind == EVENT_EXEC || kind == NEWS_LOG;

	bpf_ringbuf_output(&control, &news, sizeof(news), is_urgent ? 0 : BPF_RB_NO_WAKEUP);
}

static __always_inline bool is_tracked(__u32 pid)
{
	return shared.tracked[(pid / 64) % (WORKER_PIDS / 64)] >> (pid % 64) & 1;
}

static __always_inline void track(__u32 pid)
{
	__sync_fetch_and_or(&shared.tracked[(pid / 64) % (WORKER_PIDS / 64)], 1ull << (pid % 64));
}

/* Does somebody in it wake threads of others, which are tracked? By the last bits of its pid: of
 * another one, which is none, something is noted that nobody will ask for. */
static __always_inline bool is_server(__u32 pid)
{
	return shared.servers[pid / 64 % (WORKER_SERVERS / 64)] >> (pid % 64) & 1;
}

static __always_inline void mark_server(__u32 pid)
{
	if (!is_server(pid))
		__sync_fetch_and_or(&shared.servers[pid / 64 % (WORKER_SERVERS / 64)],
				    1ull << (pid % 64));
}

static __always_inline void forget_server(__u32 pid)
{
	if (is_server(pid))
		__sync_fetch_and_and(&shared.servers[pid / 64 % (WORKER_SERVERS / 64)],
				     ~(1ull << (pid % 64)));
}

static __always_inline void untrack(__u32 pid)
{
	__sync_fetch_and_and(&shared.tracked[(pid / 64) % (WORKER_PIDS / 64)],
			     ~(1ull << (pid % 64)));
}
