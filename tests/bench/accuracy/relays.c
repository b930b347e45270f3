/* SPDX-License-Identifier: Apache-2.0 */
/* Services made by chance of spans that go through stages, each with threads of its own: one begins
 * a span, others work at it, and one that never had it ends it; a request that a thread lets go of
 * is finished by another one; threads that stay for several requests, with work of nobody's in
 * between; handlers and children within all of that. Other draws with another number in TRUTH_SEED.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"

#define DRIVERS      2
#define STAGES       3
#define THREADS      2 /* of a stage */
#define MOST_JOBS    64
#define MOST_ROOTS   3 /* of a driver in a turn */
#define MOST_ACTIONS 5 /* of a span */
#define MOST_DEPTH   3

/* A span on its way; the last stage ends it, and tells who waits. */
struct job {
	struct truth_span *span;
	int *is_done; /* under the lock */
};

static struct stage {
	pthread_cond_t has_job;
	struct job jobs[MOST_JOBS];
	unsigned count;
} stages[STAGES];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_over = PTHREAD_COND_INITIALIZER;

static void play(struct truth_span *span, int depth);

static void spin(void)
{
	scenario_spin(3 * US, 700 * US);
}

static void nap(void)
{
	scenario_sleep_ns(truth_length_ns(20 * US, 1 * MS));
}

/* Work of nobody's. */
static void idle(void)
{
	if (truth_one_in(3))
		scenario_spin(3 * US, 200 * US);
}

/* ---- stages */

static void put(unsigned stage, struct job job)
{
	pthread_mutex_lock(&lock);
	scenario_check(stages[stage].count < MOST_JOBS, "jobs");
	stages[stage].jobs[stages[stage].count++] = job;
	pthread_cond_signal(&stages[stage].has_job);
	pthread_mutex_unlock(&lock);
}

static void finish(struct job *job)
{
	truth_end(job->span);
	pthread_mutex_lock(&lock);
	*job->is_done = 1;
	pthread_cond_broadcast(&is_over);
	pthread_mutex_unlock(&lock);
}

static void work_at(struct truth_span *span)
{
	truth_enter(span);
	play(span, MOST_DEPTH);
	truth_leave(span);
}

static void *stage_main(void *arg)
{
	unsigned stage = (unsigned)((struct stage *)arg - stages);
	struct job job;

	for (;;) {
		pthread_mutex_lock(&lock);
		while (!stages[stage].count)
			pthread_cond_wait(&stages[stage].has_job, &lock);
		job = stages[stage].jobs[--stages[stage].count];
		pthread_mutex_unlock(&lock);
		idle();
		if (!truth_one_in(3))
			work_at(job.span);
		if (stage + 1 < STAGES && !truth_one_in(4))
			put(stage + 1, job);
		else
			finish(&job);
		idle();
	}
	return NULL;
}

static void wait_for(int *is_done)
{
	pthread_mutex_lock(&lock);
	while (!*is_done)
		pthread_cond_wait(&is_over, &lock);
	pthread_mutex_unlock(&lock);
}

/* Its maker goes on with the parent meanwhile, or waits. */
static void send(struct truth_span *parent)
{
	struct truth_span *span = truth_begin("relayed", parent);
	int is_done = 0;

	if (truth_one_in(2))
		work_at(span);
	put((unsigned)truth_between(0, STAGES - 1), (struct job){ span, &is_done });
	while (truth_one_in(2))
		spin();
	wait_for(&is_done);
}

/* ---- what comes next */

static void on_signal(int number)
{
	struct truth_span *span = truth_open("in-a-handler");

	(void)number;
	scenario_spin(3 * US, 100 * US);
	truth_close(span);
}

/* The child goes on beside its parent, with a trace of its own. */
static void fork_off(void)
{
	pid_t child = fork();
	int status;

	scenario_check(child >= 0, "fork");
	if (child == 0) {
		struct truth_span *span;

		spin();
		span = truth_open_below("forked", NULL);
		spin();
		truth_close(span);
		_exit(0);
	}
	spin();
	scenario_check(waitpid(child, &status, 0) == child && status == 0, "child");
}

static void within(int depth)
{
	struct truth_span *span = truth_open("within");

	span->is_unexported = truth_one_in(5);
	play(span, depth + 1);
	truth_close(span);
}

static void act(struct truth_span *span, int depth)
{
	switch (truth_between(0, 9)) {
	case 0:
		raise(SIGUSR1);
		break;
	case 1:
	case 2:
		nap();
		break;
	case 3:
	case 4:
		if (depth < MOST_DEPTH)
			within(depth);
		break;
	case 5:
	case 6:
		if (depth < MOST_DEPTH)
			send(span);
		break;
	case 7:
		if (depth < MOST_DEPTH && truth_one_in(8))
			fork_off();
		break;
	default:
		spin();
	}
}

/* On a thread that carries the span. */
static void play(struct truth_span *span, int depth)
{
	for (uint64_t left = truth_between(1, MOST_ACTIONS); left > 0; left--)
		act(span, depth);
}

/* Stays for several requests; some of them others finish. */
static void *drive(void *unused)
{
	for (uint64_t left = truth_between(1, MOST_ROOTS); left > 0; left--) {
		struct truth_span *root = truth_begin("root", NULL);
		int is_done = 0;

		truth_enter(root);
		play(root, 0);
		truth_leave(root);
		if (truth_one_in(3)) {
			put((unsigned)truth_between(0, STAGES - 1), (struct job){ root, &is_done });
			idle();
			wait_for(&is_done);
		} else {
			truth_end(root);
		}
		idle();
		if (truth_one_in(2))
			nap();
	}
	return unused;
}

static void start(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t one;

	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < STAGES * THREADS; i++) {
		if (i < STAGES)
			pthread_cond_init(&stages[i].has_job, NULL);
		scenario_check(pthread_create(&one, NULL, stage_main, &stages[i % STAGES]) == 0,
			       "thread");
	}
}

static void relays(void)
{
	static bool is_started;
	pthread_t threads[DRIVERS];

	if (!is_started)
		start();
	is_started = true;
	for (int i = 0; i < DRIVERS; i++)
		scenario_check(pthread_create(&threads[i], NULL, drive, NULL) == 0, "thread");
	for (int i = 0; i < DRIVERS; i++)
		pthread_join(threads[i], NULL);
}

const struct scenario scenario_relays[] = {
	{ .name = "relays", .turn = relays },
	{ .name = NULL },
};
