/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Processes and threads that begin, become another program, and end. */
#pragma once

#include "bpf/thread.bpf.h"
#include "bpf/waker.bpf.h"

/* A child process publishes as its parent does, from its first instruction on. */
static __always_inline void life_inherit(__u32 parent_pid, __u32 child_pid)
{
	struct tag_descriptor *descriptor = bpf_map_lookup_elem(&descriptors, &parent_pid);

	if (!descriptor || bpf_map_update_elem(&descriptors, &child_pid, descriptor, BPF_ANY))
		return;
	stack_inherit(parent_pid, child_pid);
	track(child_pid);
}

static __always_inline void life_forget(__u32 pid)
{
	untrack(pid);
	stack_forget(pid);
	bpf_map_delete_elem(&descriptors, &pid);
}

/* vfork, a leak checker, clone(2) by hand: it has no variable of its own. */
static __always_inline bool life_is_shared(struct task_struct *parent, struct task_struct *child)
{
	return LOAD(parent, mm) == LOAD(child, mm) &&
	       task_thread_pointer(parent) == task_thread_pointer(child);
}

/* A thread, or a process that clone(2) by hand leaves in its maker's memory: it has published
 * nothing. */
static __always_inline bool life_is_blank(struct task_struct *parent, struct task_struct *child)
{
	return LOAD(parent, mm) == LOAD(child, mm) && !life_is_shared(parent, child);
}

/* Who is not blank shows what its maker does: that one's variable is its own, too, or it is a new
 * process that has a copy of all that its parent's thread published. */
static __always_inline struct thread *life_begin_thread(struct task_struct *parent,
							struct task_struct *child, bool is_process)
{
	struct thread *thread = thread_begin(child, is_process ? 0 : table_find(parent));
	struct tag_desk *desk;

	if (!thread)
		return 0;
	thread->is_born = 1;
	thread->blocked = 1; /* until it is woken */
	thread->tag_unknown = 0;
	thread->knows_changes = 1;
	if (life_is_blank(parent, child))
		return thread;
	desk = this_desk(DESK_LIFE);
	if (!desk)
		return thread;
	struct tag_reading *read = &desk->reading;
	int outcome = tag_read(parent, &thread->reader, DESK_LIFE, read);

	if (read->changes.signature == TAG_CHANGES_SIGNATURE)
		thread->changes_seen = read->changes.written;
	thread->knows_changes = thread->reader.has_changes;

	thread->has_tag = outcome == TAG_IS_SET;
	thread->tag_unknown = outcome == TAG_IS_FAULTING;
	if (outcome == TAG_IS_SET)
		copy_tag(&thread->tag, &read->record);
	return thread;
}

/* The parent is current and has not left its clone, and the child runs as soon as it was woken:
 * sched_process_fork has nothing to add, and would be one program more for each thread. */
static __always_inline void life_make(struct task_struct *parent, struct task_struct *child)
{
	struct thread *thread;
	__u32 parent_pid = LOAD(parent, tgid), child_pid = LOAD(child, tgid);
	bool is_process = parent_pid != child_pid;

	if (is_process) {
		tell_worker(EVENT_FORK, parent_pid, child_pid);
		if (is_tracked(child_pid)) /* a pid used again */
			life_forget(child_pid);
	}
	if (!is_tracked(parent_pid))
		return;
	if (is_process) {
		life_inherit(parent_pid, child_pid);
		life_emit(EVENT_FORK, parent_pid, LOAD(parent, pid), child_pid,
			  life_is_shared(parent, child));
	}
	thread = life_begin_thread(parent, child, is_process);
	if (thread && is_tracked(child_pid))
		thread_note_waking(thread, child, parent);
}

/* The old program's last slice ends here, with its last tag: its memory is gone. */
static __always_inline void life_exec(struct task_struct *task, __u32 old_tid)
{
	__u32 pid = LOAD(task, tgid);

	tell_worker(EVENT_EXEC, pid, 0);
	if (!is_tracked(pid))
		return;
	struct thread *thread = table_find(task);

	if (thread) {
		thread_cut(0, thread, task, true);
		table_release(thread, pid);
	}
	life_forget(pid);
	life_emit(EVENT_EXEC, pid, LOAD(task, pid), old_tid, false);
}

/* What it shows as its last user code is over, and what it logged since its last slice: what the
 * kernel does of its end is nothing of a span that it has left. Before 6.16 its memory is gone by
 * now. */
static __always_inline void life_look_last(void *context, struct thread *thread,
					   struct task_struct *task)
{
	thread->is_leaving = 1;
	if (LOAD(task, mm))
		thread_cut(context, thread, task, false);
	thread->is_leaving = 0;
	thread->is_over = LOAD(task, mm) != 0;
}

/* The last one to end is not followed, as a worker of the kernel's for which its process has
 * waited: the first thread takes the process along, if its last slice is still to come. */
static __always_inline void life_exit_unfollowed(struct task_struct *task, __u32 pid)
{
	struct thread *first = table_find(LOAD(task, group_leader));

	if (first) {
		first->is_last = 1;
		return;
	}
	life_forget(pid);
	life_emit(EVENT_EXIT, pid, LOAD(task, pid), 0, false);
}

/* The last thread takes the process along, but only after its last slice (life_end_thread). */
static __always_inline void life_exit(void *context, struct task_struct *task)
{
	__u32 pid = LOAD(task, tgid);
	bool is_last = task_group_is_dead(task);

	if (is_last) {
		tell_worker(EVENT_EXIT, pid, 0);
		forget_server(pid);
	}
	if (!is_tracked(pid))
		return;
	struct thread *thread = table_find(task);

	if (thread && (thread->reader.has_changes || thread->has_tag))
		life_look_last(context, thread, task);
	if (thread)
		thread->is_last = is_last;
	else if (is_last)
		life_exit_unfollowed(task, pid);
}

/* After its last slice. The last thread of a process takes the process along, but first gives its
 * own place back: those of a process that nobody follows any more are anyone's. */
static __always_inline void life_end_thread(struct thread *thread, __u32 pid)
{
	__u32 tid = thread->tid;
	bool is_last = thread->is_last;

	table_release(thread, pid);
	if (is_last) {
		life_forget(pid);
		life_emit(EVENT_EXIT, pid, tid, 0, false);
	}
}
