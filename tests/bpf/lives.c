/* SPDX-License-Identifier: Apache-2.0 */
/* Threads and processes that begin and end: with a tag, without one, many at once, as another
 * program.
 *
 *   lives SCENARIO: prints "tls OFFSET", waits for a line on stdin, plays the scenario, prints a
 * line "tid NAME TID" for each that is asked about */
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "publish.h"
#include "spin.h"
#include "task_state.h"

#define THREAD_HEAD 64 /* of a thread, what its compiler and its libc ask for at once */

static void wait_sleep(void)
{
	sleep_once(3000000);
}

static void *short_thread(void *arg)
{
	printf("tid short %d\n", my_tid());
	publish(4001);
	wait_sleep();
	spin(100000);
	return arg;
}

#define LEAVING 8 /* of which others may push some off their CPUs in between */

/* It leaves its span a while before its end. */
static void *leaving_thread(void *arg)
{
	printf("tid leaving%d %d\n", (int)(intptr_t)arg, my_tid());
	publish(4006);
	wait_sleep();
	spin(50000);
	publish(0);
	return arg;
}

/* A thread without a variable of its own: what its maker shows is what it shows. */
static int lent_main(void *done)
{
	wait_sleep();
	atomic_store((atomic_int *)done, 1);
	syscall(SYS_exit, 0);
	return 0;
}

static void play_lent(void)
{
	static char stack[64 << 10] __attribute__((aligned(16)));
	atomic_int done = 0;
	int tid;

	publish(4007);
	tid = clone(lent_main, stack + sizeof(stack),
		    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			    CLONE_SYSVSEM,
		    &done);
	printf("tid lent %d\n", tid);
	while (!atomic_load(&done))
		wait_sleep();
}

/* A process that is made by hand, in our memory, with variables of its own. */
static int apart_main(void *unused)
{
	struct timespec time = { .tv_nsec = 3000000 };

	(void)unused;
	syscall(SYS_nanosleep, &time, NULL);
	syscall(SYS_exit, 0);
	return 0;
}

static void play_apart(void)
{
	static char stack[64 << 10] __attribute__((aligned(16)));
	static char variables[64 << 10] __attribute__((aligned(64))); /* none of them is set */
	void *own_pointer = __builtin_thread_pointer();
	void *pointer = variables + sizeof(variables) - THREAD_HEAD;

	publish(4008);
	memcpy(pointer, own_pointer, THREAD_HEAD);
	memcpy(pointer, &pointer, sizeof(pointer));
	int pid = clone(apart_main, stack + sizeof(stack), CLONE_VM | CLONE_SETTLS | SIGCHLD, NULL,
			NULL, pointer);
	printf("tid apart %d\n", pid);
	waitpid(pid, NULL, 0);
}

/* The kernel makes a thread of ours, which has our thread pointer and looks for work all the time.
 */
static void play_ring(void)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 1000 };
	long ring;

	publish(4009);
	ring = syscall(SYS_io_uring_setup, 4, &params);
	printf("tid ring %d\n", ring < 0 ? 0 : my_tid());
	for (int i = 0; i < 10; i++)
		wait_sleep();
	if (ring >= 0)
		close((int)ring);
	wait_sleep();
}

static void *execing_thread(void *self)
{
	publish(4005);
	wait_sleep();
	execl(self, self, "idle", NULL);
	_exit(1);
}

/* A thread that is not the first of its process makes it another program. */
static pid_t fork_execing_thread(const char *self)
{
	pid_t child = fork();

	if (child == 0) {
		pthread_t thread;

		pthread_create(&thread, NULL, execing_thread, (void *)self);
		pthread_join(thread, NULL);
		_exit(1);
	}
	waitpid(child, NULL, 0);
	return child;
}

static void play_life(const char *self)
{
	pthread_t thread;

	pthread_create(&thread, NULL, short_thread, NULL);
	pthread_join(thread, NULL);
	for (intptr_t i = 0; i < LEAVING; i++) {
		pthread_create(&thread, NULL, leaving_thread, (void *)i);
		pthread_join(thread, NULL);
	}
	play_lent();
	play_apart();
	publish(4002);
	fflush(stdout);
	pid_t child = fork();

	if (child == 0) {
		wait_sleep();
		publish(4003);
		wait_sleep();
		_exit(0);
	}
	waitpid(child, NULL, 0);
	printf("tid child %d\n", child);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		wait_sleep();
		execl(self, self, "idle", NULL);
		_exit(1);
	}
	waitpid(child, NULL, 0);
	printf("tid exec %d\n", child);
	printf("tid execother %d\n", fork_execing_thread(self));
	child = vfork();
	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	printf("tid shared %d\n", child);
}

#define CROWD 24 /* three times what the smallest table holds */

static void *crowd_thread(void *barrier)
{
	publish(7001);
	pthread_barrier_wait(barrier);
	return NULL;
}

static void *late_thread(void *arg)
{
	printf("tid late %d\n", my_tid());
	publish(7002);
	wait_sleep();
	return arg;
}

static void play_crowd(void)
{
	pthread_barrier_t barrier;
	pthread_t threads[CROWD];

	pthread_barrier_init(&barrier, NULL, CROWD);
	for (int i = 0; i < CROWD; i++)
		pthread_create(&threads[i], NULL, crowd_thread, &barrier);
	for (int i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	pthread_create(&threads[0], NULL, late_thread, NULL);
	pthread_join(threads[0], NULL);
}

static void *born_thread(void *arg)
{
	sched_yield();
	publish(1);
	return arg;
}

/* Threads and processes are made by several threads at once, each under its own tag. */
static void *maker(void *arg)
{
	publish((uint64_t)(uintptr_t)arg);
	for (int i = 0; i < 60; i++) {
		pthread_t thread;
		pid_t child = fork();

		if (child == 0)
			_exit(0);
		pthread_create(&thread, NULL, born_thread, NULL);
		pthread_join(thread, NULL);
		waitpid(child, NULL, 0);
	}
	return NULL;
}

static void play_births(void)
{
	pthread_t makers[4];

	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&makers[i], NULL, maker, (void *)(6001 + i));
	for (int i = 0; i < 4; i++)
		pthread_join(makers[i], NULL);
}

int main(int argc, char **argv)
{
	const char *scenario = argc > 1 ? argv[1] : "life";
	char line[16];

	if (strcmp(scenario, "idle") == 0)
		return wait_sleep(), 0;
	setvbuf(stdout, NULL, _IOFBF, 65536);
	publish(0);
	printf("tls %ld\n", tls_offset());
	fflush(stdout);
	if (read(0, line, sizeof(line)) <= 0)
		return 1;
	if (strcmp(scenario, "life") == 0)
		play_life(argv[0]);
	else if (strcmp(scenario, "births") == 0)
		play_births();
	else if (strcmp(scenario, "crowd") == 0)
		play_crowd();
	else if (strcmp(scenario, "ring") == 0)
		play_ring();
	printf("end\n");
	fflush(stdout);
	return 0;
}
