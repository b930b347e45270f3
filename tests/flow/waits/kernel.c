/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel itself keeps a thread from: its own locks, which another thread of the program
 * holds; and whoever it has to ask before it goes on. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/flow/waits/sockets.h"
#include "tests/flow/waits/waits.h"

/* ---- a page that is provided when somebody waits for what is held meanwhile */

static int faults = -1;
static char *page;

static bool open_faults(int flags)
{
	struct uffdio_api api = { .api = UFFD_API };

	faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC | flags);
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) < 0) {
		say_missing("no userfaultfd");
		return false;
	}
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = { .range = { (uintptr_t)page, PAGE },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };

	must(page != MAP_FAILED && ioctl(faults, UFFDIO_REGISTER, &range) == 0);
	return true;
}

static void provide(void)
{
	struct uffdio_zeropage zeros = { .range = { (uintptr_t)page, PAGE } };

	must(ioctl(faults, UFFDIO_ZEROPAGE, &zeros) == 0);
}

static void close_faults(void)
{
	munmap(page, PAGE);
	close(faults);
}

/* ---- a lock of the kernel's, held by a call that waits for that page */

static pthread_t holder;
static int file = -1, ends[2];

static void *hold(void *call)
{
	say_waker("thread", own_tid());
	(*(void (**)(void))call)();
	return NULL;
}

static void before_held(void (*call)(void))
{
	static void (*held)(void);
	struct pollfd one = { .events = POLLIN };

	if (!open_faults(O_NONBLOCK))
		return;
	held = call;
	one.fd = faults;
	must(pthread_create(&holder, NULL, hold, (void *)&held) == 0);
	must(poll(&one, 1, -1) == 1 && one.revents == POLLIN);
}

static void after_held(void)
{
	pthread_join(holder, NULL);
	close_faults();
}

static void write_page(void)
{
	must(pwrite(file, page, PAGE, 0) == PAGE);
}

static void read_page(void)
{
	must(read(file, page, PAGE) == PAGE);
}

static void open_ledger(void)
{
	file = open_file("shared.dat");
	must(lseek(file, 0, SEEK_SET) == 0);
	say_target("file shared.dat [0-9]+ on [0-9:]+");
}

static void close_ledger(void)
{
	after_held();
	close(file);
}

static void before_file(void)
{
	open_ledger();
	before_held(write_page);
}

static void wait_file(void)
{
	must(pwrite(file, "x", 1, PAGE) == 1);
}

static void before_position(void)
{
	open_ledger();
	before_held(read_page);
	say_target("%s", "");
}

static void wait_position(void)
{
	must(lseek(file, 0, SEEK_CUR) >= 0);
}

static void write_pipe(void)
{
	must(write(ends[1], page, PAGE) == PAGE);
}

static void before_pipe(void)
{
	must(pipe(ends) == 0);
	say_target("pipe [0-9]+");
	before_held(write_pipe);
}

static void wait_pipe(void)
{
	must(write(ends[1], "x", 1) == 1);
}

static void close_pipe(void)
{
	after_held();
	close(ends[0]);
	close(ends[1]);
}

static void send_page(void)
{
	must(send(tcp[0], page, PAGE, 0) == PAGE);
}

static void before_socket(void)
{
	before_tcp();
	before_held(send_page);
}

static void wait_socket(void)
{
	must(send(tcp[0], "x", 1, 0) == 1);
}

static void close_socket(void)
{
	after_held();
	drain_tcp();
}

/* ---- the map of the process's memory, which another thread is changing all the time. Whoever
 * looks at it from outside, such as a daemon at its tables, may end such a wait as well. */

#define LARGE_BYTES (256u << 20)

static atomic_bool is_over;
static char *large;

static void *change_map(void *arg)
{
	for (int turn = 0; !atomic_load(&is_over); turn++)
		must(mprotect(large, LARGE_BYTES, turn & 1 ? PROT_READ : PROT_READ | PROT_WRITE) ==
		     0);
	return arg;
}

static void before_map(void)
{
	large = mmap(NULL, LARGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(large != MAP_FAILED && madvise(large, LARGE_BYTES, MADV_NOHUGEPAGE) == 0);
	for (size_t at = 0; at < LARGE_BYTES; at += PAGE)
		large[at] = 1;
	atomic_store(&is_over, false);
	must(pthread_create(&holder, NULL, change_map, NULL) == 0);
}

static void do_nothing(void)
{
}

static void wait_map(void)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		munmap(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 <
		 WAIT_MS);
}

/* It has to look at all of it. */
static void wait_fork(void)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		run_child(do_nothing);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 <
		 WAIT_MS);
}

static void after_map(void)
{
	atomic_store(&is_over, true);
	pthread_join(holder, NULL);
	munmap(large, LARGE_BYTES);
}

static void after_fork(void)
{
	after_map();
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* ---- who has to answer for the kernel, and who is told by it */

#define MAGIC 0x5eccf

static int supervisor = -1;

static void before_supervised(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpriority, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAGIC, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	supervisor = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				  SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (supervisor < 0)
		say_missing("no seccomp");
}

static void wait_supervised(void)
{
	must(syscall(SYS_getpriority, MAGIC, 0) == 7);
}

static void end_supervised(void)
{
	struct seccomp_notif asked = { 0 };

	say_waker("thread", own_tid());
	must(ioctl(supervisor, SECCOMP_IOCTL_NOTIF_RECV, &asked) == 0);
	struct seccomp_notif_resp answer = { .id = asked.id, .val = 7 };

	must(ioctl(supervisor, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0);
}

static void after_supervised(void)
{
	close(supervisor);
}

static int watcher;

static void before_watched(void)
{
	close(open_file("watched.bin"));
	watcher = fanotify_init(FAN_CLASS_NOTIF, O_RDONLY);
	if (watcher < 0 ||
	    fanotify_mark(watcher, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "watched.bin") < 0)
		say_missing("no fanotify");
	say_target("fanotify");
}

static void wait_watched(void)
{
	struct fanotify_event_metadata event;

	must(read(watcher, &event, sizeof(event)) >= (ssize_t)sizeof(event));
	close(event.fd);
}

static void end_watched(void)
{
	say_waker("thread", own_tid());
	close(open("watched.bin", O_RDONLY));
}

static void after_watched(void)
{
	close(watcher);
}

static void before_faults(void)
{
	if (open_faults(0))
		say_target("userfaultfd");
}

static void wait_faults(void)
{
	struct uffd_msg message;

	must(read(faults, &message, sizeof(message)) == sizeof(message));
	provide();
}

static void end_faults(void)
{
	say_waker("thread", own_tid());
	*(volatile char *)page = 1;
}

const struct step kernel_steps[] = {
	{ "file-lock", "lock", before_file, wait_file, provide, close_ledger },
	{ "position-lock", "lock", before_position, wait_position, provide, close_ledger },
	{ "pipe-lock", "lock", before_pipe, wait_pipe, provide, close_pipe },
	{ "socket-lock", "lock", before_socket, wait_socket, provide, close_socket },
	{ "map-lock", "lock", before_map, wait_map, NULL, after_map },
	{ "fork-map-lock", "lock", before_map, wait_fork, NULL, after_fork },
	{ "supervised", "other", before_supervised, wait_supervised, end_supervised,
	  after_supervised },
	{ "fanotify", "other", before_watched, wait_watched, end_watched, after_watched },
	{ "userfaultfd", "other", before_faults, wait_faults, end_faults, close_faults },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
