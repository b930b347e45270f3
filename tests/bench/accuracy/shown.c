/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/accuracy/shown.h"

#include <pthread.h>
#include <stddef.h>

#include "tests/bench/accuracy/scenario.h"

#define MOST_THREADS 64
#define AT_ONCE      2 /* threads */

/* What a thread shows; under the lock. */
struct showing {
	clockid_t clock; /* its CPU time */
	struct truth_span *span;
	uint64_t since_cpu_ns;
	bool is_taken;
};

/* The thread began the span, or put it aside, and has done little since: what it burns on the way
 * may count for it or not. */
struct way {
	struct truth_span *span;
	uint64_t cpu_ns;
	bool is_to_end;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct showing threads[MOST_THREADS];
static pthread_key_t at_exit;
static _Thread_local struct showing *mine;
static _Thread_local struct way way;

static void charge(struct showing *thread, uint64_t cpu_ns)
{
	uint64_t ns = cpu_ns - thread->since_cpu_ns;
	bool is_innermost = true;

	thread->since_cpu_ns = cpu_ns;
	for (struct truth_span *span = thread->span; span; span = span->parent) {
		if (!span->is_open)
			continue;
		span->cpu_ns += ns;
		if (is_innermost)
			span->own_cpu_ns += ns;
		is_innermost = false;
	}
}

static void leave_thread(void *arg)
{
	struct showing *thread = arg;

	pthread_mutex_lock(&lock);
	charge(thread, truth_cpu_ns());
	thread->is_taken = false;
	thread->span = NULL;
	pthread_mutex_unlock(&lock);
}

static void make_key(void)
{
	scenario_check(pthread_key_create(&at_exit, leave_thread) == 0, "key");
}

/* Takes the lock. */
static void enter_thread(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_key);
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < MOST_THREADS && !mine; i++) {
		if (threads[i].is_taken)
			continue;
		mine = &threads[i];
		*mine = (struct showing){ .is_taken = true, .since_cpu_ns = truth_cpu_ns() };
		pthread_getcpuclockid(pthread_self(), &mine->clock);
		pthread_setspecific(at_exit, mine);
	}
	scenario_check(mine != NULL, "threads");
}

static bool is_above(const struct truth_span *above, const struct truth_span *span)
{
	while (span && span != above)
		span = span->parent;
	return span != NULL;
}

/* Of those that have it by only one of the two. */
static void loosen(struct truth_span *one, struct truth_span *other, uint64_t slack_ns)
{
	for (struct truth_span *span = one; span; span = span->parent)
		span->cpu_slack_ns += is_above(span, other) ? 0 : slack_ns;
	for (struct truth_span *span = other; span; span = span->parent)
		span->cpu_slack_ns += is_above(span, one) ? 0 : slack_ns;
	/* whose own it is differs for those that have it either way, too */
	for (struct truth_span *span = one; span; span = span->parent)
		span->own_slack_ns += slack_ns;
	for (struct truth_span *span = other; span; span = span->parent)
		span->own_slack_ns += slack_ns;
}

static void end_way(struct truth_span *span, bool is_to_end, uint64_t cpu_ns)
{
	if (way.span == span && way.is_to_end == is_to_end)
		loosen(span, mine->span, cpu_ns - way.cpu_ns);
	way.span = NULL;
}

/* Where it is the span's edge, both it and who is innermost without it are off by the clock's
 * slack. */
static void slacken(struct truth_span *span, uint64_t slack_ns)
{
	for (; span; span = span->parent) {
		span->cpu_slack_ns += slack_ns;
		span->own_slack_ns += slack_ns;
	}
}

static struct truth_span *begin(const char *name, struct truth_span *parent, uint64_t start_ns,
				uint64_t way_cpu_ns)
{
	struct truth_span *span = truth_make(name, parent);
	struct truth_edge edge;

	enter_thread();
	edge = truth_read_edge();
	charge(mine, edge.cpu_ns);
	span->start_ns = start_ns ? start_ns : edge.real_ns;
	span->has_own = span->is_open = 1;
	span->begun_by = mine;
	span->became_cpu_ns = edge.cpu_ns;
	way = (struct way){ span, start_ns ? way_cpu_ns : edge.cpu_ns, false };
	slacken(span, edge.slack_ns);
	pthread_mutex_unlock(&lock);
	return span;
}

struct truth_span *shown_begin(const char *name, struct truth_span *parent)
{
	return begin(name, parent, 0, 0);
}

struct truth_span *shown_begin_at(const char *name, struct truth_span *parent, uint64_t start_ns,
				  uint64_t way_cpu_ns)
{
	return begin(name, parent, start_ns, way_cpu_ns);
}

struct truth_span *shown_now(void)
{
	return mine ? mine->span : NULL;
}

/* Between the reading of the clock and the moment at which it shows, either may count. */
void shown_show(struct truth_span *span)
{
	struct truth_span *before;
	uint64_t cpu_ns;

	enter_thread();
	cpu_ns = truth_cpu_ns();
	charge(mine, cpu_ns);
	end_way(span, false, cpu_ns);
	before = mine->span;
	mine->span = span;
	if (span) {
		span->is_shown = 1;
		spanwise_publish(span->trace_id, span->span_id, 1);
	} else {
		spanwise_publish(NULL, NULL, 0);
	}
	if (before && before->is_open)
		way = (struct way){ before, cpu_ns, true };
	loosen(before, span, truth_cpu_ns() - cpu_ns);
	pthread_mutex_unlock(&lock);
}

static uint64_t cpu_ns_of(clockid_t clock)
{
	struct timespec now = { 0 };

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Others that show it, or what is below it: their clocks are read later. */
static void charge_others(struct truth_span *span, uint64_t edge_ns)
{
	for (size_t i = 0; i < MOST_THREADS; i++) {
		struct showing *thread = &threads[i];

		if (!thread->is_taken || thread == mine || !is_above(span, thread->span))
			continue;
		charge(thread, cpu_ns_of(thread->clock));
		slacken(thread->span, truth_now_ns() - edge_ns);
	}
}

/* Where marks say that a thread began and ended a span that nothing ever shows, they say that the
 * thread worked for it. It also shows whom else it worked for: either is right. */
static void loosen_by_marks(struct truth_span *span, uint64_t cpu_ns)
{
	if (truth_is_marking() && span->begun_by == mine && !span->is_shown)
		loosen(span, mine->span, cpu_ns - span->became_cpu_ns);
}

void shown_stop(struct truth_span *span)
{
	struct truth_edge edge;
	uint64_t now_ns;

	enter_thread();
	now_ns = truth_now_ns();
	edge = truth_read_edge();
	charge(mine, edge.cpu_ns);
	charge_others(span, now_ns);
	end_way(span, true, edge.cpu_ns);
	loosen_by_marks(span, edge.cpu_ns);
	slacken(span, edge.slack_ns);
	span->end_ns = edge.real_ns;
	span->is_open = 0;
	pthread_mutex_unlock(&lock);
}

void shown_tell(const char *name, const struct truth_edge *began)
{
	struct truth_span *parent = shown_now(), *span = truth_make(name, parent);
	struct truth_edge edge;

	truth_mark(span);
	enter_thread();
	edge = truth_read_edge();
	charge(mine, edge.cpu_ns);
	span->start_ns = began->real_ns;
	span->end_ns = edge.real_ns;
	span->has_own = 1;
	span->cpu_ns = span->own_cpu_ns = edge.cpu_ns - began->cpu_ns;
	parent->own_cpu_ns -= span->cpu_ns;
	slacken(span, edge.slack_ns + began->slack_ns);
	pthread_mutex_unlock(&lock);
}

void shown_mark_end(struct truth_span *span)
{
	truth_mark(span);
}

void shown_end(struct truth_span *span)
{
	truth_mark(span);
	shown_stop(span);
}

void shown_nap(uint64_t least, uint64_t most)
{
	uint64_t cpu_ns = truth_cpu_ns(), began_ns = truth_now_ns(), elapsed;

	scenario_sleep_ns(truth_length_ns(least, most));
	elapsed = truth_now_ns() - began_ns;
	cpu_ns = truth_cpu_ns() - cpu_ns;
	for (struct truth_span *span = shown_now(); span; span = span->parent)
		span->waited_ns += span->is_open && elapsed > cpu_ns ? elapsed - cpu_ns : 0;
}

void shown_by_marking_sdk(bool marks)
{
	truth_marks = marks;
}

struct truth_span *shown_enter(const char *name, struct truth_span *parent)
{
	struct truth_span *span = shown_begin(name, parent);

	shown_show(span);
	return span;
}

void shown_spin(void)
{
	scenario_spin(5 * US, 700 * US);
}

void shown_pause(void)
{
	if (truth_one_in(2))
		shown_nap(20 * US, 2 * MS);
}

void shown_at_once(void *(*run)(void *))
{
	pthread_t started[AT_ONCE];

	for (unsigned i = 0; i < AT_ONCE; i++)
		scenario_check(pthread_create(&started[i], NULL, run, NULL) == 0, "thread");
	for (unsigned i = 0; i < AT_ONCE; i++)
		pthread_join(started[i], NULL);
}
