/* SPDX-License-Identifier: Apache-2.0 */
/* What programs wait for now and then: permission, leases, spawned programs, rings with a thread of
 * the kernel's, pollers of other things than sockets. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/flow/waits/waits.h"

extern char **environ;

static const struct timespec a_while = { .tv_nsec = WAIT_MS * 1000000 };

/* ---- programs and permission */

static void wait_spawn(void)
{
	char *const arguments[] = { "sleep", "0.005", NULL };
	int status;

	must(posix_spawnp(&child, "sleep", NULL, NULL, arguments, environ) == 0);
	must(waitpid(child, &status, 0) == child);
}

static int watcher = -1;

static void before_permission(void)
{
	close(open_file("guarded.bin"));
	say_target("file guarded.bin");
	watcher = fanotify_init(FAN_CLASS_CONTENT, O_RDONLY);
	if (watcher < 0 ||
	    fanotify_mark(watcher, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "guarded.bin") < 0)
		say_missing("no fanotify");
}

static void wait_permission(void)
{
	close(open("guarded.bin", O_RDONLY));
}

static void end_permission(void)
{
	struct fanotify_event_metadata event;

	say_waker("thread", own_tid());
	must(read(watcher, &event, sizeof(event)) >= (ssize_t)sizeof(event));
	struct fanotify_response response = { .fd = event.fd, .response = FAN_ALLOW };

	must(write(watcher, &response, sizeof(response)) == sizeof(response));
	close(event.fd);
}

static void after_permission(void)
{
	close(watcher);
}

static int leased;

static void before_lease(void)
{
	signal(SIGIO, SIG_IGN);
	leased = open_file("leased.bin");
	say_target("file leased.bin");
	if (fcntl(leased, F_SETLEASE, F_WRLCK) < 0)
		say_missing("no leases");
}

/* Who only reads is let try again at each tick of the clock. */
static void wait_lease(void)
{
	int fd = -1;

	while ((fd = open("leased.bin", O_WRONLY)) < 0)
		must(errno == EINTR);
	close(fd);
}

static void end_lease(void)
{
	say_waker("thread", own_tid());
	fcntl(leased, F_SETLEASE, F_UNLCK);
}

static void after_lease(void)
{
	close(leased);
}

/* ---- io_uring with a thread of the kernel's that takes what is asked for */

static int ring = -1;
static struct io_uring_params about_ring;

static void before_polled_ring(void)
{
	about_ring =
		(struct io_uring_params){ .flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 1000 };
	ring = (int)syscall(SYS_io_uring_setup, 4, &about_ring);
	if (ring < 0)
		say_missing("no io_uring");
}

static void wait_polled_ring(void)
{
	const struct __kernel_timespec time = { .tv_nsec = WAIT_MS * 1000000 };
	char *head = mmap(NULL, about_ring.sq_off.array + 4 * sizeof(uint32_t),
			  PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	struct io_uring_sqe *entry = mmap(NULL, sizeof(*entry) * 4, PROT_READ | PROT_WRITE,
					  MAP_SHARED, ring, IORING_OFF_SQES);

	must(head != MAP_FAILED && entry != MAP_FAILED);
	*entry = (struct io_uring_sqe){ .opcode = IORING_OP_TIMEOUT,
					.addr = (uint64_t)(uintptr_t)&time,
					.len = 1 };
	*(uint32_t *)(void *)(head + about_ring.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(void *)(head + about_ring.sq_off.tail), 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, ring, 0, 1,
		     IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP, NULL, 0) >= 0);
}

static void after_ring(void)
{
	close(ring);
}

/* ---- pollers of many kinds of things */

static int poller, things[6], ends[2];
enum thing { TIMER, SIGNAL, PROCESS, NEWS, PIPE, COUNTER };

static void add(enum thing which, int fd)
{
	struct epoll_event interest = { .events = EPOLLIN, .data.u32 = which };

	must(fd >= 0);
	things[which] = fd;
	must(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &interest) == 0);
}

static void sleep_a_while(void)
{
	await_wait();
}

static void open_poller(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	poller = epoll_create1(0);
	must(pipe(ends) == 0);
	add(TIMER, timerfd_create(CLOCK_MONOTONIC, 0));
	add(SIGNAL, signalfd(-1, &set, 0));
	add(NEWS, inotify_init1(0));
	add(PIPE, ends[0]);
	add(COUNTER, eventfd(0, 0));
	must(inotify_add_watch(things[NEWS], ".", IN_CREATE) >= 0);
}

static void close_poller(void)
{
	const enum thing all[] = { TIMER, SIGNAL, NEWS, PIPE, COUNTER };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		close(things[all[i]]);
	close(ends[1]);
	close(poller);
}

static void wait_poller(void)
{
	struct epoll_event event;

	must(epoll_wait(poller, &event, 1, -1) == 1);
}

static void before_poll_timer(void)
{
	const struct itimerspec once = { .it_value = a_while };

	open_poller();
	say_target("timerfd");
	say_waker("timer", 0);
	must(timerfd_settime(things[TIMER], 0, &once, NULL) == 0);
}

static void before_poll_signal(void)
{
	open_poller();
	say_target("signalfd");
}

static void end_by_signal(void)
{
	say_waker("thread", own_tid());
	kill(getpid(), SIGUSR1);
}

static void after_poll_signal(void)
{
	struct signalfd_siginfo info;

	must(read(things[SIGNAL], &info, sizeof(info)) == sizeof(info));
	close_poller();
}

static void before_poll_process(void)
{
	open_poller();
	say_waker("thread", run_child(sleep_a_while));
	say_target("child %d", child);
	add(PROCESS, (int)syscall(SYS_pidfd_open, child, 0));
}

static void after_poll_process(void)
{
	reap_child();
	close(things[PROCESS]);
	close_poller();
}

static void before_poll_news(void)
{
	open_poller();
	say_target("inotify");
}

static void end_by_news(void)
{
	say_waker("thread", own_tid());
	close(open("fresh.txt", O_CREAT | O_WRONLY, 0600));
}

static void after_poll_news(void)
{
	unlink("fresh.txt");
	close_poller();
}

static void before_poll_pipe(void)
{
	open_poller();
	say_target("pipe [0-9]+");
}

static void end_by_pipe(void)
{
	say_waker("thread", own_tid());
	must(write(ends[1], "x", 1) == 1);
}

/* One thing alone is what it is for. */
static void wait_for_signal_alone(void)
{
	struct pollfd one = { things[SIGNAL], POLLIN, 0 };

	must(poll(&one, 1, -1) == 1);
}

static void wait_for_timer_alone(void)
{
	struct pollfd one = { things[TIMER], POLLIN, 0 };

	must(poll(&one, 1, -1) == 1);
}

/* ---- without room */

static void before_full(void)
{
	static char block[PAGE];

	must(pipe2(ends, O_NONBLOCK) == 0);
	while (write(ends[1], block, sizeof(block)) > 0)
		;
	must(fcntl(ends[1], F_SETFL, 0) == 0);
	say_target("pipe [0-9]+");
}

static void wait_full(void)
{
	static char block[PAGE];

	must(write(ends[1], block, sizeof(block)) == sizeof(block));
}

static void wait_full_polled(void)
{
	struct pollfd one = { ends[1], POLLOUT, 0 };

	must(poll(&one, 1, -1) == 1);
}

static void end_full(void)
{
	static char block[2 * PAGE];

	say_waker("thread", own_tid());
	must(read(ends[0], block, sizeof(block)) == sizeof(block));
}

static void after_full(void)
{
	close(ends[0]);
	close(ends[1]);
}

static int counter;

static void before_full_counter(void)
{
	counter = eventfd(0, 0);
	must(eventfd_write(counter, UINT64_MAX - 1) == 0);
	say_target("eventfd");
}

static void wait_full_counter(void)
{
	must(eventfd_write(counter, 1) == 0);
}

static void end_full_counter(void)
{
	eventfd_t value;

	say_waker("thread", own_tid());
	must(eventfd_read(counter, &value) == 0);
}

static void after_full_counter(void)
{
	close(counter);
}

/* ---- locks with a limit of time */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void before_timed_mutex(void)
{
	pthread_mutex_lock(&mutex);
	say_target("futex 0x%lx", (unsigned long)&mutex);
	say_waker("timer", 0);
}

static void wait_timed_mutex(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += WAIT_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	must(pthread_mutex_timedlock(&mutex, &until) == ETIMEDOUT);
}

static void after_timed_mutex(void)
{
	pthread_mutex_unlock(&mutex);
}

const struct step seldom_steps[] = {
	{ "spawn", "child", NULL, wait_spawn, NULL, NULL },
	{ "permission", "other", before_permission, wait_permission, end_permission,
	  after_permission },
	{ "lease", "lock", before_lease, wait_lease, end_lease, after_lease },
	{ "io_uring-polled", "io_uring", before_polled_ring, wait_polled_ring, NULL, after_ring },
	{ "epoll-timer", "poll", before_poll_timer, wait_poller, NULL, close_poller },
	{ "epoll-signal", "poll", before_poll_signal, wait_poller, end_by_signal,
	  after_poll_signal },
	{ "epoll-process", "poll", before_poll_process, wait_poller, NULL, after_poll_process },
	{ "epoll-news", "poll", before_poll_news, wait_poller, end_by_news, after_poll_news },
	{ "epoll-pipe", "poll", before_poll_pipe, wait_poller, end_by_pipe, close_poller },
	{ "poll-signal", "signal", before_poll_signal, wait_for_signal_alone, end_by_signal,
	  after_poll_signal },
	{ "poll-timer", "sleep", before_poll_timer, wait_for_timer_alone, NULL, close_poller },
	{ "pipe-full", "pipe", before_full, wait_full, end_full, after_full },
	{ "poll-pipe-full", "pipe", before_full, wait_full_polled, end_full, after_full },
	{ "eventfd-full", "other", before_full_counter, wait_full_counter, end_full_counter,
	  after_full_counter },
	{ "mutex-timed", "lock", before_timed_mutex, wait_timed_mutex, NULL, after_timed_mutex },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
