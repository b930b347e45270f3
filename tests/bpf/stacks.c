/* SPDX-License-Identifier: Apache-2.0 */
/* A program that waits at many places, and knows the stack of each by its compiler's unwinder.
 *
 *   stacks: prints "tls OFFSET", waits for a line on stdin, and for each place prints
 *
 *   stack NAME PID ADDRESS...     of the callers of where it waits, innermost first
 *
 * Built without frame pointers. */
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "task_state.h"

#define MAX_FRAMES 100
#define NOINLINE   __attribute__((noinline))
#define STAY()     __asm__ volatile("" ::: "memory")

struct record {
	uint8_t trace_id[16];
	uint64_t span_id;
	uint8_t valid, trace_flags;
	uint16_t attrs_bytes;
};

__attribute__((visibility("default"))) __thread struct record *otel_thread_ctx_v1;

static const char *volatile place; /* raise() is thought to come back to nobody here */

/* Of backtrace() the first is our own call of it. */
NOINLINE static void wait_here(void)
{
	void *frames[MAX_FRAMES];
	int count = backtrace(frames, MAX_FRAMES);

	printf("stack %s %d", place, (int)getpid());
	for (int i = 1; i < count; i++)
		printf(" %lx", (unsigned long)frames[i]);
	printf("\n");
	fflush(stdout);
	sleep_once(3000000);
	STAY();
}

NOINLINE static void go_down(int depth)
{
	if (depth == 0)
		wait_here();
	else
		go_down(depth - 1);
	STAY();
}

static int compare(const void *a, const void *b)
{
	if (place) {
		wait_here();
		place = NULL;
	}
	return *(const char *)a - *(const char *)b;
}

NOINLINE static void below_library(void)
{
	char letters[] = "ba";

	qsort(letters, 2, 1, compare);
	STAY();
}

NOINLINE static void of_any_size(size_t bytes)
{
	volatile char *room = __builtin_alloca(bytes);
	volatile char aligned[64] __attribute__((aligned(64)));

	room[bytes - 1] = 1;
	aligned[0] = room[bytes - 1];
	wait_here();
	room[0] = aligned[0];
}

static void on_signal(int number)
{
	(void)number;
	wait_here();
	STAY();
}

static void *on_thread(void *tag)
{
	otel_thread_ctx_v1 = tag;
	wait_here();
	STAY();
	return NULL;
}

NOINLINE static void in_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		wait_here();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	STAY();
}

static void signals(void)
{
	static char room[65536];
	struct sigaction action = { .sa_handler = on_signal };
	stack_t other = { .ss_sp = room, .ss_size = sizeof(room) };

	sigaction(SIGUSR1, &action, NULL);
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &action, NULL);
	sigaltstack(&other, NULL);
	place = "signal";
	raise(SIGUSR1);
	place = "altstack";
	raise(SIGUSR2);
}

static void play(struct record *tag)
{
	pthread_t thread;

	place = "plain";
	wait_here();
	place = "deep";
	go_down(60);
	place = "library";
	below_library();
	place = "aligned";
	of_any_size(1000);
	signals();
	place = "thread";
	pthread_create(&thread, NULL, on_thread, tag);
	pthread_join(thread, NULL);
	place = "child";
	in_child();
}

int main(void)
{
	static struct record tag = { .span_id = 1, .valid = 1 };
	char line[16];

	memset(tag.trace_id, 0xab, sizeof(tag.trace_id));
	printf("tls %ld\n",
	       (long)((char *)&otel_thread_ctx_v1 - (char *)__builtin_thread_pointer()));
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	otel_thread_ctx_v1 = &tag;
	play(&tag);
	return 0;
}
