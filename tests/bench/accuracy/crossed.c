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

#define HANDS 3 /* of a span that goes from thread to thread */

extern char **environ;

/* ---- contexts that are put back in the wrong order, as a generator's are */

static void *cross(void *unused)
{
	for (uint64_t left = truth_between(1, 4); left > 0; left--) {
		struct truth_span *outer = shown_enter("outer", NULL), *generator, *child;

		shown_spin();
		generator = shown_enter("generator", outer);
		shown_spin(); /* it has yielded, and the caller goes on in its context */
		child = shown_enter("child", truth_one_in(2) ? generator : outer);
		shown_spin();
		shown_pause();
		shown_end(generator); /* ... which puts back what it found */
		shown_show(outer);
		shown_spin();
		if (truth_one_in(2))
			shown_end(outer);
		shown_spin();
		shown_end(child);
		shown_show(generator);
		shown_pause();
		shown_spin();
		if (outer->is_open)
			shown_end(outer);
		if (truth_one_in(2))
			shown_show(NULL);
		shown_spin();
	}
	shown_show(NULL);
	return unused;
}

static void wrong_order(void)
{
	shown_at_once(cross);
}

/* ---- a library whose SDK marks, and one whose does not, in one thread and in two */

static void by_two(struct truth_span *parent, int depth)
{
	struct truth_span *span, *before = shown_now();
	bool marks = truth_one_in(2);

	shown_by_marking_sdk(marks);
	span = shown_enter(marks ? "marked" : "unmarked", parent);
	shown_spin();
	shown_pause();
	for (uint64_t left = depth < 3 ? truth_between(0, 2) : 0; left > 0; left--) {
		by_two(span, depth + 1);
		shown_spin();
	}
	shown_by_marking_sdk(marks);
	if (truth_one_in(2)) {
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
		if (truth_one_in(2))
			shown_spin();
	}
	return unused;
}

static void two_sdks(void)
{
	shown_at_once(be_two);
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
	shown_spin();
	if (truth_one_in(3)) {
		struct truth_span *part = shown_enter("part", span);

		shown_spin();
		shown_end(part);
		shown_show(span);
	}
	if (truth_one_in(2))
		shown_show(NULL);
}

static void *hand_main(void *arg)
{
	int me = (int)(intptr_t)arg;

	pthread_mutex_lock(&hands.lock);
	while (hands.left > 0) {
		if (hands.turn != me) {
			if (truth_one_in(3)) {
				pthread_mutex_unlock(&hands.lock);
				shown_show(NULL);
				shown_spin();
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
	span = shown_enter("handler", truth_one_in(2) ? shown_now() : NULL);
	shown_spin();
	shown_end(span);
	if (truth_one_in(2))
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
	span = shown_enter("request", NULL);
	for (volatile int i = 0; i < 3; i++) {
		step = shown_enter("step", span);
		if (sigsetjmp(out, 1) == 0) {
			is_armed = 1;
			scenario_spin(50 * US, 3 * MS);
		} else {
			shown_spin();
		}
		is_armed = 0;
		shown_end(step);
		if (truth_one_in(2))
			shown_show(span);
		shown_spin();
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
	struct truth_span *span = shown_enter("stopped", NULL), *part;
	pid_t us = getpid(), child = fork();
	int status;

	scenario_check(child >= 0, "fork");
	if (child == 0) {
		scenario_sleep_ns(truth_length_ns(100 * US, 1 * MS));
		if (truth_one_in(2))
			stop_by_signal(us);
		else
			stop_by_debugger(us);
		_exit(0);
	}
	for (int i = 0; i < 4; i++) {
		part = shown_enter("part", span);
		shown_spin();
		shown_end(part);
		shown_show(span);
		shown_spin();
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
	bool is_vforked = truth_one_in(2);
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
	shown_spin();
	if (truth_one_in(2))
		shown_show(NULL);
	shown_spin();
	while (waitpid(child, &status, 0) < 0)
		;
}

static void *spawn_within(void *unused)
{
	static char loop[] = "i=0; while [ $i -lt 500 ]; do i=$((i+1)); done";
	struct truth_span *span = shown_enter("spawner", NULL), *part;

	shown_spin();
	part = shown_enter("spawn", span);
	spawn(loop);
	shown_end(part);
	shown_show(span);
	shown_spin();
	shown_end(span);
	shown_show(NULL);
	return unused;
}

static void spawns(void)
{
	shown_at_once(spawn_within);
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
