/* SPDX-License-Identifier: Apache-2.0 */
/* Pools whose threads are at hand when a span begins: they are on a CPU then, look for work, and
 * show the span in the very slice in which it starts, though another thread began it; and pools
 * whose threads show nothing but what nobody exports. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>

#include "tests/bench/accuracy/scenario.h"

#define MOST_JOBS 4
#define SPIN_NS   (1 * US) /* between two looks for work */

/* One place for work; whoever takes it leaves nothing. */
struct place {
	_Atomic(struct truth_span *) span;
	atomic_int is_done, is_open;
	int ends; /* the pool's thread ends the span, too */
};

static struct place place;

enum manner { SPINS, YIELDS, NAPS, MANNERS };

static _Atomic int manner;

/* As a poller without a context does. */
static void look_away(void)
{
	switch ((enum manner)atomic_load(&manner)) {
	case SPINS:
		truth_spin_ns(SPIN_NS);
		break;
	case YIELDS:
		sched_yield();
		break;
	case NAPS:
	case MANNERS:
		scenario_sleep_ns(truth_length_ns(10 * US, 100 * US));
		break;
	}
}

static void work_at(struct truth_span *span)
{
	truth_enter(span);
	scenario_spin(5 * US, 500 * US);
	if (truth_between(0, 1))
		scenario_sleep_ns(truth_length_ns(10 * US, 200 * US));
	scenario_spin(5 * US, 100 * US);
	truth_leave(span);
	if (place.ends)
		truth_end(span);
	atomic_store(&place.is_done, 1);
}

static void *poller_main(void *unused)
{
	for (;;) {
		struct truth_span *span = atomic_exchange(&place.span, NULL);

		if (span)
			work_at(span);
		else if (atomic_load(&place.is_open))
			look_away();
		else
			scenario_sleep_ns(50 * US);
	}
	return unused;
}

static void start_poller(void)
{
	static int is_started;
	pthread_t thread;

	if (!is_started)
		scenario_check(pthread_create(&thread, NULL, poller_main, NULL) == 0, "thread");
	is_started = 1;
}

/* The way from its start to the pool is what its maker runs, in the span around it. */
static void hand_over(struct truth_span *span)
{
	if (truth_between(0, 1))
		scenario_spin(1 * US, 300 * US);
	place.ends = truth_between(0, 1) == 1;
	atomic_store(&place.is_done, 0);
	atomic_store(&place.span, span);
}

static void wait_busily(void)
{
	while (!atomic_load(&place.is_done))
		truth_spin_ns(2 * US);
}

static void wait_idly(void)
{
	while (!atomic_load(&place.is_done)) /* it is none of the span's: the pool's thread runs */
		scenario_sleep_ns(20 * US);
}

static void polling(void)
{
	struct truth_span *request, *job;
	uint64_t jobs = truth_between(1, MOST_JOBS);

	start_poller();
	atomic_store(&manner, (int)truth_between(0, MANNERS - 1));
	atomic_store(&place.is_open, 1);
	scenario_sleep_ns(100 * US);
	request = truth_open("request");
	scenario_spin(5 * US, 200 * US);
	while (jobs-- > 0) {
		job = truth_begin("job", request);
		hand_over(job);
		if (truth_between(0, 1))
			wait_busily();
		else
			wait_idly();
		if (!place.ends)
			truth_end(job);
		scenario_spin(2 * US, 100 * US);
	}
	truth_close(request);
	atomic_store(&place.is_open, 0);
}

/* ---- what nobody exports, in a thread that has shown nothing else of its trace */

/* The child of a step, which another thread does, is not sampled; the step waits for it, or goes
 * on. */
static void hidden_first(void)
{
	struct truth_span *request, *step, *hidden;

	start_poller();
	atomic_store(&manner, NAPS);
	request = truth_open("request");
	scenario_spin(5 * US, 200 * US);
	for (uint64_t steps = truth_between(1, 3); steps > 0; steps--) {
		step = truth_open("step");
		scenario_spin(5 * US, 200 * US);
		hidden = truth_begin("hidden", step);
		hidden->is_unexported = 1;
		hand_over(hidden);
		if (truth_between(0, 1))
			wait_busily();
		else
			wait_idly();
		scenario_spin(5 * US, 200 * US);
		truth_close(step);
	}
	scenario_spin(5 * US, 200 * US);
	truth_close(request);
}

const struct scenario scenario_pools[] = {
	{ .name = "polling", .turn = polling },
	{ .name = "hidden-first", .turn = hidden_first },
	{ .name = NULL },
};
