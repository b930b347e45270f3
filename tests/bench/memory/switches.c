/* SPDX-License-Identifier: Apache-2.0 */
/* Two threads that play ping-pong over pipes under tags, so many switches a second for so many
 * seconds: bench_memory_switches RATE SECONDS SERVICE. Prints a line for each burst, which is a
 * span: trace id, span id, start, end.
 *
 * Both stay on the CPU on which they start: on two that are idle otherwise each waking is an
 * interrupt, which takes a virtual machine up to 50 us, and the rate is not reached. */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "deploy/instrument/c/spanwise_context.h"

#define BURSTS_PER_S 1000

static int there[2], back[2];

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static uint64_t next_random(void)
{
	static uint64_t state;

	if (!state)
		state = clock_ns(CLOCK_REALTIME) | 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* The ball carries the span, so that both sides work for it. */
struct ball {
	uint64_t trace[2], span;
};

static void attach(const struct ball *ball, struct spanwise_token *token)
{
	spanwise_attach((const uint8_t *)ball->trace, (const uint8_t *)&ball->span, 1, token);
}

static void *other_side(void *arg)
{
	struct spanwise_token token;
	struct ball ball;

	(void)arg;
	while (read(there[0], &ball, sizeof(ball)) == sizeof(ball)) {
		attach(&ball, &token);
		if (write(back[1], &ball, sizeof(ball)) != sizeof(ball))
			break;
		spanwise_detach(&token);
	}
	return NULL;
}

static void burst(unsigned turns)
{
	struct ball ball = { { next_random(), next_random() }, next_random() };
	uint64_t start = clock_ns(CLOCK_REALTIME);
	struct spanwise_token token;

	attach(&ball, &token);
	for (unsigned i = 0; i < turns; i++) {
		if (write(there[1], &ball, sizeof(ball)) != sizeof(ball) ||
		    read(back[0], &ball, sizeof(ball)) != sizeof(ball))
			exit(1);
	}
	spanwise_detach(&token);
	for (size_t i = 0; i < 16; i++)
		printf("%02x", ((const uint8_t *)ball.trace)[i]);
	putchar(' ');
	for (size_t i = 0; i < 8; i++)
		printf("%02x", ((const uint8_t *)&ball.span)[i]);
	printf(" %" PRIu64 " %" PRIu64 "\n", start, clock_ns(CLOCK_REALTIME));
}

static bool stay_here(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)sched_getcpu(), &cpus);
	return sched_setaffinity(0, sizeof(cpus), &cpus) == 0;
}

int main(int argc, char **argv)
{
	uint64_t rate, seconds, next;
	pthread_t thread;

	if (argc != 4) {
		fprintf(stderr, "usage: bench_memory_switches RATE SECONDS SERVICE\n");
		return 2;
	}
	rate = strtoull(argv[1], NULL, 10);
	seconds = strtoull(argv[2], NULL, 10);
	if (!stay_here() || pipe(there) < 0 || pipe(back) < 0 ||
	    spanwise_process_init(argv[3], NULL) < 0 ||
	    pthread_create(&thread, NULL, other_side, NULL))
		return 1;
	next = clock_ns(CLOCK_MONOTONIC);
	for (uint64_t i = 0; i < seconds * BURSTS_PER_S; i++) {
		struct timespec at;

		burst((unsigned)(rate / 2 / BURSTS_PER_S)); /* a turn is a switch on each side */
		next += 1000000000U / BURSTS_PER_S;
		at = (struct timespec){ (time_t)(next / 1000000000U), (long)(next % 1000000000U) };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	}
	return 0;
}
