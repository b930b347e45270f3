/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at a thread from beside: what it showed when it woke another one stands in that one's
 * record, and may be what no switch or tick of its own has shown.
 *
 *   the thread    |===(root)===:===(part)===:===(root)===|
 *   what it shows root                part            root
 *                                     wakes another
 *
 * They come with the other one's slice, so mostly after the thread's own: they are kept beside its
 * timeline, in order, and cut its slices when these are unpacked. Those that tell no more than the
 * slice's own ends are not kept. Internal to correlate/. */
#pragma once

#include "correlate/model.h"

/* A thread of any process has woken that one, whose record tells so. */
void glimpse_take(struct model *model, const struct thread *woken, const struct event_waker *waker,
		  uint64_t time_ns);

/* It shows that tag at each look around that time, or tells itself. */
static inline bool glimpse_is_known(const struct thread *thread, const struct event_tag *tag,
				    uint64_t time_ns)
{
	return thread->last_flags & EVENT_TOLD ||
	       (time_ns >= thread->kept_since_ns && time_ns <= thread->last_out_ns &&
		tag_eq(tag, &thread->last_tag));
}

/* Mostly nothing is to be learned from it, and the waker is found without a search. */
static inline void glimpse_note(struct model *model, const struct thread *woken,
				const struct event_waker *waker, uint64_t time_ns)
{
	const struct thread *recent = model->recent[waker->tid % RECENT_THREADS];

	if (!recent || recent->tid != waker->tid || !glimpse_is_known(recent, &waker->tag, time_ns))
		glimpse_take(model, woken, waker, time_ns);
}

/* Of every record of the thread, before it becomes its last one. */
void glimpse_follow(struct thread *thread, const struct slice *slice);

/* One has come that may lie in a slice which begins then, or later. */
static inline bool glimpse_is_awaited(const struct thread *thread, uint64_t since_ns)
{
	return thread->glimpse_count &&
	       thread->glimpses[thread->glimpse_count - 1].time_ns >= since_ns;
}

/* The thread's newest slice: what it tells as well is dropped. */
void glimpse_pass(struct model *model, struct thread *thread, const struct slice *slice);
void glimpse_forget(struct thread *thread, uint64_t until_ns);
void glimpses_free(struct model *model, struct thread *thread);

/* The first one later than that; NULL: there is none. */
const struct glimpse *glimpse_after(const struct thread *thread, uint64_t time_ns);
/* The thread's slice up to the first one within it; what is left becomes the rest. false: there is
 * none. */
bool glimpse_cut(const struct thread *thread, struct slice *rest, struct slice *out_piece);
