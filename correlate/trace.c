/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/trace_rest.h"
#include "correlate/trace_shelf.h"

#define LABEL_PART_BYTES 63
#define UNCLAIMED_EVERY  16 /* seconds */

void traces_init(struct model *model)
{
	trace_set_init(&model->traces, model->options.seed);
}

struct trace *trace_find(struct model *model, const uint8_t id[TRACE_ID_BYTES])
{
	struct trace_place *place = trace_set_find(&model->traces, id);

	if (!place)
		return NULL;
	return place->is_resting ? trace_wake(model, place) : trace_place_at(place);
}

const struct trace *trace_look(struct model *model, const uint8_t id[TRACE_ID_BYTES])
{
	struct trace_place *place = trace_set_find(&model->traces, id);

	return place ? trace_look_at(model, place) : NULL;
}

static struct trace *make(struct model *model, const uint8_t id[TRACE_ID_BYTES])
{
	struct trace *trace = calloc(1, sizeof(*trace));

	if (!trace)
		return NULL;
	memcpy(trace->id, id, TRACE_ID_BYTES);
	if (!trace_set_add(&model->traces, trace)) {
		free(trace);
		return NULL;
	}
	trace->bytes = sizeof(*trace) + TRACE_PLACE_BYTES;
	trace->made_ns = model->now_ns;
	model->stats.trace_bytes += trace->bytes;
	trace_list(model, trace, LIST_AWAKE);
	return trace;
}

struct trace *trace_find_or_make(struct model *model, const uint8_t id[TRACE_ID_BYTES])
{
	struct trace_place *place = trace_set_find(&model->traces, id);

	if (!place)
		return make(model, id);
	return place->is_resting ? trace_wake(model, place) : trace_place_at(place);
}

static struct observation *observe_anew(struct model *model, struct trace *trace,
					struct thread *thread, const struct event_tag *tag,
					uint64_t time_ns)
{
	struct observation *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->thread = thread;
	memcpy(o->span_id, tag->span_id, SPAN_ID_BYTES);
	o->first_ns = o->last_ns = time_ns;
	o->inherited = time_ns < thread->inherited_until_ns;
	if (!o->inherited && !thread->process->has_tags) {
		thread->process->has_tags = true;
		thread->process->tagged_ns = time_ns;
		relearn_process(model, thread->process, 0);
	}
	if (!observation_add(model, trace, o)) {
		free(o);
		return NULL;
	}
	model->stats.tags_seen++;
	if (trace->unsettled)
		trace->dirty = true;
	return o;
}

/* Hot: the thread remembers what it carried last. */
struct observation *trace_observe(struct model *model, struct thread *thread,
				  const struct event_tag *tag, uint64_t time_ns)
{
	struct observation *o = thread->current;
	struct trace *trace;

	if (tag_is_none(tag))
		return NULL;
	if (o && tag_eq(&thread->current_tag, tag)) {
		turns_show(model, thread, tag, o, time_ns);
		o->last_ns = MAX(o->last_ns, time_ns);
		return o;
	}
	trace = trace_find_or_make(model, tag->trace_id);
	if (!trace)
		return NULL;
	trace->observed_ns = MAX(trace->observed_ns, time_ns);
	o = trace_observation(model, trace, thread, tag->span_id);
	turns_show(model, thread, tag, o, time_ns);
	if (!o) {
		o = observe_anew(model, trace, thread, tag, time_ns);
		turns_count(model, thread->process, time_ns);
	}
	if (!o)
		return NULL;
	o->last_ns = MAX(o->last_ns, time_ns);
	if (time_ns >= thread->inherited_until_ns)
		o->inherited = false;
	thread->current = o;
	thread->current_tag = *tag;
	return o;
}

void trace_observe_at(struct model *model, struct thread *thread, const struct event_tag *tag,
		      uint64_t time_ns)
{
	struct trace *trace = trace_find_or_make(model, tag->trace_id);
	struct observation *o =
		trace ? trace_observation(model, trace, thread, tag->span_id) : NULL;

	if (trace && !o)
		o = observe_anew(model, trace, thread, tag, time_ns);
	if (!o)
		return;
	trace->observed_ns = MAX(trace->observed_ns, time_ns);
	o->first_ns = MIN(o->first_ns, time_ns);
	o->last_ns = MAX(o->last_ns, time_ns);
	trace_settle_again(model, tag->trace_id);
}

void trace_observe_on(struct model *model, struct thread *thread, const struct event_tag *tag,
		      uint64_t time_ns)
{
	struct observation *o = thread->current;

	if (tag_is_none(tag))
		return;
	if (!o || o->inherited || !tag_eq(&thread->current_tag, tag) ||
	    turns_may_show(&thread->turns, o)) {
		trace_observe(model, thread, tag, time_ns);
		return;
	}
	thread->turns.shown_ns = MAX(thread->turns.shown_ns, time_ns);
	o->last_ns = MAX(o->last_ns, time_ns);
}

static char *make_label(const struct span *span)
{
	size_t name = MIN(span->name.len, (size_t)LABEL_PART_BYTES);
	size_t peer = MIN(span->peer.len, (size_t)LABEL_PART_BYTES);
	char *label;

	if (span->kind != SPAN_KIND_CLIENT && span->kind != SPAN_KIND_PRODUCER)
		return NULL;
	label = calloc(1, name + peer + 2);
	if (!label)
		return NULL;
	if (name)
		memcpy(label, span->name.data, name);
	if (peer)
		memcpy(label + name + 1, span->peer.data, peer);
	return label;
}

static bool fill_span(struct trace_span *out, const struct span *span,
		      const struct trace_source *source)
{
	*out = (struct trace_span){
		.start_unix_ns = span->start_unix_ns,
		.end_unix_ns = MAX(span->end_unix_ns, span->start_unix_ns),
		.backward_ns = span->backward_ns + span->start_unix_ns -
			       MIN(span->end_unix_ns, span->start_unix_ns),
		.resource_key = source->resource_key,
		.process_pid = source->process_pid,
		.process = source->process,
		.is_anonymous = source->is_anonymous,
		.thread_id = span->thread_id,
		.flags = span->flags,
		.kind = span->kind,
		.label = make_label(span),
	};
	memcpy(out->span_id, span->span_id, SPAN_ID_BYTES);
	memcpy(out->parent_id, span->parent_span_id, SPAN_ID_BYTES);
	return out->label || (span->kind != SPAN_KIND_CLIENT && span->kind != SPAN_KIND_PRODUCER);
}

static struct trace_queue *queue_of(struct model *model, enum trace_list list)
{
	switch (list) {
	case LIST_PENDING:
		return &model->pending;
	case LIST_FRESH:
		return &model->fresh;
	default:
		return &model->awake;
	}
}

void trace_list(struct model *model, struct trace *trace, enum trace_list list)
{
	struct trace_queue *queue = queue_of(model, list);

	trace_unlist(model, trace);
	trace->previous = queue->newest;
	if (queue->newest)
		queue->newest->next = trace;
	else
		queue->oldest = trace;
	queue->newest = trace;
	trace->list = (uint8_t)list;
	model->stats.traces_pending += list == LIST_PENDING;
}

void trace_unlist(struct model *model, struct trace *trace)
{
	struct trace_queue *queue = queue_of(model, trace->list);

	if (trace->list == LIST_NONE)
		return;
	if (model->again == trace)
		model->again = trace->previous;
	if (trace->previous)
		trace->previous->next = trace->next;
	else
		queue->oldest = trace->next;
	if (trace->next)
		trace->next->previous = trace->previous;
	else
		queue->newest = trace->previous;
	trace->previous = trace->next = NULL;
	model->stats.traces_pending -= trace->list == LIST_PENDING;
	trace->list = LIST_NONE;
}

static void await_settling(struct model *model, struct trace *trace)
{
	trace->unsettled++;
	trace->dirty = true;
	trace->news_ns = model->now_ns;
	trace_list(model, trace, LIST_PENDING);
}

/* Sent twice; or another one with its ids, as processes draw that were forked with their random
 * numbers: whose threads showed which is not known then. */
static void add_duplicate(struct model *model, struct trace *trace, struct trace_span *kept,
			  const struct span *span)
{
	model->stats.spans_duplicate++;
	if (kept->is_disputed || kept->start_unix_ns == span->start_unix_ns)
		return;
	kept->is_disputed = true;
	await_settling(model, trace);
}

int trace_add_span(struct model *model, const struct span *span, const struct trace_source *source)
{
	struct trace *trace = trace_find_or_make(model, span->trace_id);
	struct trace_span kept;
	int rc;

	if (!trace)
		return -ENOMEM;
	model->stats.spans++;
	rc = trace_span_index(model, trace, span->span_id);
	if (rc >= 0) {
		add_duplicate(model, trace, &trace->spans[rc], span);
		return 0;
	}
	if (trace->span_count >= model->options.max_trace_spans) {
		model->stats.spans_over_limit++;
		trace->over_limit = true;
		return -E2BIG;
	}
	if (!fill_span(&kept, span, source))
		return -ENOMEM;
	rc = trace_spans_append(model, trace, &kept);
	if (rc < 0) {
		free(kept.label);
		return rc;
	}
	if (kept.process)
		kept.process->refs++;
	if (trace->revision)
		model->stats.spans_late++;
	await_settling(model, trace);
	return 0;
}

void trace_settle_again(struct model *model, const uint8_t id[TRACE_ID_BYTES])
{
	struct trace *trace = trace_find(model, id);

	if (!trace || !trace->revision || trace->unsettled)
		return;
	trace->unsettled = 1;
	trace->again = true;
	trace_unlist(model, trace);
	trace->previous = model->again; /* in turn, before all others */
	trace->next = model->again ? model->again->next : model->pending.oldest;
	*(trace->previous ? &trace->previous->next : &model->pending.oldest) = trace;
	*(trace->next ? &trace->next->previous : &model->pending.newest) = trace;
	model->again = trace;
	trace->list = LIST_PENDING;
	model->stats.traces_pending++;
}

void trace_empty(struct model *model, struct trace *trace)
{
	observations_free(model, trace);
	marks_free(trace);
	trace_spans_free(trace);
	model->stats.trace_bytes -= trace->bytes;
	free(trace);
}

void trace_free(struct model *model, struct trace *trace)
{
	trace_unlist(model, trace);
	lessons_keep(model, trace);
	trace_set_remove(&model->traces, trace_set_find(&model->traces, trace->id));
	trace_empty(model, trace);
}

static void drop(struct model *model, struct trace_place *place)
{
	if (place->is_resting)
		trace_drop_resting(model, place);
	else
		trace_free(model, trace_place_at(place));
}

void traces_fini(struct model *model)
{
	struct trace_place *place;

	for (uint32_t at = 0; (place = trace_set_next(&model->traces, &at));)
		drop(model, place);
	trace_set_fini(&model->traces);
	for (size_t i = 0; i < ARRAY_LEN(model->shelves); i++)
		trace_shelf_free(model->shelves[i]);
	free(model->view);
}

static bool is_over(const struct model *model, const struct trace *trace, bool memory_is_short)
{
	uint64_t hold = trace->revision ? TRACE_HOLD_NS : TRACE_UNCLAIMED_NS;
	uint64_t last = MAX(trace->news_ns, trace->observed_ns);

	if (trace->unsettled)
		return false;
	for (const struct observation *o = trace->observations; o; o = o->next) {
		if (o->thread->current == o && !o->thread->dead && !memory_is_short)
			return false; /* a thread still carries it */
		last = MAX(last, o->last_ns);
	}
	return memory_is_short || last + hold < model->now_ns;
}

/* No span of it has come, and no thread carries it any more: it was not sampled, most likely. */
static bool is_unsampled(const struct model *model, const struct trace *trace)
{
	uint64_t last = trace->observed_ns;

	if (trace->revision || trace->span_count)
		return false;
	for (const struct observation *o = trace->observations; o; o = o->next) {
		if (o->thread->current == o && !o->thread->dead)
			return false;
		last = MAX(last, o->last_ns);
	}
	return last + TRACE_UNSAMPLED_NS < model->now_ns;
}

/* What rests without a span waits for one so long that it need not be asked each second. */
static bool is_asked(const struct model *model, const struct trace_place *place, bool is_short)
{
	return !place->is_resting || place->is_settled || is_short ||
	       model->sweeps % UNCLAIMED_EVERY == 0;
}

/* Settled traces stay for a while, in case a late span comes, and those of which none has come yet;
 * then, or when memory is short, they go. Else those that were made within that while need not be
 * looked at: they stand in the order in which they were made. */
void trace_expire(struct model *model)
{
	size_t share = model->options.limit_bytes / 4;
	struct trace_place *place;
	unsigned seen = 0;

	model->sweeps++;
	for (uint32_t at = 0; (place = trace_set_next(&model->traces, &at));) {
		bool is_short = model->stats.trace_bytes + model->stats.fold_bytes > share;
		const struct trace *trace;
		bool is_dropped;

		model_pause(model, seen++);
		if (!is_asked(model, place, is_short))
			continue;
		trace = trace_look_at(model, place);
		if (!trace)
			continue;
		if (!is_short && trace->made_ns + TRACE_HOLD_NS >= model->now_ns)
			return;
		is_dropped = is_short && is_unsampled(model, trace);
		model->stats.traces_unsampled += is_dropped;
		if (is_dropped || is_over(model, trace, false) ||
		    (is_short && trace->revision && is_over(model, trace, true)))
			drop(model, place);
	}
}
