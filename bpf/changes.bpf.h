/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The log of changes that a thread in exact mode keeps, told before the slice in which it was
 * written.
 *
 * The thread is current and stopped, so nothing moves while its log is read. It is hostile memory:
 * read without sleeping, in pieces of fixed size, and no more of it than an honest thread can have
 * written since. */
#pragma once

#include "bpf/record.bpf.h"
#include "bpf/thread_table.bpf.h"

#define CHANGES_MAX_CAPACITY 4096
#define CHANGES_LEAST_NS     256 /* an attach costs a thread a tenth of that and does nothing yet */
#define CHANGES_MAX_RECORDS                                                                        \
	(CHANGES_MAX_CAPACITY / EVENT_MAX_CHANGES + 1) /* the ring's end cuts one */

/* What is to be told, and the tag that the thread had after the last one of it. */
struct changes_look {
	struct tag_changes log;
	__u64 seen;
	__s64 ahead_ns; /* the process's monotonic clock, of the machine's */
	__u32 pid;
	__u32 tid;
	struct event_tag last;
};

struct changes_draft {
	struct changes_look look;
	struct event_changes record;
};

/* CPU -> what its slice's end tells of changes; cut to the number of possible CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EVENT_MAX_CPUS);
	__type(key, __u32);
	__type(value, struct changes_draft);
} changes_drafts SEC(".maps");

/* Added up, not or-ed, which a compiler does where it can: verifiers before 6.13 see no bound in
 * that. */
static __always_inline __u32 changes_bytes(__u32 count)
{
	__u32 bytes = EVENT_CHANGES_BYTES(count) - EVENT_CHANGES_BYTES(0);

	barrier_var(bytes);
	return bytes + EVENT_CHANGES_BYTES(0);
}

/* How far the monotonic clock of a container is ahead of the machine's, which our times are of. */
static __always_inline __s64 changes_ahead_ns(struct task_struct *task)
{
	struct nsproxy *spaces = LOAD(task, nsproxy);

	if (!spaces || !bpf_core_field_exists(struct time_namespace, offsets.monotonic))
		return 0;
	struct time_namespace *space = BPF_CORE_READ(spaces, time_ns);

	return BPF_CORE_READ(space, offsets.monotonic.tv_sec) * 1000000000 +
	       BPF_CORE_READ(space, offsets.monotonic.tv_nsec);
}

/* Global, for the verifier. */
__noinline int changes_shift(struct event_changes *record, __s64 ahead_ns)
{
	if (!record)
		return 0;
	for (__u32 i = 0; i < EVENT_MAX_CHANGES && i < record->count; i++) {
		__u64 told = record->changes[i].time_ns;

		record->changes[i].time_ns =
			((told - ahead_ns) & ~EVENT_MARK) | (told & EVENT_MARK);
	}
	return 0;
}

/* Global, that the verifier looks at it once. 1: all were told. */
__noinline int changes_tell(struct changes_draft *both)
{
	if (!both)
		return 0;
	struct changes_look *look = &both->look;
	struct event_changes *draft = &both->record;
	__u64 seen = look->seen, end = look->log.written;
	__u32 capacity = look->log.capacity, count = 0;

	for (__u32 i = 0; i < CHANGES_MAX_RECORDS && seen != end; i++) {
		__u32 at = (__u32)seen & (capacity - 1);
		__u64 left = end - seen;

		count = left < EVENT_MAX_CHANGES ? (__u32)left : EVENT_MAX_CHANGES;
		if (count > capacity - at)
			count = capacity - at;
		barrier_var(count);
		if (count == 0 || count > EVENT_MAX_CHANGES)
			return 0;
		if (bpf_probe_read_user(draft->changes, count * sizeof(draft->changes[0]),
					(void *)(look->log.ring + at * sizeof(draft->changes[0]))))
			return 0;
		draft->header.kind = EVENT_CHANGES;
		draft->header.bytes = (__u16)changes_bytes(count);
		draft->header.flags = 0;
		draft->pid = look->pid;
		draft->tid = look->tid;
		draft->count = count;
		draft->is_first = i == 0;
		if (look->ahead_ns)
			changes_shift(draft, look->ahead_ns);
		if (bpf_ringbuf_output(&records, draft, changes_bytes(count), BPF_RB_NO_WAKEUP))
			return 0;
		seen += count;
	}
	if (count)
		copy_tag(&look->last, &draft->changes[(count - 1) & (EVENT_MAX_CHANGES - 1)].tag);
	return seen == end;
}

static __always_inline bool changes_is_log(const struct tag_changes *log)
{
	return log->signature == TAG_CHANGES_SIGNATURE && log->ring && log->capacity &&
	       log->capacity <= CHANGES_MAX_CAPACITY && !(log->capacity & (log->capacity - 1));
}

static __always_inline bool changes_is_none(const struct event_tag *tag)
{
	const __u64 *ids = (const void *)tag;

	return !((ids[0] | ids[1]) && ids[2]);
}

/* The log and the record must say the same; where the record is being written, the log counts. */
static __always_inline int changes_agree(const struct event_tag *last, int outcome,
					 struct tag_reading *read)
{
	const __u64 *logged = (const void *)last, *shown = (const void *)&read->record;

	if (outcome == TAG_IS_INVALID || outcome == TAG_IS_CLEARED) {
		copy_tag(&read->record, last);
		return changes_is_none(last) ? TAG_IS_NONE : TAG_IS_SET;
	}
	if (outcome == TAG_IS_NONE)
		return changes_is_none(last) ? outcome : TAG_IS_FAULTING;
	return logged[0] == shown[0] && logged[1] == shown[1] && logged[2] == shown[2]
		       ? outcome
		       : TAG_IS_FAULTING;
}

/* Less than capacity, and than an honest thread can have written. */
static __always_inline bool changes_is_plausible(const struct changes_look *look,
						 const struct event_slice *slice)
{
	__u64 count = look->log.written - look->seen;

	return count <= look->log.capacity &&
	       count <= EVENT_MAX_CHANGES + (slice->out_ns - slice->in_ns) / CHANGES_LEAST_NS;
}

/* It has never attached anything: its variable points nowhere, and was never seen to. */
static __always_inline bool changes_is_virgin(const struct thread *thread,
					      const struct tag_reading *read, int outcome)
{
	return !read->is_there && outcome == TAG_IS_NONE && !thread->changes_seen &&
	       !thread->has_tag;
}

/* Has it logged nothing since the last slice, as far as can be told? Who keeps no log is virgin or
 * not, as it was. */
static __always_inline bool changes_are_none(const struct thread *thread,
					     const struct tag_reading *read, int outcome)
{
	bool is_virgin = changes_is_virgin(thread, read, outcome);

	if (!thread->reader.has_changes)
		return is_virgin == thread->knows_changes;
	return thread->knows_changes &&
	       (is_virgin ||
		(changes_is_log(&read->changes) && read->changes.written == thread->changes_seen));
}

/* Tells what was logged since the last slice, if the thread keeps a log and it was known how far it
 * had come. `*outcome` may become what the log says. Returns EVENT_TOLD, EVENT_CHANGED. */
static __always_inline __u32 changes_note(struct thread *thread, struct tag_reading *read,
					  const struct event_slice *slice, int *outcome)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct changes_draft *draft = bpf_map_lookup_elem(&changes_drafts, &cpu);
	bool knew = thread->knows_changes && !thread->tag_unknown, has_changed;
	int agreed;

	if (!draft)
		return 0;
	struct changes_look *look = &draft->look;

	*look = (struct changes_look){ .seen = thread->changes_seen,
				       .ahead_ns = changes_ahead_ns(task_current()),
				       .pid = slice->pid,
				       .tid = slice->tid };
	if (changes_is_virgin(thread, read, *outcome)) {
		thread->knows_changes = 1;
		return EVENT_TOLD;
	}
	thread->knows_changes = *outcome != TAG_IS_FAULTING && changes_is_log(&read->changes);
	if (!thread->knows_changes)
		return 0;
	look->log = read->changes;
	thread->changes_seen = look->log.written;
	if (!knew)
		return 0;
	if (thread->has_tag)
		copy_tag(&look->last, &thread->tag);
	has_changed = look->log.written != look->seen;
	if (has_changed && (!changes_is_plausible(look, slice) || !changes_tell(draft))) {
		count_lost(LOSS_CHANGES);
		return 0;
	}
	agreed = changes_agree(&look->last, *outcome, read);
	if (agreed == TAG_IS_FAULTING) {
		count_lost(LOSS_CHANGES);
		return 0;
	}
	*outcome = agreed;
	return has_changed ? EVENT_TOLD | EVENT_CHANGED : EVENT_TOLD;
}
