/* SPDX-License-Identifier: Apache-2.0 */
/* Marks: which thread began a span and which one ended it, as writers in exact mode may log it.
 *
 * A thread that begins a span and attaches it, with nothing in between but waits, has worked for it
 * since its start; so has one that detaches it and ends it. And a span that nobody attached is the
 * thread's that began and ended it, if that did nothing else in between. Marks stand in the
 * trace, each for itself; what they say of a span is put together when the trace settles. */
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/join.h"

static bool is_mark_of(const struct mark *mark, const struct event_tag *tag)
{
	return memcmp(mark->span_id, tag->span_id, SPAN_ID_BYTES) == 0 &&
	       memcmp(mark->trace->id, tag->trace_id, TRACE_ID_BYTES) == 0;
}

/* The oldest one is not waited for any more. */
static void await(struct marking *marking, struct mark *mark)
{
	memmove(marking->pending + 1, marking->pending,
		sizeof(marking->pending) - sizeof(marking->pending[0]));
	marking->pending[0] = mark;
}

static void await_none(struct marking *marking)
{
	memset(marking->pending, 0, sizeof(marking->pending));
}

/* What the thread did between the change before and this mark. */
static void look_back(struct mark *mark, const struct marking *marking)
{
	if (!marking->left_ns || !is_mark_of(mark, &marking->left_tag))
		return;
	mark->since_left = marking->left_is_last ? MARK_NOTHING : MARK_ANOTHER;
	if (marking->left_turn != marking->turn)
		mark->since_left = MARK_TURN;
	if (mark->since_left == MARK_NOTHING)
		mark->left_ns = marking->left_ns;
}

void mark_link(struct model *model, struct trace *trace, struct mark *mark)
{
	mark->trace = trace;
	mark->next = trace->marks;
	mark->thread->refs++;
	trace->marks = mark;
	trace->bytes += sizeof(*mark);
	model->stats.trace_bytes += sizeof(*mark);
}

void mark_add(struct model *model, struct thread *thread, const struct event_tag *tag,
	      const struct event_tag *shown, uint64_t time_ns)
{
	struct trace *trace = tag_is_none(tag) ? NULL : trace_find_or_make(model, tag->trace_id);
	struct mark *mark = trace ? calloc(1, sizeof(*mark)) : NULL;

	if (!mark) {
		mark_forget(thread);
		return;
	}
	*mark = (struct mark){
		.trace = trace, .thread = thread, .time_ns = time_ns, .turn = thread->marking.turn
	};
	memcpy(mark->span_id, tag->span_id, SPAN_ID_BYTES);
	mark->is_within = !tag_is_none(shown) && tag_is_of(shown, trace->id);
	memcpy(mark->within_id, shown->span_id, SPAN_ID_BYTES);
	look_back(mark, &thread->marking);
	thread->marking.left_is_last = false;
	await(&thread->marking, mark);
	mark_link(model, trace, mark);
	trace->observed_ns = MAX(trace->observed_ns, time_ns);
	if (trace->unsettled)
		trace->dirty = true;
}

void mark_change(struct thread *thread, const struct event_tag *from, const struct event_tag *to,
		 uint64_t time_ns)
{
	struct marking *marking = &thread->marking;

	for (unsigned i = 0; i < MARKS_PENDING; i++) {
		struct mark *mark = marking->pending[i];

		if (!mark || !is_mark_of(mark, to))
			continue;
		mark->until_shown = i ? MARK_ANOTHER : MARK_NOTHING;
		mark->shown_ns = i ? 0 : time_ns;
	}
	await_none(marking);
	marking->left_tag = *from;
	marking->left_ns = time_ns;
	marking->left_turn = marking->turn;
	marking->left_is_last = true;
}

void mark_turn(struct thread *thread)
{
	for (unsigned i = 0; i < MARKS_PENDING; i++) {
		if (thread->marking.pending[i])
			thread->marking.pending[i]->until_shown = MARK_TURN;
	}
	await_none(&thread->marking);
	thread->marking.turn++;
}

void mark_forget(struct thread *thread)
{
	await_none(&thread->marking);
	thread->marking.left_ns = 0;
	thread->marking.turn++;
}

static void unawait(struct marking *marking, const struct mark *mark)
{
	for (unsigned i = 0; i < MARKS_PENDING; i++) {
		if (marking->pending[i] == mark)
			marking->pending[i] = NULL;
	}
}

void marks_free(struct trace *trace)
{
	while (trace->marks) {
		struct mark *mark = trace->marks;

		trace->marks = mark->next;
		unawait(&mark->thread->marking, mark);
		mark->thread->refs--;
		free(mark);
	}
}

/* A span's first mark is of its start, and its last one of its end, however late the clock was read
 * after it: the thread may have lost its CPU in between. A program that gives the times itself has
 * read it before. */
static void take(struct node *node, const struct mark *mark)
{
	if (!node->begun || mark->time_ns < node->begun->time_ns)
		node->begun = mark;
	if (!node->ended || mark->time_ns > node->ended->time_ns)
		node->ended = mark;
}

static bool may_be_of_end(const struct node *node, const struct mark *mark)
{
	uint64_t error = node->bound_ns + node->skew_ns + CHANGE_CLOCK_NS + CHANGE_DOUBT_NS;

	return mark->time_ns + error >= node->b_ns;
}

/* Only one was told of: what the thread did before it or after it tells which, or how late it is.
 */
static void choose(struct node *node)
{
	const struct mark *mark = node->begun;

	if (mark->shown_ns || (!mark->since_left && !may_be_of_end(node, mark)))
		node->ended = NULL;
	else
		node->begun = NULL;
}

void join_find_marks(struct join *join)
{
	for (const struct mark *mark = join->trace->marks; mark; mark = mark->next) {
		int32_t index = join_find(join, mark->span_id);

		if (index >= 0 && join->nodes[index].process == mark->thread->process)
			take(&join->nodes[index], mark);
	}
	for (uint32_t i = 0; i < join->count; i++) {
		if (join->nodes[i].begun && join->nodes[i].begun == join->nodes[i].ended)
			choose(&join->nodes[i]);
	}
}
