/* SPDX-License-Identifier: Apache-2.0 */
/* The short way in: a slice that is like the one before of its thread, but for its times.
 *
 * Nine in ten are, where threads are busy. What is told of each is then what was told of the one
 * before, so nothing is looked up, compared or written but the times. Whatever is out of the
 * ordinary goes the long way (world.c), and what comes out is the same. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/glimpse.h"
#include "correlate/model.h"

/* Others tell of something that happens once, or of changes. */
#define ORDINARY (EVENT_AGAIN_FLAGS & ~(EVENT_TOLD | EVENT_STOLEN_UNTOLD))
/* The same tag at both ends, or none. */
#define TAGS        (EVENT_TAG_OUT | EVENT_TAG_SAME | EVENT_TAG_IN_NONE)
#define TAGS_SAME   (EVENT_TAG_OUT | EVENT_TAG_SAME)
#define TAGS_ABSENT EVENT_TAG_IN_NONE

static inline bool is_ordinary(uint32_t flags)
{
	return !(flags & ~(uint32_t)ORDINARY) &&
	       ((flags & TAGS) == TAGS_SAME || (flags & TAGS) == TAGS_ABSENT);
}

/* A tag that the thread has shown before, and nothing of note is to be learned from it again. */
static inline bool is_carried_on(const struct thread *thread, uint32_t flags)
{
	const struct observation *o = thread->current;

	return !(flags & EVENT_TAG_OUT) ||
	       (o && !o->inherited && !turns_may_show(&thread->turns, o) &&
		tag_eq(&thread->current_tag, (const struct event_tag *)thread->last.tails));
}

static inline bool is_followed(const struct model *model, const struct process *process,
			       uint64_t since_ns)
{
	return process->has_records && since_ns >= process->first_ns &&
	       process->last_ns >= model_gap_end(model) && model->first_record_ns;
}

/* 0: it is between INT16_MIN and INT16_MAX. */
static inline uint64_t beyond_signed(int64_t value)
{
	return ((uint64_t)value - (uint64_t)INT16_MIN) >> 16;
}

/* false: they do not fit, or are not in order. */
static inline bool make_short(const struct event_again *again, const struct slice *last,
			      int64_t raw_in, struct timeline_short *out)
{
	uint64_t waking = again->waking == EVENT_NOT_WOKEN ? 0 : again->waking;
	uint64_t in = (uint64_t)again->in - waking;
	int64_t booked = (int64_t)again->exec - (int64_t)again->length;
	int64_t lag_in = raw_in - last->raw_lag_out;

	if ((waking | in | again->length) >> 16 || beyond_signed(booked) | beyond_signed(lag_in))
		return false;
	*out = (struct timeline_short){ .waking = (uint16_t)waking,
					.in = (uint16_t)in,
					.length = (uint16_t)again->length,
					.booked = (int16_t)booked,
					.lag_in = (int16_t)lag_in,
					.is_woken = again->waking != EVENT_NOT_WOKEN };
	return true;
}

static inline void note_lag(struct model *model, const struct event_again *again, uint32_t cpu,
			    int64_t raw_in, int64_t raw_out)
{
	bool is_woken = again->waking && again->waking != EVENT_NOT_WOKEN;
	uint64_t in_ns = again->prev_out_ns + again->in;

	cpu_lag_add_both(&model->lag, cpu, in_ns, raw_in,
			 is_woken ? again->in - again->waking : CPU_LAG_UNBOUND,
			 in_ns + again->length, raw_out);
}

static inline void note_times(struct model *model, struct thread *thread,
			      const struct event_again *again)
{
	uint32_t flags = again->header.flags;
	uint64_t in_ns = again->prev_out_ns + again->in, out_ns = in_ns + again->length;

	if (flags & EVENT_TAG_OUT) {
		thread->turns.shown_ns = MAX(thread->turns.shown_ns, out_ns);
		thread->current->last_ns = MAX(thread->current->last_ns, out_ns);
	} else if (!(flags & EVENT_PREEMPTED)) {
		turns_idle(thread, out_ns, thread->last.slice.syscall);
	}
	thread->process->last_ns = MAX(thread->process->last_ns, out_ns);
	thread->last_in_ns = in_ns;
	thread->last_out_ns = out_ns;
	model->stats.slices++;
}

static inline bool may_be_brief(const struct model *model, const struct thread *thread,
				const struct event_again *again)
{
	uint32_t flags = again->header.flags;

	return flags == thread->last_flags && again->prev_out_ns != thread->ready.out_ns &&
	       again->prev_out_ns != thread->behind_out_ns && is_ordinary(flags) &&
	       !model->changes.count && thread->inherited_until_ns != UINT64_MAX &&
	       thread->timeline.newest && thread->timeline.last.out_ns == again->prev_out_ns &&
	       is_carried_on(thread, flags) &&
	       is_followed(model, thread->process, again->prev_out_ns);
}

bool again_take(struct model *model, struct thread *thread, const struct event_again *again)
{
	struct event_slice *slice = &thread->last.slice;
	struct timeline_short times;
	int64_t raw_in, raw_out;

	if (!may_be_brief(model, thread, again))
		return false;
	raw_in = (int64_t)(again->prev_out_ns + again->in - slice->exec_start_out_ns -
			   again->exec_start - slice->stolen_out_ns);
	raw_out = raw_in + again->length - again->exec;
	if (!make_short(again, &thread->timeline.last, raw_in, &times) ||
	    !timeline_append_short(&thread->timeline, &times))
		return false;
	if (glimpse_is_awaited(thread, again->prev_out_ns))
		glimpse_pass(model, thread, &thread->timeline.last);
	if (again->header.flags & EVENT_WAKER && times.is_woken)
		glimpse_note(model, thread, thread->timeline.last.waker,
			     again->prev_out_ns + again->waking);
	event_again_end(again, &thread->last);
	note_lag(model, again, slice->cpu, raw_in, raw_out);
	note_times(model, thread, again);
	return true;
}
