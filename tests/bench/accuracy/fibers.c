/* SPDX-License-Identifier: Apache-2.0 */
/* Fibers, as languages with threads of their own run them: each has a stack of open spans, and goes
 * on with all of them on whichever thread takes it up. Roots are begun by who takes the request, or
 * by who works at it first. What a fiber does next is drawn, with another number in TRUTH_SEED. */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "tests/bench/accuracy/scenario.h"

#define WORKERS    3
#define FIBERS     5 /* of a turn */
#define MOST_DEPTH 4
#define MOST_STEPS 16 /* of a fiber */
#define AT_ONCE    4  /* of these, before another one has its turn */

struct fiber {
	struct truth_span *stack[MOST_DEPTH];
	int depth, left;
	uint64_t ready_ns;
};

static struct fiber *queue[FIBERS];
static unsigned queued, open_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_fiber = PTHREAD_COND_INITIALIZER, is_over = PTHREAD_COND_INITIALIZER;

static void put(struct fiber *fiber)
{
	pthread_mutex_lock(&lock);
	queue[queued++] = fiber;
	pthread_cond_signal(&has_fiber);
	pthread_mutex_unlock(&lock);
}

/* Under the lock; NULL: none is ready. */
static struct fiber *take(void)
{
	uint64_t now_ns = truth_now_ns();

	for (unsigned i = 0; i < queued; i++) {
		struct fiber *fiber = queue[i];

		if (fiber->ready_ns > now_ns)
			continue;
		queued--;
		for (; i < queued; i++)
			queue[i] = queue[i + 1];
		return fiber;
	}
	return NULL;
}

static void take_up(struct fiber *fiber)
{
	if (fiber->depth == 0) {
		fiber->stack[fiber->depth++] = truth_open_below("fiber", NULL);
		return;
	}
	for (int i = 0; i < fiber->depth; i++)
		truth_enter(fiber->stack[i]);
}

static void put_aside(const struct fiber *fiber)
{
	for (int i = fiber->depth; i-- > 0;)
		truth_leave(fiber->stack[i]);
}

static void step(struct fiber *fiber)
{
	struct truth_span *top = fiber->stack[fiber->depth - 1];

	switch (truth_between(0, 7)) {
	case 0:
	case 1:
		if (fiber->depth == MOST_DEPTH)
			return;
		top = truth_open_below("in-a-fiber", top);
		top->is_unexported = truth_one_in(5);
		fiber->stack[fiber->depth++] = top;
		break;
	case 2:
		if (fiber->depth > 1)
			truth_close(fiber->stack[--fiber->depth]);
		break;
	case 3:
		if (truth_one_in(3)) /* a call that blocks the thread */
			scenario_nap(20 * US, 500 * US);
		break;
	default:
		scenario_spin(3 * US, 500 * US);
	}
}

static void run(struct fiber *fiber)
{
	uint64_t steps = truth_between(1, AT_ONCE);

	take_up(fiber);
	while (steps-- > 0 && fiber->left-- > 0)
		step(fiber);
	if (fiber->left > 0) {
		put_aside(fiber);
		fiber->ready_ns =
			truth_one_in(2) ? truth_now_ns() + truth_length_ns(20 * US, 2 * MS) : 0;
		put(fiber);
		return;
	}
	while (fiber->depth > 0)
		truth_close(fiber->stack[--fiber->depth]);
	pthread_mutex_lock(&lock);
	open_count--;
	pthread_cond_signal(&is_over);
	pthread_mutex_unlock(&lock);
}

static void *work(void *unused)
{
	for (;;) {
		struct fiber *fiber;

		pthread_mutex_lock(&lock);
		while (!queued)
			pthread_cond_wait(&has_fiber, &lock);
		fiber = take();
		pthread_mutex_unlock(&lock);
		if (truth_one_in(4)) /* the scheduler's own work */
			scenario_spin(3 * US, 100 * US);
		if (fiber)
			run(fiber);
		else
			scenario_sleep_ns(30 * US);
	}
	return unused;
}

static void start(void)
{
	pthread_t one;

	for (int i = 0; i < WORKERS; i++)
		scenario_check(pthread_create(&one, NULL, work, NULL) == 0, "thread");
}

static void fibers_by_chance(void)
{
	static struct fiber fibers[FIBERS];
	static bool is_started;

	if (!is_started)
		start();
	is_started = true;
	open_count = FIBERS;
	for (int i = 0; i < FIBERS; i++) {
		fibers[i] = (struct fiber){ .left = (int)truth_between(1, MOST_STEPS) };
		if (truth_one_in(2))
			fibers[i].stack[fibers[i].depth++] = truth_begin("fiber", NULL);
		put(&fibers[i]);
		if (truth_one_in(3))
			scenario_spin(3 * US, 300 * US);
	}
	pthread_mutex_lock(&lock);
	while (open_count)
		pthread_cond_wait(&is_over, &lock);
	pthread_mutex_unlock(&lock);
}

const struct scenario scenario_fibers[] = {
	{ .name = "fibers", .turn = fibers_by_chance },
	{ .name = NULL },
};
