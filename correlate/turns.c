/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that put a span aside for another trace, and come back to it: event loops.
 *
 * On such a thread a slice that shows one tag at both ends may hide turns of traces that nobody was
 * told of, unsampled or not exported yet: no tag pins what it does on a CPU. The records show it: a
 * span is back, after the thread has shown another trace, or has waited without a tag. Who does so
 * once does so before and afterwards: a minute of both is taken for the same. Handlers do so, too,
 * and forked processes that keep their parent's span: but what they show in between is over when
 * the span comes back, and does not come back itself. What lies within a span so is the work of
 * those who serve it, which any thread of the process may do; loops are threads of their own. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/model.h"

#define TURNS_HOLD_NS    TRACE_HOLD_NS
#define SYSCALL_FUTEX    202
#define ENOUGH_SIGHTINGS 200 /* an event loop shows a turn among the first tens */
#define ENOUGH_OF_THREAD 20  /* ... and a thread beside loops, if it is one itself */

bool turns_taken(const struct turns_period *period, uint64_t from_ns, uint64_t to_ns)
{
	return period->to_ns && period->from_ns < to_ns + TURNS_HOLD_NS &&
	       from_ns < period->to_ns + TURNS_HOLD_NS;
}

bool turns_extend(struct turns_period *period, uint64_t time_ns)
{
	bool is_new = !turns_taken(period, time_ns, time_ns);

	if (is_new)
		period->from_ns = time_ns;
	period->to_ns = MAX(period->to_ns, time_ns);
	return is_new;
}

/* Where others of its process do, a thread is believed not to only from when on it had shown many
 * spans and no turn; and not where they have other traces within their spans. */
bool turns_of_thread(const struct thread *thread, uint64_t from_ns, uint64_t to_ns)
{
	const struct turns *turns = &thread->turns;
	bool is_believed = turns->believed_ns && turns->believed_ns <= from_ns;

	return turns_taken(&turns->habits.turns, from_ns, to_ns) ||
	       turns_taken(&thread->process->habits.nested, from_ns, to_ns) ||
	       (!is_believed && turns_taken(&thread->process->habits.turns, from_ns, to_ns));
}

bool turns_are_none(const struct process *process)
{
	return process->sightings - process->doubted >= ENOUGH_SIGHTINGS;
}

/* As long as a trace's turn is not a minute ago, nothing counts. */
static bool is_taught(const struct habits *habits, uint64_t time_ns)
{
	return turns_taken(&habits->turns, time_ns, time_ns) ||
	       turns_taken(&habits->within, time_ns, time_ns);
}

void turns_count_kept(struct thread *thread, uint64_t time_ns)
{
	if (thread->turns.sightings < ENOUGH_OF_THREAD &&
	    ++thread->turns.sightings == ENOUGH_OF_THREAD)
		thread->turns.believed_ns = time_ns;
}

void turns_count(struct model *model, struct process *process, uint64_t time_ns)
{
	if (process->turned_ns && time_ns < process->turned_ns + TURNS_HOLD_NS)
		return;
	if (turns_are_none(process))
		return;
	process->sightings++;
	if (is_taught(&process->habits, time_ns))
		process->doubted = process->sightings;
	else if (turns_are_none(process))
		relearn_process(model, process, process->first_ns);
}

void turns_recount(struct model *model, struct process *process)
{
	if (turns_are_none(process))
		relearn_process(model, process, process->first_ns);
	process->doubted = process->sightings;
}

void turns_count_all(struct model *model, struct process *process)
{
	bool were_none = turns_are_none(process);

	process->doubted = 0;
	if (turns_are_none(process) && !were_none)
		relearn_process(model, process, process->first_ns);
}

/* It was put aside while another one was, that has come back since; or while the thread waited for
 * events. A thread that waited for others has been given more work for the same span. */
static bool is_crossing(const struct turns *turns, const struct observation *known)
{
	if (known->last_ns < MAX(turns->forgotten_ns, turns->polled_ns))
		return true;
	for (uint32_t i = 0; i < turns->window_count; i++) {
		if (turns->windows[i].from_ns < known->last_ns &&
		    known->last_ns <= turns->windows[i].to_ns)
			return true;
	}
	return false;
}

static void remember(struct turns *turns, uint64_t from_ns, uint64_t to_ns)
{
	while (turns->window_count && turns->windows[turns->window_count - 1].from_ns >= from_ns)
		turns->window_count--;
	if (turns->window_count == TURNS_WINDOWS) {
		turns->forgotten_ns = turns->windows[0].to_ns;
		memmove(turns->windows, turns->windows + 1,
			sizeof(turns->windows) - sizeof(turns->windows[0]));
		turns->window_count--;
	}
	turns->windows[turns->window_count++] = (struct turns_period){ from_ns, to_ns };
}

/* The thread is an event loop, or one of a pool that works at many spans by parts: what it had
 * within others it put aside as well. true: that was taken for something else. */
static bool take_back_nested(struct process *process, struct thread *thread, bool is_sure)
{
	struct habits *habits = is_sure ? &process->sure : &process->habits;
	struct thread_habits *its = is_sure ? &thread->turns.sure : &thread->turns.habits;

	if (its->crosses)
		return false;
	its->crosses = true;
	if (!its->nested.to_ns)
		return false;
	habits->nested = (struct turns_period){ 0 };
	for (const struct thread *t = process->threads; t; t = t->next) {
		const struct thread_habits *other = is_sure ? &t->turns.sure : &t->turns.habits;

		if (other->crosses || !other->nested.to_ns)
			continue;
		turns_extend(&habits->nested, other->nested.from_ns);
		turns_extend(&habits->nested, other->nested.to_ns);
	}
	return true;
}

static bool extend(struct thread *thread, enum turn_kind kind, uint64_t time_ns, bool is_sure)
{
	struct process *process = thread->process;
	struct habits *habits = is_sure ? &process->sure : &process->habits;
	struct thread_habits *its = is_sure ? &thread->turns.sure : &thread->turns.habits;
	bool is_new = turns_extend(&its->turns, time_ns);

	is_new |= turns_extend(&habits->turns, time_ns);
	if (kind == TURN_CROSSES)
		is_new |= turns_extend(&habits->crossed, time_ns);
	if (kind == TURN_NESTED && !its->crosses) {
		turns_extend(&its->nested, time_ns);
		is_new |= turns_extend(&habits->nested, time_ns);
	}
	return is_new;
}

void turns_note(struct model *model, struct thread *thread, enum turn_kind kind, uint64_t time_ns)
{
	struct process *process = thread->process;
	bool is_new = extend(thread, kind, time_ns, false);

	extend(thread, kind, time_ns, true);
	process->sightings = process->doubted = 0;
	if (!thread->turns.believed_ns)
		thread->turns.sightings = 0;
	process->turned_ns = MAX(process->turned_ns, time_ns);
	if (is_new)
		relearn_process(model, process, time_ns - MIN(time_ns, TURNS_HOLD_NS));
	if (kind != TURN_CROSSES)
		return;
	take_back_nested(process, thread, true);
	if (take_back_nested(process, thread, false))
		relearn_process(model, process, process->first_ns);
}

bool turns_teach(struct thread *thread, enum turn_kind kind, uint64_t time_ns)
{
	bool is_new = extend(thread, kind, time_ns, false);

	if (kind == TURN_CROSSES)
		is_new |= take_back_nested(thread->process, thread, false);
	return is_new;
}

void turns_keep(struct thread *thread, enum turn_kind kind, uint64_t time_ns)
{
	extend(thread, kind, time_ns, true);
	if (kind == TURN_CROSSES)
		take_back_nested(thread->process, thread, true);
}

static void come_back(struct model *model, struct thread *thread, const struct observation *known,
		      uint64_t time_ns)
{
	enum turn_kind kind = TURN_AFTER_WAIT;

	if (is_crossing(&thread->turns, known))
		kind = TURN_CROSSES;
	else if (known->last_ns < thread->turns.other_ns)
		kind = TURN_NESTED;
	remember(&thread->turns, known->last_ns, time_ns);
	if (!known->inherited)
		turns_note(model, thread, kind, time_ns);
}

/* `known`: what was known of the tag on this thread before; NULL: nothing. */
void turns_show(struct model *model, struct thread *thread, const struct event_tag *tag,
		const struct observation *known, uint64_t time_ns)
{
	struct turns *turns = &thread->turns;

	if (!tag_is_of(tag, turns->trace_id)) {
		memcpy(turns->trace_id, tag->trace_id, TRACE_ID_BYTES);
		turns->other_ns = turns->shown_ns;
	}
	turns->shown_ns = MAX(turns->shown_ns, time_ns);
	if (known && turns_may_show(turns, known))
		come_back(model, thread, known, time_ns);
}

void turns_idle(struct thread *thread, uint64_t time_ns, int32_t syscall)
{
	thread->turns.idle_ns = time_ns;
	if (syscall != SYSCALL_FUTEX)
		thread->turns.polled_ns = time_ns;
}
