/* SPDX-License-Identifier: Apache-2.0 */
/* A program that waits for everything one can wait for, in turn, each under a tag of its own.
 *
 *   waits SCENARIO: prints "tls OFFSET", waits for a line, and prints for each wait a line
 *   "wait NAME TID SPAN BEFORE AFTER 0 0 REASON TARGET": what it was by an enum ledger_reason, and
 *   who or what it was for where the test wants to know. "reasons" plays each once. "innocent"
 * makes many short waits that timers, the disk, the network and the kernel's own work end, on a CPU
 * where another thread spins all the time: "tid spinner TID". "burn" takes 200 ms of CPU time on
 * one CPU, "crowd" does so beside a thread that wants the same one. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>
#include <linux/io_uring.h>

#include "bpf/tag.h"
#include "correlate/ledger.h"
#include "tests/bpf/task_state.h"
#include "tests/bpf/waits_play.h"
#include "tests/bpf/waits_things.h"

static __thread struct {
	struct tag_record *pointer;
	struct tag_record record;
} own;
static int main_tid;

void publish(uint64_t span)
{
	own.record = (struct tag_record){ 0 };
	memset(own.record.trace_id, 0xab, sizeof(own.record.trace_id));
	memcpy(own.record.span_id, &span, sizeof(span));
	own.record.valid = span != 0;
	own.pointer = &own.record;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void pause_ms(long ms)
{
	struct timespec time = { .tv_nsec = ms * 1000000 };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* ---- waits and what ends them */

static char byte = 'x';

static void wait_mutex(void)
{
	pthread_mutex_lock(&things.mutex);
	pthread_mutex_unlock(&things.mutex);
}

static void wait_condition(void)
{
	pthread_mutex_lock(&things.mutex);
	pthread_cond_wait(&things.condition, &things.mutex);
	pthread_mutex_unlock(&things.mutex);
}

static void end_condition(void)
{
	pthread_cond_signal(&things.condition);
}

static void wait_semaphore(void)
{
	sem_wait(&things.semaphore);
}

static void end_semaphore(void)
{
	sem_post(&things.semaphore);
}

static void wait_shared(void)
{
	syscall(SYS_futex, things.shared, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void wait_again(void)
{
	syscall(SYS_futex, things.again, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void end_shared(void)
{
	syscall(SYS_futex, things.shared, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void *sleep_a_while(void *arg)
{
	usleep(WAIT_MS * 1000);
	return arg;
}

/* On a word of its own, by a call that others could share it with; twice on the same. */
static void wait_join(void)
{
	for (int i = 0; i < 2; i++) {
		pthread_t thread;

		must(pthread_create(&thread, NULL, sleep_a_while, NULL) == 0);
		pthread_join(thread, NULL);
	}
}

static void wait_flock(void)
{
	flock(things.lock, LOCK_EX);
	flock(things.lock, LOCK_UN);
}

static void wait_tcp(void)
{
	must(recv(things.tcp[0], &byte, 1, 0) == 1);
}

static void end_tcp(void)
{
	must(send(things.tcp[1], &byte, 1, 0) == 1);
}

static void wait_poll_one(void)
{
	struct pollfd one = { .fd = things.tcp[0], .events = POLLIN };

	poll(&one, 1, -1);
	wait_tcp();
}

static void wait_accept(void)
{
	close(accept(things.listener, NULL, NULL));
}

static void end_accept(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	must(connect(fd, (void *)&things.address, sizeof(things.address)) == 0);
	close(fd);
}

void wait_udp(void)
{
	must(recv(things.udp[0], &byte, 1, 0) == 1);
}

void end_udp(void)
{
	must(send(things.udp[1], &byte, 1, 0) == 1);
}

static void wait_unix(void)
{
	must(read(things.pair[0], &byte, 1) == 1);
}

static void end_unix(void)
{
	must(write(things.pair[1], &byte, 1) == 1);
}

static void wait_path(void)
{
	must(read(things.path[0], &byte, 1) == 1);
}

static void end_path(void)
{
	must(write(things.path[1], &byte, 1) == 1);
}

static void wait_pipe(void)
{
	must(read(things.pipe[0], &byte, 1) == 1);
}

static void end_pipe(void)
{
	must(write(things.pipe[1], &byte, 1) == 1);
}

static void wait_full_pipe(void)
{
	must(write(things.full[1], &byte, 1) == 1);
}

static void end_full_pipe(void)
{
	static char block[PAGE_BYTES];

	must(read(things.full[0], block, sizeof(block)) > 0);
}

static void wait_two(void)
{
	struct pollfd two[2] = { { things.tcp[0], POLLIN, 0 }, { things.pair[0], POLLIN, 0 } };

	poll(two, 2, WAIT_MS);
}

static void wait_select(void)
{
	struct timeval time = { 0, WAIT_MS * 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(things.pipe[0], &set);
	FD_SET(things.tcp[0], &set);
	select(things.tcp[0] + 1, &set, NULL, NULL, &time);
}

static void wait_epoll(void)
{
	struct epoll_event event;

	epoll_wait(things.epoll, &event, 1, WAIT_MS);
}

static void wait_event(void)
{
	eventfd_t count;

	eventfd_read(things.event, &count);
}

static void end_event(void)
{
	eventfd_write(things.event, 1);
}

static void wait_timer(void)
{
	const struct itimerspec once = { .it_value.tv_nsec = WAIT_MS * 1000000 };
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t count;

	must(fd >= 0 && timerfd_settime(fd, 0, &once, NULL) == 0);
	must(read(fd, &count, sizeof(count)) == sizeof(count));
	close(fd);
}

static void wait_signalfd(void)
{
	const struct itimerval once = { .it_value.tv_usec = WAIT_MS * 1000 };
	struct signalfd_siginfo info;
	sigset_t alarm;
	int fd;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	fd = signalfd(-1, &alarm, 0);
	must(fd >= 0 && setitimer(ITIMER_REAL, &once, NULL) == 0);
	must(read(fd, &info, sizeof(info)) == sizeof(info));
	close(fd);
}

static void wait_poll_none(void)
{
	poll(NULL, 0, WAIT_MS);
}

static void wait_select_none(void)
{
	struct timeval time = { .tv_usec = WAIT_MS * 1000 };

	select(0, NULL, NULL, NULL, &time);
}

static void wait_sleep(void)
{
	pause_ms(WAIT_MS);
}

static void wait_signal(void)
{
	struct timespec time = { 0, WAIT_MS * 1000000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigtimedwait(&set, NULL, &time);
}

pid_t child;

static void start_child(void)
{
	child = fork();
	if (child == 0) {
		pause_ms(WAIT_MS);
		_exit(0);
	}
}

static void wait_child(void)
{
	waitpid(child, NULL, 0);
}

static void wait_vfork(void)
{
	child = vfork();
	if (child == 0) {
		pause_ms(WAIT_MS);
		_exit(0);
	}
}

void reap(void)
{
	waitpid(child, NULL, 0);
}

static void wait_fsync(void)
{
	for (int i = 0; i < 4; i++) {
		must(pwrite(things.file, &byte, 1, i * PAGE_BYTES) == 1);
		fsync(things.file);
	}
}

void forget_pages(void)
{
	madvise(things.mapped, PAGES * PAGE_BYTES, MADV_DONTNEED);
	fsync(things.file);
	posix_fadvise(things.file, 0, 0, POSIX_FADV_DONTNEED);
	posix_fadvise(things.file, 0, 0, POSIX_FADV_RANDOM);
}

void wait_read(void)
{
	for (int i = 0; i < PAGES; i += 8)
		must(pread(things.file, &byte, 1, i * PAGE_BYTES) == 1);
}

static void wait_fault(void)
{
	for (int i = 0; i < PAGES; i += 8)
		byte = ((volatile char *)things.mapped)[i * PAGE_BYTES];
}

static int uring = -1;

static void open_uring(void)
{
	struct io_uring_params parameters = { 0 };

	uring = (int)syscall(SYS_io_uring_setup, 4, &parameters);
}

static void wait_uring(void)
{
	struct timespec time = { 0, WAIT_MS * 1000000 };
	struct io_uring_getevents_arg argument = { .ts = (uint64_t)(uintptr_t)&time };

	if (uring >= 0)
		syscall(SYS_io_uring_enter, uring, 0, 1,
			IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof(argument));
}

/* ---- one after another */

static const struct step {
	const char *name;
	enum ledger_reason reason;
	void (*before)(void);
	void (*wait)(void);
	void (*end)(void); /* by the other thread, WAIT_MS later; NULL: it ends by itself */
	bool is_lost;      /* on who does not wait yet: has to be repeated */
} steps[] = {
	{ "condition", REASON_LOCK, NULL, wait_condition, end_condition, true },
	{ "semaphore", REASON_LOCK, NULL, wait_semaphore, end_semaphore, false },
	{ "shared", REASON_LOCK, NULL, wait_shared, end_shared, true },
	{ "again", REASON_LOCK, NULL, wait_again, end_shared, true },
	{ "join", REASON_LOCK, NULL, wait_join, NULL, false },
	{ "tcp", REASON_NET, NULL, wait_tcp, end_tcp, false },
	{ "poll-one", REASON_NET, NULL, wait_poll_one, end_tcp, false },
	{ "accept", REASON_NET, NULL, wait_accept, end_accept, false },
	{ "udp", REASON_NET, NULL, wait_udp, end_udp, false },
	{ "unix", REASON_NET, NULL, wait_unix, end_unix, false },
	{ "path", REASON_NET, NULL, wait_path, end_path, false },
	{ "pipe", REASON_PIPE, NULL, wait_pipe, end_pipe, false },
	{ "full-pipe", REASON_PIPE, NULL, wait_full_pipe, end_full_pipe, false },
	{ "poll-two", REASON_POLL, NULL, wait_two, NULL, false },
	{ "select", REASON_POLL, NULL, wait_select, NULL, false },
	{ "epoll", REASON_POLL, NULL, wait_epoll, NULL, false },
	{ "sleep", REASON_SLEEP, NULL, wait_sleep, NULL, false },
	{ "signal", REASON_SIGNAL, NULL, wait_signal, NULL, false },
	{ "child", REASON_CHILD, start_child, wait_child, NULL, false },
	{ "vfork", REASON_CHILD, NULL, wait_vfork, NULL, false },
	{ "fsync", REASON_DISK, reap, wait_fsync, NULL, false },
	{ "read", REASON_DISK, forget_pages, wait_read, NULL, false },
	{ "fault", REASON_FAULT, forget_pages, wait_fault, NULL, false },
	{ "io_uring", REASON_IO_URING, open_uring, wait_uring, NULL, false },
	{ "event", REASON_OTHER, NULL, wait_event, end_event, false },
	{ "timer", REASON_SLEEP, NULL, wait_timer, NULL, false },
	{ "signalfd", REASON_SIGNAL, NULL, wait_signalfd, NULL, false },
	{ "poll-none", REASON_SLEEP, NULL, wait_poll_none, NULL, false },
	{ "select-none", REASON_SLEEP, NULL, wait_select_none, NULL, false },
};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

static atomic_bool has_waited;

/* However late the machine lets it come to its wait. */
static void let_it_wait(void)
{
	while (state_of(main_tid) != 'S' && state_of(main_tid) != 'D')
		pause_ms(1);
	pause_ms(WAIT_MS);
}

static void *end_step(void *arg)
{
	const struct step *step = arg;

	do {
		let_it_wait();
		step->end();
	} while (step->is_lost && !atomic_load(&has_waited));
	return NULL;
}

void play(const char *name, uint64_t span, enum ledger_reason reason, void (*wait)(void))
{
	int64_t before_ns = now_ns();

	publish(span);
	wait();
	publish(0);
	printf("wait %s %d %lu %ld %ld 0 0 %u %d\n", name, main_tid, span, before_ns, now_ns(),
	       reason, child);
}

static void play_reasons(void)
{
	for (size_t i = 0; i < STEPS; i++) {
		const struct step *step = &steps[i];
		pthread_t other;

		atomic_store(&has_waited, false);
		if (step->before)
			step->before();
		if (step->end)
			pthread_create(&other, NULL, end_step, (void *)(uintptr_t)step);
		play(step->name, 100 + i, step->reason, step->wait);
		atomic_store(&has_waited, true);
		if (step->end)
			pthread_join(other, NULL);
	}
}

/* The holder keeps it until the other has waited for WAIT_MS. */
static atomic_int held;

static void *hold(void *arg)
{
	pthread_mutex_lock(&things.mutex);
	flock(things.file, LOCK_EX);
	atomic_store(&held, 1);
	let_it_wait();
	pthread_mutex_unlock(&things.mutex);
	let_it_wait();
	flock(things.file, LOCK_UN);
	return arg;
}

static void play_held(void)
{
	pthread_t holder;

	pthread_create(&holder, NULL, hold, NULL);
	while (!atomic_load(&held))
		sched_yield();
	play("mutex", 90, REASON_LOCK, wait_mutex);
	play("flock", 91, REASON_LOCK, wait_flock);
	pthread_join(holder, NULL);
}

int main(int argc, char **argv)
{
	const char *scenario = argc > 1 ? argv[1] : "reasons";
	sigset_t set;
	char line[16];

	main_tid = (int)syscall(SYS_gettid);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	setvbuf(stdout, NULL, _IOFBF, 65536);
	things_open();
	printf("tls %ld\n", (long)((char *)&own - (char *)__builtin_thread_pointer()));
	fflush(stdout);
	if (read(0, line, sizeof(line)) <= 0)
		return 1;
	if (strcmp(scenario, "innocent") == 0) {
		play_innocent();
	} else if (strcmp(scenario, "burn") == 0 || strcmp(scenario, "crowd") == 0) {
		play_burn(scenario[0] == 'c');
	} else {
		play_held();
		play_reasons();
	}
	fflush(stdout);
	return 0;
}
