/* SPDX-License-Identifier: Apache-2.0 */
/* A program that publishes tags and says what it did.
 *
 *   subject SCENARIO: prints "tls OFFSET", waits for a line on stdin, plays the scenario, prints
 * what it knows, one line each:
 *
 *   tid NAME TID                                     a thread
 *   wait NAME TID SPAN BEFORE AFTER CPU_BEFORE CPU_AFTER SUBJECT WAKER
 *                                                    a wait: clocks around it, identity, who ends
 * it run NAME TID SPAN CPU                            CPU time spent under a tag
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "publish.h"
#include "spin.h"
#include "task_state.h"

/* ---- two threads: one waits, the other ends its wait once it really sleeps */

static struct {
	atomic_int waiting_tid;
	long waits; /* of that thread, before the one that is to be ended */
	void (*act)(void);
	atomic_int done;
	int partner_tid;
	int pipe[2], pair[2], tcp[2], epoll, event, lock_file;
	char lock_path[64];
	pthread_mutex_t mutex;
	uint32_t word;
} stage = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static bool is_waiting(int tid)
{
	return tid && state_of(tid) == 'S' && waits_of(tid) != stage.waits;
}

static void *partner(void *arg)
{
	(void)arg;
	stage.partner_tid = my_tid();
	publish(9000);
	atomic_store(&stage.done, 1);
	for (;;) {
		int tid = atomic_load(&stage.waiting_tid);

		if (tid < 0)
			return NULL;
		if (!is_waiting(tid)) {
			sched_yield();
			continue;
		}
		atomic_store(&stage.waiting_tid, 0);
		stage.act();
		atomic_store(&stage.done, 1);
	}
}

static void write_pipe(void)
{
	if (write(stage.pipe[1], "x", 1) != 1)
		abort();
}

static void write_pair(void)
{
	if (write(stage.pair[1], "x", 1) != 1)
		abort();
}

static void write_tcp(void)
{
	if (write(stage.tcp[1], "x", 1) != 1)
		abort();
}

static void write_event(void)
{
	if (eventfd_write(stage.event, 1))
		abort();
}

static void unlock_mutex(void)
{
	pthread_mutex_unlock(&stage.mutex);
}

static void unlock_file(void)
{
	flock(stage.lock_file, LOCK_UN);
}

static void lock_mutex(void)
{
	pthread_mutex_lock(&stage.mutex);
}

static void wait_read(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		abort();
}

static void wait_pipe(void)
{
	wait_read(stage.pipe[0]);
}

static void wait_pair(void)
{
	char byte;

	if (recv(stage.pair[0], &byte, 1, 0) != 1)
		abort();
}

static void wait_tcp(void)
{
	char byte;

	if (recv(stage.tcp[0], &byte, 1, 0) != 1)
		abort();
}

static void wait_poll(void)
{
	struct pollfd one = { .fd = stage.tcp[0], .events = POLLIN };

	poll(&one, 1, -1);
}

static void wait_epoll(void)
{
	struct epoll_event event;

	epoll_wait(stage.epoll, &event, 1, -1);
}

static void wait_flock(void)
{
	int again = open(stage.lock_path, O_RDWR);

	flock(again, LOCK_EX);
	close(again);
}

static void wait_sleep(void)
{
	struct timespec time = { .tv_nsec = 3000000 };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* Plays one wait under its own tag, and says what is known of it. One that is over before the
 * thread has left its CPU, as a sleep on a slow machine may be, is none, and played again. */
static void play(const char *name, uint64_t span, void (*wait)(void), void (*act)(void),
		 uint64_t identity)
{
	stage.act = act;
	atomic_store(&stage.done, act == NULL);
	int64_t cpu_before, before, after, cpu_after;

	publish(span);
	do {
		stage.waits = own_waits();
		cpu_before = read_clock(CLOCK_THREAD_CPUTIME_ID);
		before = read_clock(CLOCK_MONOTONIC);
		if (act)
			atomic_store(&stage.waiting_tid, my_tid());
		wait();
		after = read_clock(CLOCK_MONOTONIC);
		cpu_after = read_clock(CLOCK_THREAD_CPUTIME_ID);
	} while (!act && own_waits() == stage.waits);
	publish(0);
	while (!atomic_load(&stage.done))
		sched_yield();
	printf("wait %s %d %lu %ld %ld %ld %ld %lu %d\n", name, my_tid(), span, before, after,
	       cpu_before, cpu_after, identity, act ? stage.partner_tid : 0);
}

static unsigned long inode_of(int fd)
{
	struct stat status;

	fstat(fd, &status);
	return status.st_ino;
}

static int open_tcp(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t bytes = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (void *)&address, bytes) || listen(listener, 1))
		abort();
	getsockname(listener, (void *)&address, &bytes);
	stage.tcp[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(stage.tcp[0], (void *)&address, bytes))
		abort();
	stage.tcp[1] = accept(listener, NULL, NULL);
	return ntohs(address.sin_port);
}

static void open_stage(void)
{
	struct epoll_event interest = { .events = EPOLLIN };

	snprintf(stage.lock_path, sizeof(stage.lock_path), "/tmp/spanwise-subject-XXXXXX");
	stage.lock_file = mkstemp(stage.lock_path);
	stage.epoll = epoll_create1(0);
	stage.event = eventfd(0, 0);
	if (pipe(stage.pipe) || socketpair(AF_UNIX, SOCK_STREAM, 0, stage.pair) ||
	    epoll_ctl(stage.epoll, EPOLL_CTL_ADD, stage.event, &interest))
		abort();
}

static void play_waits(void)
{
	pthread_t thread;
	int port = open_tcp();

	open_stage();
	pthread_create(&thread, NULL, partner, NULL);
	while (!atomic_load(&stage.done))
		sched_yield();
	play("sleep", 1001, wait_sleep, NULL, 0);
	play("pipe", 1002, wait_pipe, write_pipe, inode_of(stage.pipe[0]));
	play("unix", 1003, wait_pair, write_pair, inode_of(stage.pair[0]));
	play("tcp", 1004, wait_tcp, write_tcp, port);
	play("poll", 1005, wait_poll, write_tcp, port);
	play("epoll", 1006, wait_epoll, write_event, 0);
	/* The partner must own what is waited for: it takes it while a first wait keeps us asleep.
	 */
	stage.act = NULL;
	play("take", 1007, wait_pipe, write_pipe, inode_of(stage.pipe[0]));
	flock(stage.lock_file, LOCK_EX);
	play("flock", 1008, wait_flock, unlock_file, inode_of(stage.lock_file));
	atomic_store(&stage.waiting_tid, -1);
	pthread_join(thread, NULL);
	unlink(stage.lock_path);
}

/* The other thread holds the mutex until this one sleeps on it. */
static void *owner(void *arg)
{
	stage.partner_tid = my_tid();
	publish(9001);
	lock_mutex();
	atomic_store(&stage.done, 1);
	while (!is_waiting(atomic_load(&stage.waiting_tid)))
		sched_yield();
	unlock_mutex();
	atomic_store(&stage.done, 1);
	return arg;
}

static void play_mutex(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, owner, NULL);
	while (!atomic_load(&stage.done))
		sched_yield();
	play("mutex", 2001, lock_mutex, unlock_mutex, (uintptr_t)&stage.mutex);
	unlock_mutex();
	pthread_join(thread, NULL);
}

/* In no call. */
static void count_up(unsigned laps)
{
	for (; laps; laps--) {
		for (volatile int i = 0; i < 100000; i++)
			;
	}
}

/* In no call, mostly. Returns how many laps that took. */
static unsigned spin_outside(void)
{
	int64_t end = read_clock(CLOCK_THREAD_CPUTIME_ID) + 60000000;
	unsigned laps = 0;

	for (; read_clock(CLOCK_THREAD_CPUTIME_ID) < end; laps++)
		count_up(1);
	return laps;
}

/* In turns, again and again: others may have had the CPU whenever a tick came in one of them. */
static void play_spin(void)
{
	for (uint64_t i = 0; i < 12; i++) {
		publish(3001 + i % 3);
		int64_t cpu = read_clock(CLOCK_THREAD_CPUTIME_ID);

		spin(60000000);
		printf("run spin %d %lu %ld\n", my_tid(), 3001 + i % 3,
		       read_clock(CLOCK_THREAD_CPUTIME_ID) - cpu);
		if (i % 3 < 2)
			continue;
		publish(0);
		spin_outside();
	}
}

/* It is interrupted in the midst of a switch from one span to another, again and again. No clock is
 * read there: who is interrupted in a call is at no switch. */
static void play_switching(void)
{
	unsigned laps = spin_outside();

	for (int i = 0; i < 4; i++) {
		publish(3001);
		spin(20000000);
		clear();
		count_up(laps);
		publish(3002);
		spin(20000000);
	}
	publish(0);
}

/* Many short waits. */
static void play_flood(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct timespec time = { .tv_nsec = 1 };

		publish(5000 + i % 100);
		clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
	}
}

/* Waits that are mostly like the one before, for one of two partners; now and then another call
 * waits, or the span is another one. */
#define ROUNDS 1500

static struct {
	int to[2][2], back[2];
} rounds;

static void *rounds_partner(void *arg)
{
	uintptr_t me = (uintptr_t)arg;
	char byte;

	publish(9001 + me);
	while (read(rounds.to[me][0], &byte, 1) == 1 && write(rounds.back[1], &byte, 1) == 1)
		;
	return NULL;
}

static void play_round(uint64_t i)
{
	struct pollfd back = { .fd = rounds.back[0], .events = POLLIN };
	char byte = 'x';

	publish(8001 + i / 40);
	if (write(rounds.to[i % 5 == 0][1], &byte, 1) != 1)
		abort();
	if (i % 7 == 0)
		poll(&back, 1, -1);
	if (read(rounds.back[0], &byte, 1) != 1)
		abort();
}

static void play_rounds(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		play_round(i);
}

static void rounds_begin(pthread_t *threads)
{
	if (pipe(rounds.to[0]) || pipe(rounds.to[1]) || pipe(rounds.back))
		abort();
	for (uintptr_t i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, rounds_partner, (void *)i);
}

static void rounds_end(pthread_t *threads)
{
	for (int i = 0; i < 2; i++) {
		close(rounds.to[i][1]);
		pthread_join(threads[i], NULL);
	}
}

/* Floods a small ring, stops until somebody has emptied it, and goes on for a while. */
static void play_gated(void (*play)(uint64_t count))
{
	char line[16];

	play(3000);
	printf("gate\n");
	fflush(stdout);
	if (read(0, line, sizeof(line)) <= 0)
		abort();
	play(10);
}

static void play_with_partners(bool is_gated)
{
	pthread_t threads[2];

	rounds_begin(threads);
	if (is_gated)
		play_gated(play_rounds);
	else
		play_rounds(ROUNDS);
	rounds_end(threads);
}

int main(int argc, char **argv)
{
	const char *scenario = argc > 1 ? argv[1] : "waits";
	char line[16];

	setvbuf(stdout, NULL, _IOFBF, 65536);
	publish(0);
	printf("tls %ld\n", tls_offset());
	printf("tid main %d\n", my_tid());
	fflush(stdout);
	if (read(0, line, sizeof(line)) <= 0)
		return 1;
	if (strcmp(scenario, "waits") == 0)
		play_waits();
	else if (strcmp(scenario, "mutex") == 0)
		play_mutex();
	else if (strcmp(scenario, "spin") == 0)
		play_spin();
	else if (strcmp(scenario, "switching") == 0)
		play_switching();
	else if (strcmp(scenario, "flood") == 0)
		play_flood(3000); /* more than a small ring takes */
	else if (strcmp(scenario, "rounds") == 0)
		play_with_partners(false);
	else if (strcmp(scenario, "gated-rounds") == 0)
		play_with_partners(true);
	else if (strcmp(scenario, "gated") == 0)
		play_gated(play_flood);
	printf("end\n");
	fflush(stdout);
	return 0;
}
