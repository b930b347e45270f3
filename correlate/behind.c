/* SPDX-License-Identifier: Apache-2.0 */
/* Who stood behind a wait, beside the one that ended it: who had the lock (holder.c); or, where the
 * one that ended it carries no span, the one that it had just left, or that of who made it go on:
 * an event loop only passes on what a pool has worked out.
 *
 *   we wait                   |---------------------------------->|
 *   a thread of the pool         ===(span)===..wakes
 *   the event loop                 ............|=======sends======|wakes us
 *
 * All that within the wait, and without having waited for anything since, or woken somebody else
 * first: a proxy that has two answers at hand passes them on in one go, and only the first is that
 * of who woke it. Of servers that publish nothing, the kernel's half tells as much
 * (bpf/server.bpf.h). */
#include "collector/base/macros.h"
#include "correlate/join.h"

#define LEAST_WAIT_NS 20000 /* of what is shorter, the waker is told alone; ... */
#define LEAST_PART    100   /* ... and of what is less than this part of the trace */
#define MAX_LINKS     4     /* of a chain of wakers without a span */
#define LOOK_BACK     32u   /* slices without a wait in between */

/* Through the network of this machine, or directly. */
static bool is_thread(const struct event_waker *waker)
{
	return waker->tid && (waker->kind == WAKER_THREAD || waker->kind == WAKER_NETWORK);
}

bool behind_is_asked(const struct join *join, uint8_t reason, const struct slice *after,
		     uint64_t ns)
{
	return after && after->flags & EVENT_WAKER && is_thread(after->waker) &&
	       (reason == REASON_LOCK || tag_is_none(&after->waker->tag)) &&
	       ns >= MAX((uint64_t)LEAST_WAIT_NS, (join->to_ns - join->from_ns) / LEAST_PART);
}

/* Of a thread that ran at a time: what it has carried, and who made it go on, since it waited
 * last. */
struct run {
	struct event_tag tag; /* zero: none */
	bool is_woken;
	uint64_t waking_ns;
	struct event_waker by;
};

static void note_carried(struct run *run, const struct slice *slice, uint64_t from_ns,
			 uint64_t until_ns)
{
	if (!tag_is_none(slice->tag_in) && slice->in_ns >= from_ns)
		run->tag = *slice->tag_in;
	if (!tag_is_none(slice->tag_out) && slice->out_ns >= from_ns && slice->out_ns <= until_ns)
		run->tag = *slice->tag_out;
}

static void look(struct thread *thread, uint64_t from_ns, uint64_t until_ns, struct run *out)
{
	struct timeline_cursor cursor;
	const struct slice *slice;
	bool is_preempted = true;

	*out = (struct run){ .is_woken = false };
	timeline_seek_beyond(&thread->timeline, until_ns, LOOK_BACK, &cursor);
	while ((slice = timeline_next(&cursor)) && slice->in_ns <= until_ns) {
		if (slice->gap || (slice->prev_out_ns < slice->in_ns && !is_preempted)) {
			*out = (struct run){ .is_woken = slice->flags & EVENT_WAKER &&
							 is_thread(slice->waker) && !slice->gap &&
							 slice->waking_ns >= from_ns };
			out->waking_ns = slice->waking_ns;
			out->by = *slice->waker;
		}
		note_carried(out, slice, from_ns, until_ns);
		is_preempted = slice->flags & EVENT_PREEMPTED;
	}
}

static void find_sender(struct join *join, const struct lane *lane, uint64_t from_ns,
			uint64_t to_ns, struct wait *wait)
{
	struct hold hold = { .from_ns = from_ns, .to_ns = to_ns, .kind = HOLD_BEHIND };
	struct run run = { .is_woken = true, .waking_ns = to_ns, .by = *wait->after->waker };

	for (unsigned i = 0; i < MAX_LINKS && run.is_woken && tag_is_none(&run.tag); i++) {
		struct thread *thread = world_find_waker(join->model, lane->process, &run.by);

		if (!thread || thread == lane->thread)
			return;
		hold.who = run.by;
		look(thread, from_ns, run.waking_ns, &run);
		if (hold.who.is_later && tag_is_none(&run.tag))
			return;
		if (!tag_is_none(&run.by.tag) && tag_is_none(&run.tag))
			run.tag = run.by.tag;
	}
	hold.who.tag = run.tag;
	if (!tag_is_none(&run.tag))
		join_add_hold(join, wait, &hold);
}

/* Whoever ended it publishes nothing: the kernel's half has kept who was behind that. */
static void take_told(struct join *join, const struct behind *behind, uint64_t from_ns,
		      uint64_t to_ns, struct wait *wait)
{
	struct hold hold = { .from_ns = MAX(from_ns, behind->from_ns),
			     .to_ns = MIN(to_ns, behind->to_ns),
			     .who = behind->who };

	if (behind->is_own) {
		hold.kind = HOLDER_BEHIND;
		join_add_hold(join, wait, &hold);
	}
	hold.kind = HOLD_BEHIND;
	join_add_hold(join, wait, &hold);
}

void behind_find(struct join *join, const struct lane *lane, uint64_t from_ns, uint64_t to_ns,
		 struct wait *wait)
{
	if (!behind_is_asked(join, wait->reason, wait->after, to_ns - from_ns))
		return;
	wait->first_hold = join->hold_count;
	if (wait->reason == REASON_LOCK)
		holder_find(join, lane, from_ns, to_ns, wait);
	if (wait->after->flags & SLICE_BEHIND)
		take_told(join, wait->after->behind, from_ns, to_ns, wait);
	else if (tag_is_none(&wait->after->waker->tag))
		find_sender(join, lane, from_ns, to_ns, wait);
}
