/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel's record becomes a slice of its thread: what it leaves out is filled in from the slice
 * before, what was lost is rebuilt or noted. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/model.h"
#include "correlate/reason.h"

#define MOST_STOLEN_NS NS_PER_MS /* before a slice on another CPU that was not reported */

/* The tails stand behind the record in the order of their flag bits; nothing else does. */
static bool read_tails(const struct event_slice *record, struct slice *out)
{
	const char *at = (const char *)(record + 1);
	uint32_t flags = record->header.flags;

	if (flags & EVENT_TAG_OUT) {
		out->tag_out = (const void *)at;
		at += sizeof(*out->tag_out);
	}
	if (flags & EVENT_TAG_IN) {
		out->tag_in = (const void *)at;
		at += sizeof(*out->tag_in);
	}
	if (flags & EVENT_TARGET) {
		out->target = (const void *)at;
		at += sizeof(*out->target);
	}
	if (flags & EVENT_WAKER) {
		out->waker = (const void *)at;
		at += sizeof(*out->waker);
	}
	if (flags & EVENT_STACK_ID) {
		if ((const char *)record + record->header.bytes - at >=
		    (ptrdiff_t)sizeof(out->stack))
			memcpy(&out->stack, at, sizeof(out->stack));
		at += sizeof(out->stack);
	}
	return at == (const char *)record + record->header.bytes;
}

/* The tag at in_ns: told, the same as at out_ns, or what the thread had when it left last. */
static void set_tag_in(const struct thread *thread, struct slice *slice)
{
	if (slice->flags & EVENT_TAG_SAME)
		slice->tag_in = slice->tag_out;
	else if (!(slice->flags & (EVENT_TAG_IN | EVENT_TAG_IN_NONE)) && thread->seen)
		slice->tag_in = &thread->last_tag;
	if ((slice->flags & EVENT_TAG_OUT_UNKNOWN) && !(slice->flags & EVENT_TAG_OUT))
		slice->tag_out = slice->tag_in;
}

/* Its memory is another program's from some moment of that call on, and shows nothing yet: what it
 * showed last may hold. */
static void hold_tag_in_exec(const struct thread *thread, struct slice *slice)
{
	const uint32_t told = EVENT_TAG_SAME | EVENT_TAG_IN_NONE;

	if (!reason_syscall_is_exec(slice->syscall) || slice->flags & EVENT_TAG_OUT)
		return;
	if (thread->seen && thread->last_flags & EVENT_TAG_OUT_UNKNOWN &&
	    reason_syscall_is_exec(thread->last.slice.syscall)) {
		slice->tag_in = &thread->last_tag;
		slice->flags &= ~told;
	}
	if (tag_is_none(slice->tag_in))
		return;
	slice->tag_out = slice->tag_in;
	slice->flags |= EVENT_TAG_OUT_UNKNOWN;
}

/* What had been stolen from the CPU when the thread came in, at least: as who was there before it
 * told. */
static uint64_t least_stolen_ns(const struct model *model, const struct slice *slice)
{
	const struct cpu_lag_cpu *cpu =
		slice->cpu < EVENT_MAX_CPUS ? model->lag.cpus[slice->cpu] : NULL;
	uint64_t before = slice->stolen_out_ns - MIN(slice->stolen_out_ns, MOST_STOLEN_NS);

	return cpu && cpu->stolen_ns <= slice->stolen_out_ns ? MAX(before, cpu->stolen_ns) : before;
}

static void rebuild_in(struct model *model, const struct thread *thread, struct slice *slice)
{
	uint64_t earliest = MAX(slice->prev_out_ns, thread->seen ? thread->last_out_ns : 0);

	if (slice->in_ns && !(slice->flags & EVENT_IN_LOST))
		return;
	slice->in_ns = slice->out_ns - MIN(slice->booked_ns, slice->out_ns);
	slice->in_ns = MIN(MAX(slice->in_ns, earliest), slice->out_ns);
	slice->flags |= EVENT_IN_LOST;
	slice->raw_lag_in = slice->raw_lag_out;
	slice->stolen_in_ns = least_stolen_ns(model, slice);
	if (thread->seen && thread->last.slice.cpu == slice->cpu)
		slice->stolen_in_ns = MAX(slice->stolen_in_ns, MIN(thread->last.slice.stolen_out_ns,
								   slice->stolen_out_ns));
	model->stats.slices_rebuilt++;
}

static void check_chain(struct model *model, const struct thread *thread,
			const struct event_slice *record, struct slice *slice)
{
	if (!thread->seen) {
		/* What it did before is not known; nor, if it was found running, since when. */
		slice->gap = record->lost_before || slice->in_ns == slice->out_ns;
		if (!slice->prev_out_ns || slice->prev_out_ns > slice->in_ns)
			slice->prev_out_ns = slice->in_ns;
		return;
	}
	if (slice->prev_out_ns != thread->last_out_ns || record->lost_before ||
	    (slice->flags & EVENT_OUT_LOST)) {
		slice->gap = true;
		model->stats.chain_gaps++;
		slice->prev_out_ns =
			MIN(MAX(slice->prev_out_ns, thread->last_out_ns), slice->in_ns);
	} else if (record->exec_in_ns > thread->last.slice.exec_out_ns &&
		   !(slice->flags & EVENT_IN_LOST)) {
		slice->hidden_ns = record->exec_in_ns - thread->last.slice.exec_out_ns;
	}
}

/* Nothing that a clock can show: differences of such times must not overflow. */
static bool is_plausible(const struct event_slice *record)
{
	uint64_t all = record->prev_out_ns | record->waking_ns | record->in_ns | record->out_ns |
		       record->exec_in_ns | record->exec_out_ns | record->exec_start_in_ns |
		       record->exec_start_out_ns | record->stolen_in_ns | record->stolen_out_ns;

	return record->out_ns && all >> 61 == 0;
}

bool world_slice(struct model *model, const struct thread *thread, const struct event_slice *record,
		 struct slice *out)
{
	*out = (struct slice){
		.tag_in = &slice_none.tag,
		.tag_out = &slice_none.tag,
		.target = &slice_none.target,
		.waker = &slice_none.waker,
		.ready = &slice_none.target,
		.behind = &slice_none.behind,
		.prev_out_ns = record->prev_out_ns,
		.waking_ns = record->waking_ns,
		.in_ns = record->in_ns,
		.out_ns = record->out_ns,
		.booked_ns = record->exec_out_ns - MIN(record->exec_in_ns, record->exec_out_ns),
		.raw_lag_in =
			(int64_t)(record->in_ns - record->exec_start_in_ns - record->stolen_in_ns),
		.raw_lag_out = (int64_t)(record->out_ns - record->exec_start_out_ns -
					 record->stolen_out_ns),
		.stolen_in_ns = record->stolen_in_ns,
		.stolen_out_ns = record->stolen_out_ns,
		.flags = record->header.flags & ~(SLICE_CHANGE | SLICE_READY | SLICE_BEHIND),
		.cpu = record->cpu,
		.state = record->state,
		.syscall = record->syscall,
	};
	if (out->flags & EVENT_STACK_BUDGET)
		out->stack = STACK_OVER_BUDGET;
	if (!is_plausible(record) || !read_tails(record, out))
		return false;
	if (out->in_ns > out->out_ns ||
	    (thread->seen && out->in_ns && out->in_ns < thread->last_out_ns) ||
	    out->out_ns < thread->last_out_ns)
		return false;
	set_tag_in(thread, out);
	hold_tag_in_exec(thread, out);
	rebuild_in(model, thread, out);
	check_chain(model, thread, record, out);
	if (out->waking_ns < out->prev_out_ns || out->waking_ns > out->in_ns)
		out->waking_ns = 0;
	if (thread->ready.out_ns && thread->ready.out_ns == out->prev_out_ns && !out->gap) {
		out->flags |= SLICE_READY;
		out->ready = &thread->ready.target;
	}
	if (thread->behind_out_ns && thread->behind_out_ns == out->prev_out_ns && !out->gap) {
		out->flags |= SLICE_BEHIND;
		out->behind = &thread->behind;
	}
	return true;
}
