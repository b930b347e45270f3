/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Polls of several descriptors: which of them may be told as the thread is woken (ready.bpf.h). */
#pragma once

#include "bpf/target_rare.bpf.h"

#define POLL_SEVERAL 8 /* descriptors; of more, nobody looks */
#define POLL_THREADS 1024

struct polled {
	__s32 fd;
	__s16 events, happened;
};

struct polled_one {
	__u32 tid;
	__s32 fd;
};

/* tid, cut -> the only descriptor of the network among those that it polls. Whom another thread has
 * pushed out is not told. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLL_THREADS);
	__type(key, __u32);
	__type(value, struct polled_one);
} polled SEC(".maps");

static __always_inline struct polled_one *polled_of(__u32 tid)
{
	__u32 place = tid & (POLL_THREADS - 1);

	return bpf_map_lookup_elem(&polled, &place);
}

static __always_inline bool is_of_network(struct task_struct *task, __u32 fd)
{
	void *file = file_of(task, fd);

	if (!file || file_type(file) != FILE_SOCKET)
		return false;
	void *socket = FIELD(struct file, file, private_data);
	struct sock *sock = FIELD(struct socket, socket, sk);
	__u32 family = FIELD(struct sock, sock, __sk_common.skc_family);

	return family == FAMILY_INET || family == FAMILY_INET6;
}

/* If but one of them is of the network, it is the one that the network makes ready: a client's
 * connection, beside what other threads wake it up by. */
__noinline int target_polls(__u64 polls, __u32 count)
{
	struct task_struct *task = task_current();
	struct polled_one *one = polled_of(LOAD(task, pid));
	struct polled each;
	__s32 found = -1;

	if (!one || count > POLL_SEVERAL)
		return 0;
	for (__u32 i = 0; i < POLL_SEVERAL && i < count; i++) {
		if (bpf_probe_read_user(&each, sizeof(each), (void *)(polls + 8 * i)))
			return 0;
		if (each.fd < 0 || !is_of_network(task, each.fd))
			continue;
		if (found >= 0)
			return 0;
		found = each.fd;
	}
	if (found < 0)
		return 0;
	one->tid = LOAD(task, pid);
	one->fd = found;
	target_of_several(task);
	return 0;
}
