/* SPDX-License-Identifier: Apache-2.0 */
/* The stretches between slices: waits, gaps in the records, and what is not over yet.
 *
 * Off the CPU the tag cannot change, so the tag at switch-out owns the whole wait (DESIGN 4,
 * rule 1). */
#include "collector/base/macros.h"
#include "correlate/overlay.h"
#include "correlate/reason.h"

/* Between start and attach, or detach and end, the thread itself may leave the CPU: then its tag
 * does not show the span yet, or any more. `is_unknown`: it could not be read. */
static void doubt_wait(struct join *join, const struct lane *lane, uint64_t start, uint64_t end,
		       int32_t owner, bool is_unknown)
{
	uint32_t place = is_unknown ? 0 : overlay_first_below(join, owner);
	int32_t index;

	while ((index = join_next_overlapping(join, lane->process, &place, start, end)) >= 0) {
		struct node *node = &join->nodes[index];
		const struct sighting *seen = join_sighting(join, index, lane->thread);
		bool is_before =
			seen && seen->first_ns >= end && lane_ran_at_edge(lane, node, node->a_ns);
		bool is_after = seen && seen->last_ns <= start &&
				lane_ran_at_edge(lane, node, MAX(node->b_ns, 1) - 1);
		bool is_placed = !seen && node->sightings < 0 && node->placed == lane;

		if (is_unknown && (seen || node->sightings < 0))
			node_doubt(node, MIN(end, node->b_ns) - MAX(start, node->a_ns));
		if (is_unknown ||
		    (owner >= 0 && (owner == index || !node_is_below(join, index, owner))))
			continue;
		if (is_before || is_after || is_placed)
			overlay_doubt(join, index, owner,
				      MIN(end, node->b_ns) - MAX(start, node->a_ns));
	}
}

/* No other span is open than the one that owns the wait; or, if none does, than one that the thread
 * carried before and after it. */
static bool is_clear(struct join *join, const struct lane *lane, uint64_t start, uint64_t end,
		     int32_t owner)
{
	int32_t only = overlay_only(join, lane->process, start, end);
	const struct sighting *seen;

	if (only < 0 || owner >= 0)
		return only >= 0 && only == owner;
	seen = join_sighting(join, only, lane->thread);
	return seen && seen->first_ns < end && seen->last_ns > start;
}

/* Returns whose it is. */
static int32_t question_wait(struct join *join, const struct lane *lane, const struct slice *before,
			     uint64_t until, int32_t owner)
{
	if (before->flags & EVENT_PREEMPTED)
		owner = way_owner(join, lane, before->out_ns, until, owner);
	if (before->flags & EVENT_TOLD)
		told_doubt_wait(join, lane, before, until, owner);
	else
		doubt_wait(join, lane, before->out_ns, until, owner,
			   before->flags & EVENT_TAG_OUT_UNKNOWN);
	return owner;
}

static const struct event_waker *waker_of(const struct wait *wait)
{
	return wait->after && wait->after->flags & EVENT_WAKER ? wait->after->waker : NULL;
}

static bool is_like(const struct wait *before, const struct wait *wait)
{
	return before->reason == wait->reason && before->decided_by == wait->decided_by &&
	       wait_target(before) == wait_target(wait) &&
	       before->before->stack == wait->before->stack && waker_of(before) == waker_of(wait) &&
	       !before->hold_count && !wait->hold_count;
}

void overlay_wait_emit(struct join *join, const struct lane *lane, const struct slice *before,
		       const struct slice *after, uint64_t until)
{
	uint64_t start = before->out_ns;
	uint64_t woken = after ? after->waking_ns : until;
	bool preempted = before->flags & EVENT_PREEMPTED;
	struct segment like = {
		.thread = lane->thread,
		.since_ns = start,
		.wait = -1,
		.state = STATE_RUNNABLE,
		.why = segment_why(before),
	};
	int32_t owner = overlay_meaning(join, lane, before->tag_out, start);
	struct segment blocked = like;
	struct wait *wait;

	if (before->flags & EVENT_TOLD)
		owner = marked_owner(join, lane, start, until, owner);
	if (after && (after->flags & EVENT_THROTTLED))
		like.why = WHY_THROTTLED;
	if (before->flags & EVENT_TAG_OUT_UNKNOWN || !is_clear(join, lane, start, until, owner))
		owner = question_wait(join, lane, before, until, owner);
	if (owner < 0)
		return;
	enclose_doubt(join, lane, before->tag_out, start, until, NULL);
	if (preempted) {
		overlay_emit_chain(join, &like, start, until, owner);
		return;
	}
	woken = woken ? MIN(MAX(woken, start), until) : until;
	blocked.state = STATE_BLOCKED;
	wait = join_add_wait(join, &blocked.wait);
	if (wait) {
		*wait = (struct wait){ .before = before, .after = after, .raw_ns = woken - start };
		wait->reason = (uint8_t)reason_of_slice(before, &wait->decided_by);
		if (tag_is_none(before->tag_out) && reason_is_guess(before))
			overlay_doubt(join, owner, -1, woken - start);
		behind_find(join, lane, start, woken, wait);
		wait->is_like = blocked.wait > 0 && is_like(wait - 1, wait);
		overlay_emit_chain(join, &blocked, start, woken, owner);
	}
	overlay_emit_chain(join, &like, woken, until, owner);
}

/* Its lanes are those of its ancestors too: where it is marked, so are these. */
static void mark_partial(struct join *join, int32_t index)
{
	for (; index >= 0 && !join->nodes[index].partial; index = join->nodes[index].parent)
		join->nodes[index].partial = true;
}

void overlay_wait_gap(struct join *join, const struct lane *lane, const struct slice *before,
		      const struct slice *after)
{
	struct segment like = { .thread = lane->thread, .wait = -1, .state = STATE_UNKNOWN };
	uint64_t start = before ? before->out_ns : join->from_ns, end = after->in_ns;
	int32_t owner = before ? overlay_meaning(join, lane, before->tag_out, start) : -1;
	uint32_t place = 0;
	int32_t index;

	if (owner < 0)
		owner = overlay_meaning(join, lane, after->tag_in, end);
	overlay_emit_chain(join, &like, start, end, owner);
	while ((index = join_next_overlapping(join, lane->process, &place, start, end)) >= 0) {
		if (join->nodes[index].sightings < 0 || join_sighting(join, index, lane->thread))
			mark_partial(join, index);
	}
}

void overlay_wait_hidden(struct join *join, const struct lane *lane, const struct slice *before,
			 const struct slice *slice)
{
	int32_t owner = overlay_meaning(join, lane, before->tag_out, before->out_ns);

	for (owner = overlay_climb(join, owner, before->out_ns); owner >= 0;
	     owner = join->nodes[owner].parent) {
		join->nodes[owner].partial = true;
		node_doubt(&join->nodes[owner], slice->hidden_ns);
	}
}

/* A thread was on the CPU then that was not busy with another trace all the time. */
static bool anybody_ran(struct join *join, const struct process *process, uint64_t time_ns)
{
	for (struct thread *t = process->threads; t; t = t->next) {
		const struct lane *lane = t->seen ? join_lane(join, t) : NULL;
		const struct slice *slice = lane ? lane_on_cpu(lane, time_ns) : NULL;

		if (slice && !join_is_pinned(join, process, slice))
			return true;
	}
	return false;
}

/* A span that ended while its thread seems to wait was ended by another thread, or the record that
 * would tell of its end was lost: true, and how long the wait lasted is not known then. */
static bool question_ends(struct join *join, const struct lane *lane, const struct slice *last)
{
	int32_t owner = overlay_meaning(join, lane, last->tag_out, last->out_ns);
	bool is_lost = false;

	for (; owner >= 0; owner = join->nodes[owner].parent) {
		struct node *node = &join->nodes[owner];

		if (node->b_ns <= last->out_ns + node->bound_ns + LEDGER_EXACT_NS ||
		    node->b_ns > lane->open_until_ns)
			continue;
		if (anybody_ran(join, lane->process, node->b_ns - 1)) {
			overlay_doubt(join, owner, -1, node->b_ns - last->out_ns);
			continue;
		}
		mark_partial(join, owner);
		is_lost = true;
	}
	return is_lost;
}

void overlay_wait_open_end(struct join *join, const struct lane *lane)
{
	const struct slice *last = &lane->slices[lane->count - 1];
	uint64_t end = lane->open_until_ns;
	struct segment like = { .thread = lane->thread, .wait = -1, .state = STATE_RUNNING };
	int32_t owner;

	if (last->out_ns != lane->thread->last_out_ns || end <= last->out_ns)
		return;
	if (!lane->thread->running) {
		if (!question_ends(join, lane, last)) {
			overlay_wait_emit(join, lane, last, NULL, end);
			return;
		}
		like.state = STATE_UNKNOWN;
	}
	owner = overlay_meaning(join, lane, last->tag_out, last->out_ns);
	if (owner < 0)
		return;
	overlay_emit_chain(join, &like, last->out_ns, end, owner);
	if (like.state == STATE_RUNNING)
		overlay_doubt(join, owner, -1, end - last->out_ns);
}
