/* SPDX-License-Identifier: Apache-2.0 */
/* Spans where the scheduler, or the program's own make, is rough with them. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"

#define POOL_THREADS  6
#define POOL_QUEUE    64
#define COROUTINES    6
#define STACK_BYTES   65536
#define CHILD_SPANS   5
#define QUOTA_FOLDER  "/sys/fs/cgroup/cpu/spanwise-truth"
#define QUOTA_PERIODS 20000 /* us; of these, a fifth */

/* ---- a pool whose threads take what comes */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more, done;
	struct truth_span *queue[POOL_QUEUE];
	unsigned first, count, running;
	bool is_started;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER,
	   .more = PTHREAD_COND_INITIALIZER,
	   .done = PTHREAD_COND_INITIALIZER };

static void do_part(struct truth_span *root)
{
	struct truth_span *part = truth_open_below("part", root), *inner;

	scenario_spin(5 * US, 2 * MS);
	if (truth_between(0, 1)) {
		inner = truth_open("inner");
		scenario_spin(5 * US, 200 * US);
		if (truth_between(0, 1))
			scenario_nap(20 * US, 1 * MS);
		truth_close(inner);
	}
	truth_close(part);
}

static void *pool_main(void *unused)
{
	pthread_mutex_lock(&pool.lock);
	for (;;) {
		struct truth_span *root;

		while (!pool.count)
			pthread_cond_wait(&pool.more, &pool.lock);
		root = pool.queue[pool.first];
		pool.first = (pool.first + 1) % POOL_QUEUE;
		pool.count--;
		pool.running++;
		pthread_mutex_unlock(&pool.lock);
		do_part(root);
		pthread_mutex_lock(&pool.lock);
		pool.running--;
		pthread_cond_signal(&pool.done);
	}
	return unused;
}

static void pooled(void)
{
	struct truth_span *root = truth_open("request");
	pthread_t thread;

	for (int i = 0; !pool.is_started && i < POOL_THREADS; i++)
		scenario_check(pthread_create(&thread, NULL, pool_main, NULL) == 0, "thread");
	pool.is_started = true;
	scenario_spin(5 * US, 200 * US);
	pthread_mutex_lock(&pool.lock);
	for (uint64_t parts = truth_between(1, 12); parts > 0; parts--) {
		pool.queue[(pool.first + pool.count++) % POOL_QUEUE] = root;
		pthread_cond_signal(&pool.more);
	}
	while (pool.count || pool.running)
		pthread_cond_wait(&pool.done, &pool.lock);
	pthread_mutex_unlock(&pool.lock);
	scenario_spin(5 * US, 200 * US);
	truth_close(root);
}

/* ---- each level on a thread of its own, and the one above waits for it */

static void *level_main(void *arg)
{
	struct truth_span *above = arg, *span = truth_open_below("level", above);
	unsigned depth = 0;
	pthread_t below;

	for (struct truth_span *s = span; s; s = s->parent)
		depth++;
	scenario_spin(20 * US, 1 * MS);
	if (depth < 4) {
		scenario_check(pthread_create(&below, NULL, level_main, span) == 0, "thread");
		pthread_join(below, NULL);
		scenario_spin(20 * US, 1 * MS);
	}
	truth_close(span);
	return NULL;
}

static void across(void)
{
	struct truth_span *root = truth_open("request");
	pthread_t below;

	scenario_spin(20 * US, 1 * MS);
	scenario_check(pthread_create(&below, NULL, level_main, root) == 0, "thread");
	pthread_join(below, NULL);
	truth_close(root);
}

/* ---- processes */

/* Children that serve requests of their own, and end. */
static void prefork(void)
{
	pid_t child = fork();
	int status;

	scenario_check(child >= 0, "fork");
	if (child == 0) {
		for (int i = 0; i < CHILD_SPANS; i++) {
			struct truth_span *span = truth_open("request");

			scenario_spin(20 * US, 2 * MS);
			if (truth_between(0, 1))
				scenario_nap(20 * US, 1 * MS);
			truth_close(span);
			scenario_spin(5 * US, 50 * US);
		}
		_exit(0);
	}
	scenario_check(waitpid(child, &status, 0) == child && status == 0, "child");
	scenario_spin(1 * US, 50 * US); /* so that the next child draws other numbers */
	truth_between(0, 1);
}

/* The child becomes another program, which burns what is nobody's of the span's own. */
static void fork_exec(void)
{
	struct truth_span *span = truth_open("spawn");
	int status;
	pid_t child;

	scenario_spin(20 * US, 1 * MS);
	child = vfork();
	if (child == 0) {
		execl("/bin/sh", "sh", "-c", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done",
		      NULL);
		_exit(127);
	}
	scenario_check(child > 0, "fork");
	truth_wait_begin();
	scenario_check(waitpid(child, &status, 0) == child && status == 0, "child");
	truth_wait_end();
	scenario_spin(20 * US, 1 * MS);
	truth_close(span);
}

/* ---- who gets the CPU */

static _Atomic bool is_crowded;

static void *nice_main(void *unused)
{
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
	while (atomic_load(&is_crowded))
		truth_spin_ns(100 * US);
	return unused;
}

/* Two nice threads on each CPU's heels; the spans' own thread goes from one class to another. */
static void priorities(void)
{
	static const int policies[] = { SCHED_OTHER, SCHED_FIFO, SCHED_BATCH, SCHED_RR };
	struct sched_param urgent = { .sched_priority = 1 }, none = { 0 };
	pthread_t threads[2];

	atomic_store(&is_crowded, true);
	for (int i = 0; i < 2; i++)
		scenario_check(pthread_create(&threads[i], NULL, nice_main, NULL) == 0, "thread");
	for (int i = 0; i < 8; i++) {
		struct truth_span *span = truth_open("request");
		int policy = policies[i % 4];

		scenario_spin(20 * US, 3 * MS);
		/* where groups have no real time of their own, this fails, and is another call */
		sched_setscheduler(0, policy,
				   policy == SCHED_FIFO || policy == SCHED_RR ? &urgent : &none);
		scenario_spin(20 * US, 3 * MS);
		scenario_nap(20 * US, 500 * US);
		truth_close(span);
	}
	sched_setscheduler(0, SCHED_OTHER, &none);
	atomic_store(&is_crowded, false);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	if (!file || fputs(text, file) < 0)
		perror(path);
	if (file)
		fclose(file);
}

/* A fifth of a CPU: from then on, and as long as the program lives. */
static void throttled(void)
{
	static bool is_bound;
	struct truth_span *span;
	char text[32];

	if (!is_bound && (mkdir(QUOTA_FOLDER, 0755) == 0 || errno == EEXIST)) {
		snprintf(text, sizeof(text), "%d", QUOTA_PERIODS);
		write_text(QUOTA_FOLDER "/cpu.cfs_period_us", text);
		snprintf(text, sizeof(text), "%d", QUOTA_PERIODS / 5);
		write_text(QUOTA_FOLDER "/cpu.cfs_quota_us", text);
		snprintf(text, sizeof(text), "%d", getpid());
		write_text(QUOTA_FOLDER "/cgroup.procs", text);
	}
	is_bound = true;
	span = truth_open("request");
	scenario_spin(100 * US, 10 * MS);
	scenario_nap(20 * US, 1 * MS);
	scenario_spin(20 * US, 1 * MS);
	truth_close(span);
}

/* ---- coroutines: they take turns on one thread, which never leaves the CPU for it */

static ucontext_t scheduler, coroutines[COROUTINES];
static char stacks[COROUTINES][STACK_BYTES];
static struct truth_span *carried[COROUTINES];
static bool is_over[COROUTINES];
static int current;

static void coroutine_main(void)
{
	int own = current;

	for (uint64_t turns = truth_between(1, 5); turns > 0; turns--) {
		truth_enter(carried[own]);
		scenario_spin(5 * US, 300 * US);
		truth_leave(carried[own]);
		swapcontext(&coroutines[own], &scheduler);
		truth_turn();
	}
	truth_end(carried[own]);
	is_over[own] = true;
}

static void make_coroutine(int i, struct truth_span *parent)
{
	getcontext(&coroutines[i]);
	coroutines[i].uc_stack.ss_sp = stacks[i];
	coroutines[i].uc_stack.ss_size = STACK_BYTES;
	coroutines[i].uc_link = &scheduler;
	makecontext(&coroutines[i], coroutine_main, 0);
	carried[i] = truth_begin("coroutine", parent);
	is_over[i] = false;
}

static bool all_are_over(void)
{
	for (int i = 0; i < COROUTINES; i++) {
		if (!is_over[i])
			return false;
	}
	return true;
}

static void run_coroutines(struct truth_span *parent)
{
	for (int i = 0; i < COROUTINES; i++)
		make_coroutine(i, parent);
	while (!all_are_over()) {
		current = (int)truth_between(0, COROUTINES - 1);
		if (is_over[current])
			continue;
		truth_turn();
		swapcontext(&scheduler, &coroutines[current]);
		truth_turn();
		if (truth_between(0, 5) == 0)
			scenario_nap(20 * US, 200 * US);
	}
}

static void coroutines_alone(void)
{
	run_coroutines(NULL);
}

/* ... of one request */
static void coroutines_together(void)
{
	struct truth_span *root = truth_open("request");

	run_coroutines(root);
	truth_close(root);
}

/* ---- spans of an odd make */

/* A trace of its own within another's span. */
static void root_within(void)
{
	struct truth_span *outer = truth_open("consumer"), *inner;

	scenario_spin(5 * US, 500 * US);
	for (int i = 0; i < 3; i++) {
		inner = truth_begin("message", NULL);
		truth_enter(inner);
		scenario_spin(5 * US, 500 * US);
		if (truth_between(0, 2) == 0)
			scenario_nap(20 * US, 500 * US);
		truth_leave(inner);
		truth_end(inner);
		outer->cpu_ns -= inner->cpu_ns; /* which is another trace's */
		outer->cpu_slack_ns += inner->cpu_slack_ns;
	}
	truth_close(outer);
}

/* It shows some time after it has begun, and no more some time before it ends. */
static void late_attach(void)
{
	struct truth_span *span = truth_open_detached("late");

	scenario_spin(5 * US, 300 * US);
	truth_show(span);
	scenario_spin(20 * US, 1 * MS);
	if (truth_between(0, 1))
		scenario_nap(20 * US, 1 * MS);
	truth_hide(span);
	scenario_spin(5 * US, 300 * US);
	truth_close_detached(span);
}

/* A second thread carries it, too, and makes no span of its own. */
static void *carry_too(void *arg)
{
	struct truth_span *span = arg;
	struct spanwise_token token;
	uint64_t before = truth_cpu_ns(), within, left;

	spanwise_attach(span->trace_id, span->span_id, 1, &token);
	within = truth_cpu_ns();
	scenario_spin(100 * US, 2 * MS);
	left = truth_cpu_ns();
	spanwise_detach(&token);
	span->cpu_ns += left - within;
	span->cpu_slack_ns += within - before + truth_cpu_ns() - left;
	return NULL;
}

static void lent(void)
{
	struct truth_span *span = truth_open("request");
	pthread_t thread;

	scenario_check(pthread_create(&thread, NULL, carry_too, span) == 0, "thread");
	scenario_spin(100 * US, 2 * MS);
	pthread_join(thread, NULL);
	scenario_spin(5 * US, 50 * US);
	truth_close(span);
}

const struct scenario scenario_rough[] = {
	{ .name = "pool", .turn = pooled },
	{ .name = "across-threads", .turn = across },
	{ .name = "prefork", .turn = prefork },
	{ .name = "fork-exec", .turn = fork_exec },
	{ .name = "priorities", .turn = priorities },
	{ .name = "throttled", .turn = throttled },
	{ .name = "coroutines", .turn = coroutines_alone },
	{ .name = "gathered", .turn = coroutines_together },
	{ .name = "root-within", .turn = root_within },
	{ .name = "late-attach", .turn = late_attach },
	{ .name = "lent", .turn = lent },
	{ .name = NULL },
};
