/* SPDX-License-Identifier: Apache-2.0 */
/* Services made by chance of what runtimes do: several pools, one of which asks another; tasks that
 * an event loop, or some threads, run by turns; spans that go to another thread and come back; who
 * waits helps others meanwhile; work that no span covers. Other draws with another number in
 * TRUTH_SEED. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"

#define DRIVERS      2
#define MOST_ACTIONS 5 /* of a span */
#define MOST_DEPTH   4
#define MOST_ASKED   6
#define MOST_JOBS    512
#define MOST_STEPS   5 /* of a task */

enum pool_name { FRONT, BACK, RUNTIME, LOOP, POOLS };

enum job_kind {
	JOB_OPENS,   /* a span of its own, below the asker's */
	JOB_ENDS,    /* the asker has begun it, and perhaps worked at it */
	JOB_RETURNS, /* ... and goes on with it afterwards */
	JOB_STEPS,   /* a step of a task, which is in nobody's hands in between */
};

/* What a span does, and what it has asked others to do and must wait for. */
struct scene {
	struct truth_span *span;
	enum pool_name asks; /* only those behind it: or all could wait for all */
	int depth, pending;  /* the latter under `lock` */
};

struct job {
	struct scene *from;
	struct truth_span *span;
	enum job_kind kind;
	int steps;
};

static struct pool {
	int threads;
	bool is_stack; /* the newest job first */
	pthread_cond_t has_job;
	struct job jobs[MOST_JOBS];
	unsigned first, count;
} pools[POOLS] = {
	[FRONT] = { .threads = 2, .is_stack = true },
	[BACK] = { .threads = 2 },
	[RUNTIME] = { .threads = 2 },
	[LOOP] = { .threads = 1 },
};

static bool takes_turns; /* tasks, and who waits puts its span aside to help */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, common = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_done = PTHREAD_COND_INITIALIZER;

static void play(struct truth_span *span, int depth, enum pool_name asks);

static void spin(void)
{
	scenario_spin(3 * US, 1 * MS);
}

static void nap(void)
{
	scenario_sleep_ns(truth_length_ns(20 * US, 2 * MS));
}

/* ---- jobs */

/* Under the lock. */
static void put(enum pool_name name, struct job job)
{
	struct pool *pool = &pools[name];

	scenario_check(pool->count < MOST_JOBS, "jobs");
	pool->jobs[(pool->first + pool->count++) % MOST_JOBS] = job;
	pthread_cond_signal(&pool->has_job);
}

static struct job take(struct pool *pool)
{
	pool->count--;
	if (pool->is_stack)
		return pool->jobs[(pool->first + pool->count) % MOST_JOBS];
	pool->first = (pool->first + 1) % MOST_JOBS;
	return pool->jobs[(pool->first + MOST_JOBS - 1) % MOST_JOBS];
}

static void ask(struct scene *scene, enum pool_name name, enum job_kind kind,
		struct truth_span *span)
{
	struct job job = { scene, span, kind, (int)truth_between(1, MOST_STEPS) };

	pthread_mutex_lock(&lock);
	scene->pending++;
	put(name, job);
	pthread_mutex_unlock(&lock);
}

static void take_step(void)
{
	struct truth_span *part;

	switch (truth_between(0, 3)) {
	case 0:
		part = truth_open("part");
		part->is_unexported = truth_between(0, 3) == 0;
		spin();
		if (truth_between(0, 3) == 0)
			nap();
		truth_close(part);
		break;
	case 1:
		if (truth_between(0, 3) == 0)
			nap();
		break;
	default:
		spin();
	}
}

/* true: the job is done. */
static bool do_job(struct job *job, enum pool_name name)
{
	struct truth_span *span = job->span;

	if (job->kind == JOB_OPENS)
		span = truth_open_below("asked", job->from->span);
	else
		truth_enter(span);
	if (job->kind == JOB_STEPS)
		take_step();
	else
		play(span, job->from->depth + 1, name + 1);
	if (job->kind == JOB_OPENS) {
		truth_close(span);
		return true;
	}
	truth_leave(span);
	if (job->kind == JOB_STEPS && --job->steps > 0)
		return false;
	if (job->kind != JOB_RETURNS)
		truth_end(span);
	return true;
}

/* Under the lock, which it gives away meanwhile. Some work that no span covers comes with it. */
static void serve(enum pool_name name)
{
	struct job job = take(&pools[name]);
	bool is_over;

	pthread_mutex_unlock(&lock);
	if (truth_between(0, 3) == 0)
		scenario_spin(3 * US, 300 * US);
	is_over = do_job(&job, name);
	if (truth_between(0, 3) == 0)
		scenario_spin(3 * US, 300 * US);
	pthread_mutex_lock(&lock);
	if (!is_over) {
		put(name, job);
		return;
	}
	job.from->pending--;
	pthread_cond_broadcast(&is_done);
}

static void *pool_main(void *arg)
{
	struct pool *pool = arg;

	pthread_mutex_lock(&lock);
	for (;;) {
		while (!pool->count)
			pthread_cond_wait(&pool->has_job, &lock);
		serve((enum pool_name)(pool - pools));
	}
	return NULL;
}

/* Who carries nothing else puts its span aside and does what others have asked for. */
static void help(struct scene *scene)
{
	truth_leave(scene->span);
	pthread_mutex_lock(&lock);
	for (enum pool_name name = scene->asks; name < POOLS; name++) {
		if (pools[name].count && scene->pending) {
			serve(name);
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	truth_enter(scene->span);
}

static void wait_for_all(struct scene *scene)
{
	if (takes_turns && !scene->span->beneath && truth_between(0, 2) == 0)
		help(scene);
	pthread_mutex_lock(&lock);
	while (scene->pending)
		pthread_cond_wait(&is_done, &lock);
	pthread_mutex_unlock(&lock);
}

/* ---- what comes next */

static void on_signal(int number)
{
	struct truth_span *span = truth_open("in-a-handler");

	(void)number;
	scenario_spin(3 * US, 100 * US);
	truth_close(span);
}

static void be_in_the_kernel(void)
{
	static char *const arguments[] = { (char *)"true", NULL };
	int status, error;
	pid_t child;

	if (truth_between(0, 1)) {
		error = posix_spawn(&child, "/bin/true", NULL, NULL, arguments, NULL);
		scenario_check(error == 0, "spawn");
	} else {
		child = vfork();
		if (child == 0)
			_exit(0);
	}
	scenario_check(child > 0 && waitpid(child, &status, 0) == child, "child");
}

static void act_alone(void)
{
	switch (truth_between(0, 9)) {
	case 0:
		sched_yield();
		break;
	case 1:
		raise(SIGUSR1);
		break;
	case 2:
		if (truth_between(0, 4) == 0)
			be_in_the_kernel();
		break;
	case 3:
	case 4:
		pthread_mutex_lock(&common);
		if (truth_between(0, 1))
			scenario_spin(3 * US, 200 * US);
		else
			nap();
		pthread_mutex_unlock(&common);
		break;
	case 5:
	case 6:
		nap();
		break;
	default:
		spin();
	}
}

static struct truth_span *begin(struct scene *scene, const char *name)
{
	struct truth_span *span = truth_begin(name, scene->span);

	if (truth_between(0, 2) == 0)
		return span;
	truth_enter(span);
	take_step();
	truth_leave(span);
	return span;
}

static void go_and_return(struct scene *scene, enum pool_name name)
{
	struct truth_span *span = begin(scene, "returns");

	ask(scene, name, JOB_RETURNS, span);
	if (truth_between(0, 1))
		spin();
	wait_for_all(scene);
	truth_enter(span);
	take_step();
	truth_leave(span);
	truth_end(span);
}

static void within(struct scene *scene)
{
	struct truth_span *span = truth_open("within");

	span->is_unexported = truth_between(0, 4) == 0;
	play(span, scene->depth + 1, scene->asks);
	truth_close(span);
}

static void act_with_others(struct scene *scene)
{
	enum pool_name task = truth_between(0, 1) ? RUNTIME : LOOP;

	switch (truth_between(0, 7)) {
	case 0:
	case 1:
		if (scene->asks <= BACK)
			ask(scene, scene->asks, JOB_OPENS, NULL);
		break;
	case 2:
		if (scene->asks <= BACK)
			ask(scene, scene->asks, JOB_ENDS, begin(scene, "handed"));
		break;
	case 3:
		if (scene->asks <= BACK)
			go_and_return(scene, scene->asks);
		break;
	case 4:
	case 5:
		if (takes_turns && scene->asks <= RUNTIME)
			ask(scene, task, JOB_STEPS, begin(scene, "task"));
		break;
	default:
		within(scene);
	}
	if (truth_between(0, 2) == 0)
		wait_for_all(scene);
}

/* On a thread that carries the span. All that it began is over when this returns. */
static void play(struct truth_span *span, int depth, enum pool_name asks)
{
	struct scene scene = { .span = span, .depth = depth, .asks = asks };
	uint64_t actions = truth_between(1, MOST_ACTIONS);
	int asked = 0;

	for (uint64_t i = 0; i < actions; i++) {
		if (depth < MOST_DEPTH && asked < MOST_ASKED && truth_between(0, 1)) {
			act_with_others(&scene);
			asked++;
		} else {
			act_alone();
		}
	}
	wait_for_all(&scene);
}

static void play_root(struct truth_span *root)
{
	play(root, 0, FRONT);
}

static void start(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	pthread_t one;

	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < POOLS; i++) {
		pthread_cond_init(&pools[i].has_job, NULL);
		for (int k = 0; k < pools[i].threads; k++)
			scenario_check(pthread_create(&one, NULL, pool_main, &pools[i]) == 0,
				       "thread");
	}
}

static void pools_only(void)
{
	static bool is_started;

	if (!is_started)
		start();
	is_started = true;
	scenario_drive(DRIVERS, play_root, nap);
}

static void all_of_it(void)
{
	takes_turns = true;
	pools_only();
}

const struct scenario scenario_medley[] = {
	{ .name = "pools", .turn = pools_only },
	{ .name = "medley", .turn = all_of_it },
	{ .name = NULL },
};
