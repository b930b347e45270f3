/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/correlate/oracle.h"

#include <stdlib.h>

#include "collector/base/macros.h"

int32_t oracle_exported(const struct schedule *s, int32_t span)
{
	while (span >= 0 && !s->spans[span].is_exported)
		span = s->spans[span].parent;
	return span;
}

/* The innermost one that is open then, of those that a thread works for which shows `span`: what it
 * does for one that is over is done for the next above. */
static int32_t open_at(const struct schedule *s, int32_t span, uint64_t time_ns)
{
	span = oracle_exported(s, span);
	while (span >= 0 && (time_ns < s->spans[span].start_ns || time_ns >= s->spans[span].end_ns))
		span = oracle_exported(s, s->spans[span].parent);
	return span;
}

bool oracle_is_below(const struct schedule *s, int32_t span, int32_t above)
{
	while (span >= 0 && span != above) {
		int32_t parent = s->spans[span].parent;

		if (parent >= 0 && s->spans[parent].process != s->spans[span].process)
			return false;
		span = parent;
	}
	return span == above;
}

static unsigned depth_of(const struct schedule *s, int32_t span, uint64_t time_ns)
{
	unsigned depth = 0;

	for (span = open_at(s, span, time_ns); span >= 0; span = s->spans[span].parent)
		depth++;
	return depth;
}

/* What the thread did at that instant. Where several stretches of no length lie there: the last. */
static const struct stretch *stretch_at(const struct true_thread *t, uint64_t time_ns)
{
	uint32_t low = 0, high = t->stretch_count;

	while (low < high) { /* the first that ends later */
		uint32_t middle = (low + high) / 2;

		if (t->stretches[middle].end_ns <= time_ns)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == t->stretch_count || t->stretches[low].start_ns > time_ns)
		return NULL;
	return &t->stretches[low];
}

static int order_of(uint8_t state)
{
	return state == STATE_RUNNING ? 3 : state == STATE_RUNNABLE ? 2 : 1;
}

/* The lane that decides what the span did at that instant; NULL: no lane. */
static const struct stretch *decide(const struct schedule *s, int32_t span, uint64_t time_ns)
{
	const struct stretch *best = NULL;

	for (uint32_t i = 0; i < s->thread_count; i++) {
		const struct true_thread *t = &s->threads[i];
		const struct stretch *x = stretch_at(t, time_ns);

		if (!x || t->process != s->spans[span].process ||
		    !oracle_is_below(s, x->span, span))
			continue;
		if (!best || order_of(x->state) > order_of(best->state)) {
			best = x;
		} else if (x->state == best->state) {
			unsigned mine = depth_of(s, x->span, time_ns),
				 its = depth_of(s, best->span, time_ns);

			if (mine > its || (mine == its && x->since_ns > best->since_ns))
				best = x;
		}
	}
	return best;
}

static bool child_covers(const struct schedule *s, int32_t span, uint64_t time_ns)
{
	for (uint32_t i = 0; i < s->span_count; i++) {
		const struct true_span *child = &s->spans[i];

		if (child->parent == span && child->is_exported && child->start_ns <= time_ns &&
		    time_ns < child->end_ns)
			return true;
	}
	return false;
}

static void add(struct ledger_split *split, const struct stretch *x, uint64_t ns)
{
	if (!x)
		split->elsewhere_ns += ns;
	else if (x->state == STATE_RUNNING)
		split->running_ns += ns;
	else if (x->state == STATE_RUNNABLE)
		split->runnable_ns += ns;
	else
		split->blocked_ns[x->reason] += ns;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

struct edges {
	uint64_t *at;
	uint32_t count;
};

static void add_edge(struct edges *edges, const struct true_span *within, uint64_t time_ns)
{
	if (time_ns < within->start_ns || time_ns > within->end_ns)
		return;
	edges->at = schedule_grow(edges->at, edges->count, sizeof(*edges->at));
	edges->at[edges->count++] = time_ns;
}

/* Every instant within the span at which anything changes. */
static struct edges all_edges(const struct schedule *s, const struct true_span *span)
{
	struct edges edges = { 0 };

	add_edge(&edges, span, span->start_ns);
	add_edge(&edges, span, span->end_ns);
	for (uint32_t i = 0; i < s->thread_count; i++) {
		for (uint32_t j = 0; j < s->threads[i].stretch_count; j++)
			add_edge(&edges, span, s->threads[i].stretches[j].start_ns);
	}
	for (uint32_t i = 0; i < s->span_count; i++) {
		add_edge(&edges, span, s->spans[i].start_ns);
		add_edge(&edges, span, s->spans[i].end_ns);
	}
	qsort(edges.at, edges.count, sizeof(*edges.at), by_value);
	return edges;
}

/* Spans begin and end where stretches do, so none is cut. */
static void add_cpu(const struct schedule *s, int32_t span, struct true_ledger *ledger)
{
	const struct true_span *of = &s->spans[span];

	for (uint32_t i = 0; i < s->thread_count; i++) {
		const struct true_thread *t = &s->threads[i];

		for (uint32_t j = 0; t->process == of->process && j < t->stretch_count; j++) {
			const struct stretch *x = &t->stretches[j];

			if (x->start_ns < of->start_ns || x->end_ns > of->end_ns ||
			    !oracle_is_below(s, x->span, span))
				continue;
			ledger->cpu_ns += x->cpu_end_ns - x->cpu_start_ns;
			if (open_at(s, x->span, x->start_ns) == span)
				ledger->cpu_self_ns += x->cpu_end_ns - x->cpu_start_ns;
		}
	}
}

struct true_ledger oracle_ledger(const struct schedule *s, int32_t span)
{
	struct true_ledger ledger = { .wall_ns = s->spans[span].end_ns - s->spans[span].start_ns };
	struct edges edges = all_edges(s, &s->spans[span]);

	for (uint32_t i = 1; i < edges.count; i++) {
		uint64_t at = edges.at[i - 1], ns = edges.at[i] - at;
		const struct stretch *x = ns ? decide(s, span, at) : NULL;
		bool is_self = x ? open_at(s, x->span, at) == span : !child_covers(s, span, at);

		add(&ledger.all, x, ns);
		if (is_self)
			add(&ledger.self, x, ns);
	}
	add_cpu(s, span, &ledger);
	free(edges.at);
	return ledger;
}
