/* SPDX-License-Identifier: Apache-2.0 */
/* The short way in: a slice that is like the one before of its thread, but for its times.
 *
 * Nine in ten are, where threads are busy. What is told of each is then what was told of the one
 * before, so nothing is looked up, compared or written but the times. Whatever is out of the
 * ordinary goes the long way (world.c), and what comes out is the same. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/model.h"

/* Others tell of something that happens once. */
#define ORDINARY                                                                                   \
	(EVENT_TAG_OUT | EVENT_TARGET | EVENT_WAKER | EVENT_TAG_SAME | EVENT_TAG_IN_NONE |         \
	 EVENT_PREEMPTED | EVENT_IOWAIT | EVENT_STACK_ID | EVENT_STACK_BUDGET | EVENT_KERNEL_WAIT)
/* The same tag at both ends, or none. */
#define TAGS        (EVENT_TAG_OUT | EVENT_TAG_SAME | EVENT_TAG_IN_NONE)
#define TAGS_SAME   (EVENT_TAG_OUT | EVENT_TAG_SAME)
#define TAGS_ABSENT EVENT_TAG_IN_NONE

static inline bool is_ordinary(uint32_t flags)
{
	return !(flags & ~(uint32_t)ORDINARY) &&
	       ((flags & TAGS) == TAGS_SAME || (flags & TAGS) == TAGS_ABSENT);
}

static inline bool follows(const struct thread *thread, const struct event_slice *record)
{
	uint32_t flags = record->header.flags;

	return flags == thread->last_flags && is_ordinary(flags) &&
	       record->header.bytes == thread->last_bytes && record->pid == thread->process->pid &&
	       record->prev_out_ns == thread->last_out_ns &&
	       record->exec_in_ns == thread->last_exec_ns && !record->lost_before && thread->seen &&
	       thread->inherited_until_ns != UINT64_MAX;
}

static inline size_t tail_bytes(const struct event_slice *record)
{
	return record->header.bytes - sizeof(*record);
}

void again_note(struct thread *thread, const struct event_slice *record)
{
	thread->last_bytes = record->header.bytes;
	if (is_ordinary(record->header.flags) && tail_bytes(record) <= sizeof(thread->last_tails))
		memcpy(thread->last_tails, record + 1, tail_bytes(record));
}

/* What it says beside times: `last` is the slice before. What tails there are, flags tell, which
 * are the same. */
static inline bool is_alike(const struct thread *thread, const struct event_slice *record,
			    const struct slice *last)
{
	return record->cpu == last->cpu && record->state == last->state &&
	       record->syscall == last->syscall && record->stolen_in_ns == last->stolen_out_ns &&
	       record->stolen_out_ns == last->stolen_out_ns &&
	       memcmp(record + 1, thread->last_tails, tail_bytes(record)) == 0;
}

/* A tag that the thread has shown before, and nothing of note is to be learned from it again. */
static inline bool is_carried_on(const struct thread *thread, const struct event_slice *record)
{
	const struct observation *o = thread->current;

	return !(record->header.flags & EVENT_TAG_OUT) ||
	       (o && !o->inherited && !turns_may_show(&thread->turns, o) &&
		tag_eq(&thread->current_tag, (const struct event_tag *)(record + 1)));
}

static inline bool is_followed(const struct model *model, const struct process *process,
			       uint64_t since_ns)
{
	return process->has_records && since_ns >= process->first_ns &&
	       process->last_ns >= model_gap_end(model) && model->first_record_ns;
}

static inline bool fits(uint64_t value)
{
	return value <= UINT16_MAX;
}

static inline bool fits_signed(int64_t value)
{
	return value >= INT16_MIN && value <= INT16_MAX;
}

/* false: they do not fit, or are not in order. */
static inline bool make_short(const struct event_slice *record, const struct slice *last,
			      int64_t raw_in, int64_t raw_out, struct timeline_short *out)
{
	uint64_t woken = record->waking_ns ? record->waking_ns : record->prev_out_ns;
	uint64_t waking = woken - record->prev_out_ns, in = record->in_ns - woken;
	uint64_t length = record->out_ns - record->in_ns;
	int64_t booked = (int64_t)(record->exec_out_ns - record->exec_in_ns - length);
	int64_t lag_in = raw_in - last->raw_lag_out, lag_out = raw_out - raw_in;

	if (!fits(waking) || !fits(in) || !fits(length) || !fits_signed(booked) ||
	    booked + (int64_t)length < 0 || !fits_signed(lag_in) || !fits_signed(lag_out))
		return false;
	*out = timeline_short_of(waking, in, length, booked, lag_in, lag_out);
	return true;
}

static inline void note_lag(struct model *model, const struct event_slice *record, int64_t raw_in,
			    int64_t raw_out)
{
	uint64_t most = record->waking_ns > record->prev_out_ns ? record->in_ns - record->waking_ns
								: CPU_LAG_UNBOUND;

	cpu_lag_add(&model->lag, record->cpu, record->in_ns, raw_in, most);
	cpu_lag_add(&model->lag, record->cpu, record->out_ns, raw_out, CPU_LAG_UNBOUND);
}

static inline void note_times(struct model *model, struct thread *thread,
			      const struct event_slice *record)
{
	uint32_t flags = record->header.flags;

	if (flags & EVENT_TAG_OUT) {
		thread->turns.shown_ns = MAX(thread->turns.shown_ns, record->out_ns);
		thread->current->last_ns = MAX(thread->current->last_ns, record->out_ns);
	} else if (!(flags & EVENT_PREEMPTED)) {
		turns_idle(thread, record->out_ns, record->syscall);
	}
	thread->process->last_ns = MAX(thread->process->last_ns, record->out_ns);
	thread->last_in_ns = record->in_ns;
	thread->last_out_ns = record->out_ns;
	thread->last_exec_ns = record->exec_out_ns;
	model->stats.slices++;
}

bool again_take(struct model *model, const struct event_slice *record)
{
	struct thread *thread = world_find_thread(model, record->tid);
	const struct slice *last;
	struct timeline_short times;
	int64_t raw_in, raw_out;

	if (!thread || !follows(thread, record) || model->changes.count)
		return false;
	last = &thread->timeline.last;
	raw_in = (int64_t)(record->in_ns - record->exec_start_in_ns - record->stolen_in_ns);
	raw_out = (int64_t)(record->out_ns - record->exec_start_out_ns - record->stolen_out_ns);
	if (!thread->timeline.newest || last->out_ns != thread->last_out_ns ||
	    !is_alike(thread, record, last) || !is_carried_on(thread, record) ||
	    !is_followed(model, thread->process, record->prev_out_ns) ||
	    !make_short(record, last, raw_in, raw_out, &times) ||
	    !timeline_append_short(&thread->timeline, &times, record->waking_ns))
		return false;
	note_lag(model, record, raw_in, raw_out);
	note_times(model, thread, record);
	return true;
}
