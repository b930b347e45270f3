/* SPDX-License-Identifier: Apache-2.0 */
/* What one attach and its detach cost: ns, least and median of interleaved rounds against an empty
 * loop. Built twice: with the writer inside the executable, and inside a shared library. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "deploy/instrument/c/spanwise_context.h"

#define ROUNDS 31
#define TURNS  1000000

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double empty_loop(void)
{
	double start = now_ns();

	for (int i = 0; i < TURNS; i++)
		__asm__ volatile("" ::: "memory");
	return (now_ns() - start) / TURNS;
}

static double attach_loop(void)
{
	const uint8_t trace_id[16] = { 1 }, span_id[8] = { 2 };
	struct spanwise_token token;
	double start = now_ns();

	for (int i = 0; i < TURNS; i++) {
		spanwise_attach(trace_id, span_id, 1, &token);
		__asm__ volatile("" ::: "memory");
		spanwise_detach(&token);
	}
	return (now_ns() - start) / TURNS;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(void)
{
	double cost_ns[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		double base = empty_loop();

		cost_ns[i] = attach_loop() - base;
	}
	qsort(cost_ns, ROUNDS, sizeof(cost_ns[0]), ascending);
	printf("%s: attach + detach %.2f ns (least of %d x %d), median %.2f ns\n", WRITER_FORM,
	       cost_ns[0], ROUNDS, TURNS, cost_ns[ROUNDS / 2]);
	return 0;
}
