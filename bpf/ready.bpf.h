/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which of many descriptors a poller was waiting for: the one that came first. It stands at the
 * head of the poller's list as the poller is woken, and nobody takes it from there before that
 * runs. The poller is found by the call of the thread that is woken. poll and select keep no such
 * list: there it is the first that can be read from by now, for none could as the wait began; else
 * the only one of the network, if the network wakes, or nobody does in time. */
#pragma once

#include "bpf/target.bpf.h"
#include "bpf/thread_table.bpf.h"

/* Shorter waits are not worth a record: who has many of them, waits for all of the descriptors. */
#define READY_LEAST_NS 50000

enum ready_word {
	READY_SHUTDOWN = 1,            /* RCV_SHUTDOWN: nothing more will come */
	READY_LISTENS = 10,            /* TCP_LISTEN */
	READY_PIPE_MAGIC = 0x50495045, /* PIPEFS_MAGIC: no FIFO */
};
#define READY_EVENTFD 0x6466746e6576655bull /* "[eventfd" */
#define READY_TIMERFD 0x646672656d69745bull /* "[timerfd" */

static __always_inline bool ready_is_of_network(struct sock *sock)
{
	__u32 family = BPF_CORE_READ(sock, __sk_common.skc_family);

	return family == FAMILY_INET || family == FAMILY_INET6;
}

/* 0: none is ready, as where time is up. */
static __always_inline __u64 ready_file(struct task_struct *task)
{
	void *registers = task_registers(task);
	void *file = file_of(task, (__u32)FIELD(struct pt_regs, registers, di));

	if (!file || !bpf_core_field_exists(struct epitem, rdllink) ||
	    !bpf_core_field_exists(struct eventpoll, rdllist.next))
		return 0;
	void *poller = FIELD(struct file, file, private_data);
	/* probed: a number, with which one may reckon */
	void *first = BPF_CORE_READ((struct eventpoll *)poller, rdllist.next);
	void *item = first - bpf_core_field_offset(struct epitem, rdllink);

	/* an empty list is its own head; and another thread may have put something else in the
	 * descriptor's place */
	if (!first || FIELD(struct epitem, item, ep) != poller)
		return 0;
	return (__u64)BPF_CORE_READ((struct epitem *)item, ffd.file);
}

/* What comes is put there before who waits for it is woken. */
static __always_inline bool ready_socket(void *file)
{
	void *socket = FIELD(struct file, file, private_data);
	struct sock *sock = FIELD(struct socket, socket, sk);

	if (BPF_CORE_READ(sock, sk_receive_queue.qlen) ||
	    BPF_CORE_READ(sock, sk_shutdown) & READY_SHUTDOWN)
		return true;
	return BPF_CORE_READ(sock, __sk_common.skc_state) == READY_LISTENS &&
	       ready_is_of_network(sock) && bpf_core_type_exists(struct inet_connection_sock) &&
	       BPF_CORE_READ((struct inet_connection_sock *)sock,
			     icsk_accept_queue.rskq_accept_head);
}

static __always_inline bool ready_pipe(void *file)
{
	struct pipe_inode_info *pipe = FIELD(struct file, file, private_data);
	void *inode = FIELD(struct file, file, f_inode);
	void *filesystem = FIELD(struct inode, inode, i_sb);

	if (BPF_CORE_READ(pipe, head) != BPF_CORE_READ(pipe, tail))
		return true;
	/* a FIFO may have had no writer yet */
	return !BPF_CORE_READ(pipe, writers) &&
	       FIELD(struct super_block, filesystem, s_magic) == READY_PIPE_MAGIC;
}

/* Counters, timers, pollers of others. */
static __always_inline bool ready_anonymous(void *file)
{
	struct dentry *entry = FIELD(struct file, file, f_path.dentry);
	const void *name = FIELD(struct dentry, entry, d_name.name);
	void *own = FIELD(struct file, file, private_data);
	__u64 word = 0;

	bpf_probe_read_kernel(&word, sizeof(word), name);
	if (word == READY_EVENTFD && bpf_core_type_exists(struct eventfd_ctx))
		return BPF_CORE_READ((struct eventfd_ctx *)own, count);
	if (word == READY_TIMERFD && bpf_core_type_exists(struct timerfd_ctx))
		return BPF_CORE_READ((struct timerfd_ctx *)own, ticks);
	return false;
}

/* A global function, of a number: it is verified once. false: nobody knows, too. */
__noinline int ready_to_read(__u64 address)
{
	void *file = (void *)address;

	switch (file_type(file)) {
	case FILE_SOCKET:
		return ready_socket(file);
	case FILE_FIFO:
		return ready_pipe(file);
	case FILE_CHAR:
	case FILE_REGULAR:
	case FILE_FOLDER:
		return false;
	}
	return ready_anonymous(file);
}

static __always_inline bool ready_is_network(void *file)
{
	if (file_type(file) != FILE_SOCKET)
		return false;
	void *socket = FIELD(struct file, file, private_data);

	return ready_is_of_network(FIELD(struct socket, socket, sk));
}

/* Of poll and select. */
static __noinline __u64 ready_polled(struct task_struct *task, const struct event_waker *waker)
{
	struct polled_set *set = polled_of(LOAD(task, pid));
	__u64 network = 0;
	__u32 networks = 0;

	if (!set || !waker || set->tid != LOAD(task, pid))
		return 0;
	for (__u32 i = 0; i < POLL_SEVERAL && i < set->count; i++) {
		__u64 file = (__u64)file_of(task, set->fds[i]);

		if (file && set->reads >> i & 1 && ready_to_read(file))
			return file;
		if (!file || !ready_is_network((void *)file))
			continue;
		network = file;
		networks++;
	}
	return networks == 1 && (waker->kind == WAKER_NETWORK || waker->kind == WAKER_TIMER)
		       ? network
		       : 0;
}

static __always_inline __u64 ready_of(struct task_struct *task, const struct event_waker *waker)
{
	void *registers = task_registers(task);
	__s32 syscall = (__s32)FIELD(struct pt_regs, registers, orig_ax);

	switch (syscall) {
	case SYS_POLL:
	case SYS_PPOLL:
	case SYS_SELECT:
	case SYS_PSELECT6:
		return ready_polled(task, waker);
	}
	return ready_file(task);
}

/* `task` is about to be woken. Not told where the ring is full: it is no loss of a slice. */
static __noinline int ready_tell(struct task_struct *task, struct thread *thread)
{
	struct event_ready ready = { .header = { .kind = EVENT_READY, .bytes = sizeof(ready) } };
	__u64 woken_ns = thread->wakeups[thread->slot & 1].time_ns;

	thread->is_polling = 0;
	if (woken_ns < thread->out_ns + READY_LEAST_NS)
		return 0;
	__u64 file = ready_of(task, &thread->wakeups[thread->slot & 1].waker);

	if (!file)
		return 0;
	ready.pid = thread->pid;
	ready.tid = thread->tid;
	ready.out_ns = thread->out_ns;
	target_file_at(file, &ready.target);
	bpf_ringbuf_output(&records, &ready, sizeof(ready), BPF_RB_NO_WAKEUP);
	return 0;
}
