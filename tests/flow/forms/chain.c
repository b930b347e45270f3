/* SPDX-License-Identifier: Apache-2.0 */
/* A program that waits and works at known places, for stacks. Reads a word a line, makes a span,
 * does there what the word says, and answers with a line of JSON. Ends with its standard input.
 *
 *   sleep    handle_report > query_rows > wait_for_row
 *   loop     the same, twenty times
 *   long     handle_report > long_row, for half a second
 *   sort     the same below qsort, through the C library
 *   frame    the same below a frame whose size is known only then, and one that is aligned
 *   signal   the same below a signal's handler
 *   thread   the same on another thread
 *   context  context_rows > query_rows > wait_for_row, on a stack of its own
 *   vfork    handle_report > start_child, until the child is done with our memory
 *   spin     handle_report > render_page, on the CPU
 *   clock    handle_report > clock_rows, mostly in the vDSO
 *   library  sleep's below a function of a library that is linked (CHAIN_LINKED)
 *   opened   ... that is opened now
 *   plt      handle_report > plt_rows, mostly on the way to a library's function
 *
 * With CHAIN_OTHER handle_report is another file's, in another language. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define SPIN_NS  60000000
#define SLEEP_NS 20000000

/* Calls that neither vanish nor become jumps. */
#define NOINLINE __attribute__((noinline))
#define STAY()   __asm__ volatile("" ::: "memory")

struct record {
	uint8_t trace_id[16];
	uint8_t span_id[8];
	volatile uint8_t valid;
	uint8_t trace_flags;
	uint16_t attrs_bytes;
};

__thread void *otel_thread_ctx_v1 __attribute__((visibility("default")));

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void wait_for_row(void);
void query_rows(void);
void render_page(void);
void handle_report(const char *word);

NOINLINE void wait_for_row(void)
{
	const struct timespec pause = { 0, SLEEP_NS };

	nanosleep(&pause, NULL);
	STAY();
}

NOINLINE void query_rows(void)
{
	wait_for_row();
	STAY();
}

#ifndef CHAIN_OTHER
NOINLINE void long_row(void)
{
	const struct timespec pause = { 0, 25 * SLEEP_NS };

	nanosleep(&pause, NULL);
	STAY();
}

NOINLINE void repeat_rows(void)
{
	for (int turn = 0; turn < 20; turn++) {
		query_rows();
		STAY();
	}
}

static int compare_rows(const void *a, const void *b)
{
	if (*(const char *)a == 'd' || *(const char *)b == 'd') {
		query_rows();
		STAY();
	}
	return *(const char *)a - *(const char *)b;
}

NOINLINE void sort_rows(void)
{
	char rows[] = "da";

	qsort(rows, 2, 1, compare_rows);
	STAY();
}

NOINLINE void frame_rows(size_t bytes)
{
	volatile char *room = __builtin_alloca(bytes);
	volatile char aligned[64] __attribute__((aligned(64)));

	room[bytes - 1] = 1;
	aligned[0] = room[bytes - 1];
	query_rows();
	room[0] = aligned[0];
}

#ifdef CHAIN_LINKED
void library_rows(void (*visit)(void));
unsigned library_step(unsigned value);

NOINLINE void linked_rows(void)
{
	library_rows(query_rows);
	STAY();
}

NOINLINE void opened_rows(void)
{
	void *library = dlopen("libchain_opened.so", RTLD_NOW);
	void *symbol = library ? dlsym(library, "library_rows") : NULL;
	void (*rows)(void (*visit)(void));

	if (!symbol)
		exit(4);
	memcpy(&rows, &symbol, sizeof(rows));
	rows(query_rows);
	STAY();
}

NOINLINE void plt_rows(void)
{
	uint64_t end_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) + SPIN_NS;

	for (volatile unsigned turn = 0; turn % 4096 || now_ns(CLOCK_THREAD_CPUTIME_ID) < end_ns;)
		turn = library_step(turn);
	STAY();
}
#endif

NOINLINE void clock_rows(void)
{
	for (uint64_t end_ns = now_ns(CLOCK_MONOTONIC) + SPIN_NS; now_ns(CLOCK_MONOTONIC) < end_ns;)
		STAY();
}

static void context_rows(void)
{
	query_rows();
	STAY();
}

NOINLINE void switch_rows(void)
{
	static char stack[65536];
	ucontext_t here, there;

	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = sizeof(stack);
	there.uc_link = &here;
	makecontext(&there, context_rows, 0);
	swapcontext(&here, &there);
	STAY();
}

NOINLINE void start_child(void)
{
	if (vfork() == 0) {
		wait_for_row();
		_exit(0);
	}
	STAY();
}

#endif

static void on_signal(int number)
{
	query_rows();
	STAY();
	(void)number;
}

NOINLINE void render_page(void)
{
	uint64_t end_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) + SPIN_NS;

	for (volatile unsigned turn = 0;; turn++) {
		if (turn % 4096 == 0 && now_ns(CLOCK_THREAD_CPUTIME_ID) >= end_ns)
			break;
	}
	STAY();
}

#ifndef CHAIN_OTHER
NOINLINE void handle_report(const char *word)
{
	if (strcmp(word, "sleep") == 0 || strcmp(word, "thread") == 0)
		query_rows();
	else if (strcmp(word, "loop") == 0)
		repeat_rows();
	else if (strcmp(word, "long") == 0)
		long_row();
	else if (strcmp(word, "sort") == 0)
		sort_rows();
	else if (strcmp(word, "frame") == 0)
		frame_rows(strlen(word) * 100);
	else if (strcmp(word, "signal") == 0)
		raise(SIGUSR1);
	else if (strcmp(word, "vfork") == 0)
		start_child();
	else if (strcmp(word, "spin") == 0)
		render_page();
	else if (strcmp(word, "clock") == 0)
		clock_rows();
	else if (strcmp(word, "context") == 0)
		switch_rows();
#ifdef CHAIN_LINKED
	else if (strcmp(word, "library") == 0)
		linked_rows();
	else if (strcmp(word, "opened") == 0)
		opened_rows();
	else if (strcmp(word, "plt") == 0)
		plt_rows();
#endif
	STAY();
}
#endif

static void print_hex(const char *key, const uint8_t *bytes, size_t count)
{
	printf("\"%s\": \"", key);
	for (size_t i = 0; i < count; i++)
		printf("%02x", bytes[i]);
	printf("\", ");
}

static void *make_span(void *word)
{
	struct record record = { .valid = 1 };
	uint64_t start_ns;

	if (getrandom(&record, 24, 0) != 24)
		exit(3);
	start_ns = now_ns(CLOCK_REALTIME);
	otel_thread_ctx_v1 = &record;
	STAY();
	handle_report(word);
	STAY();
	otel_thread_ctx_v1 = NULL;
	printf("{");
	print_hex("trace", record.trace_id, sizeof(record.trace_id));
	print_hex("span", record.span_id, sizeof(record.span_id));
	printf("\"start\": %llu, \"end\": %llu, \"pid\": %d}\n", (unsigned long long)start_ns,
	       (unsigned long long)now_ns(CLOCK_REALTIME), (int)getpid());
	fflush(stdout);
	return NULL;
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	char line[64];
	pthread_t thread;

	sigaction(SIGUSR1, &action, NULL);
#ifdef CHAIN_LINKED
	library_step(0); /* bound now: the loader's way there has rules that are not walked by */
#endif
	puts("\"started\"");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, "thread") != 0)
			make_span(line);
		else if (pthread_create(&thread, NULL, make_span, line) == 0)
			pthread_join(thread, NULL);
	}
	return 0;
}
