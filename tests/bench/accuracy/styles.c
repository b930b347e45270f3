/* SPDX-License-Identifier: Apache-2.0 */
/* Spans and threads in every style that services have. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"

#define LANES      4
#define CROWD      64
#define CROWD_EACH 3
#define TASKS      8
#define TURNS_EACH 6

/* ---- a thread that is given one piece of work after the other */

struct worker {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	void (*work)(struct truth_span *span);
	struct truth_span *span; /* NULL: idle */
	int is_started;
};

static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	pthread_mutex_lock(&worker->lock);
	for (;;) {
		while (!worker->span)
			pthread_cond_wait(&worker->changed, &worker->lock);
		pthread_mutex_unlock(&worker->lock);
		worker->work(worker->span);
		pthread_mutex_lock(&worker->lock);
		worker->span = NULL;
		pthread_cond_broadcast(&worker->changed);
	}
	return NULL;
}

static void worker_give(struct worker *worker, struct truth_span *span,
			void (*work)(struct truth_span *span))
{
	pthread_t thread;

	if (!worker->is_started)
		scenario_check(pthread_create(&thread, NULL, worker_main, worker) == 0, "thread");
	worker->is_started = 1;
	pthread_mutex_lock(&worker->lock);
	worker->span = span;
	worker->work = work;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
}

static void worker_join(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	while (worker->span)
		pthread_cond_wait(&worker->changed, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}

#define IDLE_WORKER                                                                                \
	{                                                                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER             \
	}

static struct worker workers[LANES] = { IDLE_WORKER, IDLE_WORKER, IDLE_WORKER, IDLE_WORKER };

/* ---- several threads for one span */

static void do_part(struct truth_span *root)
{
	struct truth_span *part = truth_open_below("part", root);

	truth_spin_ns(truth_length_ns(100 * US, 5 * MS));
	truth_wait_begin();
	scenario_sleep_ns(truth_length_ns(50 * US, 1 * MS));
	truth_wait_end();
	truth_spin_ns(truth_length_ns(20 * US, 500 * US));
	truth_close(part);
}

static void fan_out(void)
{
	struct truth_span *root = truth_open("request");

	truth_spin_ns(truth_length_ns(20 * US, 500 * US));
	for (int i = 0; i < LANES; i++)
		worker_give(&workers[i], root, do_part);
	for (int i = 0; i < LANES; i++)
		worker_join(&workers[i]);
	truth_close(root);
}

static void do_rest(struct truth_span *span)
{
	truth_enter(span);
	truth_spin_ns(truth_length_ns(50 * US, 2 * MS));
	truth_leave(span);
	truth_end(span);
}

static void be_busy(struct truth_span *unused)
{
	(void)unused;
	truth_spin_ns(truth_length_ns(200 * US, 5 * MS));
}

/* The worker has something else to do first: the span lies in the queue. */
static void hand_over(void)
{
	static struct truth_span nothing;
	struct truth_span *span = truth_begin("job", NULL);
	uint64_t queued_ns;

	truth_enter(span);
	truth_spin_ns(truth_length_ns(50 * US, 2 * MS));
	worker_give(&workers[0], &nothing, be_busy);
	truth_leave(span);
	queued_ns = truth_now_ns();
	worker_join(&workers[0]);
	scenario_sleep_ns(truth_length_ns(50 * US, 2 * MS));
	span->waited_ns += truth_now_ns() - queued_ns;
	worker_give(&workers[0], span, do_rest);
	worker_join(&workers[0]);
}

static void end_elsewhere(void)
{
	struct truth_span *span = truth_begin("moved", NULL);

	truth_enter(span);
	truth_spin_ns(truth_length_ns(50 * US, 2 * MS));
	truth_leave(span);
	worker_give(&workers[1], span, do_rest);
	worker_join(&workers[1]);
}

/* ---- many threads */

static void *request_main(void *unused)
{
	struct truth_span *span = truth_open("request");

	truth_spin_ns(truth_length_ns(20 * US, 2 * MS));
	truth_wait_begin();
	scenario_sleep_ns(truth_length_ns(20 * US, 1 * MS));
	truth_wait_end();
	truth_spin_ns(truth_length_ns(20 * US, 500 * US));
	truth_close(span);
	return unused;
}

static void thread_per_request(void)
{
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		scenario_check(pthread_create(&threads[i], NULL, request_main, NULL) == 0,
			       "thread");
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

static void *busy_main(void *unused)
{
	for (int i = 0; i < CROWD_EACH; i++) {
		struct truth_span *span = truth_open("request");

		truth_spin_ns(truth_length_ns(500 * US, 10 * MS));
		truth_close(span);
		truth_spin_ns(20 * US);
	}
	return unused;
}

static void crowd(void)
{
	pthread_t threads[CROWD];

	for (int i = 0; i < CROWD; i++)
		scenario_check(pthread_create(&threads[i], NULL, busy_main, NULL) == 0, "thread");
	for (int i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
}

/* ---- a fork, and both sides go on */

static uint64_t process_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void fork_on(void)
{
	struct truth_span *span = truth_open("fork");
	uint64_t burned_ns;
	int ends[2], status;
	pid_t child;

	truth_spin_ns(truth_length_ns(50 * US, 1 * MS));
	scenario_check(pipe(ends) == 0, "pipe");
	child = fork();
	scenario_check(child >= 0, "fork");
	if (child == 0) {
		truth_spin_ns(truth_length_ns(500 * US, 3 * MS));
		burned_ns = process_cpu_ns();
		if (write(ends[1], &burned_ns, sizeof(burned_ns)) != sizeof(burned_ns))
			_exit(1);
		_exit(0);
	}
	truth_spin_ns(truth_length_ns(500 * US, 3 * MS));
	truth_wait_begin();
	scenario_check(read(ends[0], &burned_ns, sizeof(burned_ns)) == sizeof(burned_ns), "child");
	scenario_check(waitpid(child, &status, 0) == child && status == 0, "child");
	truth_wait_end();
	close(ends[0]);
	close(ends[1]);
	span->forked_ns = burned_ns;
	truth_close(span);
}

/* ---- one thread */

static void unexported(void)
{
	struct truth_span *root = truth_open("request"), *child;

	truth_spin_ns(truth_length_ns(20 * US, 1 * MS));
	for (int i = 0; i < 3; i++) {
		child = truth_open("unsampled");
		child->is_unexported = 1;
		truth_spin_ns(truth_length_ns(20 * US, 1 * MS));
		truth_wait_begin();
		scenario_sleep_ns(truth_length_ns(20 * US, 500 * US));
		truth_wait_end();
		truth_close(child);
	}
	truth_spin_ns(truth_length_ns(20 * US, 1 * MS));
	truth_close(root);
}

/* Tasks of traces of their own take turns, mostly without leaving the CPU. */
static void event_loop(void)
{
	struct truth_span *tasks[TASKS];
	int left[TASKS], open = TASKS;

	for (int i = 0; i < TASKS; i++) {
		tasks[i] = truth_begin("task", NULL);
		left[i] = TURNS_EACH;
	}
	while (open > 0) {
		uint64_t i = truth_between(0, TASKS - 1);

		if (!left[i])
			continue;
		truth_enter(tasks[i]);
		truth_spin_ns(truth_length_ns(5 * US, 200 * US));
		truth_leave(tasks[i]);
		if (--left[i] == 0) {
			truth_end(tasks[i]);
			open--;
		}
		if (truth_between(0, 4) == 0)
			scenario_sleep_ns(truth_length_ns(20 * US, 200 * US));
	}
}

static void migrate(void)
{
	struct truth_span *span = truth_open("wanderer");
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	for (uint64_t hops = truth_between(2, 20); hops > 0; hops--) {
		cpu_set_t one;

		CPU_ZERO(&one);
		CPU_SET((unsigned)(hops % (uint64_t)cpus), &one);
		sched_setaffinity(0, sizeof(one), &one);
		truth_spin_ns(truth_length_ns(20 * US, 500 * US));
	}
	truth_close(span);
}

/* The answer comes from another machine: its span is in the trace, but nobody here carried it. */
static void two_nodes(void)
{
	struct truth_span *root = truth_open("request"), *call, *answer;

	truth_spin_ns(truth_length_ns(20 * US, 500 * US));
	call = truth_open("call");
	truth_spin_ns(truth_length_ns(20 * US, 100 * US));
	answer = truth_begin("answer", call);
	answer->is_foreign = 1;
	truth_wait_begin();
	scenario_sleep_ns(truth_length_ns(50 * US, 2 * MS));
	truth_wait_end();
	truth_end(answer);
	truth_close(call);
	truth_spin_ns(truth_length_ns(20 * US, 500 * US));
	truth_close(root);
}

const struct scenario scenario_styles[] = {
	{ .name = "fan-out", .turn = fan_out },
	{ .name = "hand-over", .turn = hand_over },
	{ .name = "ends-elsewhere", .turn = end_elsewhere },
	{ .name = "thread-each", .turn = thread_per_request },
	{ .name = "crowd", .turn = crowd },
	{ .name = "fork", .turn = fork_on },
	{ .name = "unexported", .turn = unexported },
	{ .name = "event-loop", .turn = event_loop },
	{ .name = "migrating", .turn = migrate },
	{ .name = "two-nodes", .turn = two_nodes },
	{ .name = NULL },
};
