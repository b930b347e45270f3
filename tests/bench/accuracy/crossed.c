/* SPDX-License-Identifier: Apache-2.0 */
/* What crosses a program's spans: contexts that are put back in the wrong order, as generators'
 * are, an SDK that marks beside one that does not, spans that go from thread to thread and come
 * back, handlers that never return, threads that are stopped, programs that are started. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"
#include "tests/bench/accuracy/shown.h"

#define DRIVERS 2
#define HANDS   3 /* of a span that goes from thread to thread */

extern char **environ;

static bool by_chance(uint64_t one_in)
{
	return truth_between(1, one_in) == 1;
}

static void spin(void)
{
	scenario_spin(5 * US, 700 * US);
}

static void pause_by_chance(void)
{
	if (by_chance(2))
		shown_nap(20 * US, 2 * MS);
}

static void at_once(void *(*run)(void *))
{
	pthread_t two[DRIVERS];

	for (unsigned i = 0; i < DRIVERS; i++)
		scenario_check(pthread_create(&two[i], NULL, run, NULL) == 0, "thread");
	for (unsigned i = 0; i < DRIVERS; i++)
		pthread_join(two[i], NULL);
}

static struct truth_span *begin_shown(const char *name, struct truth_span *parent)
{
	struct truth_span *span = shown_begin(name, parent);

	shown_show(span);
	return span;
}

/* ---- contexts that are put back in the wrong order, as a generator's are */

static void *cross(void *unused)
{
	for (uint64_t left = truth_between(1, 4); left > 0; left--) {
		struct truth_span *outer = begin_shown("outer", NULL), *generator, *child;

		spin();
		generator = begin_shown("generator", outer);
		spin(); /* it has yielded, and the caller goes on in its context */
		child = begin_shown("child", by_chance(2) ? generator : outer);
		spin();
		pause_by_chance();
		shown_end(generator); /* ... which puts back what it found */
		shown_show(outer);
		spin();
		if (by_chance(2))
			shown_end(outer);
		spin();
		shown_end(child);
		shown_show(generator);
		pause_by_chance();
		spin();
		if (outer->is_open)
			shown_end(outer);
		if (by_chance(2))
			shown_show(NULL);
		spin();
	}
	shown_show(NULL);
	return unused;
}

static void wrong_order(void)
{
	at_once(cross);
}

/* ---- a library whose SDK marks, and one whose does not, in one thread and in two */

static void by_two(struct truth_span *parent, int depth)
{
	struct truth_span *span, *before = shown_now();
	bool marks = by_chance(2);

	shown_by_marking_sdk(marks);
	span = begin_shown(marks ? "marked" : "unmarked", parent);
	spin();
	pause_by_chance();
	for (uint64_t left = depth < 3 ? truth_between(0, 2) : 0; left > 0; left--) {
		by_two(span, depth + 1);
		spin();
	}
	shown_by_marking_sdk(marks);
	if (by_chance(2)) {
		shown_end(span);
		shown_show(before);
	} else {
		shown_show(before);
		shown_end(span);
	}
}

static void *be_two(void *unused)
{
	for (uint64_t left = truth_between(1, 4); left > 0; left--) {
		by_two(NULL, 0);
		if (by_chance(2))
			spin();
	}
	return unused;
}

static void two_sdks(void)
{
	at_once(be_two);
}

/* ---- a span that goes from thread to thread at each wait, and comes back: who has let go of it
 * has another one meanwhile, or still shows it and sleeps */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct truth_span *span;
	int left, turn;
} hands = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void work_handed(struct truth_span *span)
{
	shown_show(span);
	spin();
	if (by_chance(3)) {
		struct truth_span *part = begin_shown("part", span);

		spin();
		shown_end(part);
		shown_show(span);
	}
	if (by_chance(2))
		shown_show(NULL);
}

static void *hand_main(void *arg)
{
	int me = (int)(intptr_t)arg;

	pthread_mutex_lock(&hands.lock);
	while (hands.left > 0) {
		if (hands.turn != me) {
			if (by_chance(3)) {
				pthread_mutex_unlock(&hands.lock);
				shown_show(NULL);
				spin();
				pthread_mutex_lock(&hands.lock);
			} else {
				pthread_cond_wait(&hands.changed, &hands.lock);
			}
			continue;
		}
		pthread_mutex_unlock(&hands.lock);
		work_handed(hands.span);
		pthread_mutex_lock(&hands.lock);
		hands.left--;
		hands.turn = (int)truth_between(0, HANDS - 1);
		pthread_cond_broadcast(&hands.changed);
	}
	pthread_mutex_unlock(&hands.lock);
	shown_show(NULL);
	return NULL;
}

static void handed_back(void)
{
	pthread_t threads[HANDS];

	hands.span = shown_begin("handed", NULL);
	hands.left = 6;
	hands.turn = 0;
	for (intptr_t i = 0; i < HANDS; i++)
		scenario_check(pthread_create(&threads[i], NULL, hand_main, (void *)i) == 0,
			       "thread");
	for (int i = 0; i < HANDS; i++)
		pthread_join(threads[i], NULL);
	shown_end(hands.span);
}

/* ---- a handler that attaches a span, and jumps out of it, so that nobody puts anything back */

static sigjmp_buf out;
static volatile sig_atomic_t is_armed;

static void on_alarm(int unused)
{
	struct truth_span *span;

	(void)unused;
	if (!is_armed)
		return;
	is_armed = 0;
	span = begin_shown("handler", by_chance(2) ? shown_now() : NULL);
	spin();
	shown_end(span);
	if (by_chance(2))
		siglongjmp(out, 1);
	shown_show(span->parent);
	is_armed = 1;
}

static void jumps(void)
{
	const struct itimerval often = { { 0, 900 }, { 0, 900 } }, never = { { 0, 0 }, { 0, 0 } };
	struct truth_span *volatile span, *volatile step;

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &often, NULL);
	span = begin_shown("request", NULL);
	for (volatile int i = 0; i < 3; i++) {
		step = begin_shown("step", span);
		if (sigsetjmp(out, 1) == 0) {
			is_armed = 1;
			scenario_spin(50 * US, 3 * MS);
		} else {
			spin();
		}
		is_armed = 0;
		shown_end(step);
		if (by_chance(2))
			shown_show(span);
		spin();
	}
	shown_end(span);
	shown_show(NULL);
	setitimer(ITIMER_REAL, &never, NULL);
}

/* ---- a thread that is stopped in its span, by a signal or by a debugger */

static void stop_by_signal(pid_t pid)
{
	kill(pid, SIGSTOP);
	scenario_sleep_ns(truth_length_ns(200 * US, 5 * MS));
	kill(pid, SIGCONT);
}

static void stop_by_debugger(pid_t pid)
{
	int status;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		return;
	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0)
		waitpid(pid, &status, __WALL);
	scenario_sleep_ns(truth_length_ns(200 * US, 5 * MS));
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static void stopped(void)
{
	struct truth_span *span = begin_shown("stopped", NULL), *part;
	pid_t us = getpid(), child = fork();
	int status;

	scenario_check(child >= 0, "fork");
	if (child == 0) {
		scenario_sleep_ns(truth_length_ns(100 * US, 1 * MS));
		if (by_chance(2))
			stop_by_signal(us);
		else
			stop_by_debugger(us);
		_exit(0);
	}
	for (int i = 0; i < 4; i++) {
		part = begin_shown("part", span);
		spin();
		shown_end(part);
		shown_show(span);
		spin();
	}
	while (waitpid(child, &status, 0) < 0)
		;
	shown_end(span);
	shown_show(NULL);
	truth_between(0, 1); /* so that the next child draws other numbers */
}

/* ---- programs that are started within a span, in each of the ways */

static void spawn(char *loop)
{
	static char shell[] = "sh", option[] = "-c";
	char *arguments[] = { shell, option, loop, NULL };
	bool is_vforked = by_chance(2);
	pid_t child = 0;
	int status;

	if (is_vforked) {
		child = vfork();
		if (child == 0) {
			execve("/bin/sh", arguments, environ);
			_exit(127);
		}
	} else {
		scenario_check(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) == 0,
			       "spawn");
	}
	spin();
	if (by_chance(2))
		shown_show(NULL);
	spin();
	while (waitpid(child, &status, 0) < 0)
		;
}

static void *spawn_within(void *unused)
{
	static char loop[] = "i=0; while [ $i -lt 500 ]; do i=$((i+1)); done";
	struct truth_span *span = begin_shown("spawner", NULL), *part;

	spin();
	part = begin_shown("spawn", span);
	spawn(loop);
	shown_end(part);
	shown_show(span);
	spin();
	shown_end(span);
	shown_show(NULL);
	return unused;
}

static void spawns(void)
{
	at_once(spawn_within);
}

const struct scenario scenario_crossed[] = {
	{ .name = "wrong-order", .turn = wrong_order },
	{ .name = "two-sdks", .turn = two_sdks },
	{ .name = "handed-back", .turn = handed_back },
	{ .name = "jumps", .turn = jumps },
	{ .name = "stopped", .turn = stopped },
	{ .name = "spawns", .turn = spawns },
	{ .name = NULL },
};
