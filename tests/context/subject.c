/* SPDX-License-Identifier: Apache-2.0 */
/* A process under observation. Built in every form in which a thread-local variable can live.
 *
 *   subject [--late] [--exec PROGRAM] [--fork] [LIBRARY...]
 *
 * Prints for its main thread and for another one the true addresses of the variable, one for each
 * library, as "thread TID ADDRESS..."; for a thread that never touched it "idle TID"; then "ready".
 * Libraries are opened with RTLD_LOCAL, with --late only after a line came in; --exec waits for a
 * line, too. Ends when its standard input does. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_LIBRARIES 4

typedef void **(*address_function)(void);

static address_function addresses[MAX_LIBRARIES];
static int address_count;

#if defined(SUBJECT_OWN) /* the variable is the program's */
__thread void *otel_thread_ctx_v1 __attribute__((visibility("default")));
static __thread int counter = 7; /* so that it does not lie at the edge of the block */
static __thread char wide[SUBJECT_OWN] __attribute__((aligned(SUBJECT_OWN)));

static void **own_address(void)
{
	wide[0] += (char)counter;
	return &otel_thread_ctx_v1;
}
#define OWN own_address
#elif defined(SUBJECT_LINKED) /* a library's, there from the start */
void **context_address(void);
#define OWN context_address
#elif defined(SUBJECT_EXTERN) /* a library's that does not touch it itself */
extern __thread void *otel_thread_ctx_v1;

static void **extern_address(void)
{
	return &otel_thread_ctx_v1;
}
#define OWN extern_address
#endif

#ifdef SUBJECT_OPENS
static void open_library(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	void *function = library ? dlsym(library, "context_address") : NULL;

	if (!function) {
		fprintf(stderr, "%s: %s\n", path, dlerror());
		exit(2);
	}
	memcpy(&addresses[address_count++], &function, sizeof(function));
}
#else
static void open_library(const char *path)
{
	fprintf(stderr, "%s: this program opens no libraries\n", path);
	exit(2);
}
#endif

static void say_addresses(void)
{
	char line[256];
	int used = snprintf(line, sizeof(line), "thread %ld", syscall(SYS_gettid));

	for (int i = 0; i < address_count; i++)
		used += snprintf(line + used, sizeof(line) - (size_t)used, " %lx",
				 (unsigned long)addresses[i]());
	puts(line);
	fflush(stdout);
}

static void *touching(void *arg)
{
	say_addresses();
	pthread_barrier_wait(arg);
	for (;;)
		pause();
	return NULL;
}

static void *idle(void *arg)
{
	printf("idle %ld\n", syscall(SYS_gettid));
	fflush(stdout);
	pthread_barrier_wait(arg);
	for (;;)
		pause();
	return NULL;
}

static void start(void *(*body)(void *))
{
	pthread_barrier_t started;
	pthread_t thread;

	pthread_barrier_init(&started, NULL, 2);
	if (pthread_create(&thread, NULL, body, &started))
		exit(3);
	pthread_barrier_wait(&started);
	pthread_barrier_destroy(&started); /* waits until the thread has left it */
}

static void wait_for_line(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
		;
}

static void wait_for_end(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) == 1)
		;
}

int main(int argc, char **argv)
{
	int late = 0, forks = 0, at = 1;
	const char *program = NULL;

	alarm(600); /* a test that died does not leave us behind */
	for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
		late |= strcmp(argv[at], "--late") == 0;
		forks |= strcmp(argv[at], "--fork") == 0;
		if (strcmp(argv[at], "--exec") == 0)
			program = argv[++at];
	}
	if (late || program) {
		start(idle); /* older than the library */
		puts("waiting");
		fflush(stdout);
		wait_for_line();
	}
	if (program)
		execl(program, program, (char *)NULL);
#ifdef OWN
	addresses[address_count++] = OWN;
#endif
	for (; at < argc && address_count < MAX_LIBRARIES; at++)
		open_library(argv[at]);
	say_addresses();
	start(touching);
	start(idle);
	if (forks) {
		pid_t child = fork();

		if (child == 0)
			say_addresses();
		else
			printf("child %ld\n", (long)child);
	}
	puts("ready");
	fflush(stdout);
	wait_for_end();
	return 0;
}
