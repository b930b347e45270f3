/* SPDX-License-Identifier: Apache-2.0 */
/* What traces teach of the processes that made them, by how their spans lie on threads: that these
 * put spans aside, lend them, or hand them on.
 *
 * A trace that settles again may teach something else: a span has come that was missing, or it is
 * known by now how far the process's clock is off. What it does not teach any more it takes back,
 * so that in the end nothing depends on the order in which things came. So a trace keeps what it
 * taught; what others taught stays, and what a trace did that is forgotten, or whose slices are:
 * nobody can look again. */
#include <stdlib.h>

#include "collector/base/macros.h"
#include "correlate/join.h"
#include "correlate/trace_rest.h"

#define ALIKE_NS        NS_PER_SEC /* habits hold for a minute before and after */
#define MOST_TAKEN_BACK 4          /* times; then a trace goes by what another one goes by */

static enum turn_kind turn_of(const struct lesson *lesson)
{
	return lesson->kind == LESSON_CROSSES ? TURN_CROSSES : TURN_NESTED;
}

static bool is_of_turns(const struct lesson *lesson)
{
	return lesson->kind >= LESSON_WITHIN;
}

/* NULL: it is a thread's. */
static struct turns_period *period_of(struct habits *habits, unsigned kind)
{
	switch (kind) {
	case LESSON_LENT:
		return &habits->lent;
	case LESSON_HANDED:
		return &habits->handed;
	case LESSON_APART:
		return &habits->apart;
	case LESSON_LEFT:
		return &habits->left;
	case LESSON_RESUMED:
		return &habits->resumed;
	case LESSON_WITHIN:
		return &habits->within;
	default:
		return NULL;
	}
}

static bool teach(const struct lesson *lesson)
{
	struct turns_period *period = period_of(&lesson->process->habits, lesson->kind);
	bool is_new;

	if (!period) {
		is_new = turns_teach(lesson->thread, turn_of(lesson), lesson->when.from_ns);
		return turns_teach(lesson->thread, turn_of(lesson), lesson->when.to_ns) || is_new;
	}
	is_new = turns_extend(period, lesson->when.from_ns);
	return turns_extend(period, lesson->when.to_ns) || is_new;
}

void lesson_keep(const struct lesson *lesson)
{
	struct turns_period *period = period_of(&lesson->process->sure, lesson->kind);

	if (!period) {
		turns_keep(lesson->thread, turn_of(lesson), lesson->when.from_ns);
		turns_keep(lesson->thread, turn_of(lesson), lesson->when.to_ns);
		return;
	}
	turns_extend(period, lesson->when.from_ns);
	turns_extend(period, lesson->when.to_ns);
}

static bool is_alike(const struct turns_period *a, const struct turns_period *b)
{
	return distance(a->from_ns, b->from_ns) < ALIKE_NS &&
	       distance(a->to_ns, b->to_ns) < ALIKE_NS;
}

static bool is_of_same(const struct lesson *a, const struct lesson *b)
{
	return a->kind == b->kind && a->process == b->process && a->thread == b->thread;
}

static bool is_among(const struct lesson *lesson, const struct lesson *others)
{
	for (; others; others = others->next) {
		if (is_of_same(lesson, others) && is_alike(&lesson->when, &others->when))
			return true;
	}
	return false;
}

static void add(struct join *join, const struct lesson *lesson)
{
	struct lesson *kept = malloc(sizeof(*kept));

	if (!kept) {
		join->out_of_memory = true;
		return;
	}
	*kept = *lesson;
	kept->next = join->lessons;
	join->lessons = kept;
	kept->process->refs++;
	if (kept->thread)
		kept->thread->refs++;
	join->model->stats.trace_bytes += sizeof(*kept);
}

/* Those of the same time are one. */
static void collect(struct join *join, const struct lesson *lesson)
{
	for (struct lesson *l = join->lessons; l; l = l->next) {
		if (is_of_same(l, lesson) &&
		    turns_taken(&l->when, lesson->when.from_ns, lesson->when.to_ns)) {
			l->when.from_ns = MIN(l->when.from_ns, lesson->when.from_ns);
			l->when.to_ns = MAX(l->when.to_ns, lesson->when.to_ns);
			return;
		}
	}
	add(join, lesson);
}

void lesson_note(struct join *join, enum lesson_kind kind, struct process *process,
		 struct thread *thread, uint64_t from_ns, uint64_t to_ns)
{
	const struct lesson lesson = { .kind = (uint8_t)kind,
				       .process = process,
				       .thread = thread,
				       .when = { from_ns, to_ns } };

	collect(join, &lesson);
	if (teach(&lesson) && kind != LESSON_WITHIN)
		relearn_process(join->model, process, from_ns - MIN(from_ns, TRACE_HOLD_NS));
}

/* What it had taught before, and does not any more: nothing of it is left. */
static bool take_back(struct join *join, const struct lesson *old)
{
	struct trace *trace = join->trace;
	bool is_any = false,
	     may = relearn_reaches(join->model, trace) && trace->taken_back < MOST_TAKEN_BACK;

	for (; old; old = old->next) {
		if (is_among(old, join->lessons))
			continue;
		if (may)
			old->process->is_unlearned = is_any = true;
		else
			add(join, old);
	}
	return is_any;
}

void lessons_settle(struct join *join)
{
	struct trace *trace = join->trace;
	struct lesson *old = trace->lessons;
	bool is_any = take_back(join, old);

	for (const struct lesson *l = join->lessons; l; l = l->next) {
		if (is_of_turns(l) && !is_among(l, old))
			turns_recount(join->model, l->process);
	}
	trace->taken_back += is_any;
	join->model->is_unlearned |= is_any;
	trace->lessons = join->lessons;
	join->lessons = NULL;
	lessons_drop(join->model, &old);
}

/* The first of them. */
static void drop(struct model *model, struct lesson **lessons)
{
	struct lesson *lesson = *lessons;

	*lessons = lesson->next;
	lesson->process->refs--;
	if (lesson->thread)
		lesson->thread->refs--;
	model->stats.trace_bytes -= sizeof(*lesson);
	free(lesson);
}

void lessons_drop(struct model *model, struct lesson **lessons)
{
	while (*lessons)
		drop(model, lessons);
}

void lessons_keep(struct model *model, struct trace *trace)
{
	for (const struct lesson *l = trace->lessons; l; l = l->next)
		lesson_keep(l);
	lessons_drop(model, &trace->lessons);
}

/* ---- what is left when some was taken back */

void lessons_forget(struct model *model, struct process *process)
{
	process->is_unlearned = process->is_to_teach_anew = model->is_unlearned = true;
}

/* false: it rests, and has not. */
static bool may_have_taught(const struct trace_place *place, const struct process *process)
{
	return !place->is_resting || (place->has_taught && place->concerns & process->concern);
}

static bool has_taught(const struct trace *trace, const struct process *process)
{
	for (const struct lesson *l = trace->lessons; l; l = l->next) {
		if (l->process == process)
			return true;
	}
	return false;
}

/* `trace` NULL: there was no memory to wake it. */
static bool forget(struct model *model, struct trace *trace, const struct process *process)
{
	struct lesson **at = trace ? &trace->lessons : NULL;

	while (at && *at) {
		if ((*at)->process == process)
			drop(model, at);
		else
			at = &(*at)->next;
	}
	return trace;
}

/* What one trace taught may be why another one teaches that, too. true: there was something. */
static bool forget_all(struct model *model, const struct process *process)
{
	struct trace_place *place;
	unsigned seen = 0;
	bool is_any = false;

	for (uint32_t at = 0; (place = trace_set_next(&model->traces, &at));) {
		const struct trace *trace;

		model_pause(model, seen++);
		if (!may_have_taught(place, process))
			continue;
		trace = trace_look_at(model, place);
		if (trace && has_taught(trace, process) && relearn_reaches(model, trace))
			is_any |= forget(model, trace_find(model, trace->id), process);
	}
	return is_any;
}

static void teach_all(struct model *model, struct process *process)
{
	struct trace_place *place;
	unsigned seen = 0;
	bool is_any = false;

	for (uint32_t at = 0; (place = trace_set_next(&model->traces, &at));) {
		const struct trace *trace;

		model_pause(model, seen++);
		if (!may_have_taught(place, process) || !(trace = trace_look_at(model, place)))
			continue;
		for (const struct lesson *l = trace->lessons; l; l = l->next) {
			if (l->process != process)
				continue;
			teach(l);
			is_any |= is_of_turns(l);
		}
	}
	if (!is_any)
		turns_count_all(model, process);
}

static bool is_same_habit(const struct turns_period *a, const struct turns_period *b)
{
	return (a->to_ns != 0) == (b->to_ns != 0) && is_alike(a, b);
}

/* Of lend.c's habits each counts; of turns what they add up to. */
static bool is_changed(struct habits *was, struct habits *is)
{
	for (unsigned kind = 0; kind < LESSON_WITHIN; kind++) {
		if (!is_same_habit(period_of(was, kind), period_of(is, kind)))
			return true;
	}
	return !is_same_habit(&was->turns, &is->turns) ||
	       !is_same_habit(&was->crossed, &is->crossed) ||
	       !is_same_habit(&was->nested, &is->nested);
}

static void revise(struct model *model, struct process *process)
{
	struct habits was = process->habits;
	bool is_anew = process->is_to_teach_anew && forget_all(model, process);

	process->habits = process->sure;
	for (struct thread *t = process->threads; t; t = t->next)
		t->turns.habits = t->turns.sure;
	teach_all(model, process);
	process->is_unlearned = process->is_to_teach_anew = false;
	if (is_anew || is_changed(&was, &process->habits))
		relearn_process(model, process, process->first_ns);
}

void lessons_revise(struct model *model, unsigned *looks_left)
{
	bool is_any_left = false;

	if (!model->is_unlearned)
		return;
	for (struct process *p = model->processes; p; p = p->next) {
		if (p->is_unlearned && model->traces.count <= *looks_left) {
			*looks_left -= (unsigned)model->traces.count;
			revise(model, p);
		}
		is_any_left |= p->is_unlearned;
	}
	model->is_unlearned = is_any_left;
}
