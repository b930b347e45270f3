/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What stands behind a descriptor: a socket and its peer, a pipe, a file and its name. */
#pragma once

#include "bpf/maps.bpf.h"

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
	FILE_FOLDER = 0040000,
	FILE_REGULAR = 0100000,
	FILE_SOCKET = 0140000,
	FILE_ANON_MAGIC = 0x09041934, /* ANON_INODE_FS_MAGIC: eventfd, epoll, timerfd ... */
	FILE_PID_MAGIC = 0x50494446,  /* PID_FS_MAGIC: since 6.9 */
	FILE_QUEUE_MAGIC = 0x19800202,
	FILE_PROC_MAGIC = 0x9fa0,
	FILE_SYS_MAGIC = 0x62656572,
	FILE_DEBUG_MAGIC = 0x64626720,
	FILE_TRACE_MAGIC = 0x74726163,
	FILE_CGROUP_MAGIC = 0x27e0eb,
	FILE_CGROUP2_MAGIC = 0x63677270,
	FAMILY_UNIX = 1,
	TYPE_RAW = 3, /* SOCK_RAW */
	FAMILY_INET = 2,
	FAMILY_INET6 = 10,
};

/* A path ends with a NUL, an abstract name begins with one. The other side's name, if it has one:
 * that is who is waited for. */
static __always_inline void target_unix(struct sock *sock, struct event_target *target)
{
	char first = 0;

	target->kind = TARGET_UNIX;
	if (!bpf_core_type_exists(struct unix_sock))
		return;
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sock, peer);
	struct unix_address *address = peer ? BPF_CORE_READ((struct unix_sock *)peer, addr) : 0;

	if (!address)
		address = BPF_CORE_READ((struct unix_sock *)sock, addr);
	if (!address)
		return;
	__s32 bytes = BPF_CORE_READ(address, len) - (__s32)sizeof(unsigned short);
	const char *path = (const char *)address + bpf_core_field_offset(address->name) +
			   sizeof(unsigned short);

	if (bytes <= 1 || bpf_probe_read_kernel(&first, 1, path))
		return;
	target_name(path + !first, bytes - 1, target);
}

/* What would be its own port is the protocol. */
static __always_inline void target_raw(struct event_target *target)
{
	__u32 protocol = target->aux;
	__u32 family = target->kind == TARGET_INET4 ? FAMILY_INET : FAMILY_INET6;

	__builtin_memset(target, 0, sizeof(*target));
	target->kind = TARGET_SOCKET;
	target->aux = family;
	target->id = protocol;
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
		if (bpf_core_field_exists(sock->__sk_common.skc_v6_daddr)) /* CONFIG_IPV6 */
			BPF_CORE_READ_INTO(&target->address, sock, __sk_common.skc_v6_daddr);
		break;
	case FAMILY_UNIX:
		target_unix(sock, target);
		return;
	default:
		target->kind = TARGET_SOCKET;
		target->aux = FIELD(struct sock, sock, __sk_common.skc_family);
		return;
	}
	target->id = 0;
	target->port = __builtin_bswap16(FIELD(struct sock, sock, __sk_common.skc_dport));
	target->aux = FIELD(struct sock, sock, __sk_common.skc_num);
	if (!target->port && FIELD(struct sock, sock, sk_type) == TYPE_RAW)
		target_raw(target);
}

/* A process that a descriptor stands for, by the pid that it has where the waiting one lives. */
static __noinline int target_process(void *pid, struct event_target *target)
{
	struct task_struct *task = task_current();
	__u32 level = BPF_CORE_READ(task, thread_pid, level);
	__s32 number = 0;

	if (!target)
		return 0;
	bpf_probe_read_kernel(&number, sizeof(number),
			      pid + bpf_core_field_offset(struct pid, numbers) +
				      level * bpf_core_type_size(struct upid));
	__builtin_memset(target, 0, sizeof(*target));
	target->kind = TARGET_CHILD;
	target->id = number;
	return 0;
}

/* Files that are none: of the kernel's own, without a disk below. */
static __always_inline bool is_of_kernel(__u64 magic)
{
	switch (magic) {
	case FILE_ANON_MAGIC:
	case FILE_PROC_MAGIC:
	case FILE_SYS_MAGIC:
	case FILE_DEBUG_MAGIC:
	case FILE_TRACE_MAGIC:
	case FILE_CGROUP_MAGIC:
	case FILE_CGROUP2_MAGIC:
		return true;
	}
	return false;
}

static __always_inline bool is_process_name(const char *name)
{
	return *(const __u64 *)name == 0x5d64666469705bull; /* "[pidfd]" */
}

/* Pipes have none, unless they stand in a folder. */
static __always_inline void target_entry(void *file, struct event_target *target)
{
	struct dentry *entry = FIELD(struct file, file, f_path.dentry);
	__u32 bytes = FIELD(struct dentry, entry, d_name.len);

	if (bytes)
		target_name(FIELD(struct dentry, entry, d_name.name), bytes, target);
}

static __always_inline void target_named(void *file, struct event_target *target)
{
	void *inode = FIELD(struct file, file, f_inode);
	void *filesystem = FIELD(struct inode, inode, i_sb);
	__u64 magic = FIELD(struct super_block, filesystem, s_magic);

	if (magic == FILE_PID_MAGIC) {
		target_process(FIELD(struct inode, inode, i_private), target);
		return;
	}
	target_entry(file, target);
	target->kind = TARGET_FILE;
	if (is_of_kernel(magic) || magic == FILE_QUEUE_MAGIC) {
		target->kind = magic == FILE_QUEUE_MAGIC ? TARGET_QUEUE : TARGET_ANON;
		target->id = 0;
	} else {
		target->aux = FIELD(struct super_block, filesystem, s_dev);
	}
	if (magic == FILE_ANON_MAGIC && is_process_name(target->name))
		target_process(FIELD(struct file, file, private_data), target);
}

static __always_inline __u32 file_type(void *file)
{
	void *inode = FIELD(struct file, file, f_inode);

	return FIELD(struct inode, inode, i_mode) & FILE_TYPE;
}

/* A global function, of a number: it is verified once. */
__noinline int target_file_at(__u64 address, struct event_target *target)
{
	void *file = (void *)address;

	if (!target)
		return 0;
	void *inode = FIELD(struct file, file, f_inode);
	__u32 type = file_type(file);

	target->id = FIELD(struct inode, inode, i_ino);
	switch (type) {
	case FILE_SOCKET:
		target_socket(file, target);
		break;
	case FILE_FIFO:
		target->kind = TARGET_PIPE;
		target_entry(file, target);
		break;
	case FILE_CHAR:
		target->kind = TARGET_CHAR;
		target->aux = FIELD(struct inode, inode, i_rdev);
		target_entry(file, target);
		break;
	default:
		target_named(file, target);
	}
	return 0;
}

static __always_inline void target_file(void *file, struct event_target *target)
{
	target_file_at((__u64)file, target);
}

/* What a descriptor of the task's is; 0: nothing. As a number, for a global function takes no typed
 * pointer. */
static __always_inline void *file_of(struct task_struct *task, __u32 fd)
{
	struct files_struct *files = LOAD(task, files);
	struct fdtable *table = files ? LOAD(files, fdt) : 0;
	void *file = 0;

	if (table && fd < LOAD(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), LOAD(table, fd) + fd);
	return file;
}

static __always_inline void target_fd(struct task_struct *task, __u32 fd,
				      struct event_target *target)
{
	void *file = file_of(task, fd);

	if (file)
		target_file(file, target);
}
