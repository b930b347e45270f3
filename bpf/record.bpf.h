/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The record that is being built on this CPU, and how it gets into the ring.
 *
 * Built in a place of the CPU's own and copied from there: room in the ring can only be had in
 * constant sizes, and a thread's own memory is cold. */
#pragma once

#include "bpf/maps.bpf.h"
#include "bpf/tag.bpf.h"

/* All tails: 24 + 24 + 32 + 56 + 8 = 144 bytes. The rest lets the verifier see that a tail that
 * begins below 512 ends inside. */
#define RECORD_MAX_OFFSET 511

struct record {
	struct event_slice slice;
	__u8 tails[RECORD_MAX_OFFSET + 1 - sizeof(struct event_slice) + sizeof(struct event_waker)];
	__u8 pad[8]; /* to a multiple of a cache line */
};

_Static_assert(sizeof(struct record) == 576, "whole cache lines");

/* How a slice ends, as it was found. */
struct ending {
	__u64 ns;
	__u64 exec_ns; /* the thread's clocks, as in struct event_slice */
	__u64 exec_start_ns;
	__u64 stolen_ns;
	__u32 flags; /* enum event_slice_flag: what ends it, and how the thread waits */
	__u32 state;
	__s32 syscall;
	__u32 cpu;
	struct tag_reading *reading; /* what the thread shows; 0: it has no memory to read */
	int outcome;                 /* of that: enum tag_outcome */
	__u32 stack;                 /* flag of what was found, once has_asked */
	bool has_asked;
};

/* What its head will say, while it is built. */
struct draft {
	struct record *record;
	__u32 flags; /* enum event_slice_flag */
	__u32 bytes;
};

/* CPU -> its record; cut to the number of possible CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* begins at a page, hence at a cache line */
	__uint(max_entries, EVENT_MAX_CPUS);
	__type(key, __u32);
	__type(value, struct record);
} drafts SEC(".maps");

/* Everything here lies at multiples of 8; a compiler that is not told copies by single bytes. */
static __always_inline void copy_words(void *to, const void *from, __u32 bytes)
{
	__builtin_memcpy(__builtin_assume_aligned(to, 8), __builtin_assume_aligned(from, 8), bytes);
}

static __always_inline void copy_tag(void *to, const void *from)
{
	copy_words(to, from, sizeof(struct event_tag));
}

static __always_inline struct record *record_begin(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&drafts, &cpu);
}

/* Where the next tail goes. */
static __always_inline void *record_end(struct draft *draft)
{
	__u32 at = draft->bytes & RECORD_MAX_OFFSET;

	barrier_var(at);
	return (char *)draft->record + at;
}

static __always_inline void *record_tail(struct draft *draft, __u32 flag, __u32 bytes)
{
	void *tail = record_end(draft);

	draft->flags |= flag;
	draft->bytes += bytes;
	return tail;
}

/* false: the ring is full. */
static __always_inline bool record_put(const void *record, __u32 bytes)
{
	struct event_counters *count = this_cpu_counters();

	if (bpf_ringbuf_output(&records, (void *)record, bytes, BPF_RB_NO_WAKEUP)) {
		count_lost(LOSS_RING_FULL);
		return false;
	}
	if (count)
		count->records++;
	return true;
}

static __always_inline bool record_emit(struct draft *draft)
{
	__u32 bytes = draft->bytes & RECORD_MAX_OFFSET;

	barrier_var(bytes);
	draft->record->slice.header.kind = EVENT_SLICE;
	draft->record->slice.header.bytes = bytes;
	draft->record->slice.header.flags = draft->flags;
	return record_put(draft->record, bytes);
}
