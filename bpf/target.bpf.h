/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a blocking system call waits for: told by its arguments as they stood at the entry (x86-64).
 * Best effort: TARGET_NONE is a fair answer. */
#pragma once

#include "bpf/futex.bpf.h"

enum target_syscall {
	SYS_READ = 0,
	SYS_POLL = 7,
	SYS_SELECT = 23,
	SYS_CONNECT = 42,
	SYS_WAIT4 = 61,
	SYS_RECVMSG = 47,
	SYS_FSYNC = 74,
	SYS_FDATASYNC = 75,
	SYS_FUTEX = 202,
	SYS_EPOLL_WAIT = 232,
	SYS_WAITID = 247,
	SYS_PSELECT6 = 270,
	SYS_PPOLL = 271,
	SYS_EPOLL_PWAIT = 281,
	SYS_ACCEPT4 = 288,
	SYS_RECVMMSG = 299,
	SYS_SENDMMSG = 307,
	SYS_PREADV2 = 327,
	SYS_PWRITEV2 = 328,
	SYS_EPOLL_PWAIT2 = 441,
};

/* Those below 64 whose first argument is the descriptor that they may wait for: read, write, ioctl,
 * pread64, pwrite64, readv, writev, sendfile (out), connect, accept, sendto, recvfrom, sendmsg,
 * recvmsg. */
#define TARGET_BY_FD                                                                               \
	(1ull << 0 | 1ull << 1 | 1ull << 16 | 1ull << 17 | 1ull << 18 | 1ull << 19 | 1ull << 20 |  \
	 1ull << 40 | 1ull << 42 | 1ull << 43 | 1ull << 44 | 1ull << 45 | 1ull << 46 | 1ull << 47)

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
	case 217: /* getdents64 */
	case 275: /* splice: from */
	case 277: /* sync_file_range */
	case 285: /* fallocate */
	case SYS_ACCEPT4:
	case 295: /* preadv */
	case 296: /* pwritev */
	case SYS_RECVMMSG:
	case SYS_SENDMMSG:
	case 306: /* syncfs */
	case SYS_PREADV2:
	case SYS_PWRITEV2:
		return syscall != 76;
	}
	return false;
}

enum target_futex {
	FUTEX_CALL = 0x7f, /* without FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME */
	FUTEX_PRIVATE = 0x80,
	FUTEX_WAIT = 0,
	FUTEX_LOCK_PI = 6,
	FUTEX_LOCK_PI2 = 13,
	FUTEX_TIDS = 0x3fffffff, /* FUTEX_TID_MASK */
	WAITID_PID = 1,          /* P_PID */
};

/* Whose tid stands there: in the word itself (priority inheritance), or two words on in a contended
 * mutex of glibc: {lock == 2, count, owner}. Pid numbers are the process's own namespace's. */
static __always_inline __u32 futex_owner(__u64 word, __u32 operation)
{
	__u32 mutex[3];

	if (operation != FUTEX_WAIT && operation != FUTEX_LOCK_PI && operation != FUTEX_LOCK_PI2)
		return 0;
	if (bpf_probe_read_user(mutex, sizeof(mutex), (void *)word))
		return 0;
	if (operation != FUTEX_WAIT)
		return mutex[0] & FUTEX_TIDS;
	return mutex[0] == 2 && mutex[1] <= 1 && mutex[2] < WORKER_PIDS ? mutex[2] : 0;
}

static __always_inline void target_futex(void *registers, struct event_target *target)
{
	__u32 call = FIELD(struct pt_regs, registers, si);

	target->kind = TARGET_FUTEX;
	target->id = FIELD(struct pt_regs, registers, di);
	target->aux = futex_owner(target->id, call & FUTEX_CALL);
	if (!(call & FUTEX_PRIVATE))
		futex_share(target);
}

/* wait4(pid) and waitid(P_PID, pid); groups and the like are any child. */
static __always_inline void target_child(void *registers, __u32 syscall,
					 struct event_target *target)
{
	__s32 first = (__s32)FIELD(struct pt_regs, registers, di);
	__s32 second = (__s32)FIELD(struct pt_regs, registers, si);

	target->kind = TARGET_CHILD;
	if (syscall == SYS_WAIT4)
		target->id = first > 0 ? first : 0;
	else
		target->id = first == WAITID_PID ? second : 0;
}

/* The last bytes of a text of the kernel's. */
static __always_inline void target_name(const void *text, __u32 bytes, struct event_target *target)
{
	__u32 cut = bytes > TARGET_NAME_BYTES - 1 ? bytes - (TARGET_NAME_BYTES - 1) : 0;

	bytes -= cut;
	bpf_probe_read_kernel(target->name, bytes & (TARGET_NAME_BYTES - 1), text + cut);
}

enum target_file_type {
	FILE_TYPE = 0170000,
	FILE_FIFO = 0010000,
	FILE_CHAR = 0020000,
	FILE_SOCKET = 0140000,
	FILE_ANON_MAGIC = 0x09041934, /* ANON_INODE_FS_MAGIC: eventfd, epoll, timerfd ... */
	FAMILY_UNIX = 1,
	FAMILY_INET = 2,
	FAMILY_INET6 = 10,
};

/* A path ends with a NUL, an abstract name begins with one. */
static __always_inline void target_unix(struct sock *sock, struct event_target *target)
{
	char first = 0;

	target->kind = TARGET_UNIX;
	if (!bpf_core_type_exists(struct unix_sock))
		return;
	struct unix_address *address = BPF_CORE_READ((struct unix_sock *)sock, addr);

	if (!address) {
		struct sock *peer = BPF_CORE_READ((struct unix_sock *)sock, peer);

		address = peer ? BPF_CORE_READ((struct unix_sock *)peer, addr) : 0;
	}
	if (!address)
		return;
	__s32 bytes = BPF_CORE_READ(address, len) - (__s32)sizeof(unsigned short);
	const char *path = (const char *)address + bpf_core_field_offset(address->name) +
			   sizeof(unsigned short);

	if (bytes <= 1 || bpf_probe_read_kernel(&first, 1, path))
		return;
	target_name(path + !first, bytes - 1, target);
}

static __always_inline void target_socket(void *file, struct event_target *target)
{
	void *socket = FIELD(struct file, file, private_data);
	struct sock *sock = FIELD(struct socket, socket, sk);

	switch (FIELD(struct sock, sock, __sk_common.skc_family)) {
	case FAMILY_INET:
		target->kind = TARGET_INET4;
		*(__u32 *)target->address = FIELD(struct sock, sock, __sk_common.skc_daddr);
		break;
	case FAMILY_INET6:
		target->kind = TARGET_INET6;
		BPF_CORE_READ_INTO(&target->address, sock, __sk_common.skc_v6_daddr);
		break;
	case FAMILY_UNIX:
		target_unix(sock, target);
		return;
	default:
		target->kind = TARGET_SOCKET;
		return;
	}
	target->id = 0;
	target->port = __builtin_bswap16(FIELD(struct sock, sock, __sk_common.skc_dport));
	target->aux = FIELD(struct sock, sock, __sk_common.skc_num);
}

static __always_inline void target_file(void *file, struct event_target *target)
{
	void *inode = FIELD(struct file, file, f_inode);
	__u32 type = FIELD(struct inode, inode, i_mode) & FILE_TYPE;

	target->id = FIELD(struct inode, inode, i_ino);
	if (type == FILE_SOCKET) {
		target_socket(file, target);
	} else if (type == FILE_FIFO) {
		target->kind = TARGET_PIPE;
	} else if (type == FILE_CHAR) {
		target->kind = TARGET_CHAR;
	} else {
		void *filesystem = FIELD(struct inode, inode, i_sb);
		bool anon = FIELD(struct super_block, filesystem, s_magic) == FILE_ANON_MAGIC;

		target->kind = anon ? TARGET_ANON : TARGET_FILE;
		struct dentry *entry = FIELD(struct file, file, f_path.dentry);

		if (anon)
			target->id = 0;
		else
			target->aux = FIELD(struct super_block, filesystem, s_dev);
		target_name(FIELD(struct dentry, entry, d_name.name),
			    FIELD(struct dentry, entry, d_name.len), target);
	}
}

static __always_inline void target_fd(struct task_struct *task, __u32 fd,
				      struct event_target *target)
{
	struct files_struct *files = LOAD(task, files);
	struct fdtable *table = files ? LOAD(files, fdt) : 0;

	if (!table || fd >= LOAD(table, max_fds))
		return;
	struct file **slot = LOAD(table, fd) + fd;
	/* The element, seen as the one-pointer struct that every kernel has. */
	void *file = FIELD(struct llist_head, slot, first);

	if (file)
		target_file(file, target);
}

/* poll and select of no descriptor at all: a way to sleep. */
static __always_inline void target_time(struct event_target *target)
{
	target->kind = TARGET_ANON;
	__builtin_memcpy(target->name, TARGET_TIME, sizeof(TARGET_TIME));
}

/* poll and ppoll of one descriptor: how libpq waits for its server. */
static __always_inline void target_poll(struct task_struct *task, void *registers,
					struct event_target *target)
{
	__u32 count = FIELD(struct pt_regs, registers, si);
	__s32 fd = -1;

	if (!count)
		target_time(target);
	if (count != 1)
		return;
	if (!bpf_probe_read_user(&fd, sizeof(fd), (void *)FIELD(struct pt_regs, registers, di)) &&
	    fd >= 0)
		target_fd(task, fd, target);
}

/* `task` is current. false: not known, `target` is garbage. */
static __always_inline bool target_of(struct task_struct *task, void *registers, __u32 syscall,
				      struct event_target *target)
{
	__builtin_memset(target, 0, sizeof(*target));
	if (syscall == SYS_FUTEX)
		target_futex(registers, target);
	else if (takes_fd(syscall))
		target_fd(task, (__u32)FIELD(struct pt_regs, registers, di), target);
	else if (syscall == SYS_POLL || syscall == SYS_PPOLL)
		target_poll(task, registers, target);
	else if ((syscall == SYS_SELECT || syscall == SYS_PSELECT6) &&
		 !FIELD(struct pt_regs, registers, di))
		target_time(target);
	else if (syscall == SYS_EPOLL_WAIT || syscall == SYS_EPOLL_PWAIT ||
		 syscall == SYS_EPOLL_PWAIT2)
		target->kind = TARGET_ANON;
	else if (syscall == SYS_WAIT4 || syscall == SYS_WAITID)
		target_child(registers, syscall, target);
	return target->kind != TARGET_NONE;
}
