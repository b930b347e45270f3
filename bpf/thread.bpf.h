/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* One tracked thread: what is known of it between two hooks, and the slice that it runs.
 *
 *   created -> (enter -> leave)* -> leave(DEAD)
 *
 * Everything but the wake-ups is touched only by the CPU that switches the thread in or out, with
 * interrupts off, or by its creator before it first runs. */
#pragma once

#include "bpf/maps.bpf.h"
#include "bpf/stack.bpf.h"
#include "bpf/tag.bpf.h"
#include "bpf/target.bpf.h"

/* All tails: 24 + 24 + 32 + 56 + 8 = 144 bytes. The rest lets the verifier see that a tail that
 * begins below 256 ends inside. */
#define RECORD_MAX_OFFSET 255

struct record {
	struct event_slice slice;
	__u8 tails[RECORD_MAX_OFFSET + 1 - sizeof(struct event_slice) + sizeof(struct event_waker)];
};

struct wakeup {
	__u64 time_ns;
	struct event_waker waker;
};

struct thread {
	struct record record; /* being built; header.flags: those that its beginning has set */
	struct event_tag tag; /* the last one read; meaningless unless has_tag */
	/* Two, for a thread that has said that it will sleep may be woken while it still runs: that
	 * must not overwrite who ended the wait before. `slot` takes the next. */
	struct wakeup wakeups[2];
	__u32 generation; /* of `descriptor` */
	__u8 slot;
	__u8 has_tag;
	__u8 tag_unknown; /* the last reading did not succeed, or there was none yet */
	__u8 on_cpu;
	__u8 blocked;   /* left the CPU to wait */
	__u8 has_waker; /* of the wait that ended where the slice began */
	__u8 is_last;   /* of its process: the group is dead once it is */
	__u8 is_born;   /* followed since its creation: its CPU clock began at 0 */
	struct tag_descriptor descriptor;
	__u64 unseen_ns; /* waited without a stack since the last one */
	struct stack_memo memo;
};

/* A waking may come this much before the switch-out that it ends: the thread had said that it would
 * sleep, and was still on its way. */
#define EARLY_WAKING_NS 20000

#ifdef SPANWISE_RAW_TP
/* tid -> thread, where raw tracepoints have no typed task to hang storage on. Full: that thread is
 * not followed, LOSS_STORAGE_FULL counts. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct thread);
} threads SEC(".maps");

/* What a new entry begins as; too large for the stack. */
static const struct thread no_thread;

static __always_inline struct thread *thread_storage(struct task_struct *task)
{
	__u32 tid = LOAD(task, pid);

	return bpf_map_lookup_elem(&threads, &tid);
}

static __always_inline struct thread *thread_create(struct task_struct *task)
{
	__u32 tid = LOAD(task, pid);

	bpf_map_update_elem(&threads, &tid, &no_thread, BPF_NOEXIST);
	return bpf_map_lookup_elem(&threads, &tid);
}

static __always_inline void thread_delete(struct task_struct *task)
{
	__u32 tid = LOAD(task, pid);

	bpf_map_delete_elem(&threads, &tid);
}
#else
/* task -> thread. Lives and dies with the task; as many as there are threads of publishing
 * processes, each sizeof(struct thread) of kernel memory. None left: LOSS_STORAGE_FULL. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

static __always_inline struct thread *thread_storage(struct task_struct *task)
{
	return bpf_task_storage_get(&threads, task, 0, 0);
}

static __always_inline struct thread *thread_create(struct task_struct *task)
{
	return bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline void thread_delete(struct task_struct *task)
{
	bpf_task_storage_delete(&threads, task);
}
#endif

/* Storage that could not be deleted, because it was in use on this CPU, has no tid. */
static __always_inline struct thread *thread_find(struct task_struct *task)
{
	struct thread *thread = thread_storage(task);

	return thread && thread->record.slice.tid ? thread : 0;
}

/* Out of line: once in a thread's life. 0: the kernel has no storage for it now. That may pass: it
 * also says so when it interrupted another such request on this CPU. */
static __noinline struct thread *thread_begin(struct task_struct *task)
{
	struct thread *thread = thread_create(task);

	if (!thread || thread->record.slice.tid)
		return thread;
	__builtin_memset(thread, 0, sizeof(*thread));
	thread->record.slice.pid = LOAD(task, tgid);
	thread->record.slice.tid = LOAD(task, pid);
	thread->record.slice.header.kind = EVENT_SLICE;
	thread->record.slice.header.flags = EVENT_FIRST;
	thread->tag_unknown = 1;
	thread->generation = shared.generation - 1;
	__sync_fetch_and_add(&shared.threads, 1);
	return thread;
}

static __always_inline struct thread *thread_of(struct task_struct *task)
{
	struct thread *thread = thread_find(task);

	if (thread)
		return thread;
	thread = thread_begin(task);
	if (!thread)
		count_lost(LOSS_STORAGE_FULL);
	return thread;
}

static __always_inline void thread_end(struct thread *thread, struct task_struct *task)
{
	thread->record.slice.tid = 0;
	thread_delete(task);
	__sync_fetch_and_add(&shared.threads, -1);
}

/* Takes over the process's descriptor if any has changed since. Rare, hence not inline. */
static __noinline int thread_renew_descriptor(struct thread *thread)
{
	if (!thread)
		return 0;
	__u32 pid = thread->record.slice.pid;
	struct tag_descriptor *descriptor = bpf_map_lookup_elem(&descriptors, &pid);

	thread->generation = shared.generation;
	if (descriptor)
		thread->descriptor = *descriptor;
	else
		thread->descriptor.count = 0;
	return 0;
}

/* ---- the beginning of a slice: switch-in */

/* Was there a waking for the wait that ends now, and when? */
static __always_inline void thread_take_wakeup(struct thread *thread)
{
	struct event_slice *slice = &thread->record.slice;
	struct wakeup *wakeup = &thread->wakeups[thread->slot & 1];
	__u64 waking_ns = wakeup->time_ns;

	slice->waking_ns = 0;
	thread->has_waker = 0;
	if (!thread->blocked)
		return;
	if (waking_ns < slice->prev_out_ns && waking_ns + EARLY_WAKING_NS >= slice->prev_out_ns)
		waking_ns = slice->prev_out_ns;
	if (waking_ns >= slice->prev_out_ns && waking_ns) {
		slice->waking_ns = waking_ns;
		thread->has_waker = 1;
		thread->slot ^= 1;
		thread->wakeups[thread->slot & 1].time_ns = 0;
	} else if (slice->prev_out_ns) {
		count_lost(LOSS_WAKING);
	}
}

static __always_inline void thread_enter(struct task_struct *task, __u64 now_ns)
{
	struct thread *thread = thread_of(task);

	if (!thread)
		return;
	struct event_slice *slice = &thread->record.slice;

	if (thread->on_cpu) {
		count_lost(LOSS_SWITCH_OUT);
		slice->header.flags |= EVENT_OUT_LOST;
		slice->prev_out_ns = 0;
		thread->tag_unknown = 1;
		thread->blocked = 0;
	}
	thread_take_wakeup(thread);
	if (thread->blocked)
		thread->unseen_ns += now_ns - slice->prev_out_ns;
	thread->on_cpu = 1;
	slice->in_ns = now_ns;
	slice->exec_in_ns = LOAD(task, se.sum_exec_runtime);
	slice->exec_start_in_ns = LOAD(task, se.exec_start);
}

/* ---- its end: switch-out, tick, exec */

/* A slice whose switch-in nobody reported. A thread that is older than we are begins here and now;
 * of any other the CPU clock still tells how long it ran. */
static __always_inline void thread_enter_late(struct thread *thread)
{
	struct event_slice *slice = &thread->record.slice;

	if (slice->header.flags & EVENT_FIRST && !thread->is_born) {
		slice->in_ns = slice->out_ns;
		slice->exec_in_ns = slice->exec_out_ns;
		slice->exec_start_in_ns = slice->exec_start_out_ns;
		return;
	}
	count_lost(LOSS_SWITCH_IN);
	slice->header.flags |= EVENT_IN_LOST;
	slice->in_ns = 0;
	slice->exec_start_in_ns = 0; /* exec_in_ns is that of the switch-out before */
	thread_take_wakeup(thread);
}

static __always_inline void *record_tail(struct record *record, __u32 flag, __u32 bytes)
{
	struct event_header *header = &record->slice.header;
	__u32 at = header->bytes;

	header->flags |= flag;
	header->bytes = at + bytes;
	at &= RECORD_MAX_OFFSET;
	barrier_var(at);
	return (char *)record + at;
}

static __always_inline bool same_tag(const struct event_tag *a, const void *b)
{
	const __u64 *left = (const void *)a, *right = b;

	return left[0] == right[0] && left[1] == right[1] && left[2] == right[2];
}

/* Everything here lies at multiples of 8; a compiler that is not told copies by single bytes. */
static __always_inline void copy_words(void *to, const void *from, __u32 bytes)
{
	__builtin_memcpy(__builtin_assume_aligned(to, 8), __builtin_assume_aligned(from, 8), bytes);
}

static __always_inline void copy_tag(void *to, const void *from)
{
	copy_words(to, from, sizeof(struct event_tag));
}

/* Reads the tag, sets flags and tails for it at both ends of the slice, and remembers it. */
static __always_inline void thread_observe(struct thread *thread, struct task_struct *task)
{
	struct tag_record read __attribute__((aligned(8)));
	struct record *record = &thread->record;
	__u32 *flags = &record->slice.header.flags;
	int outcome = tag_read(task, &thread->descriptor, &read);
	bool begins_here = *flags & EVENT_FIRST && record->slice.in_ns == record->slice.out_ns;
	bool knew = !thread->tag_unknown;

	/* No system call, so it was interrupted where it stood: perhaps between two stores. */
	if (outcome == TAG_IS_INVALID && (record->slice.syscall >= 0 || !thread->has_tag))
		outcome = TAG_IS_NONE;
	if (outcome == TAG_IS_FAULTING || outcome == TAG_IS_INVALID) {
		count_lost(outcome == TAG_IS_FAULTING ? LOSS_TAG_FAULT : LOSS_TAG_UPDATING);
		*flags |= EVENT_TAG_OUT_UNKNOWN;
		if (thread->has_tag)
			copy_tag(record_tail(record, EVENT_TAG_OUT, sizeof(struct event_tag)),
				 &thread->tag);
		if (knew)
			*flags |= thread->has_tag ? EVENT_TAG_SAME : EVENT_TAG_IN_NONE;
		thread->tag_unknown = 1;
		return;
	}
	if (outcome == TAG_IS_SET)
		copy_tag(record_tail(record, EVENT_TAG_OUT, sizeof(struct event_tag)), &read);
	if (begins_here)
		*flags |= outcome == TAG_IS_SET ? EVENT_TAG_SAME : EVENT_TAG_IN_NONE;
	else if (knew && !thread->has_tag)
		*flags |= EVENT_TAG_IN_NONE;
	else if (knew && outcome == TAG_IS_SET && same_tag(&thread->tag, &read))
		*flags |= EVENT_TAG_SAME;
	else if (knew)
		copy_tag(record_tail(record, EVENT_TAG_IN, sizeof(struct event_tag)), &thread->tag);
	thread->has_tag = outcome == TAG_IS_SET;
	thread->tag_unknown = 0;
	if (outcome == TAG_IS_SET)
		copy_tag(&thread->tag, &read);
}

/* A thread whose memory is gone, or not its own any more: its last tag holds. */
static __always_inline void thread_hold(struct thread *thread)
{
	struct record *record = &thread->record;
	__u32 *flags = &record->slice.header.flags;

	if (thread->has_tag)
		copy_tag(record_tail(record, EVENT_TAG_OUT, sizeof(struct event_tag)),
			 &thread->tag);
	if (thread->tag_unknown)
		*flags |= EVENT_TAG_OUT_UNKNOWN;
	else
		*flags |= thread->has_tag ? EVENT_TAG_SAME : EVENT_TAG_IN_NONE;
}

static __always_inline void thread_note_tag(struct thread *thread, struct task_struct *task,
					    bool memory_is_gone)
{
	if (thread->generation != shared.generation)
		thread_renew_descriptor(thread);
	if (memory_is_gone || LOAD(task, flags) & (TASK_EXITING | TASK_NOT_USER) || !LOAD(task, mm))
		thread_hold(thread);
	else
		thread_observe(thread, task);
}

/* What the wait that now begins is for. Waits outside of spans are nobody's business. */
static __always_inline void thread_note_target(struct thread *thread, struct task_struct *task,
					       void *registers)
{
	struct record *record = &thread->record;
	__u32 at = record->slice.header.bytes & RECORD_MAX_OFFSET;

	if (knobs.no_targets || !thread->has_tag || record->slice.syscall < 0)
		return;
	barrier_var(at);
	if (target_of(task, registers, record->slice.syscall, (void *)((char *)record + at)))
		record_tail(record, EVENT_TARGET, sizeof(struct event_target));
}

/* Who ended the wait before this slice, where a span was waiting or the waker carried one. */
static __always_inline void thread_note_waker(struct thread *thread)
{
	struct event_waker *waker = &thread->wakeups[(thread->slot ^ 1) & 1].waker;
	const __u64 *tag = (const void *)&waker->tag;

	if (knobs.no_wakers || !thread->has_waker)
		return;
	if (!thread->has_tag && !(thread->record.slice.header.flags & EVENT_TAG_IN) && !tag[2])
		return;
	copy_words(record_tail(&thread->record, EVENT_WAKER, sizeof(*waker)), waker,
		   sizeof(*waker));
}

#define LONG_SLICE_NS 1000000 /* on a CPU, that the thread had to leave */

/* The code that the thread is in: where a span waits, and where a tick, or whoever takes its CPU
 * after a while, finds one at work. */
static __always_inline void thread_note_stack(void *context, struct thread *thread,
					      struct task_struct *task, __u32 state)
{
	struct event_slice *slice = &thread->record.slice;
	__u64 id;

	if (!knobs.stack_interval_ns || !thread->has_tag)
		return;
	if (!state && !(slice->header.flags & EVENT_TICK) &&
	    slice->out_ns - slice->in_ns < LONG_SLICE_NS)
		return;
	__u64 span = ((const __u64 *)(const void *)&thread->tag)[2];

	if (stack_is_due(slice->out_ns, thread->unseen_ns)) {
		thread->memo.span = span;
		id = stack_take(context, task, slice->pid, slice->tid, &thread->memo,
				stack_wants_kernel(slice));
	} else {
		id = stack_recall(&thread->memo, task, span);
	}
	if (!id) {
		slice->header.flags |= EVENT_STACK_BUDGET;
		return;
	}
	thread->unseen_ns = 0;
	*(__u64 *)record_tail(&thread->record, EVENT_STACK_ID, sizeof(id)) = id;
}

static __always_inline void thread_emit(struct thread *thread)
{
	struct event_slice *slice = &thread->record.slice;
	struct event_counters *count = this_cpu_counters();
	__u32 bytes = slice->header.bytes & RECORD_MAX_OFFSET;

	barrier_var(bytes);
	if (bpf_ringbuf_output(&records, &thread->record, bytes, BPF_RB_NO_WAKEUP)) {
		slice->lost_before++;
		count_lost(LOSS_RING_FULL);
		return;
	}
	slice->lost_before = 0;
	if (count)
		count->records++;
}

/* Ends the running slice at `now_ns` and begins the next cycle. `flags` say how it ends: TICK,
 * PREEMPTED, DEAD; `state` is 0 unless it waits. */
static __always_inline void thread_close(void *context, struct thread *thread,
					 struct task_struct *task, __u64 now_ns, __u32 flags,
					 __u32 state, bool memory_is_gone)
{
	struct event_slice *slice = &thread->record.slice;
	void *registers = task_registers(task);
	__u64 exec_before_ns = slice->exec_out_ns;

	slice->out_ns = now_ns;
	slice->exec_out_ns = LOAD(task, se.sum_exec_runtime);
	slice->exec_start_out_ns = LOAD(task, se.exec_start);
	slice->cpu = bpf_get_smp_processor_id();
	slice->state = state;
	slice->syscall = (__s32)FIELD(struct pt_regs, registers, orig_ax);
	slice->header.bytes = sizeof(*slice);
	slice->header.flags |= flags;
	if (!thread->on_cpu) {
		slice->exec_in_ns = exec_before_ns;
		thread_enter_late(thread);
	}
	thread_note_tag(thread, task, memory_is_gone);
	if (state) {
		if (LOAD_BIT(task, in_iowait))
			slice->header.flags |= EVENT_IOWAIT;
		thread_note_target(thread, task, registers);
	}
	thread_note_waker(thread);
	if (!memory_is_gone)
		thread_note_stack(context, thread, task, state);
	thread_emit(thread);
	slice->prev_out_ns = now_ns;
	slice->header.flags = 0;
	thread->has_waker = 0;
}

static __always_inline void thread_leave(void *context, struct task_struct *task, __u64 now_ns,
					 bool preempted, __u32 state)
{
	struct thread *thread = thread_of(task);
	__u32 flags = 0;

	if (!thread)
		return;
	if (preempted || state == 0) {
		flags = EVENT_PREEMPTED;
		state = 0;
	} else if (state & STATE_DEAD) {
		flags = EVENT_DEAD;
	}
	thread_close(context, thread, task, now_ns, flags, state, false);
	thread->on_cpu = 0;
	thread->blocked = state != 0;
	if (!state && task_is_throttled(task))
		thread->record.slice.header.flags = EVENT_THROTTLED;
}

/* Ends the slice of the running current thread and begins another one at the same instant. */
static __always_inline void thread_cut(void *context, struct thread *thread,
				       struct task_struct *task, bool memory_is_gone)
{
	struct event_slice *slice = &thread->record.slice;

	thread_close(context, thread, task, bpf_ktime_get_ns(), EVENT_TICK, 0, memory_is_gone);
	slice->header.flags = EVENT_AFTER_TICK;
	slice->waking_ns = 0;
	slice->in_ns = slice->out_ns;
	slice->exec_in_ns = slice->exec_out_ns;
	slice->exec_start_in_ns = slice->exec_start_out_ns;
	thread->on_cpu = 1;
	thread->blocked = 0;
}

static __always_inline void thread_tick(void *context, struct task_struct *task)
{
	struct event_counters *count = this_cpu_counters();
	struct thread *thread = thread_of(task);

	if (count)
		count->ticks++;
	if (thread)
		thread_cut(context, thread, task, false);
}
