/* SPDX-License-Identifier: Apache-2.0 */
/* What `serve` costs those whom it watches, seen from inside: two threads on one CPU that hand a
 * turn to each other.
 *
 *   bench_switch_service GAME LAPS [WORK]     under a tag; bench_switch_plain: publishes nothing
 *
 *   pipe, futex   nothing but that: CPU ns for each switch
 *   threads       threads that are made and ended: ns for each
 *   request       a client and a server that both work for a request: CPU ns for each request
 *   long          one span of that many seconds, LAPS, with 4,000 waits in each: its ids and times
 *   calibrate     how much WORK makes 50,000 switches a second of requests
 *
 * Prints the least and the median of all laps. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

#ifndef PLAIN
#include "deploy/instrument/c/spanwise_context.h"
#endif

#define WARM_UP_NS   1500000000ull /* until the daemon has found this process */
#define MAX_LAPS     1000
#define TURNS        500 /* of a lap: short enough to fall between two disturbances */
#define THREADS      20
#define REQUESTS     50
#define SIDE_NS      20000ull /* a side's share of a request: 50,000 switches a second */
#define MEMORY_WORDS 4096     /* that the work goes over: a first-level cache's worth */

static struct {
	int there[2], back[2];
	_Atomic uint32_t word; /* whose turn it is */
	const char *game;
	uint64_t work;
} game;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void carry(uint64_t span)
{
#ifdef PLAIN
	(void)span;
#else
	static const uint8_t trace[16] = { 0xab, 0xcd };

	spanwise_publish(span ? trace : NULL, (const uint8_t *)&span, 1);
#endif
}

/* On either side the same memory: new threads would have to clear what is their own. */
static __attribute__((noinline)) void work(uint64_t rounds)
{
	static uint64_t memory[MEMORY_WORDS];
	uint64_t x = rounds | 1;

	for (uint64_t i = 0; i < rounds; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		memory[x % MEMORY_WORDS] += x;
	}
}

static void pass_futex(uint32_t me)
{
	for (int i = 0; i < TURNS; i++) {
		while (atomic_load(&game.word) != me)
			syscall(SYS_futex, &game.word, FUTEX_WAIT_PRIVATE, 1 - me, NULL, NULL, 0);
		atomic_store(&game.word, 1 - me);
		syscall(SYS_futex, &game.word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
}

static void pass_pipe(uint32_t me, int turns, uint64_t rounds)
{
	int to = me ? game.back[1] : game.there[1], from = me ? game.there[0] : game.back[0];
	char byte = 'x';

	for (int i = 0; i < turns; i++) {
		if (!me)
			work(rounds);
		if (!me && write(to, &byte, 1) != 1)
			abort();
		if (read(from, &byte, 1) != 1)
			abort();
		if (me)
			work(rounds);
		if (me && write(to, &byte, 1) != 1)
			abort();
	}
}

static void play_lap(uint32_t me)
{
	if (strcmp(game.game, "futex") == 0)
		pass_futex(me);
	else if (strcmp(game.game, "pipe") == 0)
		pass_pipe(me, TURNS, 0);
	else
		pass_pipe(me, REQUESTS, game.work);
}

static void *nothing(void *arg)
{
	return arg;
}

static void make_threads(void)
{
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, nothing, NULL))
			abort();
		pthread_join(thread, NULL);
	}
}

static void *other_side(void *arg)
{
	carry(2);
	for (;;)
		play_lap(1);
	return arg;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* What a lap is divided by. */
static double count(void)
{
	if (strcmp(game.game, "threads") == 0)
		return THREADS;
	return strcmp(game.game, "request") == 0 ? REQUESTS : 2.0 * TURNS;
}

static void lap(void)
{
	if (strcmp(game.game, "threads") == 0)
		make_threads();
	else
		play_lap(0);
}

static int calibrate(void)
{
	uint64_t rounds = 1000, least_ns = UINT64_MAX;

	for (int i = 0; i < 1000; i++) {
		uint64_t begin_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);

		work(rounds);
		begin_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
		least_ns = begin_ns < least_ns ? begin_ns : least_ns;
	}
	printf("%lu\n", (unsigned long)(rounds * SIDE_NS / least_ns));
	return 0;
}

static int be_long(int seconds)
{
	struct timespec moment = { .tv_nsec = 150000 };
	uint64_t begin_ns;

	for (uint64_t end_ns = clock_ns(CLOCK_MONOTONIC) + WARM_UP_NS;
	     clock_ns(CLOCK_MONOTONIC) < end_ns;)
		nanosleep(&moment, NULL);
	begin_ns = clock_ns(CLOCK_REALTIME);
	carry(1);
	for (uint64_t end_ns = begin_ns + (uint64_t)seconds * 1000000000ull;
	     clock_ns(CLOCK_REALTIME) < end_ns;)
		nanosleep(&moment, NULL);
	printf("abcd%028d 01%014d %lu %lu\n", 0, 0, (unsigned long)begin_ns,
	       (unsigned long)clock_ns(CLOCK_REALTIME));
	carry(0);
	return 0;
}

int main(int argc, char **argv)
{
	static double laps[MAX_LAPS];
	int count_laps = argc > 2 ? atoi(argv[2]) : 1;
	bool by_wall;
	cpu_set_t set;
	pthread_t other;

	if (argc < 3 || count_laps < 1 || count_laps > MAX_LAPS)
		return 2;
	game.game = argv[1];
	game.work = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	CPU_ZERO(&set);
	CPU_SET((size_t)sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0 || pipe(game.there) || pipe(game.back))
		return 1;
	if (strcmp(game.game, "calibrate") == 0)
		return calibrate();
	if (strcmp(game.game, "long") == 0)
		return be_long(count_laps);
	by_wall = strcmp(game.game, "threads") == 0;
	carry(1);
	if (!by_wall)
		pthread_create(&other, NULL, other_side, NULL);
	for (uint64_t end_ns = clock_ns(CLOCK_MONOTONIC) + WARM_UP_NS;
	     clock_ns(CLOCK_MONOTONIC) < end_ns;)
		lap();
	for (int i = 0; i < count_laps; i++) {
		clockid_t clock = by_wall ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID;
		uint64_t begin_ns = clock_ns(clock);

		lap();
		laps[i] = (double)(clock_ns(clock) - begin_ns) / count();
	}
	qsort(laps, (size_t)count_laps, sizeof(double), compare);
	printf("%.1f %.1f\n", laps[0], laps[count_laps / 2]);
	return 0;
}
