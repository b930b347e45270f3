/* SPDX-License-Identifier: Apache-2.0 */
/* What was learned of a process after traces of it had settled: these are settled again, so that
 * the last ledgers do not tell in which order things came.
 *
 * Each lesson has a number, and a trace knows those up to the one when it settled. All are looked
 * at once a second: there may be many traces. Those that settled within the last one are looked at
 * at once, as many as there is time for: the first traces of a process teach, and nobody should be
 * told what the second one has shown to be wrong of the first; nor what rests on something that a
 * trace has taken back, which it may have taught only as long as others had yet to settle. */
#include <limits.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/trace_rest.h"

#define SHOWS_WITHIN_NS NS_PER_SEC        /* what its threads do for each other */
#define HIDES_WITHIN_NS (15 * NS_PER_SEC) /* what nobody exports: SDKs do so every 5 s */
#define MOST_HIDDEN     64u               /* of a trace, at a time */
#define REACH_MARGIN_NS NS_PER_SEC
#define FRESH_NS        NS_PER_SEC
#define FRESH_WORK      65536u /* a second: looks at traces that settled lately ... */
#define AGAIN_WORK      64u    /* ... as many of which take as long as to settle one */

void relearn_process(struct model *model, struct process *process, uint64_t from_ns)
{
	bool is_told = process->lesson <= model->lesson_told;

	process->lesson_from_ns = is_told ? from_ns : MIN(process->lesson_from_ns, from_ns);
	process->lesson = ++model->lesson;
}

static bool concerns_span(const struct model *model, const struct trace *trace,
			  const struct trace_span *span)
{
	if (span->process && span->process->lesson > trace->lesson)
		return true;
	return trace->is_guessed &&
	       senders_teach(model, span->resource_key, trace->to_ns, trace->lesson);
}

static bool concerns(const struct model *model, const struct trace *trace)
{
	for (const struct observation *o = trace->observations; o; o = o->next) {
		const struct process *process = o->thread->process;

		if (process->lesson > trace->lesson && o->last_ns >= process->lesson_from_ns)
			return true;
	}
	for (uint32_t i = 0; i < trace->span_count; i++) {
		if (concerns_span(model, trace, &trace->spans[i]))
			return true;
	}
	return false;
}

bool relearn_reaches(const struct model *model, const struct trace *trace)
{
	uint64_t last = trace->observed_ns ? 0 : trace->news_ns;

	for (const struct observation *o = trace->observations; o; o = o->next)
		last = MAX(last, o->last_ns);
	return last + model->stats.reach_ns > model->now_ns + REACH_MARGIN_NS;
}

static bool is_to_settle_again(const struct model *model, const struct trace *trace)
{
	return trace->revision && !trace->unsettled && trace->lesson != model->lesson &&
	       concerns(model, trace) && relearn_reaches(model, trace);
}

/* They stand in the order in which they settled. */
static void forget_fresh(struct model *model)
{
	struct trace *trace;

	while ((trace = model->fresh.oldest) && trace->settled_ns + FRESH_NS <= model->now_ns)
		trace_list(model, trace, LIST_AWAKE);
	model->relearn_left = FRESH_WORK;
}

/* One thread has nobody to do things for, and who is gone shows nothing more. */
static bool may_still_teach(const struct model *model, const struct trace *trace,
			    const struct process *process)
{
	if (model->now_ns < process->hides_until_ns &&
	    memcmp(process->hides_trace, trace->id, TRACE_ID_BYTES) != 0)
		return true;
	return process->has_tags && !process->gone && process->threads && process->threads->next &&
	       model->now_ns < process->tagged_ns + SHOWS_WITHIN_NS;
}

/* The process's own root of the trace has come. */
static bool has_root_of(const struct model *model, const struct trace *trace,
			const struct process *process)
{
	for (const struct observation *o = trace->observations; o; o = o->next) {
		int32_t index = trace_span_index(model, trace, o->span_id);

		if (!o->inherited && o->thread->process == process && index >= 0 &&
		    trace_is_root(trace, &trace->spans[index]))
			return true;
	}
	return false;
}

static bool shows_what_came(const struct model *model, const struct trace *trace,
			    const struct thread *thread)
{
	for (const struct observation *o = trace->observations; o; o = o->next) {
		if (o->thread == thread && trace_span_index(model, trace, o->span_id) >= 0)
			return true;
	}
	return false;
}

/* A thread showed a span which has not come, though what it lies within has, and none that has: if
 * nobody exports it, that is a lesson for all traces of the process, once this one settles. They
 * wait for it, once in the life of a process; not if it comes after all. */
void relearn_note_hidden(struct model *model, const struct trace *trace)
{
	unsigned left = MOST_HIDDEN;

	for (const struct observation *o = trace->observations; o && left; o = o->next) {
		struct process *process = o->thread->process;

		if (process->hides_until_ns || o->inherited || !process->has_tags ||
		    model->now_ns >= process->tagged_ns + HIDES_WITHIN_NS ||
		    o->thread->last_flags & EVENT_TOLD ||
		    trace_span_index(model, trace, o->span_id) >= 0)
			continue;
		left--;
		if (!has_root_of(model, trace, process) || shows_what_came(model, trace, o->thread))
			continue;
		process->hides_until_ns =
			MAX(model->now_ns, trace->news_ns) + model->options.settle_ns;
		memcpy(process->hides_trace, trace->id, TRACE_ID_BYTES);
	}
}

void relearn_note_whole(const struct trace *trace)
{
	for (const struct observation *o = trace->observations; o; o = o->next) {
		struct process *process = o->thread->process;

		if (process->hides_until_ns &&
		    memcmp(process->hides_trace, trace->id, TRACE_ID_BYTES) == 0)
			process->hides_until_ns = 0;
	}
}

bool relearn_awaits(const struct model *model, const struct trace *trace)
{
	for (const struct observation *o = trace->observations; o; o = o->next) {
		if (may_still_teach(model, trace, o->thread->process))
			return true;
	}
	for (uint32_t i = 0; i < trace->span_count; i++) {
		const struct process *process = trace->spans[i].process;

		if (process && may_still_teach(model, trace, process))
			return true;
	}
	return false;
}

/* By trace_place.concerns, of those that rest. */
static unsigned concerned_now(const struct model *model)
{
	unsigned concerned = CONCERN_ANY;

	for (const struct process *p = model->processes; p; p = p->next)
		concerned |= p->lesson > model->lesson_told ? p->concern : 0;
	return concerned;
}

bool relearn_revisit(struct model *model)
{
	unsigned seen = 0, all = UINT_MAX, concerned;
	struct trace_place *place;
	bool any = false;

	forget_fresh(model);
	lessons_revise(model, &all);
	if (model->lesson_told == model->lesson)
		return false;
	concerned = concerned_now(model);
	for (uint32_t at = 0; (place = trace_set_next(&model->traces, &at));) {
		const struct trace *trace;

		model_pause(model, seen++);
		if (place->is_resting && !(place->is_settled && place->concerns & concerned))
			continue;
		trace = trace_look_at(model, place);
		if (!trace || !is_to_settle_again(model, trace))
			continue;
		trace_settle_again(model, trace->id);
		any = true;
	}
	model->lesson_told = model->lesson;
	return any;
}

bool relearn_revisit_fresh(struct model *model)
{
	struct trace *trace = model->fresh.oldest, *next;
	bool any = false;

	lessons_revise(model, &model->relearn_left);
	if (model->lesson_fresh == model->lesson)
		return false;
	for (; trace && trace->lesson != model->lesson && model->relearn_left; trace = next) {
		bool is_concerned = is_to_settle_again(model, trace);

		next = trace->next;
		model->relearn_left -= MIN(model->relearn_left, is_concerned ? AGAIN_WORK : 1);
		if (is_concerned)
			trace_settle_again(model, trace->id);
		any |= is_concerned;
	}
	model->lesson_fresh = model->lesson;
	return any;
}
