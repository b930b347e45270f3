/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/trace_events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

#define MAX_BYTES ((size_t)256 << 20)

void trace_events_init(struct trace_events *events, struct stacks *stacks)
{
	*events = (struct trace_events){ .stacks = stacks };
	arena_init(&events->arena, MAX_BYTES);
}

void trace_events_fini(struct trace_events *events)
{
	arena_fini(&events->arena);
	free(events->spans);
	free(events->slices);
}

static int grow(void *array_pointer, size_t wanted, size_t *cap, size_t item_bytes)
{
	void **array = array_pointer, *bigger;
	size_t more = MAX(wanted, 2 * *cap + 64);

	if (wanted <= *cap)
		return 0;
	if (more > MAX_BYTES / item_bytes)
		return -EMSGSIZE;
	bigger = reallocarray(*array, more, item_bytes);
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	*cap = more;
	return 0;
}

static struct str keep(struct arena *arena, struct str text)
{
	char *copy = arena_alloc(arena, text.len + 1);

	if (!copy || !text.len)
		return (struct str){ "", 0 };
	return (struct str){ memcpy(copy, text.data, text.len), text.len };
}

static int add_slices(struct trace_events *events, const struct ledger *ledger, uint32_t span)
{
	int rc = grow(&events->slices, events->slice_count + ledger->slice_count,
		      &events->slice_cap, sizeof(*events->slices));

	for (unsigned i = 0; i < ledger->slice_count && rc == 0; i++) {
		const struct ledger_slice *slice = &ledger->slices[i];

		if (slice->ns)
			events->slices[events->slice_count++] = (struct traced_slice){
				.start_ns = slice->start_unix_ns,
				.end_ns = slice->start_unix_ns + slice->ns,
				.ledger_ns = slice->ns,
				.pid = ledger->pid,
				.tid = slice->tid,
				.span = span,
				.state = slice->state,
				.reason = slice->reason,
			};
	}
	return rc;
}

static int add_ledger(struct trace_events *events, const struct ledger *ledger,
		      struct traced_span *span)
{
	struct ledger_code code = { stacks_code, events->stacks, NULL, NULL };
	size_t bytes = ledger->wait_count * sizeof(*ledger->waits);
	struct ledger_wait *waits = arena_alloc(&events->arena, bytes + 1);
	struct buf text;

	if (!waits)
		return -ENOMEM;
	if (bytes)
		memcpy(waits, ledger->waits, bytes);
	span->waits = waits;
	span->wait_count = ledger->wait_count;
	span->pid = ledger->pid;
	span->grade = ledger->grade;
	span->slices_truncated = ledger->slices_truncated;
	buf_init(&text, 0);
	ledger_judge(ledger, events->stacks ? &code : NULL, &text);
	span->verdict = keep(&events->arena, buf_str(&text));
	buf_fini(&text);
	return add_slices(events, ledger, (uint32_t)(span - events->spans));
}

int trace_events_add(struct trace_events *events, const struct store_span *stored)
{
	const struct span *from = &stored->span;
	struct traced_span *span;
	int rc = grow(&events->spans, events->span_count + 1, &events->span_cap,
		      sizeof(*events->spans));

	if (rc < 0)
		return rc;
	span = &events->spans[events->span_count++];
	*span = (struct traced_span){
		.name = keep(&events->arena, from->name),
		.service = keep(&events->arena, stored->service),
		.start_ns = from->start_unix_ns,
		.end_ns = MAX(from->end_unix_ns, from->start_unix_ns),
	};
	memcpy(span->trace_id, from->trace_id, TRACE_ID_BYTES);
	memcpy(span->span_id, from->span_id, SPAN_ID_BYTES);
	return stored->has_ledger ? add_ledger(events, &stored->ledger, span) : 0;
}

/* ---- tracks ---- */

static int by_thread_and_start(const void *a, const void *b)
{
	const struct traced_slice *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	if (x->tid != y->tid)
		return x->tid < y->tid ? -1 : 1;
	if (x->start_ns != y->start_ns)
		return x->start_ns < y->start_ns ? -1 : 1;
	return (x->span > y->span) - (x->span < y->span);
}

struct sweep {
	const struct trace_events *events;
	const struct traced_slice **active; /* owned: those that cover the instant */
	size_t active_count, active_cap;
	struct traced_slice *out; /* owned until it is handed over */
	size_t count, cap;
};

static bool is_better(const struct sweep *sweep, const struct traced_slice *a,
		      const struct traced_slice *b)
{
	const struct traced_span *x = &sweep->events->spans[a->span];
	const struct traced_span *y = &sweep->events->spans[b->span];

	if (x->slices_truncated != y->slices_truncated)
		return y->slices_truncated;
	return x->end_ns - x->start_ns < y->end_ns - y->start_ns;
}

/* Until when nothing begins or ends, from `at` on, and before `next_ns`. */
static uint64_t drop_ended(struct sweep *sweep, uint64_t at, uint64_t next_ns)
{
	size_t kept = 0;

	for (size_t i = 0; i < sweep->active_count; i++) {
		const struct traced_slice *slice = sweep->active[i];

		if (slice->end_ns <= at)
			continue;
		sweep->active[kept++] = slice;
		next_ns = MIN(next_ns, slice->end_ns);
	}
	sweep->active_count = kept;
	return next_ns;
}

static int put_piece(struct sweep *sweep, uint64_t start_ns, uint64_t end_ns)
{
	const struct traced_slice *best = NULL;
	struct traced_slice *last = sweep->count ? &sweep->out[sweep->count - 1] : NULL;
	int rc;

	for (size_t i = 0; i < sweep->active_count; i++) {
		if (!best || is_better(sweep, sweep->active[i], best))
			best = sweep->active[i];
	}
	if (!best || start_ns >= end_ns)
		return 0;
	if (last && last->tid == best->tid && last->pid == best->pid && last->end_ns == start_ns &&
	    last->state == best->state && last->reason == best->reason) {
		last->end_ns = end_ns; /* who knows its end knows who ended it */
		last->span = best->span;
		last->ledger_ns = best->ledger_ns;
		return 0;
	}
	rc = grow(&sweep->out, sweep->count + 1, &sweep->cap, sizeof(*sweep->out));
	if (rc < 0)
		return rc;
	sweep->out[sweep->count] = *best;
	sweep->out[sweep->count].start_ns = start_ns;
	sweep->out[sweep->count++].end_ns = end_ns;
	return 0;
}

/* From `at` to `until_ns`, through all that ends in between. */
static int sweep_to(struct sweep *sweep, uint64_t at, uint64_t until_ns)
{
	int rc = 0;

	while (rc == 0 && at < until_ns) {
		uint64_t next = drop_ended(sweep, at, until_ns);

		if (sweep->active_count == 0)
			return 0;
		rc = put_piece(sweep, at, next);
		at = next;
	}
	return rc;
}

/* The slices of one thread, by start. */
static int sweep_thread(struct sweep *sweep, const struct traced_slice *slices, size_t count)
{
	int rc = 0;

	sweep->active_count = 0;
	for (size_t i = 0; i < count && rc == 0; i++) {
		rc = grow(&sweep->active, sweep->active_count + 1, &sweep->active_cap,
			  sizeof(*sweep->active));
		if (rc == 0)
			sweep->active[sweep->active_count++] = &slices[i];
		if (rc == 0)
			rc = sweep_to(sweep, slices[i].start_ns,
				      i + 1 < count ? slices[i + 1].start_ns : UINT64_MAX);
	}
	return rc;
}

int trace_events_tracks(struct trace_events *events, struct traced_slice **out_slices,
			size_t *out_count)
{
	struct sweep sweep = { .events = events };
	struct traced_slice *slices = events->slices;
	int rc = 0;

	if (events->slice_count)
		qsort(slices, events->slice_count, sizeof(*slices), by_thread_and_start);
	for (size_t from = 0, to; from < events->slice_count && rc == 0; from = to) {
		for (to = from + 1;
		     to < events->slice_count && slices[to].tid == slices[from].tid &&
		     slices[to].pid == slices[from].pid;
		     to++)
			;
		if (slices[from].tid) /* elsewhere and unknown are no thread's */
			rc = sweep_thread(&sweep, slices + from, to - from);
	}
	free(sweep.active);
	if (rc < 0)
		free(sweep.out);
	else
		*out_slices = sweep.out;
	*out_count = rc < 0 ? 0 : sweep.count;
	return rc;
}

/* ---- waits and wakers ---- */

static bool is_same_waker(const struct ledger_waker *a, const struct ledger_waker *b)
{
	return a->kind == b->kind && a->pid == b->pid && a->tid == b->tid;
}

/* A wait that happened once is its only slice, if the lengths agree. */
static bool is_the_one(const struct ledger_wait *wait, const struct traced_slice *slice)
{
	return wait->reason == slice->reason && wait->count == 1 && wait->ns == slice->ledger_ns;
}

static bool may_be(const struct ledger_wait *wait, const struct traced_slice *slice)
{
	return wait->reason == slice->reason && wait->ns >= slice->ledger_ns;
}

const struct ledger_wait *trace_events_wait(const struct trace_events *events,
					    const struct traced_slice *slice)
{
	const struct traced_span *span = &events->spans[slice->span];
	const struct ledger_wait *one = NULL;
	unsigned likely = 0;

	for (unsigned i = 0; i < span->wait_count; i++) {
		if (is_the_one(&span->waits[i], slice))
			return &span->waits[i];
		if (!may_be(&span->waits[i], slice))
			continue;
		one = &span->waits[i];
		likely++;
	}
	return likely == 1 ? one : NULL;
}

/* Who ended all of a wait. */
static const struct ledger_waker *sole(const struct ledger_wait *wait)
{
	unsigned count = ledger_count_wakers(wait);
	uint64_t ended_ns = 0;

	for (unsigned i = 0; i < count; i++) {
		if (!is_same_waker(&wait->wakers[0], &wait->wakers[i]))
			return NULL;
		ended_ns += wait->wakers[i].ns;
	}
	return count && ended_ns == wait->ns ? &wait->wakers[0] : NULL;
}

const struct ledger_waker *trace_events_waker(const struct trace_events *events,
					      const struct traced_slice *slice)
{
	const struct traced_span *span = &events->spans[slice->span];
	const struct ledger_wait *wait = trace_events_wait(events, slice);
	const struct ledger_waker *found = NULL;

	if (wait)
		return sole(wait);
	for (unsigned i = 0; i < span->wait_count; i++) {
		const struct ledger_waker *waker;

		if (!may_be(&span->waits[i], slice))
			continue;
		waker = sole(&span->waits[i]);
		if (!waker || (found && !is_same_waker(found, waker)))
			return NULL;
		found = waker;
	}
	return found;
}
