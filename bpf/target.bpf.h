/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a blocking system call waits for: told by its arguments as they stood at the entry (x86-64).
 * Best effort: TARGET_NONE is a fair answer. */
#pragma once

#include "bpf/target_rare.bpf.h"

/* Those below 64 whose first argument is the descriptor that they may wait for: read, write, ioctl,
 * pread64, pwrite64, readv, writev, connect, accept, sendto, recvfrom, sendmsg, recvmsg. */
#define TARGET_BY_FD                                                                               \
	(1ull << 0 | 1ull << 1 | 1ull << 16 | 1ull << 17 | 1ull << 18 | 1ull << 19 | 1ull << 20 |  \
	 1ull << 42 | 1ull << 43 | 1ull << 44 | 1ull << 45 | 1ull << 46 | 1ull << 47)

static __always_inline bool takes_fd(__u32 syscall)
{
	if (syscall < 64)
		return TARGET_BY_FD >> syscall & 1;
	switch (syscall) {
	case 72: /* fcntl: file locks */
	case 73: /* flock */
	case SYS_FSYNC:
	case SYS_FDATASYNC:
	case 76:  /* truncate takes a path, but 77, ftruncate, does not */
	case 77:  /* ftruncate */
	case 78:  /* getdents */
	case 91:  /* fchmod */
	case 93:  /* fchown */
	case 138: /* fstatfs */
	case 187: /* readahead */
	case 190: /* fsetxattr */
	case 193: /* fgetxattr */
	case 217: /* getdents64 */
	case 221: /* fadvise64 */
	case 277: /* sync_file_range */
	case 278: /* vmsplice */
	case 285: /* fallocate */
	case SYS_ACCEPT4:
	case 295: /* preadv */
	case 296: /* pwritev */
	case SYS_RECVMMSG:
	case SYS_SENDMMSG:
	case 306: /* syncfs */
	case 326: /* copy_file_range: from */
	case SYS_PREADV2:
	case SYS_PWRITEV2:
		return syscall != 76;
	}
	return false;
}

/* poll and ppoll of one descriptor: how libpq waits for its server. */
static __always_inline void target_poll(struct task_struct *task, void *registers,
					struct event_target *target)
{
	__u64 polls = FIELD(struct pt_regs, registers, di);
	__u32 count = FIELD(struct pt_regs, registers, si);
	__s32 fd = FOUND_NONE;

	if (count > 1)
		fd = target_polls(polls, count);
	else if (count && bpf_probe_read_user(&fd, sizeof(fd), (void *)polls))
		return;
	if (fd >= 0)
		target_fd(task, fd, target);
	else if (fd != FOUND_SEVERAL || count == 1)
		target_time(target);
}

/* Who waits for a disk does not wait for any of these: the call was to read from a page of a file,
 * or to write to one, that is not there. */
static __always_inline bool target_has_no_disk(__u32 kind)
{
	switch (kind) {
	case TARGET_FUTEX:
	case TARGET_FUTEX_SHARED:
	case TARGET_INET4:
	case TARGET_INET6:
	case TARGET_UNIX:
	case TARGET_SOCKET:
	case TARGET_PIPE:
	case TARGET_CHILD:
	case TARGET_SEMAPHORE:
	case TARGET_QUEUE:
		return true;
	}
	return false;
}

/* Most waits are in one of these calls. A function of its own, whose frame is small
 * (tag_read_plain() says why). */
static __noinline int target_usual(struct task_struct *task, __u32 syscall,
				   struct event_target *target)
{
	void *registers = task_registers(task);

	if (!target)
		return false;
	if (syscall == SYS_FUTEX)
		target_futex(registers, target);
	else if (takes_fd(syscall))
		target_fd(task, (__u32)FIELD(struct pt_regs, registers, di), target);
	else if (syscall == SYS_POLL || syscall == SYS_PPOLL)
		target_poll(task, registers, target);
	else if (syscall == SYS_EPOLL_WAIT || syscall == SYS_EPOLL_PWAIT ||
		 syscall == SYS_EPOLL_PWAIT2)
		target_epoll((__u32)FIELD(struct pt_regs, registers, di), target);
	else
		return false;
	return true;
}

/* `task` is current; `state` that in which it leaves. false: not known, `target` is garbage. */
static __always_inline bool target_of(struct task_struct *task, __u32 syscall, __u32 state,
				      struct event_target *target)
{
	__builtin_memset(target, 0, sizeof(*target));
	if ((__s32)syscall < 0) {
		if (state & STATE_ASLEEP && !(state & EVENT_STATE_FROZEN))
			target_fault(target);
	} else if (!target_usual(task, syscall, target)) {
		target_rare(syscall, state, target);
	}
	if (target->kind == TARGET_UNIX &&
	    (syscall == SYS_CONNECT || syscall == SYS_SENDTO || syscall == SYS_SENDMSG))
		target_addressed(syscall, target);
	return target->kind != TARGET_NONE;
}
