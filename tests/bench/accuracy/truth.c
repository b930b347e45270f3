/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/accuracy/truth.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* With forked children. */
static struct {
	_Atomic size_t count;
	_Atomic uint64_t ids, base;
	struct truth_span spans[TRUTH_MAX_SPANS];
} * shared;

#define OPEN                                                                                       \
	"TRUTH_OPEN" /* of truth_become: descriptor of the shared memory and number of the span */

static struct truth_span *resumed;
static uint64_t resumed_cpu_ns;

static _Thread_local struct truth_span *innermost;
static _Thread_local uint64_t seed;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static clockid_t exported = CLOCK_REALTIME; /* what spans tell */

struct truth_edge truth_read_edge(void)
{
	struct truth_edge edge = { .slack_ns = UINT64_MAX };

	for (int i = 0; i < 3 && edge.slack_ns > 500; i++) {
		uint64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		uint64_t real = clock_ns(exported);
		uint64_t after = clock_ns(CLOCK_THREAD_CPUTIME_ID);

		edge = (struct truth_edge){ real, before + (after - before) / 2,
					    (after - before + 1) / 2 };
	}
	return edge;
}

static int shared_fd;
static uint64_t first_seed = 42;
static bool is_marked; /* the writer marks where spans begin and end */

__attribute__((constructor)) static void share(void)
{
	const char *open = getenv(OPEN), *given = getenv("TRUTH_SEED");
	size_t index = 0;

	if (given) /* threads that are made by hand have no locale to read numbers with */
		first_seed = strtoull(given, NULL, 10);
	is_marked = getenv("TRUTH_MARKS") != NULL;
	if (getenv("TRUTH_COARSE"))
		exported = CLOCK_REALTIME_COARSE;

	if (open && sscanf(open, "%d %zu", &shared_fd, &index) != 2)
		abort();
	if (!open)
		shared_fd = memfd_create("truth", 0);
	if (!open && ftruncate(shared_fd, sizeof(*shared)) < 0)
		abort();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, shared_fd, 0);
	if (shared == MAP_FAILED)
		abort();
	if (open && index < TRUTH_MAX_SPANS)
		resumed = &shared->spans[index];
	resumed_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static uint64_t next_random(void)
{
	static _Atomic uint64_t threads;

	if (!seed)
		seed = first_seed + 0x9e3779b97f4a7c15U * atomic_fetch_add(&threads, 1);
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

uint64_t truth_between(uint64_t least, uint64_t most)
{
	return least + next_random() % (most - least + 1);
}

bool truth_one_in(uint64_t count)
{
	return truth_between(1, count) == 1;
}

uint64_t truth_length_ns(uint64_t least, uint64_t most)
{
	double part = (double)(next_random() >> 11) / 9007199254740992.0;

	return (uint64_t)(exp(log((double)least) + part * log((double)most / (double)least)));
}

/* Ids differ from run to run: the first span mixes in the time. */
static void make_id(uint8_t *id, size_t bytes)
{
	uint64_t none = 0, state;

	if (!atomic_load(&shared->base))
		atomic_compare_exchange_strong(&shared->base, &none, clock_ns(CLOCK_REALTIME) | 1);
	state = shared->base + 0x9e3779b97f4a7c15U * atomic_fetch_add(&shared->ids, 1);
	for (size_t i = 0; i < bytes; i++) {
		state = (state ^ (state >> 29)) * 0xbf58476d1ce4e5b9U + i;
		id[i] = (uint8_t)(state >> 56);
	}
	id[0] |= 1; /* all zero is no id */
}

/* Where it is marked: what a thread does between a span's begin and its entering, or between
 * leaving it and its end, is the span's if it has come to nothing else meanwhile, and no other
 * thread to the span. Else it may count for it or not, and only where the thread did nothing at all
 * on the way: what an interrupt, or a switch, burned there. */
struct way {
	const struct truth_span *span; /* NULL: it is on none */
	uint64_t entered;              /* so many times by then */
	struct truth_edge edge;        /* where it begins */
	bool is_to_end;
};

static _Thread_local struct way way;

static void go_on(const struct truth_span *span, bool is_to_end, const struct truth_edge *edge)
{
	way = (struct way){ span, span->entered, *edge, is_to_end };
}

/* As an SDK does right before it reads the clock for a span's edge. */
_Thread_local int truth_marks = 1;

int truth_is_marking(void)
{
	return is_marked && truth_marks;
}

void truth_mark(const struct truth_span *span)
{
	if (truth_is_marking())
		spanwise_mark(span->trace_id, span->span_id);
}

void truth_turn(void)
{
	way.span = NULL;
	if (is_marked && innermost)
		spanwise_publish(innermost->trace_id, innermost->span_id, 1);
	else if (is_marked)
		spanwise_publish(NULL, NULL, 0);
}

struct truth_span *truth_make(const char *name, struct truth_span *parent)
{
	size_t index = atomic_fetch_add(&shared->count, 1);
	struct truth_span *span = &shared->spans[index];

	if (index >= TRUTH_MAX_SPANS)
		abort();
	span->name = name;
	span->parent = parent;
	if (parent) {
		memcpy(span->trace_id, parent->trace_id, sizeof(span->trace_id));
		memcpy(span->parent_id, parent->span_id, sizeof(span->parent_id));
	} else {
		make_id(span->trace_id, sizeof(span->trace_id));
	}
	make_id(span->span_id, sizeof(span->span_id));
	truth_mark(span);
	way.span = NULL;
	return span;
}

static int is_below(const struct truth_span *span, const struct truth_span *above)
{
	while (span && span != above)
		span = span->parent;
	return span != NULL;
}

static struct truth_span *above(const struct truth_span *span)
{
	return span->is_entry ? NULL : span->parent;
}

/* For those above it that the thread carries already, nothing is new. */
static void charge(struct truth_span *span, const struct truth_span *carried, uint64_t cpu_ns,
		   uint64_t slack_ns)
{
	for (; span && !is_below(carried, span); span = above(span)) {
		span->cpu_ns += cpu_ns;
		span->cpu_slack_ns += slack_ns;
	}
}

/* Of a way that the thread was on up to that edge. If it shows another trace meanwhile, that may
 * have it as well; and of what nobody exports no time says when it began or ended. */
static void charge_way(struct truth_span *span, bool is_to_end, const struct truth_edge *edge)
{
	uint64_t cpu_ns = edge->cpu_ns - way.edge.cpu_ns;
	uint64_t slack_ns = way.edge.slack_ns + edge->slack_ns;

	if (span->is_unexported ||
	    (innermost && memcmp(innermost->trace_id, span->trace_id, sizeof(span->trace_id)) != 0))
		slack_ns += cpu_ns;
	if (way.span == span && way.is_to_end == is_to_end && way.entered == span->entered)
		charge(span, innermost, is_marked ? cpu_ns : 0, is_marked ? slack_ns : cpu_ns);
	way.span = NULL;
}

static void enter_at(struct truth_span *span, const struct truth_edge *edge)
{
	charge_way(span, false, edge);
	span->entered++;
	charge(span, innermost, 0, edge->slack_ns);
	span->entered_cpu_ns = edge->cpu_ns;
	span->beneath = innermost;
	innermost = span;
	spanwise_attach(span->trace_id, span->span_id, 1, &span->token);
}

/* `ends`: the span does, too. */
static struct truth_edge leave(struct truth_span *span, bool ends)
{
	struct truth_edge edge;

	spanwise_detach(&span->token);
	if (ends)
		truth_mark(span);
	edge = truth_read_edge();
	innermost = span->beneath;
	charge(span, innermost, edge.cpu_ns - span->entered_cpu_ns, edge.slack_ns);
	way.span = NULL;
	if (!ends)
		go_on(span, true, &edge);
	return edge;
}

/* No exported time says when a thread takes a span up or puts it aside: what it burned between the
 * reading of the clock and the attach or detach, as by an interrupt, may count for it or not. */
static uint64_t beyond(uint64_t ns, const struct truth_edge *edge)
{
	return ns > edge->slack_ns ? ns - edge->slack_ns : 0;
}

struct truth_span *truth_begin(const char *name, struct truth_span *parent)
{
	struct truth_span *span = truth_make(name, parent);
	struct truth_edge edge = truth_read_edge();

	span->start_ns = edge.real_ns;
	go_on(span, false, &edge);
	return span;
}

void truth_end(struct truth_span *span)
{
	struct truth_edge edge;

	truth_mark(span);
	edge = truth_read_edge();
	span->end_ns = edge.real_ns;
	charge_way(span, true, &edge);
}

void truth_enter(struct truth_span *span)
{
	struct truth_edge edge = truth_read_edge();

	enter_at(span, &edge);
	charge(span, span->beneath, 0,
	       beyond(clock_ns(CLOCK_THREAD_CPUTIME_ID) - edge.cpu_ns, &edge));
}

void truth_leave(struct truth_span *span)
{
	uint64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	struct truth_edge edge = leave(span, false);

	charge(span, innermost, 0, beyond(edge.cpu_ns - before, &edge));
}

void truth_open_made(struct truth_span *span)
{
	struct truth_edge edge = truth_read_edge();

	span->start_ns = edge.real_ns;
	enter_at(span, &edge);
}

struct truth_span *truth_open_below(const char *name, struct truth_span *parent)
{
	struct truth_span *span = truth_make(name, parent);

	truth_open_made(span);
	return span;
}

struct truth_span *truth_open(const char *name)
{
	return truth_open_below(name, innermost);
}

void truth_close(struct truth_span *span)
{
	span->end_ns = leave(span, true).real_ns;
}

struct truth_span *truth_open_detached(const char *name)
{
	struct truth_span *span = truth_make(name, innermost);
	struct truth_edge edge = truth_read_edge();

	span->start_ns = edge.real_ns;
	charge(span, innermost, 0, edge.slack_ns);
	span->entered_cpu_ns = edge.cpu_ns;
	span->beneath = innermost;
	innermost = span;
	return span;
}

void truth_show(struct truth_span *span)
{
	spanwise_attach(span->trace_id, span->span_id, 1, &span->token);
}

void truth_hide(struct truth_span *span)
{
	spanwise_detach(&span->token);
}

void truth_close_detached(struct truth_span *span)
{
	struct truth_edge edge;

	truth_mark(span);
	edge = truth_read_edge();
	innermost = span->beneath;
	charge(span, innermost, edge.cpu_ns - span->entered_cpu_ns, edge.slack_ns);
	span->end_ns = edge.real_ns;
}

void truth_become(struct truth_span *span, char **arguments)
{
	char open[64];

	snprintf(open, sizeof(open), "%d %zu", shared_fd, (size_t)(span - shared->spans));
	setenv(OPEN, open, 1);
	span->became_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	execv("/proc/self/exe", arguments);
	abort();
}

struct truth_span *truth_resume(void)
{
	return resumed;
}

void truth_carry_on(struct truth_span *span)
{
	innermost = span;
	spanwise_attach(span->trace_id, span->span_id, 1, &span->token);
	span->cpu_slack_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - span->became_cpu_ns;
}

void truth_end_uncarried(struct truth_span *span)
{
	truth_mark(span);
	span->cpu_ns += span->became_cpu_ns - span->entered_cpu_ns;
	span->cpu_slack_ns += resumed_cpu_ns - span->became_cpu_ns;
	span->end_ns = clock_ns(exported);
}

static _Thread_local uint64_t wait_began_ns, wait_cpu_ns;

uint64_t truth_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t truth_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

void truth_wait_begin(void)
{
	wait_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	wait_began_ns = clock_ns(CLOCK_MONOTONIC);
}

void truth_wait_end(void)
{
	uint64_t elapsed = clock_ns(CLOCK_MONOTONIC) - wait_began_ns;
	uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - wait_cpu_ns;

	for (struct truth_span *span = innermost; span; span = span->beneath)
		span->waited_ns += elapsed > cpu ? elapsed - cpu : 0;
}

void truth_spin_ns(uint64_t ns)
{
	uint64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + ns;

	if (!is_marked)
		way.span = NULL;
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

/* The span that its time counts for, where its parent is not exported. */
static void print_above(const struct truth_span *span)
{
	const struct truth_span *above = span->parent;

	while (above && above->is_unexported)
		above = above->parent;
	if (above && above != span->parent)
		print_id("above_id", above->span_id, sizeof(above->span_id));
}

void truth_print(void)
{
	printf("{\"instance_id\":\"%s\"}\n", spanwise_instance_id());
	for (size_t i = 0; i < shared->count; i++) {
		struct truth_span *span = &shared->spans[i];

		if (span->is_unexported)
			continue;
		putchar('{');
		print_id("trace_id", span->trace_id, sizeof(span->trace_id));
		print_id("span_id", span->span_id, sizeof(span->span_id));
		print_id("parent_id", span->parent_id, span->parent ? sizeof(span->parent_id) : 0);
		print_above(span);
		printf("\"name\":\"%s\",\"start_ns\":%" PRIu64 ",\"end_ns\":%" PRIu64, span->name,
		       span->start_ns, span->end_ns);
		if (span->has_own)
			printf(",\"own_cpu_ns\":%" PRIu64 ",\"own_slack_ns\":%" PRIu64,
			       span->own_cpu_ns, span->own_slack_ns);
		printf(",\"cpu_ns\":%" PRIu64 ",\"cpu_slack_ns\":%" PRIu64 ",\"waited_ns\":%" PRIu64
		       ",\"forked_ns\":%" PRIu64 ",\"is_foreign\":%d,\"is_entry\":%d",
		       span->cpu_ns, span->cpu_slack_ns, span->waited_ns, span->forked_ns,
		       span->is_foreign, span->is_entry);
		if (span->kind)
			printf(",\"kind\":\"%s\"", span->kind);
		if (span->resource)
			printf(",\"resource\":%s", span->resource);
		puts("}");
	}
}
