/* SPDX-License-Identifier: Apache-2.0 */
/* What threads in exact mode tell themselves: when their tag changed.
 *
 * Changes come right before the slice in which they lie, and cut it like ticks: the pieces go into
 * the timeline, each with one tag, of which nothing is in doubt but the moment of the change. What
 * does not fit the slice is refused, whole: then only the tags at its ends are known, as of any
 * other thread's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/model.h"

#define MAX_WAITING_LOGS    1024 /* threads whose changes came, and whose slice did not yet */
#define MAX_WAITING_CHANGES 8192 /* of one slice: twice as many as the kernel's half tells */

/* In a map of the model, by tid, until its slice comes. */
struct change_log {
	struct event_change *changes; /* owned */
	uint32_t count, cap;
};

static bool add(struct change_log *log, const struct event_change *changes, uint32_t count)
{
	if (log->count + count > MAX_WAITING_CHANGES)
		return false;
	if (log->count + count > log->cap) {
		uint32_t cap = MAX(log->count + count, 2 * log->cap);
		struct event_change *moved = realloc(log->changes, cap * sizeof(*moved));

		if (!moved)
			return false;
		log->changes = moved;
		log->cap = cap;
	}
	memcpy(log->changes + log->count, changes, count * sizeof(*changes));
	log->count += count;
	return true;
}

static void drop(struct model *model, uint32_t tid)
{
	struct change_log *log = map_get(&model->changes, &tid);

	if (!log)
		return;
	free(log->changes);
	map_delete(&model->changes, &tid);
}

/* What cannot be kept is missed when its slice comes. */
int changes_take(struct model *model, const struct event_changes *record)
{
	struct change_log *log;

	if (record->header.bytes < EVENT_CHANGES_BYTES(0) || record->count == 0 ||
	    record->count > EVENT_MAX_CHANGES ||
	    record->header.bytes != EVENT_CHANGES_BYTES(record->count)) {
		model->stats.slices_malformed++;
		return -EBADMSG;
	}
	if (record->is_first)
		drop(model, record->tid);
	log = map_get(&model->changes, &record->tid);
	if (!log && record->is_first)
		log = map_put(&model->changes, &record->tid);
	if (!log)
		return 0;
	if (!add(log, record->changes, record->count))
		drop(model, record->tid);
	return 0;
}

/* The clock is read before the change shows: the thread may have left the CPU in between. So the
 * first one may come before the slice, but not before what the thread did last; and more of them
 * where it is not known when the slice began. */
static bool are_within(const struct thread *thread, const struct slice *slice,
		       const struct change_log *log)
{
	uint64_t begin = slice->flags & EVENT_IN_LOST ? slice->prev_out_ns : slice->in_ns;
	uint64_t from = thread->seen ? thread->last_in_ns : begin;
	uint32_t first = log->changes[0].time_ns & EVENT_MARK ? 1 : 0; /* a mark is two */

	for (uint32_t i = 0; i < log->count; i++) {
		uint64_t time = log->changes[i].time_ns & ~EVENT_MARK;

		if (time < from || time > slice->out_ns + CHANGE_CLOCK_NS)
			return false;
		from = i == first ? MAX(begin - MIN(CHANGE_CLOCK_NS, begin), time) : time;
	}
	return true;
}

/* They tell all of the slice, and nothing that contradicts it. */
static bool are_good(const struct thread *thread, const struct slice *slice,
		     const struct change_log *log)
{
	const struct event_change *newest = log ? &log->changes[log->count - 1] : NULL;
	const struct event_tag *last = newest ? &newest->tag : slice->tag_in;

	if (slice->flags & EVENT_OUT_LOST || slice->gap || !(slice->flags & EVENT_CHANGED) != !log)
		return false;
	return !(newest && newest->time_ns & EVENT_MARK) && tag_eq(last, slice->tag_out) &&
	       (!log || are_within(thread, slice, log));
}

/* After the thread has come: it left the CPU with the tag from before, and came back with it. And
 * after the change before, or that tag would not have been there at all. */
static uint64_t shown_at(const struct slice *rest, const struct event_change *change)
{
	return MIN(MAX(change->time_ns, rest->in_ns + 1), rest->out_ns);
}

struct slice slice_cut_off(struct slice *rest, uint64_t end, const struct event_tag *tag)
{
	struct slice piece = *rest;

	piece.out_ns = end;
	piece.tag_out = piece.tag_in;
	piece.booked_ns = MIN(end - piece.in_ns, rest->booked_ns);
	piece.raw_lag_out = piece.raw_lag_in;
	piece.stolen_out_ns = piece.stolen_in_ns;
	piece.flags &= ~(uint32_t)(EVENT_PREEMPTED | EVENT_DEAD | EVENT_IOWAIT | EVENT_STACK_ID);
	piece.flags |= EVENT_TICK | SLICE_CHANGE;
	rest->prev_out_ns = rest->in_ns = end;
	rest->waking_ns = 0;
	rest->hidden_ns = 0;
	rest->booked_ns -= piece.booked_ns;
	rest->flags &= ~(uint32_t)(SLICE_READY | SLICE_BEHIND | EVENT_WAKER | EVENT_FIRST |
				   EVENT_THROTTLED | EVENT_IN_LOST | EVENT_OUT_LOST);
	rest->flags |= EVENT_AFTER_TICK;
	rest->tag_in = tag;
	return piece;
}

/* What the thread showed meanwhile stands behind a mark, and is nothing that it came to. */
static bool is_after_mark(const struct change_log *log, uint32_t mark,
			  const struct event_tag *shown)
{
	const struct event_change *next = &log->changes[mark + 1];

	return mark + 1 < log->count && tag_eq(&next->tag, shown) &&
	       next->time_ns == (log->changes[mark].time_ns & ~EVENT_MARK);
}

static int append_pieces(struct model *model, struct thread *thread, struct slice *slice,
			 const struct change_log *log)
{
	const struct event_tag *last = slice->tag_out;
	int rc = 0;

	for (uint32_t i = 0; i < log->count; i++) {
		const struct event_change *change = &log->changes[i];
		uint64_t time = shown_at(slice, change);
		struct slice piece;

		if (change->time_ns & EVENT_MARK) {
			mark_add(model, thread, &change->tag, slice->tag_in,
				 change->time_ns & ~EVENT_MARK);
			i += is_after_mark(log, i, slice->tag_in);
			continue;
		}
		if (tag_eq(&change->tag, slice->tag_in)) {
			mark_turn(thread);
			continue;
		}
		mark_change(thread, slice->tag_in, &change->tag, change->time_ns);
		if (time == slice->in_ns) {
			slice->tag_in = &change->tag;
			continue;
		}
		piece = slice_cut_off(slice, time, &change->tag);
		rc = rc ? rc : world_append(model, thread, &piece);
	}
	slice->tag_out = last;
	return rc ? rc : world_append(model, thread, slice);
}

int changes_append(struct model *model, struct thread *thread, struct slice *slice)
{
	struct change_log *log = map_get(&model->changes, &thread->tid);
	int rc;

	if (slice->flags & EVENT_TOLD && !are_good(thread, slice, log)) {
		slice->flags &= ~(uint32_t)EVENT_TOLD;
		model->stats.changes_refused++;
	}
	if (!(slice->flags & EVENT_TOLD))
		mark_forget(thread);
	if (log && slice->flags & EVENT_TOLD)
		rc = append_pieces(model, thread, slice, log);
	else
		rc = world_append(model, thread, slice);
	if (log)
		drop(model, thread->tid);
	return rc;
}

void changes_fini(struct model *model)
{
	size_t cursor = 0;
	const void *key;
	struct change_log *log;

	while ((log = map_next(&model->changes, &cursor, &key)))
		free(log->changes);
	map_fini(&model->changes);
}

void changes_init(struct model *model)
{
	map_init(&model->changes, sizeof(uint32_t), sizeof(struct change_log), 0);
	model->changes.max_count = MAX_WAITING_LOGS;
}
