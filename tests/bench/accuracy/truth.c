/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/accuracy/truth.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct truth_span spans[TRUTH_MAX_SPANS];
static size_t span_count;
static struct truth_span *innermost;
static uint64_t seed = 42;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* One edge: the exported time between two readings of the CPU clock. Taken again when something
 * came in between. */
struct edge {
	uint64_t real_ns, cpu_ns, slack_ns;
};

static struct edge read_edge(void)
{
	struct edge edge = { .slack_ns = UINT64_MAX };

	for (int i = 0; i < 3 && edge.slack_ns > 500; i++) {
		uint64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		uint64_t real = clock_ns(CLOCK_REALTIME);
		uint64_t after = clock_ns(CLOCK_THREAD_CPUTIME_ID);

		edge = (struct edge){ real, before + (after - before) / 2,
				      (after - before + 1) / 2 };
	}
	return edge;
}

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

uint64_t truth_between(uint64_t least, uint64_t most)
{
	return least + next_random() % (most - least + 1);
}

uint64_t truth_length_ns(uint64_t least, uint64_t most)
{
	double part = (double)(next_random() >> 11) / 9007199254740992.0;

	return (uint64_t)(exp(log((double)least) + part * log((double)most / (double)least)));
}

/* Ids differ from run to run: the first span mixes in the time. */
static void make_id(uint8_t *id, size_t bytes)
{
	static uint64_t state;

	if (!state)
		state = clock_ns(CLOCK_REALTIME) | 1;
	for (size_t i = 0; i < bytes; i++) {
		state = state * 6364136223846793005U + 1442695040888963407U;
		id[i] = (uint8_t)(state >> 56);
	}
	id[0] |= 1; /* all zero is no id */
}

struct truth_span *truth_open(const char *name)
{
	struct truth_span *span = &spans[span_count++];
	struct edge edge;

	if (span_count > TRUTH_MAX_SPANS)
		abort();
	span->name = name;
	span->parent = innermost;
	if (innermost) {
		memcpy(span->trace_id, innermost->trace_id, sizeof(span->trace_id));
		memcpy(span->parent_id, innermost->span_id, sizeof(span->parent_id));
	} else {
		make_id(span->trace_id, sizeof(span->trace_id));
	}
	make_id(span->span_id, sizeof(span->span_id));
	innermost = span;
	edge = read_edge();
	span->start_ns = edge.real_ns;
	span->cpu_ns = edge.cpu_ns; /* until it closes */
	span->cpu_slack_ns = edge.slack_ns;
	spanwise_attach(span->trace_id, span->span_id, 1, &span->token);
	return span;
}

void truth_close(struct truth_span *span)
{
	struct edge edge;

	spanwise_detach(&span->token);
	edge = read_edge();
	span->end_ns = edge.real_ns;
	span->cpu_ns = edge.cpu_ns - span->cpu_ns;
	span->cpu_slack_ns += edge.slack_ns;
	innermost = span->parent;
}

static uint64_t wait_began_ns, wait_cpu_ns;

void truth_wait_begin(void)
{
	wait_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	wait_began_ns = clock_ns(CLOCK_MONOTONIC);
}

void truth_wait_end(void)
{
	uint64_t elapsed = clock_ns(CLOCK_MONOTONIC) - wait_began_ns;
	uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - wait_cpu_ns;

	for (struct truth_span *span = innermost; span; span = span->parent)
		span->waited_ns += elapsed > cpu ? elapsed - cpu : 0;
}

void truth_spin_ns(uint64_t ns)
{
	uint64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + ns;

	/* Mostly user code, with a look at the clock now and then. */
	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end) {
		for (volatile int i = 0; i < 200; i++)
			;
	}
}

static void print_id(const char *key, const uint8_t *id, size_t bytes)
{
	printf("\"%s\":\"", key);
	for (size_t i = 0; i < bytes; i++)
		printf("%02x", id[i]);
	printf("\",");
}

void truth_print(void)
{
	printf("{\"instance_id\":\"%s\"}\n", spanwise_instance_id());
	for (size_t i = 0; i < span_count; i++) {
		const struct truth_span *span = &spans[i];

		putchar('{');
		print_id("trace_id", span->trace_id, sizeof(span->trace_id));
		print_id("span_id", span->span_id, sizeof(span->span_id));
		print_id("parent_id", span->parent_id, span->parent ? sizeof(span->parent_id) : 0);
		printf("\"name\":\"%s\",\"start_ns\":%" PRIu64 ",\"end_ns\":%" PRIu64, span->name,
		       span->start_ns, span->end_ns);
		printf(",\"cpu_ns\":%" PRIu64 ",\"cpu_slack_ns\":%" PRIu64 ",\"waited_ns\":%" PRIu64
		       "}\n",
		       span->cpu_ns, span->cpu_slack_ns, span->waited_ns);
	}
}
