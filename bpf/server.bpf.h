/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Servers that publish nothing and whose answers end waits of threads that do. Who wakes a thread
 * of theirs is kept, so that a wait for its answer leads to whom it had to wait for itself:
 *
 *   a client              asks |------------------------------->|
 *   its server's thread      ..|...waits for a row............==| answers
 *   another one                                           ==| lets go of the row, as a second
 *   client asked it to
 *
 * Their switches are none of our business: how long it waited is told by its own CPU clock. */
#pragma once

#include "bpf/waker_note.bpf.h"

#define SERVER_THREADS  1024
#define SERVER_LEAST_NS 200000 /* of a client's wait, to be worth it */
#define SERVER_PART     8      /* of which this part, at least, the server waited itself */

/* One thread of a server, since somebody that we follow has woken it. */
struct served {
	__u32 pid;
	__u32 tid;
	__u64 woken_ns; /* last */
	__u64 exec_ns;  /* its CPU clock then */
	__u64 asked_ns;
	__u64 from_ns, to_ns;     /* its longest wait since that a thread ended; 0: none */
	__u32 first_tid;          /* whom it answered first since woken_ns, but for the asker */
	__u32 has_others;         /* since asked_ns it has answered any other than the asker */
	struct event_waker asker; /* whom we follow, in a span, at asked_ns */
	struct event_waker ender; /* of that wait; with the span that it was asked by itself */
	struct event_waker latest;
};

/* tid, cut -> thread. Whom another one has pushed out is not told. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SERVER_THREADS);
	__type(key, __u32);
	__type(value, struct served);
} served SEC(".maps");

static __always_inline struct served *served_at(__u32 tid)
{
	__u32 place = tid & (SERVER_THREADS - 1);

	return bpf_map_lookup_elem(&served, &place);
}

/* 0: nothing is known of it. */
static __always_inline struct served *served_of(__u32 pid, __u32 tid)
{
	struct served *one = served_at(tid);

	return one && one->tid == tid && one->pid == pid ? one : 0;
}

static __always_inline bool has_tag(const struct event_waker *waker)
{
	return ((const __u64 *)(const void *)&waker->tag)[2];
}

static __always_inline void copy_waker(struct event_waker *to, const struct event_waker *from)
{
	copy_words(to, from, sizeof(*to));
}

/* It waited until now, and `latest` is who has ended that. */
static __always_inline void served_note_wait(struct served *one, __u64 now_ns, __u64 ran_ns)
{
	__u64 from_ns = one->woken_ns + ran_ns;

	if (!one->woken_ns || from_ns >= now_ns || now_ns - from_ns <= one->to_ns - one->from_ns)
		return;
	one->from_ns = from_ns;
	one->to_ns = now_ns;
	copy_waker(&one->ender, &one->latest);
	struct served *other = served_of(one->ender.pid, one->ender.tid);

	if (other && other->asked_ns)
		copy_tag(&one->ender.tag, &other->asker.tag);
}

/* `task`, of a server, is woken by the current thread. Out of line, as others do without. */
static __noinline int server_wake(struct task_struct *task)
{
	__u32 pid = LOAD(task, tgid), tid = LOAD(task, pid);
	struct task_struct *current = task_current();
	struct served *one = served_at(tid);
	__u64 now_ns = bpf_ktime_get_ns();
	__u64 exec_ns = LOAD(task, se.sum_exec_runtime);

	if (!one || knobs.no_wakers)
		return 0;
	if (one->tid != tid || one->pid != pid) {
		__builtin_memset(one, 0, sizeof(*one));
		one->tid = tid;
		one->pid = pid;
	}
	waker_note(&one->latest, current, task);
	one->first_tid = 0;
	if (has_tag(&one->latest)) {
		copy_waker(&one->asker, &one->latest);
		one->asked_ns = now_ns;
		one->from_ns = one->to_ns = 0;
		one->has_others = 0;
	} else if (one->latest.tid) {
		served_note_wait(one, now_ns, exec_ns - one->exec_ns);
	}
	one->woken_ns = now_ns;
	one->exec_ns = exec_ns;
	return 0;
}

/* It has woken `tid`, which waited for it. false: it has answered another one since it was woken,
 * as who works off several things in one go does. Who asked is answered anyway. */
static __always_inline bool served_answers(struct served *one, __u32 tid)
{
	if (tid == one->asker.tid)
		return !one->first_tid;
	one->has_others = 1;
	return !waker_is_later(&one->first_tid, tid);
}

/* Whom `thread`, which waited for the waker, waited for in truth: one that made the waker go on,
 * and nothing else did since, or one that the waker waited for on the thread's behalf, and on
 * nobody else's. */
static __always_inline bool server_find(const struct thread *thread, const struct served *one,
					__u64 now_ns, struct event_behind *behind)
{
	bool is_own = one->asker.tid == thread->tid;

	if (!is_own && one->asked_ns > thread->out_ns && one->asked_ns == one->woken_ns) {
		behind->header.flags = EVENT_BEHIND_ASKED;
		behind->from_ns = thread->out_ns;
		behind->to_ns = one->asked_ns;
		copy_waker(&behind->waker, &one->asker);
		return true;
	}
	if (!is_own || one->has_others || one->to_ns <= thread->out_ns ||
	    (one->to_ns - one->from_ns) * SERVER_PART < now_ns - thread->out_ns)
		return false;
	behind->from_ns = one->from_ns;
	behind->to_ns = one->to_ns;
	copy_waker(&behind->waker, &one->ender);
	return true;
}

/* A thread that nobody follows has woken `thread`. From now on its process is a server. Not told
 * where the ring is full: it is no loss of a slice. */
static __noinline int server_answer(struct thread *thread, const struct event_waker *waker,
				    __u64 now_ns)
{
	struct event_behind behind = { .header = { .kind = EVENT_BEHIND,
						   .bytes = sizeof(behind) } };

	if (!waker)
		return 0;
	mark_server(waker->pid);
	struct served *one = served_of(waker->pid, waker->tid);

	if (!one || !served_answers(one, thread->tid) || !thread->has_tag ||
	    now_ns < thread->out_ns + SERVER_LEAST_NS || !server_find(thread, one, now_ns, &behind))
		return 0;
	behind.pid = thread->pid;
	behind.tid = thread->tid;
	behind.out_ns = thread->out_ns;
	bpf_ringbuf_output(&records, &behind, sizeof(behind), BPF_RB_NO_WAKEUP);
	return 0;
}
