/* SPDX-License-Identifier: Apache-2.0 */
/* Traces at rest: nothing new has come of them for a while, and most likely nothing will, but they
 * stay known for a minute and more. So there are many, and each takes as little as it can: what it
 * holds stands in one block, packed.
 *
 *   trace_rest -> trace_look (a copy that is gone at the next look) -> trace_wake, or trace_drop
 *
 * What it refers to (threads, processes, folds, labels, lessons) it holds as an awake one does. */
#include "correlate/trace_rest.h"

#include <stdlib.h>
#include <string.h>

#include "correlate/trace_pack.h"
#include "correlate/trace_shelf.h"

#define AWAKE_NS NS_PER_SEC /* after the last news */

#define SMALL_BYTES 4096 /* as most take, at most */

#define VIEW_MOST 64 /* of each that a look shows; a trace with more is woken for it */

/* What a look shows. */
struct trace_view {
	const void *of; /* NULL: nothing */
	struct trace trace;
	struct observation observations[VIEW_MOST];
	struct trace_span spans[VIEW_MOST];
	struct mark marks[VIEW_MOST];
	struct lesson lessons[VIEW_MOST];
};

/* ---- to rest */

static bool is_awaited(const struct mark *mark)
{
	for (unsigned i = 0; i < MARKS_PENDING; i++) {
		if (mark->thread->marking.pending[i] == mark)
			return true;
	}
	return false;
}

/* Nobody carries it, and nothing has come of it for a while. */
static bool is_quiet(const struct model *model, const struct trace *trace)
{
	uint64_t last = MAX(trace->news_ns, trace->observed_ns);

	for (const struct observation *o = trace->observations; o; o = o->next) {
		if (o->thread->current == o && !o->thread->dead)
			return false;
		last = MAX(last, o->last_ns);
	}
	for (const struct mark *mark = trace->marks; mark; mark = mark->next) {
		if (is_awaited(mark))
			return false;
	}
	return last + AWAKE_NS <= model->now_ns;
}

/* The oldest first, as they are put into lists when it wakes; or back. */
static void turn_round(struct trace *trace)
{
	struct observation *observations = NULL;
	struct mark *marks = NULL;

	for (struct observation *o = trace->observations, *next; o; o = next) {
		next = o->next;
		o->next = observations;
		observations = o;
	}
	for (struct mark *mark = trace->marks, *next; mark; mark = next) {
		next = mark->next;
		mark->next = marks;
		marks = mark;
	}
	trace->observations = observations;
	trace->marks = marks;
}

static struct trace_counts count(const struct trace *trace)
{
	struct trace_counts counts = { trace->observation_count, trace->span_count, 0, 0 };

	for (const struct mark *mark = trace->marks; mark; mark = mark->next)
		counts.marks++;
	for (const struct lesson *l = trace->lessons; l; l = l->next)
		counts.lessons++;
	return counts;
}

static void put_all(struct trace_writer *writer, const struct trace *trace,
		    const struct trace_counts *counts)
{
	trace_pack_head(writer, trace, counts);
	for (const struct observation *o = trace->observations; o; o = o->next)
		trace_pack_observation(writer, o);
	for (uint32_t i = 0; i < trace->span_count; i++)
		trace_pack_span(writer, &trace->spans[i]);
	for (const struct mark *mark = trace->marks; mark; mark = mark->next)
		trace_pack_mark(writer, mark);
	for (const struct lesson *l = trace->lessons; l; l = l->next)
		trace_pack_lesson(writer, l);
}

static size_t most_bytes(const struct trace *trace, const struct trace_counts *counts)
{
	return TRACE_HEAD_BYTES + (size_t)trace->observation_count * TRACE_OBSERVATION_BYTES +
	       (size_t)trace->span_count * TRACE_SPAN_BYTES +
	       (size_t)counts->marks * TRACE_MARK_BYTES +
	       (size_t)counts->lessons * TRACE_LESSON_BYTES;
}

/* Those that no span has come of rest for longer: they lie apart. */
static struct trace_shelf **shelf_of(struct model *model, bool is_settled)
{
	return &model->shelves[is_settled];
}

/* NULL: out of memory. */
static uint8_t *pack(struct model *model, struct trace *trace, size_t *out_bytes)
{
	struct trace_counts counts = count(trace);
	uint8_t small[SMALL_BYTES], *room = small, *block;
	size_t most = most_bytes(trace, &counts);
	struct trace_writer writer;

	if (most > sizeof(small))
		room = malloc(most);
	if (!room)
		return NULL;
	writer = (struct trace_writer){ .at = room };
	turn_round(trace);
	put_all(&writer, trace, &counts);
	turn_round(trace);
	*out_bytes = (size_t)(writer.at - room);
	block = trace_shelf_put(shelf_of(model, trace->revision > 0), room, *out_bytes);
	if (room != small)
		free(room);
	return block;
}

static uint16_t concerns_of(const struct trace *trace)
{
	uint16_t concerns = trace->is_guessed ? CONCERN_ANY : 0;

	for (const struct observation *o = trace->observations; o; o = o->next)
		concerns |= o->thread->process->concern;
	for (uint32_t i = 0; i < trace->span_count; i++) {
		if (trace->spans[i].process)
			concerns |= trace->spans[i].process->concern;
	}
	for (const struct lesson *l = trace->lessons; l; l = l->next)
		concerns |= l->process->concern;
	return concerns;
}

/* What it holds is another's from now on. */
static void let_go(struct trace *trace)
{
	for (struct observation *o = trace->observations; o; o = o->next) {
		o->fold = NULL;
		o->thread->refs++;
	}
	for (struct mark *mark = trace->marks; mark; mark = mark->next)
		mark->thread->refs++;
	for (uint32_t i = 0; i < trace->span_count; i++) {
		trace->spans[i].process = NULL;
		trace->spans[i].label = NULL;
	}
	for (struct lesson *l = trace->lessons; l; l = l->next) {
		l->process->refs++;
		if (l->thread)
			l->thread->refs++;
	}
}

static void count_resting(struct model *model, size_t bytes)
{
	model->stats.trace_bytes += bytes + TRACE_PLACE_BYTES;
}

static void rest(struct model *model, struct trace *trace)
{
	struct trace_place *place = trace_set_find(&model->traces, trace->id);
	size_t bytes;
	uint8_t *block = pack(model, trace, &bytes);

	if (!block)
		return;
	trace_place_put(place, block);
	place->is_resting = true;
	place->is_settled = trace->revision > 0;
	place->has_taught = trace->lessons != NULL;
	place->concerns = concerns_of(trace) & ((1u << TRACE_CONCERNS) - 1);
	let_go(trace);
	lessons_drop(model, &trace->lessons);
	trace_unlist(model, trace);
	trace_empty(model, trace);
	count_resting(model, bytes);
	model->stats.traces_resting++;
}

void traces_rest(struct model *model)
{
	struct trace *trace = model->awake.oldest;
	unsigned seen = 0;

	while (trace) {
		struct trace *next = trace->next;

		if (is_quiet(model, trace))
			rest(model, trace);
		trace = next;
		model_pause(model, seen++);
	}
}

/* ---- and back */

static struct trace_reader read_at(const struct trace_place *place)
{
	return (struct trace_reader){ .at = trace_place_at(place) };
}

static bool wake_observations(struct model *model, struct trace_reader *reader, struct trace *trace,
			      uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct observation *o = malloc(sizeof(*o));

		if (!o)
			return false;
		trace_unpack_observation(reader, o);
		if (!observation_add(model, trace, o)) {
			free(o);
			return false;
		}
	}
	return true;
}

static bool wake_spans(struct model *model, struct trace_reader *reader, struct trace *trace,
		       uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct trace_span span;

		trace_unpack_span(reader, &span);
		if (trace_spans_append(model, trace, &span) < 0)
			return false;
	}
	return true;
}

static bool wake_marks(struct model *model, struct trace_reader *reader, struct trace *trace,
		       uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct mark *mark = malloc(sizeof(*mark));

		if (!mark)
			return false;
		trace_unpack_mark(reader, mark);
		mark_link(model, trace, mark);
	}
	return true;
}

/* In their order. The block's part in what they name is theirs. */
static bool wake_lessons(struct model *model, struct trace_reader *reader, struct trace *trace,
			 uint32_t count)
{
	struct lesson **at = &trace->lessons;

	for (uint32_t i = 0; i < count; i++, at = &(*at)->next) {
		struct lesson *lesson = malloc(sizeof(*lesson));

		if (!lesson)
			return false;
		trace_unpack_lesson(reader, lesson);
		*at = lesson;
		model->stats.trace_bytes += sizeof(*lesson);
	}
	return true;
}

/* The block has no part in these any more. */
static void take_over(struct trace *trace)
{
	for (struct observation *o = trace->observations; o; o = o->next)
		o->thread->refs--;
	for (struct mark *mark = trace->marks; mark; mark = mark->next)
		mark->thread->refs--;
}

static void free_block(struct model *model, struct trace_place *place,
		       const struct trace_reader *end)
{
	uint8_t *block = trace_place_at(place);
	const struct trace_shelf *filling = *shelf_of(model, place->is_settled);

	if (model->view && model->view->of == block)
		model->view->of = NULL;
	model->stats.traces_resting--;
	model->stats.trace_bytes -= (size_t)(end->at - block) + TRACE_PLACE_BYTES;
	trace_shelf_take(filling, block);
}

/* Nothing has changed: what it names is still the block's. */
static void fall_asleep(struct model *model, struct trace *trace)
{
	let_go(trace);
	lessons_drop(model, &trace->lessons);
	take_over(trace);
	trace_empty(model, trace);
}

struct trace *trace_wake(struct model *model, struct trace_place *place)
{
	struct trace_reader reader = read_at(place);
	struct trace *trace = malloc(sizeof(*trace));
	struct trace_head head;

	if (!trace)
		return NULL;
	trace_unpack_head(&reader, &head);
	*trace = head.trace;
	trace->bytes = sizeof(*trace) + TRACE_PLACE_BYTES;
	model->stats.trace_bytes += trace->bytes;
	if (!wake_observations(model, &reader, trace, head.counts.observations) ||
	    !wake_spans(model, &reader, trace, head.counts.spans) ||
	    !wake_marks(model, &reader, trace, head.counts.marks) ||
	    !wake_lessons(model, &reader, trace, head.counts.lessons)) {
		fall_asleep(model, trace);
		return NULL;
	}
	take_over(trace);
	free_block(model, place, &reader);
	trace_place_put(place, trace);
	trace_list(model, trace, LIST_AWAKE);
	return trace;
}

static bool has_room(const struct trace_counts *counts)
{
	return counts->observations <= VIEW_MOST && counts->spans <= VIEW_MOST &&
	       counts->marks <= VIEW_MOST && counts->lessons <= VIEW_MOST;
}

static void show_lessons(struct trace_view *view, struct trace_reader *reader, uint32_t count)
{
	struct lesson **at = &view->trace.lessons;

	for (uint32_t i = 0; i < count; i++, at = &(*at)->next) {
		trace_unpack_lesson(reader, &view->lessons[i]);
		*at = &view->lessons[i];
	}
}

static void show(struct trace_view *view, struct trace_reader *reader,
		 const struct trace_head *head)
{
	struct trace *trace = &view->trace;

	*trace = head->trace;
	for (uint32_t i = 0; i < head->counts.observations; i++) {
		trace_unpack_observation(reader, &view->observations[i]);
		view->observations[i].next = trace->observations;
		trace->observations = &view->observations[i];
	}
	for (uint32_t i = 0; i < head->counts.spans; i++)
		trace_unpack_span(reader, &view->spans[i]);
	for (uint32_t i = 0; i < head->counts.marks; i++) {
		trace_unpack_mark(reader, &view->marks[i]);
		view->marks[i].trace = trace;
		view->marks[i].next = trace->marks;
		trace->marks = &view->marks[i];
	}
	show_lessons(view, reader, head->counts.lessons);
	trace->observation_count = head->counts.observations;
	trace->spans = view->spans;
	trace->span_count = head->counts.spans;
}

const struct trace *trace_look_at(struct model *model, struct trace_place *place)
{
	struct trace_reader reader = read_at(place);
	struct trace_head head;

	if (!place->is_resting)
		return trace_place_at(place);
	if (!model->view)
		model->view = calloc(1, sizeof(*model->view));
	if (model->view && model->view->of == trace_place_at(place))
		return &model->view->trace;
	trace_unpack_head(&reader, &head);
	if (!model->view || !has_room(&head.counts))
		return trace_wake(model, place);
	show(model->view, &reader, &head);
	model->view->of = trace_place_at(place);
	return &model->view->trace;
}

static void drop_observation(struct model *model, struct trace_reader *reader)
{
	struct observation o;

	trace_unpack_observation(reader, &o);
	o.thread->refs--;
	if (o.fold)
		model->stats.fold_bytes -= sizeof(*o.fold);
	free(o.fold);
}

static void drop_span(struct trace_reader *reader)
{
	struct trace_span span;

	trace_unpack_span(reader, &span);
	if (span.process)
		span.process->refs--;
	free(span.label);
}

/* What it taught stays. */
static void drop_lesson(struct trace_reader *reader)
{
	struct lesson lesson;

	trace_unpack_lesson(reader, &lesson);
	lesson_keep(&lesson);
	lesson.process->refs--;
	if (lesson.thread)
		lesson.thread->refs--;
}

void trace_drop_resting(struct model *model, struct trace_place *place)
{
	struct trace_reader reader = read_at(place);
	struct trace_place was = *place;
	struct trace_head head;
	struct mark mark;

	trace_unpack_head(&reader, &head);
	for (uint32_t i = 0; i < head.counts.observations; i++)
		drop_observation(model, &reader);
	for (uint32_t i = 0; i < head.counts.spans; i++)
		drop_span(&reader);
	for (uint32_t i = 0; i < head.counts.marks; i++) {
		trace_unpack_mark(&reader, &mark);
		mark.thread->refs--;
	}
	for (uint32_t i = 0; i < head.counts.lessons; i++)
		drop_lesson(&reader);
	trace_set_remove(&model->traces, place); /* which asks for its id */
	free_block(model, &was, &reader);
}
