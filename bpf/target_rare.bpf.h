/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Calls that wait less often, and whose target takes more to be told: out of the way of the others.
 */
#pragma once

#include "bpf/fault.bpf.h"
#include "bpf/futex.bpf.h"
#include "bpf/target_aio.bpf.h"
#include "bpf/target_file.bpf.h"
#include "bpf/target_several.bpf.h"
#include "bpf/unwind.bpf.h"

enum target_syscall {
	SYS_READ = 0,
	SYS_POLL = 7,
	SYS_MMAP = 9,
	SYS_SELECT = 23,
	SYS_MREMAP = 25,
	SYS_MSYNC = 26,
	SYS_MADVISE = 28,
	SYS_SENDFILE = 40,
	SYS_CONNECT = 42,
	SYS_SENDTO = 44,
	SYS_SENDMSG = 46,
	SYS_RECVMSG = 47,
	SYS_CLONE = 56,
	SYS_VFORK = 58,
	SYS_WAIT4 = 61,
	SYS_SEMOP = 65,
	SYS_MSGSND = 69,
	SYS_MSGRCV = 70,
	SYS_FSYNC = 74,
	SYS_FDATASYNC = 75,
	SYS_MLOCK = 149,
	SYS_MLOCKALL = 151,
	SYS_FUTEX = 202,
	SYS_IO_GETEVENTS = 208,
	SYS_SEMTIMEDOP = 220,
	SYS_EPOLL_WAIT = 232,
	SYS_MQ_TIMEDSEND = 242,
	SYS_MQ_TIMEDRECEIVE = 243,
	SYS_WAITID = 247,
	SYS_PSELECT6 = 270,
	SYS_PPOLL = 271,
	SYS_SPLICE = 275,
	SYS_TEE = 276,
	SYS_EPOLL_PWAIT = 281,
	SYS_ACCEPT4 = 288,
	SYS_RECVMMSG = 299,
	SYS_SENDMMSG = 307,
	SYS_MLOCK2 = 325,
	SYS_PREADV2 = 327,
	SYS_PWRITEV2 = 328,
	SYS_IO_PGETEVENTS = 333,
	SYS_CLONE3 = 435,
	SYS_EPOLL_PWAIT2 = 441,
	SYS_FUTEX_WAITV = 449,
	SYS_FUTEX_WAIT = 455,
};

enum target_waitid {
	WAITID_PID = 1,   /* P_PID */
	WAITID_PIDFD = 3, /* P_PIDFD */
};

/* wait4(pid), waitid(P_PID, pid) and waitid(P_PIDFD, fd); groups and the like are any child. */
static __always_inline void target_child(struct task_struct *task, void *registers, __u32 syscall,
					 struct event_target *target)
{
	__s32 first = (__s32)FIELD(struct pt_regs, registers, di);
	__s32 second = (__s32)FIELD(struct pt_regs, registers, si);

	if (syscall == SYS_WAITID && first == WAITID_PIDFD)
		target_fd(task, second, target);
	if (target->kind == TARGET_CHILD)
		return;
	__builtin_memset(target, 0, sizeof(*target));
	target->kind = TARGET_CHILD;
	if (syscall == SYS_WAIT4)
		target->id = first > 0 ? first : 0;
	else
		target->id = first == WAITID_PID ? second : 0;
}

/* Whoever makes a child may have to wait for memory, or for a lock. Only a vfork waits for the
 * child, at a completion that lies on the caller's stack: the child that it made last knows it. */
static __always_inline void target_vfork(struct task_struct *task, void *registers,
					 struct event_target *target)
{
	/* probed: numbers, with which one may reckon */
	__u64 last = (__u64)BPF_CORE_READ(task, children.prev);
	__u64 bottom = (__u64)BPF_CORE_READ(task, stack);
	struct task_struct *child = (void *)(last - bpf_core_field_offset(task->sibling));
	__u64 completion = (__u64)BPF_CORE_READ(child, vfork_done);

	if (completion > bottom && completion < (__u64)registers)
		target_process(BPF_CORE_READ(child, thread_pid), target);
}

/* ---- from one descriptor to another */

/* Whether there is nothing to read, or no room. */
static __always_inline bool pipe_holds_up(void *file, bool is_reader)
{
	struct pipe_inode_info *pipe = FIELD(struct file, file, private_data);
	__u32 used = BPF_CORE_READ(pipe, head) - BPF_CORE_READ(pipe, tail);

	return is_reader ? !used : used >= BPF_CORE_READ(pipe, max_usage);
}

/* splice(from, offset, to), tee(from, to), sendfile(to, from): whichever keeps it waiting. */
static __always_inline void target_between(struct task_struct *task, void *registers, __u32 syscall,
					   __u32 state, struct event_target *target)
{
	__u32 first = FIELD(struct pt_regs, registers, di);
	__u32 second = FIELD(struct pt_regs, registers, si);

	if (syscall == SYS_SPLICE)
		second = FIELD(struct pt_regs, registers, dx);
	void *from = file_of(task, syscall == SYS_SENDFILE ? second : first);
	void *to = file_of(task, syscall == SYS_SENDFILE ? first : second);

	if (!from || !to)
		return;
	bool waits_for_room = file_type(to) == FILE_FIFO ? pipe_holds_up(to, false)
							 : file_type(from) != FILE_SOCKET;

	if (file_type(from) == FILE_FIFO)
		waits_for_room = !pipe_holds_up(from, true);
	if (state & STATE_UNINTERRUPTIBLE)
		waits_for_room = file_type(from) == FILE_FIFO || file_type(from) == FILE_SOCKET;
	target_file(waits_for_room ? to : from, target);
}

/* ---- names that the caller gave */

#define PATH_BYTES 512 /* a longer one is not looked at */

/* The end of a text of the user's: what people know a file by. */
static __noinline int target_path(__u64 path, struct event_target *target)
{
	struct unwind_walk *walk = unwind_scratch(); /* nobody walks yet */

	if (!walk || !target)
		return 0;
	char *text = (char *)walk->stack.addresses;
	long bytes = bpf_probe_read_user_str(text, PATH_BYTES, (void *)path);
	__u32 cut = bytes > TARGET_NAME_BYTES ? bytes - TARGET_NAME_BYTES : 0;

	if (bytes <= 1 || bytes == PATH_BYTES)
		return 0;
	target->kind = TARGET_FILE;
	bpf_probe_read_kernel(target->name, TARGET_NAME_BYTES, text + (cut & (PATH_BYTES - 1)));
	target->name[TARGET_NAME_BYTES - 1] = 0;
	return 0;
}

static __always_inline bool begins_with_path(__u32 syscall)
{
	switch (syscall) {
	case 2:   /* open */
	case 4:   /* stat */
	case 6:   /* lstat */
	case 21:  /* access */
	case 59:  /* execve */
	case 76:  /* truncate */
	case 80:  /* chdir */
	case 82:  /* rename */
	case 83:  /* mkdir */
	case 84:  /* rmdir */
	case 85:  /* creat */
	case 86:  /* link */
	case 87:  /* unlink */
	case 89:  /* readlink */
	case 90:  /* chmod */
	case 92:  /* chown */
	case 94:  /* lchown */
	case 132: /* utime */
	case 133: /* mknod */
	case 137: /* statfs */
	case 161: /* chroot */
	case 166: /* umount2 */
	case 167: /* swapon */
	case 168: /* swapoff */
	case 188: /* setxattr */
	case 189: /* lsetxattr */
	case 191: /* getxattr */
	case 192: /* lgetxattr */
	case 194: /* listxattr */
	case 195: /* llistxattr */
	case 197: /* removexattr */
	case 198: /* lremovexattr */
	case 235: /* utimes */
		return true;
	}
	return false;
}

/* After a folder that it is in, most of them. */
static __always_inline bool goes_on_with_path(__u32 syscall)
{
	switch (syscall) {
	case 88:  /* symlink */
	case 165: /* mount: where */
	case 254: /* inotify_add_watch */
	case 257: /* openat */
	case 258: /* mkdirat */
	case 259: /* mknodat */
	case 260: /* fchownat */
	case 261: /* futimesat */
	case 262: /* newfstatat */
	case 263: /* unlinkat */
	case 264: /* renameat */
	case 265: /* linkat */
	case 267: /* readlinkat */
	case 268: /* fchmodat */
	case 269: /* faccessat */
	case 280: /* utimensat */
	case 303: /* name_to_handle_at */
	case 316: /* renameat2 */
	case 322: /* execveat */
	case 332: /* statx */
	case 437: /* openat2 */
	case 439: /* faccessat2 */
	case 452: /* fchmodat2 */
		return true;
	}
	return false;
}

/* Which argument is a path, counted from 0; -1: none. */
static __noinline int path_argument(__u32 syscall)
{
	if (begins_with_path(syscall))
		return 0;
	return goes_on_with_path(syscall) ? 1 : -1;
}

/* Of an abstract name, `bytes` without the NUL before it, the end. */
static __always_inline void target_abstract(__u64 name, __u32 bytes, struct event_target *target)
{
	__u32 cut = bytes > TARGET_NAME_BYTES - 1 ? bytes - (TARGET_NAME_BYTES - 1) : 0;

	bytes -= cut;
	__builtin_memset(target->name, 0, sizeof(target->name));
	bpf_probe_read_user(target->name, bytes & (TARGET_NAME_BYTES - 1), (void *)(name + cut));
}

/* The name of a unix socket, as a caller gives it. */
static __noinline int target_named_by_caller(__u64 address, __u32 bytes,
					     struct event_target *target)
{
	__u64 path = address + sizeof(unsigned short);
	struct event_target named = { 0 };
	char first = 1;

	if (!target || bytes <= sizeof(unsigned short) + 1 || bytes > sizeof(struct sockaddr_un) ||
	    bpf_probe_read_user(&first, 1, (void *)path))
		return 0;
	if (!first) {
		target_abstract(path + 1, bytes - sizeof(unsigned short) - 1, target);
		return 0;
	}
	target_path(path, &named);
	__builtin_memcpy(target->name, named.name, sizeof(target->name));
	return 0;
}

/* The beginning of struct msghdr. */
struct target_message {
	__u64 name;
	__u32 name_bytes;
	__u32 pad;
};

/* connect(fd, address, bytes) to one whose queue is full: nobody has it yet. sendto(..., address,
 * bytes) and sendmsg(fd, message), where it is full: not this socket is what is waited for. */
__noinline int target_addressed(__u32 syscall, struct event_target *target)
{
	void *registers = task_registers(task_current());
	struct target_message message = { 0 };

	if (!target)
		return 0;
	if (syscall == SYS_CONNECT) {
		message.name = FIELD(struct pt_regs, registers, si);
		message.name_bytes = FIELD(struct pt_regs, registers, dx);
	} else if (syscall == SYS_SENDTO) {
		message.name = FIELD(struct pt_regs, registers, r8);
		message.name_bytes = FIELD(struct pt_regs, registers, r9);
	} else if (bpf_probe_read_user(&message, sizeof(message),
				       (void *)FIELD(struct pt_regs, registers, si))) {
		return 0;
	}
	if (message.name)
		target_named_by_caller(message.name, message.name_bytes, target);
	return 0;
}

/* ---- epoll */

/* What a poller of one descriptor waits for is that one's; of several, nobody knows before it
 * comes (ready.bpf.h). */
__noinline int target_epoll(__u32 fd, struct event_target *target)
{
	struct task_struct *task = task_current();
	void *file = file_of(task, fd);

	if (!target)
		return 0;
	target->kind = TARGET_ANON;
	if (!file || !bpf_core_field_exists(struct eventpoll, rbr))
		return 0;
	void *poller = FIELD(struct file, file, private_data);
	/* probed: a number, with which one may reckon */
	void *node = BPF_CORE_READ((struct eventpoll *)poller, rbr.rb_root.rb_node);

	if (!node)
		return 0;
	if (FIELD(struct rb_node, node, rb_left) || FIELD(struct rb_node, node, rb_right)) {
		target_of_several(task);
		return 0;
	}
	void *item = node - bpf_core_field_offset(struct epitem, rbn);

	/* another thread may have put something else in the descriptor's place */
	if (FIELD(struct epitem, item, ep) != poller)
		return 0;
	target->kind = TARGET_NONE;
	file = BPF_CORE_READ((struct epitem *)item, ffd.file);
	if (file)
		target_file(file, target);
	if (target->kind == TARGET_NONE)
		target->kind = TARGET_ANON;
	return 0;
}

/* ---- all of them */

/* The file that a range of memory is mapped from. */
static __always_inline void target_mapped(__u64 address, struct event_target *target)
{
	struct mapping *mapping = mapping_find(address) ? mapping_scratch() : 0;

	if (mapping && mapping->file)
		target_file(mapping->file, target);
}

/* Calls about mappings: those that bring pages in wait for them. */
static __always_inline void target_memory(struct task_struct *task, void *registers, __u32 syscall,
					  struct event_target *target)
{
	switch (syscall) {
	case SYS_MSYNC:
		target_mapped(FIELD(struct pt_regs, registers, di), target);
		break;
	case SYS_MMAP:
	case SYS_MREMAP:
	case SYS_MADVISE:
	case SYS_MLOCK:
	case SYS_MLOCK2:
	case SYS_MLOCKALL:
		if (LOAD_BIT(task, in_iowait))
			target_fault(target);
		break;
	}
}

static __always_inline void target_queue(struct task_struct *task, __u32 fd,
					 struct event_target *target)
{
	target_fd(task, fd, target);
	target->kind = TARGET_QUEUE;
	target->id = 0;
	target->aux = 0;
}

__noinline int target_rare(__u32 syscall, __u32 state, struct event_target *target)
{
	struct task_struct *task = task_current();
	void *registers = task_registers(task);
	int path = path_argument(syscall);

	if (!target)
		return 0;
	switch (syscall) {
	case SYS_SELECT:
	case SYS_PSELECT6:
		target_select(task, registers, target);
		break;
	case SYS_WAIT4:
	case SYS_WAITID:
		target_child(task, registers, syscall, target);
		break;
	case SYS_CLONE:
	case SYS_VFORK:
	case SYS_CLONE3:
		target_vfork(task, registers, target);
		break;
	case SYS_FUTEX_WAIT:
		target_futex2(registers, target);
		break;
	case SYS_FUTEX_WAITV:
		target_futexes(registers, target);
		break;
	case SYS_SEMOP:
	case SYS_SEMTIMEDOP:
		target->kind = TARGET_SEMAPHORE;
		target->id = (__u32)FIELD(struct pt_regs, registers, di);
		break;
	case SYS_MSGSND:
	case SYS_MSGRCV:
		target->kind = TARGET_QUEUE;
		target->id = (__u32)FIELD(struct pt_regs, registers, di);
		break;
	case SYS_MQ_TIMEDSEND:
	case SYS_MQ_TIMEDRECEIVE:
		target_queue(task, FIELD(struct pt_regs, registers, di), target);
		break;
	case SYS_IO_GETEVENTS:
	case SYS_IO_PGETEVENTS:
		target_aio(FIELD(struct pt_regs, registers, di), target);
		break;
	case SYS_SPLICE:
	case SYS_TEE:
	case SYS_SENDFILE:
		target_between(task, registers, syscall, state, target);
		break;
	default:
		target_memory(task, registers, syscall, target);
	}
	if (path >= 0)
		target_path(path ? FIELD(struct pt_regs, registers, si)
				 : FIELD(struct pt_regs, registers, di),
			    target);
	return 0;
}
