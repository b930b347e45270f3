/* SPDX-License-Identifier: Apache-2.0 */
/* A program that makes spans by hand. Built in every form in which a thread-local variable can
 * live.
 *
 *   span           a span on the main thread; thread: on another one, as old as the program
 *   fork           a span in a new child process
 *   open LIBRARY   the variable is this library's from now on
 *   exec PROGRAM   becomes another program
 *
 * Reads these from standard input, a line each, and answers each with a line of JSON: what it knows
 * about the span (see `struct facts`), or "started". Ends when its standard input does. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS  15000000
#define SLEEP_NS 20000000

/* OTEP 4947. Nobody else writes it, and readers stop us: compiler fences are order enough. */
struct record {
	uint8_t trace_id[16];
	uint8_t span_id[8];
	volatile uint8_t valid;
	uint8_t trace_flags;
	uint16_t attrs_bytes;
};

/* CPU time of the thread, read on both sides of each end of the span; how often it has left its
 * CPU to wait in it. */
struct facts {
	struct record record;
	uint64_t start_ns, end_ns;
	uint64_t outer[2], inner[2];
	long left;
};

static __thread struct record own;

#if defined(MAKER_OWN)
__thread void *otel_thread_ctx_v1 __attribute__((visibility("default")));

static void **own_variable(void)
{
	return &otel_thread_ctx_v1;
}
static void **(*variable)(void) = own_variable;
#elif defined(MAKER_LINKED)
void **context_address(void);
static void **(*variable)(void) = context_address;
#else
static void **(*variable)(void);
#endif

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void publish(const struct record *record)
{
	*variable() = &own;
	own.valid = 0;
	__asm__ volatile("" ::: "memory");
	if (!record)
		return;
	memcpy(own.trace_id, record->trace_id, sizeof(own.trace_id));
	memcpy(own.span_id, record->span_id, sizeof(own.span_id));
	__asm__ volatile("" ::: "memory");
	own.valid = 1;
}

static long times_left(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

static void work(struct facts *facts)
{
	const struct timespec pause = { 0, SLEEP_NS };
	uint64_t end_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) + SPIN_NS;

	while (now_ns(CLOCK_THREAD_CPUTIME_ID) < end_ns)
		;
	facts->left = times_left();
	nanosleep(&pause, NULL);
	facts->left = times_left() - facts->left;
}

static void print_hex(const char *key, const uint8_t *bytes, size_t count)
{
	printf("\"%s\": \"", key);
	for (size_t i = 0; i < count; i++)
		printf("%02x", bytes[i]);
	printf("\", ");
}

static void say(const struct facts *facts)
{
	printf("{");
	print_hex("trace", facts->record.trace_id, sizeof(facts->record.trace_id));
	print_hex("span", facts->record.span_id, sizeof(facts->record.span_id));
	printf("\"start\": %llu, \"end\": %llu, \"least\": %llu, \"most\": %llu, \"pid\": %d, "
	       "\"left\": %ld}\n",
	       (unsigned long long)facts->start_ns, (unsigned long long)facts->end_ns,
	       (unsigned long long)(facts->inner[1] - facts->inner[0]),
	       (unsigned long long)(facts->outer[1] - facts->outer[0]), (int)getpid(), facts->left);
	fflush(stdout);
}

static void make_span(void)
{
	struct facts facts;

	if (getrandom(&facts.record, sizeof(facts.record), 0) != sizeof(facts.record))
		exit(3);
	facts.outer[0] = now_ns(CLOCK_THREAD_CPUTIME_ID);
	facts.start_ns = now_ns(CLOCK_REALTIME);
	facts.inner[0] = now_ns(CLOCK_THREAD_CPUTIME_ID);
	publish(&facts.record);
	work(&facts);
	publish(NULL);
	facts.inner[1] = now_ns(CLOCK_THREAD_CPUTIME_ID);
	facts.end_ns = now_ns(CLOCK_REALTIME);
	facts.outer[1] = now_ns(CLOCK_THREAD_CPUTIME_ID);
	say(&facts);
}

/* Hands over one span at a time to the other thread. */
static pthread_barrier_t turn;

static void *other_thread(void *arg)
{
	for (;;) {
		pthread_barrier_wait(&turn);
		make_span();
		pthread_barrier_wait(&turn);
	}
	return arg;
}

static void make_span_on_other_thread(void)
{
	pthread_barrier_wait(&turn);
	pthread_barrier_wait(&turn);
}

static void make_span_in_child(void)
{
	pid_t child = fork();

	if (child == 0) {
		make_span();
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

#ifdef MAKER_OPENS
static void open_library(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	void *function = library ? dlsym(library, "context_address") : NULL;

	if (!function) {
		fprintf(stderr, "%s: %s\n", path, dlerror());
		exit(2);
	}
	memcpy(&variable, &function, sizeof(function));
	puts("\"opened\"");
	fflush(stdout);
}
#else
static void open_library(const char *path)
{
	fprintf(stderr, "%s: this program opens no libraries\n", path);
	exit(2);
}
#endif

static void obey(const char *line)
{
	if (strcmp(line, "span") == 0)
		make_span();
	else if (strcmp(line, "thread") == 0)
		make_span_on_other_thread();
	else if (strcmp(line, "fork") == 0)
		make_span_in_child();
	else if (strncmp(line, "open ", 5) == 0)
		open_library(line + 5);
	else if (strncmp(line, "exec ", 5) == 0)
		execl(line + 5, line + 5, (char *)NULL);
}

int main(void)
{
	char line[1024];
	pthread_t thread;

	alarm(120);                      /* a test that died does not leave us behind */
	setvbuf(stdin, NULL, _IONBF, 0); /* another program may read on after us */
	pthread_barrier_init(&turn, NULL, 2);
	if (pthread_create(&thread, NULL, other_thread, NULL))
		return 3;
	puts("\"started\"");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
	}
	return 0;
}
