/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/glimpse.h"

#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

#define MOST_KEPT 4096 /* of a thread, while its timeline reaches back to them */

static bool insert(struct model *model, struct thread *thread, const struct glimpse *glimpse)
{
	uint32_t at = thread->glimpse_count, cap = thread->glimpse_cap;

	if (at == MOST_KEPT)
		return false;
	if (at == cap) {
		struct glimpse *moved = realloc(thread->glimpses, MAX(2 * cap, 4) * sizeof(*moved));

		if (!moved)
			return false;
		thread->glimpses = moved;
		thread->glimpse_cap = MAX(2 * cap, 4);
		model->stats.timeline_bytes += (thread->glimpse_cap - cap) * sizeof(*moved);
	}
	for (; at && thread->glimpses[at - 1].time_ns > glimpse->time_ns; at--)
		thread->glimpses[at] = thread->glimpses[at - 1];
	thread->glimpses[at] = *glimpse;
	thread->glimpse_count++;
	return true;
}

void glimpse_take(struct model *model, const struct thread *woken, const struct event_waker *waker,
		  uint64_t time_ns)
{
	const struct glimpse glimpse = { time_ns, waker->tag };
	struct thread *thread;

	if (!waker->tid || tag_is_none(&waker->tag) ||
	    (waker->kind != WAKER_THREAD && waker->kind != WAKER_NETWORK))
		return;
	thread = world_find_waker(model, woken->process, waker);
	if (!thread || thread == woken || time_ns <= thread->folded_until_ns ||
	    glimpse_is_known(thread, &waker->tag, time_ns))
		return;
	if (!insert(model, thread, &glimpse)) {
		model->stats.looks_refused++;
		return;
	}
	if (time_ns <= thread->last_out_ns) /* else it may still be dropped */
		trace_observe_at(model, thread, &waker->tag, time_ns);
}

void glimpse_follow(struct thread *thread, const struct slice *slice)
{
	if (!slice_keeps_tag(slice))
		thread->kept_since_ns = slice->out_ns;
	else if (!thread->seen || slice->gap || !tag_eq(slice->tag_in, &thread->last_tag))
		thread->kept_since_ns = slice->in_ns;
}

static bool tells(const struct glimpse *glimpse, const struct slice *slice)
{
	return glimpse->time_ns > slice->in_ns && glimpse->time_ns < slice->out_ns &&
	       !(slice->flags & EVENT_TOLD) &&
	       !(slice_keeps_tag(slice) && tag_eq(slice->tag_in, &glimpse->tag));
}

void glimpse_pass(struct model *model, struct thread *thread, const struct slice *slice)
{
	uint32_t first = thread->glimpse_count, kept;

	while (first && thread->glimpses[first - 1].time_ns >= slice->prev_out_ns)
		first--;
	kept = first;
	for (uint32_t i = first; i < thread->glimpse_count; i++) {
		struct glimpse *glimpse = &thread->glimpses[i];

		if (glimpse->time_ns < slice->out_ns && !tells(glimpse, slice))
			continue;
		if (glimpse->time_ns < slice->out_ns)
			trace_observe_at(model, thread, &glimpse->tag, glimpse->time_ns);
		thread->glimpses[kept++] = *glimpse;
	}
	thread->glimpse_count = kept;
}

void glimpse_forget(struct thread *thread, uint64_t until_ns)
{
	uint32_t count = 0;

	while (count < thread->glimpse_count && thread->glimpses[count].time_ns <= until_ns)
		count++;
	thread->glimpse_count -= count;
	if (count)
		memmove(thread->glimpses, thread->glimpses + count,
			thread->glimpse_count * sizeof(*thread->glimpses));
}

void glimpses_free(struct model *model, struct thread *thread)
{
	model->stats.timeline_bytes -= thread->glimpse_cap * sizeof(*thread->glimpses);
	free(thread->glimpses);
}

const struct glimpse *glimpse_after(const struct thread *thread, uint64_t time_ns)
{
	uint32_t low = 0, high = thread->glimpse_count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (thread->glimpses[middle].time_ns <= time_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low < thread->glimpse_count ? &thread->glimpses[low] : NULL;
}

/* The slice up to there is cut off the rest. */
static struct slice cut_off(struct slice *rest, const struct glimpse *glimpse)
{
	const struct event_tag *tag = tag_eq(&glimpse->tag, rest->tag_in)    ? rest->tag_in
				      : tag_eq(&glimpse->tag, rest->tag_out) ? rest->tag_out
									     : &glimpse->tag;
	struct slice piece = slice_cut_off(rest, glimpse->time_ns, tag);

	piece.tag_out = tag;
	piece.flags &= ~(uint32_t)EVENT_TAG_OUT_UNKNOWN;
	piece.is_alike = rest->is_alike = false;
	return piece;
}

bool glimpse_cut(const struct thread *thread, struct slice *rest, struct slice *out_piece)
{
	const struct glimpse *glimpse = glimpse_after(thread, rest->in_ns);

	while (glimpse && glimpse->time_ns < rest->out_ns && !tells(glimpse, rest))
		glimpse = glimpse_after(thread, glimpse->time_ns);
	if (!glimpse || glimpse->time_ns >= rest->out_ns)
		return false;
	*out_piece = cut_off(rest, glimpse);
	return true;
}
