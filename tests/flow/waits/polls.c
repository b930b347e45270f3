/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever waits for one of several things, or for the time to pass. */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/flow/waits/sockets.h"
#include "tests/flow/waits/waits.h"

static const struct timespec a_while = { .tv_nsec = WAIT_MS * 1000000 };

/* ---- polls */

static int counter = -1, poller = -1;

static void before_poll(void)
{
	struct epoll_event interest = { .events = EPOLLIN };

	open_tcp();
	if (counter >= 0)
		return;
	counter = eventfd(0, 0);
	poller = epoll_create1(0);
	must(epoll_ctl(poller, EPOLL_CTL_ADD, counter, &interest) == 0);
	must(epoll_ctl(poller, EPOLL_CTL_ADD, tcp[0], &interest) == 0);
}

static void wait_epoll(void)
{
	struct epoll_event event;

	say_waker("timer", 0);
	epoll_pwait(poller, &event, 1, WAIT_MS, NULL);
}

static void wait_epoll2(void)
{
	struct epoll_event event;

	say_waker("timer", 0);
	syscall(SYS_epoll_pwait2, poller, &event, 1, &a_while, NULL, 0);
}

static void wait_poll_two(void)
{
	struct pollfd two[2] = { { tcp[0], POLLIN, 0 }, { counter, POLLIN, 0 } };

	ppoll(two, 2, &a_while, NULL);
}

static void wait_select_two(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(tcp[0], &set);
	FD_SET(counter, &set);
	pselect((tcp[0] > counter ? tcp[0] : counter) + 1, &set, NULL, NULL, &a_while, NULL);
}

/* One that waits for others in turn. */
static void wait_poll_poller(void)
{
	struct pollfd one = { poller, POLLIN, 0 };

	say_target("eventpoll");
	ppoll(&one, 1, &a_while, NULL);
}

static void wait_poll_counter(void)
{
	struct pollfd one = { counter, POLLIN, 0 };

	say_target("eventfd");
	ppoll(&one, 1, &a_while, NULL);
}

/* A regular file is always ready; one of /proc may not be. */
static void wait_poll_mounts(void)
{
	int fd = open("/proc/self/mounts", O_RDONLY);
	struct pollfd one = { fd, POLLPRI, 0 };

	ppoll(&one, 1, &a_while, NULL);
	close(fd);
}

static void wait_counter(void)
{
	eventfd_t value;

	say_target("eventfd");
	eventfd_read(counter, &value);
}

static void end_counter(void)
{
	say_waker("thread", own_tid());
	eventfd_write(counter, 1);
}

/* ---- of several, the one that comes */

static void wait_for_counter(void)
{
	struct epoll_event event;
	eventfd_t value;

	say_target("eventfd");
	must(epoll_wait(poller, &event, 1, -1) == 1);
	eventfd_read(counter, &value);
}

static void before_socket(void)
{
	before_poll();
	before_tcp();
}

static void wait_for_socket(void)
{
	struct epoll_event event;
	char byte;

	must(epoll_wait(poller, &event, 1, -1) == 1);
	must(recv(tcp[0], &byte, 1, 0) == 1);
}

static void end_socket(void)
{
	say_waker("network", own_tid());
	must(send(tcp[1], "x", 1, 0) == 1);
}

/* The network's of both: the only one that it is. */
static void wait_for_socket_of_two(void)
{
	struct pollfd two[2] = { { counter, POLLIN, 0 }, { tcp[0], POLLIN, 0 } };
	char byte;

	must(poll(two, 2, -1) == 1);
	must(recv(tcp[0], &byte, 1, 0) == 1);
}

/* Whatever came: nobody reads it by poll or select. */
static int ends[2], local[2], timer;

static void before_several(void)
{
	before_socket();
	must(pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, local) == 0);
	timer = timerfd_create(CLOCK_MONOTONIC, 0);
}

static void after_several(void)
{
	const int all[] = { ends[0], ends[1], local[0], local[1], timer };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		close(all[i]);
}

static void wait_poll_several(void)
{
	struct pollfd all[] = { { counter, POLLIN, 0 }, { tcp[0], POLLIN, 0 },
				{ ends[0], POLLIN, 0 }, { -1, POLLIN, 0 },
				{ timer, POLLIN, 0 },   { local[0], POLLIN, 0 } };
	eventfd_t value;

	must(poll(all, sizeof(all) / sizeof(all[0]), -1) == 1);
	if (all[0].revents)
		eventfd_read(counter, &value);
}

static void wait_select_several(void)
{
	const int all[] = { counter, tcp[0], ends[0], timer, local[0] };
	int highest = 0;
	eventfd_t value;
	fd_set set;

	FD_ZERO(&set);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		FD_SET(all[i], &set);
		highest = all[i] > highest ? all[i] : highest;
	}
	must(select(highest + 1, &set, NULL, NULL, NULL) == 1);
	if (FD_ISSET(counter, &set))
		eventfd_read(counter, &value);
}

static void before_timer_of_several(void)
{
	const struct itimerspec once = { .it_value = a_while };

	before_several();
	say_target("timerfd");
	say_waker("timer", 0);
	must(timerfd_settime(timer, 0, &once, NULL) == 0);
}

static void before_counter_of_several(void)
{
	before_several();
	say_target("eventfd");
}

static void before_pipe_of_several(void)
{
	before_several();
	say_target("pipe [0-9]+");
}

static void end_pipe_of_several(void)
{
	say_waker("thread", own_tid());
	must(write(ends[1], "x", 1) == 1);
}

static void end_pipe_by_closing(void)
{
	say_waker("thread", own_tid());
	close(ends[1]);
}

static void before_local_of_several(void)
{
	before_several();
	say_target("unix socket [0-9]+");
}

static void end_local_of_several(void)
{
	say_waker("thread", own_tid());
	must(send(local[1], "x", 1, 0) == 1);
}

static void take_byte(void)
{
	char byte;

	must(recv(tcp[0], &byte, 1, 0) == 1);
	after_several();
}

static int watcher;
static char news[PAGE];

static void before_watcher(void)
{
	watcher = inotify_init1(0);
	must(inotify_add_watch(watcher, ".", IN_CREATE) >= 0);
	say_target("inotify");
}

static void wait_watcher(void)
{
	must(read(watcher, news, PAGE) > 0);
}

static void end_watcher(void)
{
	say_waker("thread", own_tid());
	close(open("news.txt", O_CREAT | O_WRONLY, 0600));
}

static void after_watcher(void)
{
	close(watcher);
	unlink("news.txt");
}

/* ---- sleeps */

static void wait_sleep_until(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += WAIT_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	say_waker("timer", 0);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void wait_nanosleep(void)
{
	say_waker("timer", 0);
	syscall(SYS_nanosleep, &a_while, NULL);
}

/* Sets are passed, but nobody is in them. */
static void wait_select_empty(void)
{
	fd_set set;

	FD_ZERO(&set);
	say_waker("timer", 0);
	pselect(64, &set, NULL, NULL, &a_while, NULL);
}

static void wait_timer(void)
{
	const struct itimerspec once = { .it_value = a_while };
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t count;

	say_target("timerfd");
	say_waker("timer", 0);
	must(timerfd_settime(fd, 0, &once, NULL) == 0);
	must(read(fd, &count, sizeof(count)) == sizeof(count));
	close(fd);
}

const struct step poll_steps[] = {
	{ "epoll_pwait", "poll", before_poll, wait_epoll, NULL, NULL },
	{ "epoll_pwait2", "poll", before_poll, wait_epoll2, NULL, NULL },
	{ "epoll-socket", "poll", before_socket, wait_for_socket, end_socket, NULL },
	{ "epoll-counter", "poll", before_poll, wait_for_counter, end_counter, NULL },
	{ "poll-socket", "poll", before_socket, wait_for_socket_of_two, end_socket, NULL },
	{ "poll-several-counter", "poll", before_counter_of_several, wait_poll_several, end_counter,
	  after_several },
	{ "poll-several-socket", "poll", before_several, wait_poll_several, end_socket, take_byte },
	{ "poll-several-pipe", "poll", before_pipe_of_several, wait_poll_several,
	  end_pipe_of_several, after_several },
	{ "poll-several-closed", "poll", before_pipe_of_several, wait_poll_several,
	  end_pipe_by_closing, after_several },
	{ "poll-several-local", "poll", before_local_of_several, wait_poll_several,
	  end_local_of_several, after_several },
	{ "poll-several-timer", "poll", before_timer_of_several, wait_poll_several, NULL,
	  after_several },
	{ "select-several-counter", "poll", before_counter_of_several, wait_select_several,
	  end_counter, after_several },
	{ "select-several-socket", "poll", before_several, wait_select_several, end_socket,
	  take_byte },
	{ "select-several-pipe", "poll", before_pipe_of_several, wait_select_several,
	  end_pipe_of_several, after_several },
	{ "select-several-local", "poll", before_local_of_several, wait_select_several,
	  end_local_of_several, after_several },
	{ "select-several-timer", "poll", before_timer_of_several, wait_select_several, NULL,
	  after_several },
	{ "ppoll-two", "poll", before_poll, wait_poll_two, NULL, NULL },
	{ "pselect-two", "poll", before_poll, wait_select_two, NULL, NULL },
	{ "ppoll-poller", "poll", before_poll, wait_poll_poller, NULL, NULL },
	{ "ppoll-counter", "poll", before_poll, wait_poll_counter, NULL, NULL },
	{ "ppoll-proc", "poll", NULL, wait_poll_mounts, NULL, NULL },
	{ "eventfd", "other", before_poll, wait_counter, end_counter, NULL },
	{ "inotify", "other", before_watcher, wait_watcher, end_watcher, after_watcher },
	{ "sleep-until", "sleep", NULL, wait_sleep_until, NULL, NULL },
	{ "nanosleep", "sleep", NULL, wait_nanosleep, NULL, NULL },
	{ "select-empty", "sleep", NULL, wait_select_empty, NULL, NULL },
	{ "timerfd", "sleep", NULL, wait_timer, NULL, NULL },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
