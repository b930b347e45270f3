/* SPDX-License-Identifier: Apache-2.0 */
/* Slices that leave the timelines, summed up for the span that they belong to.
 *
 * A trace that is not settled by then (its root is still open) finds its old time here: totals by
 * thread and tag. A slice between two different tags is cut at the edge of a span that has already
 * come; without one it goes to the later tag, and its length is uncertain for both. */
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/glimpse.h"
#include "correlate/model.h"
#include "correlate/reason.h"

static struct fold *fold_of(struct model *model, const struct thread *thread,
			    const struct event_tag *tag)
{
	const struct trace_place *place =
		tag_is_none(tag) ? NULL : trace_set_find(&model->traces, tag->trace_id);
	struct trace *trace;
	struct observation *o;

	if (!place || (place->is_resting && place->is_settled))
		return NULL;
	trace = trace_find(model, tag->trace_id);
	if (!trace || (trace->revision && !trace->unsettled))
		return NULL; /* its ledgers have been written */
	o = trace_observation(model, trace, thread, tag->span_id);
	if (!o || o->inherited)
		return NULL;
	if (!o->fold) {
		o->fold = calloc(1, sizeof(*o->fold));
		if (!o->fold)
			return NULL;
		o->fold->first_ns = UINT64_MAX;
		model->stats.fold_bytes += sizeof(*o->fold);
	}
	return o->fold;
}

static void extend(struct fold *fold, uint64_t start, uint64_t end)
{
	fold->first_ns = MIN(fold->first_ns, start);
	fold->last_ns = MAX(fold->last_ns, end);
}

static void add_wait(struct fold *fold, const struct slice *before,
		     const struct event_target *target, uint64_t ns)
{
	struct fold_wait *wait = NULL;
	int32_t syscall;
	uint8_t reason = (uint8_t)reason_of_slice(before, &syscall);

	fold->split.blocked_ns[reason] += ns;

	for (uint32_t i = 0; i < fold->wait_count && !wait; i++) {
		struct fold_wait *w = &fold->waits[i];

		if (w->reason == reason && w->syscall == syscall && target_eq(&w->target, target))
			wait = w;
	}
	for (uint32_t i = 0; i < fold->wait_count && !wait; i++) {
		if (fold->wait_count >= FOLD_MAX_WAITS - REASON_COUNT &&
		    fold->waits[i].reason == reason && fold->waits[i].syscall == -1)
			wait = &fold->waits[i];
	}
	if (!wait && fold->wait_count < FOLD_MAX_WAITS) {
		bool is_rest = fold->wait_count >= FOLD_MAX_WAITS - REASON_COUNT;

		wait = &fold->waits[fold->wait_count++];
		wait->reason = reason;
		wait->syscall = is_rest ? -1 : syscall;
		if (!is_rest)
			wait->target = *target;
	}
	if (!wait)
		return;
	if (wait->count && wait->stack != before->stack)
		wait->stack = STACK_FOLDED;
	else
		wait->stack = before->stack;
	wait->ns += ns;
	wait->count++;
	wait->longest_ns = MAX(wait->longest_ns, ns);
}

static void fold_off_cpu(struct fold *fold, const struct slice *before, const struct slice *slice)
{
	uint64_t start = slice->prev_out_ns, end = slice->in_ns;
	uint64_t woken = slice->waking_ns ? slice->waking_ns : end;

	if (start >= end)
		return;
	extend(fold, start, end);
	if (slice->gap || !before->out_ns) {
		fold->split.unknown_ns += end - start;
		fold->lost = true;
	} else if (before->flags & EVENT_PREEMPTED) {
		fold->split.runnable_ns += end - start;
		if (reason_syscall_is_yield(before->syscall))
			fold->yielded_ns += end - start;
		else
			fold->preempted_ns += end - start;
	} else {
		fold->split.runnable_ns += end - woken;
		fold->throttled_ns += slice->flags & EVENT_THROTTLED ? end - woken : 0;
		add_wait(fold, before, slice->flags & SLICE_READY ? slice->ready : before->target,
			 woken - start);
	}
}

/* The edge, of a span that has come, at which the tag changed; 0: none is known. */
static uint64_t edge_inside(struct model *model, const struct slice *slice,
			    const struct event_tag *tag, bool is_start)
{
	const struct trace *trace = tag_is_none(tag) ? NULL : trace_look(model, tag->trace_id);
	int index = trace ? trace_span_index(model, trace, tag->span_id) : -1;
	uint64_t time, bound;

	if (index < 0 || !clock_map_to_mono(&model->clocks,
					    is_start ? trace->spans[index].start_unix_ns
						     : trace->spans[index].end_unix_ns,
					    &time, &bound))
		return 0;
	return time > slice->in_ns && time < slice->out_ns ? time : 0;
}

/* A part of a slice that is the fold's; `is_sure`: that it is. */
static void add_running(struct fold *fold, const struct thread *thread, const struct slice *slice,
			uint64_t start, uint64_t end, bool is_sure)
{
	const struct stint *stint = &thread->fold_stint;
	bool is_all = !thread->fold_is_mixed && is_sure;

	if (!fold)
		return;
	if (!is_sure)
		fold->uncertain_ns += MAX(slice->out_ns - slice->in_ns, slice->booked_ns);
	if (!is_all && fold->doubted_in_ns != stint->in_ns) {
		fold->doubted_in_ns = stint->in_ns;
		fold->uncertain_ns += stint->doubt_ns;
	}
	if (start >= end)
		return;
	extend(fold, start, end);
	fold->split.running_ns += end - start;
	fold->cpu_ns += stint_cpu_between(stint, start, end);
}

/* The thread carried it before that moment, or after it. */
static bool is_seen_beyond(struct model *model, const struct thread *thread,
			   const struct event_tag *tag, uint64_t time_ns, bool after)
{
	const struct trace *trace = tag_is_none(tag) ? NULL : trace_look(model, tag->trace_id);
	const struct observation *o =
		trace ? trace_observation(model, trace, thread, tag->span_id) : NULL;

	return !o || (after ? o->last_ns > time_ns : o->first_ns < time_ns);
}

static void fold_on_cpu(struct model *model, const struct thread *thread, const struct slice *slice)
{
	struct fold *before = fold_of(model, thread, slice->tag_in);
	struct fold *after = fold_of(model, thread, slice->tag_out);
	bool is_same = tag_eq(slice->tag_in, slice->tag_out);
	bool is_known = !(slice->flags & (EVENT_TAG_OUT_UNKNOWN | EVENT_IN_LOST));
	uint64_t change = 0;

	if (!before && !after)
		return;
	if (!is_same)
		change = edge_inside(model, slice, slice->tag_out, true);
	if (!is_same && !change)
		change = edge_inside(model, slice, slice->tag_in, false);
	is_known &= is_same || change;
	change = change ? change : slice->in_ns;
	if (!is_same)
		add_running(before, thread, slice, slice->in_ns, change, is_known);
	add_running(after, thread, slice, change, slice->out_ns, is_known);
}

static void doubt(struct fold *fold, uint64_t ns)
{
	if (fold)
		fold->uncertain_ns += ns;
}

/* Where a thread told that its tag changed. A span that came with it, or went, may have begun a
 * little before, or ended after (overlay_told.c); its edges may not have come yet. */
static void doubt_change(struct model *model, const struct thread *thread,
			 const struct slice *before, const struct slice *slice)
{
	struct fold *gone = fold_of(model, thread, before->tag_out);
	struct fold *come = fold_of(model, thread, slice->tag_in);
	uint64_t way_in = MIN(before->out_ns - before->in_ns, CHANGE_WAY_NS);
	uint64_t way_out = MIN(slice->out_ns - slice->in_ns, CHANGE_WAY_NS);
	uint64_t ns = CHANGE_DOUBT_NS;

	if (!gone && !come)
		return;
	if (is_seen_beyond(model, thread, slice->tag_in, slice->in_ns, false))
		way_in = 0;
	if (is_seen_beyond(model, thread, before->tag_out, before->out_ns, true))
		way_out = 0;
	doubt(gone, ns + way_in + way_out);
	doubt(come, ns + way_in + way_out);
}

/* The stint that begins with this slice; what follows stands behind the cursor. */
static void begin_stint(const struct model *model, struct thread *thread, struct slice *head,
			struct timeline_cursor ahead)
{
	struct stint *stint = &thread->fold_stint;
	const struct slice *next;
	struct slice tail = *head;

	*stint = (struct stint){ .booked_ns = head->booked_ns,
				 .ceiling = INT64_MAX,
				 .ahead_ns = UINT64_MAX };
	thread->fold_is_mixed = !tag_eq(head->tag_in, head->tag_out);
	ahead.only_this_chunk = false;
	while (tail.flags & EVENT_TICK && (next = timeline_next(&ahead)) &&
	       stint_goes_on(&tail, next)) {
		stint->booked_ns += next->booked_ns;
		thread->fold_is_mixed |= !tag_eq(next->tag_out, head->tag_in);
		tail = *next;
	}
	stint_make(&model->lag, UINT64_MAX, head, &tail, stint);
}

static void fold_slice(struct model *model, struct thread *thread, const struct slice *before,
		       struct slice *slice, struct timeline_cursor ahead)
{
	struct fold *fold = fold_of(model, thread, slice->tag_in);

	if (!stint_goes_on(before, slice))
		begin_stint(model, thread, slice, ahead);
	slice->booked_ns = stint_cpu_between(&thread->fold_stint, slice->in_ns, slice->out_ns);
	if (fold)
		fold_off_cpu(fold, before, slice);
	if (before->flags & SLICE_CHANGE)
		doubt_change(model, thread, before, slice);
	fold_on_cpu(model, thread, slice);
}

/* The tag that was asked for last: most traces have settled by now, and most slices have the tag of
 * the one before. */
struct tag_memo {
	struct event_tag tag;
	bool is_wanted;
};

/* Somebody will ask for it, or for what is told of it with the slices after it. */
static bool is_wanted(struct model *model, const struct thread *thread, const struct slice *slice,
		      struct tag_memo *memo)
{
	const struct event_tag *tags[] = { slice->tag_in, slice->tag_out };

	if (slice->flags &
	    (EVENT_TICK | EVENT_AFTER_TICK | EVENT_IN_LOST | EVENT_TOLD | SLICE_CHANGE))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		if (!tag_eq(tags[i], &memo->tag))
			*memo = (struct tag_memo){ *tags[i], fold_of(model, thread, tags[i]) };
		if (memo->is_wanted)
			return true;
	}
	return false;
}

void fold_oldest_chunk(struct model *model, struct thread *thread)
{
	struct slice before = thread->timeline.before.slice;
	struct timeline_chunk *chunk = thread->timeline.oldest;
	struct timeline_cursor cursor;
	const struct slice *next;
	struct tag_memo memo = { 0 };

	if (!chunk)
		return;
	timeline_seek_chunk(chunk, &cursor);
	while ((next = timeline_next(&cursor))) {
		struct slice slice = *next;

		model->stats.slices_folded++;
		if (is_wanted(model, thread, &slice, &memo)) {
			fold_slice(model, thread, &before, &slice, cursor);
			before = slice;
			continue;
		}
		model->stats.slices_folded += timeline_skip_alike(&cursor, UINT64_MAX);
		before = cursor.last;
	}
	timeline_drop_oldest(&thread->timeline, &cursor.last, &model->stats.timeline_bytes);
	thread->folded_until_ns = before.out_ns;
	glimpse_forget(thread, before.out_ns);
}
