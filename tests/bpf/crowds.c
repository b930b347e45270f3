/* SPDX-License-Identifier: Apache-2.0 */
/* Threads in crowds, and numbers that are used again. As subject.c: "tls OFFSET", a cue on stdin,
 * the scenario, and what it knows as "tid NAME NUMBER".
 *
 *   many     thousands of threads at the same time, "threads" of them, under 8001
 *   series   one after another, "threads" of them: where one ends the next one begins
 *   killed   processes that are killed while all their threads are blocked: "rounds" of them, each
 *            of "threads", under 8003
 *   reused   a process under 8004, and when it is gone another one of the same "pid", born under
 *            8005
 *   crowded  "rounds" processes at the same time, of which the first, twice "threads", end last */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include <linux/sched.h>

#include "publish.h"

#define MANY       20000
#define SERIES     500
#define ROUNDS     30
#define BLOCKED    8 /* threads, one of them the first */
#define STACK_SIZE (64 * 1024)

static pthread_barrier_t barrier;

static void say(const char *name, int number)
{
	printf("tid %s %d\n", name, number);
	fflush(stdout);
}

static void *wait_for_all(void *arg)
{
	publish(8001);
	pthread_barrier_wait(&barrier);
	return arg;
}

static void play_many(void)
{
	static pthread_t threads[MANY];
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, STACK_SIZE);
	pthread_barrier_init(&barrier, NULL, MANY + 1);
	for (int i = 0; i < MANY; i++) {
		if (pthread_create(&threads[i], &small, wait_for_all, NULL) != 0)
			abort();
		if (i % 500 == 0)
			say("begun", i);
	}
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < MANY; i++) {
		pthread_join(threads[i], NULL);
		if (i % 500 == 0)
			say("ended", i);
	}
}

static void *pass_by(void *arg)
{
	struct timespec moment = { .tv_nsec = 1000 };

	publish(8002);
	nanosleep(&moment, NULL);
	return arg;
}

static void play_series(void)
{
	for (int i = 0; i < SERIES; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, pass_by, NULL) != 0)
			abort();
		pthread_join(thread, NULL);
	}
}

static void *block(void *arg)
{
	publish(8003);
	pthread_barrier_wait(&barrier);
	for (;;)
		pause();
	return arg;
}

/* Tells through the pipe when all but the first are about to wait, and waits, too. */
static void be_killed(int to_parent)
{
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, BLOCKED);
	for (int i = 1; i < BLOCKED; i++)
		pthread_create(&thread, NULL, block, NULL);
	publish(8003);
	pthread_barrier_wait(&barrier);
	if (write(to_parent, "x", 1) != 1)
		abort();
	for (;;)
		pause();
}

static void play_killed(void)
{
	struct timespec moment = { .tv_nsec = 2000000 };
	int ready[2];
	char byte;

	if (pipe(ready) < 0)
		abort();
	for (int i = 0; i < ROUNDS; i++) {
		pid_t child = fork();

		if (child == 0)
			be_killed(ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			abort();
		nanosleep(&moment, NULL);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

static void wait_for_end_of(int gate[2])
{
	char byte;

	close(gate[1]);
	_exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);
}

static void play_crowded(void)
{
	int early[2], late[2];

	if (pipe(early) < 0 || pipe(late) < 0)
		abort();
	for (int i = 0; i < ROUNDS; i++) {
		if (fork() != 0)
			continue;
		close(i < 2 * BLOCKED ? early[1] : late[1]);
		wait_for_end_of(i < 2 * BLOCKED ? late : early);
	}
	close(early[1]);
	for (int i = 2 * BLOCKED; i < ROUNDS; i++)
		wait(NULL);
	close(late[1]);
	while (wait(NULL) > 0)
		;
}

/* A child process, of that number if it is not 0. */
static pid_t fork_as(pid_t number)
{
	struct clone_args args = { .exit_signal = SIGCHLD };

	if (number) {
		args.set_tid = (uint64_t)(uintptr_t)&number;
		args.set_tid_size = 1;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static void sleep_and_end(void)
{
	struct timespec moment = { .tv_nsec = 3000000 };

	nanosleep(&moment, NULL);
	_exit(0);
}

static void play_reused(void)
{
	pid_t first, second;

	publish(8004);
	first = fork_as(0);
	while (first == 0)
		pause();
	struct timespec moment = { .tv_nsec = 5000000 };

	nanosleep(&moment, NULL);
	kill(first, SIGKILL);
	waitpid(first, NULL, 0);
	publish(8005);
	second = fork_as(first);
	if (second == 0)
		sleep_and_end();
	if (second != first)
		abort();
	waitpid(second, NULL, 0);
	say("pid", second);
}

int main(int argc, char **argv)
{
	const char *scenario = argc > 1 ? argv[1] : "many";
	char line[16];

	publish(0);
	printf("tls %ld\n", tls_offset());
	fflush(stdout);
	if (read(0, line, sizeof(line)) <= 0)
		return 1;
	if (strcmp(scenario, "many") == 0)
		play_many();
	else if (strcmp(scenario, "series") == 0)
		play_series();
	else if (strcmp(scenario, "killed") == 0)
		play_killed();
	else if (strcmp(scenario, "reused") == 0)
		play_reused();
	else if (strcmp(scenario, "crowded") == 0)
		play_crowded();
	return 0;
}
