/* SPDX-License-Identifier: Apache-2.0 */
/* Rings of io_uring, and what the kernel makes threads of the process for; and io_getevents of an
 * event loop's. */
#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/flow/waits/sockets.h"
#include "tests/flow/waits/waits.h"

#define ENTRIES 4

/* A ring stays open: one that is closed has the kernel wake us, later, to let go of it. */
static int ring = -1, ends[2];
static char block[PAGE];

static void open_ring(uint32_t flags, struct io_uring_params *out)
{
	*out = (struct io_uring_params){ .flags = flags, .sq_thread_idle = 1000 };
	ring = (int)syscall(SYS_io_uring_setup, ENTRIES, out);
}

/* One request, the first of its ring, and waits for it. */
static void ask(uint32_t flags, struct io_uring_sqe request)
{
	struct io_uring_params about;

	open_ring(flags, &about);
	must(ring >= 0);
	char *queue = mmap(NULL, about.sq_off.array + ENTRIES * sizeof(uint32_t),
			   PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	struct io_uring_sqe *entries =
		mmap(NULL, ENTRIES * sizeof(*entries), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
		     IORING_OFF_SQES);

	must(queue != MAP_FAILED && entries != MAP_FAILED);
	entries[0] = request;
	*(uint32_t *)(void *)(queue + about.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(void *)(queue + about.sq_off.tail), 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) >= 0);
}

/* None of no entries, but that is no reason where there are any. */
static void look_for_rings(void)
{
	struct io_uring_params about = { 0 };

	must(syscall(SYS_io_uring_setup, 0, &about) < 0);
	if (errno != EINVAL)
		say_missing("no io_uring");
}

static void before_pipe(void)
{
	must(pipe(ends) == 0);
	look_for_rings();
}

static const struct io_uring_sqe *read_pipe(uint8_t flags)
{
	static struct io_uring_sqe request;

	request = (struct io_uring_sqe){ .opcode = IORING_OP_READ,
					 .flags = flags,
					 .fd = ends[0],
					 .addr = (uintptr_t)block,
					 .len = 1,
					 .off = (uint64_t)-1 };
	return &request;
}

static void wait_pipe(void)
{
	ask(0, *read_pipe(0));
}

static void wait_deferred(void)
{
	ask(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, *read_pipe(0));
}

/* A thread that the kernel makes for it waits, too, on and on: it is none of the span's. */
static void wait_worker(void)
{
	ask(0, *read_pipe(IOSQE_ASYNC));
}

static void end_pipe(void)
{
	say_waker("thread", own_tid());
	must(write(ends[1], "x", 1) == 1);
}

static void after_pipe(void)
{
	close(ends[0]);
	close(ends[1]);
}

static void before_socket(void)
{
	before_tcp();
	say_target("%s", "");
	look_for_rings();
}

static void wait_socket(void)
{
	ask(0,
	    (struct io_uring_sqe){
		    .opcode = IORING_OP_RECV, .fd = tcp[0], .addr = (uintptr_t)block, .len = 1 });
}

static void end_socket(void)
{
	say_waker("network", own_tid());
	must(send(tcp[1], block, 1, 0) == 1);
}

/* ---- a lock, beside a thread of the kernel's that was made within the span */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_t keeper;
static atomic_bool is_held;

static void *hold_mutex(void *arg)
{
	pthread_mutex_lock(&mutex);
	say_waker("thread", own_tid());
	atomic_store(&is_held, true);
	await_wait();
	pthread_mutex_unlock(&mutex);
	return arg;
}

static void before_mutex(void)
{
	atomic_store(&is_held, false);
	must(pthread_create(&keeper, NULL, hold_mutex, NULL) == 0);
	while (!atomic_load(&is_held))
		pause_ms(1);
	say_target("futex 0x%lx", (unsigned long)&mutex);
}

static void wait_beside_poller(void)
{
	struct io_uring_params about;

	open_ring(IORING_SETUP_SQPOLL, &about);
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
}

static void after_mutex(void)
{
	pthread_join(keeper, NULL);
}

/* ---- io_getevents */

static aio_context_t events;

static void before_events(void)
{
	struct stat status;

	must(pipe(ends) == 0 && fstat(ends[0], &status) == 0);
	events = 0;
	if (syscall(SYS_io_setup, 4, &events) < 0)
		say_missing("no aio");
	say_target("pipe %lu", (unsigned long)status.st_ino);
}

static void before_several_events(void)
{
	before_events();
	say_target("epoll");
}

static void wait_events(int count)
{
	struct iocb polls[2] = { { .aio_lio_opcode = IOCB_CMD_POLL,
				   .aio_fildes = (uint32_t)ends[0],
				   .aio_buf = POLLIN } };
	struct iocb *orders[2] = { &polls[0], &polls[1] };
	struct io_event event;

	polls[1] = polls[0];
	must(syscall(SYS_io_submit, events, count, orders) == count);
	must(syscall(SYS_io_getevents, events, 1, 1, &event, NULL) == 1);
}

static void wait_event(void)
{
	wait_events(1);
}

static void wait_several_events(void)
{
	wait_events(2);
}

static void after_events(void)
{
	syscall(SYS_io_destroy, events);
	close(ends[0]);
	close(ends[1]);
}

const struct step ring_steps[] = {
	{ "io_uring-pipe", "io_uring", before_pipe, wait_pipe, end_pipe, after_pipe },
	{ "io_uring-deferred", "io_uring", before_pipe, wait_deferred, end_pipe, after_pipe },
	{ "io_uring-worker", "io_uring", before_pipe, wait_worker, end_pipe, after_pipe },
	{ "io_uring-socket", "io_uring", before_socket, wait_socket, end_socket, NULL },
	{ "mutex-beside-poller", "lock", before_mutex, wait_beside_poller, NULL, after_mutex },
	{ "aio-poll", "poll", before_events, wait_event, end_pipe, after_events },
	{ "aio-poll-several", "poll", before_several_events, wait_several_events, end_pipe,
	  after_events },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
