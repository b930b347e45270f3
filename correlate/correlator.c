/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/correlator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/join.h"
#include "correlate/trace_rest.h"

#define SWEEP_EVERY_NS NS_PER_SEC
#define LAST_ROUNDS    4 /* of settling again what the round before has taught */

struct correlator {
	struct model model;
};

int correlator_new(const struct correlator_options *options, struct correlator **out_correlator)
{
	struct correlator *correlator = calloc(1, sizeof(*correlator));
	struct model *model;

	if (!correlator)
		return -ENOMEM;
	model = &correlator->model;
	model->options = *options;
	model->stats.reach_ns = options->reach_ns;
	model->kernel = true;
	clock_map_init(&model->clocks);
	map_init(&model->process_by_pid, sizeof(uint32_t), sizeof(struct process *), 0);
	map_init(&model->thread_by_tid, sizeof(uint32_t), sizeof(struct thread *), 0);
	traces_init(model);
	senders_init(model);
	changes_init(model);
	observations_init(model);
	*out_correlator = correlator;
	return 0;
}

void correlator_free(struct correlator *correlator)
{
	struct model *model;

	if (!correlator)
		return;
	model = &correlator->model;
	traces_fini(model);
	world_fini(model);
	lanes_fini(model);
	cpu_lag_fini(&model->lag);
	map_fini(&model->process_by_pid);
	map_fini(&model->thread_by_tid);
	senders_fini(model);
	changes_fini(model);
	observations_fini(model);
	free(correlator);
}

int correlator_record(struct correlator *correlator, const struct event_header *record)
{
	return world_record(&correlator->model, record);
}

int correlator_process(struct correlator *correlator, const struct event_process *process)
{
	return world_process(&correlator->model, process);
}

int correlator_spans(struct correlator *correlator, const struct span_batch *batch)
{
	const struct span *asked = NULL; /* spans of one resource stand together */
	struct trace_source source;
	int first_error = 0;

	for (uint32_t i = 0; i < batch->span_count; i++) {
		const struct span *span = &batch->spans[i];
		int rc;

		if (!asked || asked->resource != span->resource ||
		    asked->process_id != span->process_id)
			source = trace_source(&correlator->model, &batch->resources[span->resource],
					      span);
		asked = span;
		rc = trace_add_span(&correlator->model, span, &source);
		if (rc < 0 && !first_error)
			first_error = rc;
	}
	return first_error;
}

bool correlator_knows_trace(const struct correlator *correlator,
			    const uint8_t trace_id[TRACE_ID_BYTES])
{
	return trace_set_find(&correlator->model.traces, trace_id);
}

bool correlator_has_seen(struct correlator *correlator, const struct span *span)
{
	const struct trace *trace = trace_look(&correlator->model, span->trace_id);

	return trace && trace_carries(trace, span->span_id);
}

bool correlator_knows_owner(const struct correlator *correlator,
			    const struct span_resource *resource, const struct span *span)
{
	return senders_are_known(&correlator->model, trace_resource_key(resource, span));
}

void correlator_clock(struct correlator *correlator, uint64_t mono_before_ns, uint64_t real_ns,
		      uint64_t mono_after_ns)
{
	clock_map_add(&correlator->model.clocks, mono_before_ns, real_ns, mono_after_ns);
}

void correlator_coarse_clock(struct correlator *correlator, uint64_t unix_ns, uint64_t tick_ns)
{
	coarse_clock_add(&correlator->model.coarse, unix_ns, tick_ns);
}

void correlator_gap(struct correlator *correlator, uint64_t from_ns, uint64_t to_ns)
{
	struct model *model = &correlator->model;

	if (from_ns >= to_ns)
		return;
	if (model->gap_count == MODEL_MAX_GAPS) { /* the oldest two become one */
		model->gaps[1].from_ns = model->gaps[0].from_ns;
		memmove(model->gaps, model->gaps + 1, (MODEL_MAX_GAPS - 1) * sizeof(*model->gaps));
		model->gap_count--;
	}
	model->gaps[model->gap_count++] = (struct gap){ from_ns, to_ns };
	loss_forget(model);
}

void correlator_loss(struct correlator *correlator, uint64_t from_ns, uint64_t to_ns,
		     uint64_t count)
{
	if (from_ns < to_ns && count)
		loss_note(&correlator->model, from_ns, to_ns, count);
}

void correlator_kernel(struct correlator *correlator, bool available)
{
	correlator->model.kernel = available;
}

typedef void (*ledger_visit)(const struct ledger *ledgers, size_t count, void *arg);

static int compute(struct model *model, struct trace *trace, bool settled, ledger_visit visit,
		   void *arg)
{
	struct ledger *ledgers = NULL;
	struct ledger_room room;
	struct join join;
	int rc = join_init(&join, model, trace);

	if (rc == 0) {
		ledgers = arena_alloc(&join.arena, (join.count + 1) * sizeof(*ledgers));
		rc = ledgers ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		join_fini(&join);
		return rc;
	}
	if (settled) /* which may concern spans of this trace, too */
		lend_learn(&join);
	join_place(&join);
	join_overlay(&join);
	for (uint32_t i = 0; i < join.count; i++) {
		sweep_node(&join, (int32_t)join.by_depth[i], &room, &ledgers[i]);
		ledgers[i].settled = settled;
		ledgers[i].revision = (uint16_t)(trace->revision + 1);
		if (settled)
			model->stats.ledgers[ledgers[i].grade]++;
	}
	visit(ledgers, join.count, arg);
	if (settled) {
		join_learn(&join);
		model->stats.slices_crowded += join.crowded;
		for (unsigned i = 0; i < CORRELATOR_LIMITS; i++)
			model->stats.limits[i] += join.limits[i] > 0;
	}
	join_fini(&join);
	return 0;
}

static bool is_old(const struct model *model, const struct trace *trace)
{
	return trace->news_ns + model->options.settle_ns <= model->now_ns;
}

/* Its process's clock is behind, and what threads did to its end is yet to come. */
static bool is_early(const struct model *model, const struct trace *trace)
{
	return !is_old(model, trace) && !complete_covers(model, trace, trace->to_ns);
}

static void settle(struct model *model, struct trace *trace, bool is_last)
{
	int rc;

	if (!trace->revision || trace->settled_ns != model->now_ns)
		trace->rounds = 0;
	rc = compute(model, trace, true, model->options.on_ledgers, model->options.arg);
	if (rc == -EAGAIN)
		return; /* no clock reading yet */
	trace->rounds = (uint8_t)MIN(trace->rounds + 1, UINT8_MAX);
	trace_list(model, trace, LIST_AWAKE);
	trace->dirty = trace->again = false;
	trace->unsettled = 0;
	if (rc < 0)
		return;
	model->stats.traces_settled += trace->revision == 0;
	model->stats.traces_revised += trace->revision != 0;
	trace->revision = (uint16_t)MIN(trace->revision + 1, UINT16_MAX - 1);
	trace->settled_ns = model->now_ns;
	for (uint32_t i = 0; i < trace->span_count; i++)
		trace->spans[i].settled = true;
	if (is_last || !is_early(model, trace)) {
		trace_list(model, trace, LIST_FRESH);
		return;
	}
	trace->unsettled = 1;
	trace->dirty = true;
	trace_list(model, trace, LIST_PENDING);
}

static bool is_complete(const struct model *model, struct trace *trace)
{
	int rc = trace->dirty ? -EAGAIN : -ENOENT;

	if (trace->dirty && !relearn_awaits(model, trace))
		rc = complete_check(model, trace);
	if (rc == 0)
		relearn_note_whole(trace);
	trace->dirty = rc == -EAGAIN; /* a new span, or a new observation, makes it dirty again */
	return rc == 0;
}

/* Those that the last one has told something new of. */
static void settle_again(struct model *model)
{
	while (model->pending.oldest && model->pending.oldest->again) {
		struct trace *trace = model->pending.oldest;

		settle(model, trace, false);
		if (trace->again) /* no clock reading yet */
			return;
	}
}

static void settle_due(struct model *model)
{
	struct trace *trace;

	settle_again(model); /* looks from beside may have come: then none below leaves its place */
	for (trace = model->pending.oldest; trace; trace = trace->next) {
		if (trace->dirty)
			relearn_note_hidden(model, trace);
	}
	trace = model->pending.oldest;
	while (trace) {
		struct trace *next = trace->next;

		if (is_old(model, trace) || is_complete(model, trace)) {
			settle(model, trace, false);
			settle_again(model);
		}
		trace = next;
	}
}

/* What settled just now, and before, is told of at once, before anybody is told that it is settled:
 * the first answers of a process are as good as the later ones. */
static void settle_fresh(struct model *model)
{
	for (int round = 0; round < LAST_ROUNDS && relearn_revisit_fresh(model); round++)
		settle_again(model);
}

/* Beyond their share of memory the oldest pending traces are settled with what is known. */
static void relieve(struct model *model)
{
	size_t share = model->options.limit_bytes / 10 * 4;

	while (model->pending.oldest &&
	       model->stats.trace_bytes + model->stats.fold_bytes > share) {
		struct trace *trace = model->pending.oldest;

		settle(model, trace, true);
		if (trace->list == LIST_PENDING)
			return;
		model->stats.traces_forced++;
		trace_free(model, trace);
	}
}

void correlator_limit(struct correlator *correlator, size_t limit_bytes)
{
	correlator->model.options.limit_bytes = limit_bytes;
}

void correlator_advance(struct correlator *correlator, uint64_t now_ns)
{
	struct model *model = &correlator->model;

	model->now_ns = MAX(model->now_ns, now_ns);
	settle_due(model);
	settle_fresh(model);
	relieve(model);
	if (model->last_sweep_ns + SWEEP_EVERY_NS > model->now_ns)
		return;
	model->last_sweep_ns = model->now_ns;
	if (relearn_revisit(model))
		settle_again(model);
	world_expire(model);
	trace_expire(model);
	traces_rest(model);
}

void correlator_settle_all(struct correlator *correlator)
{
	struct model *model = &correlator->model;
	struct trace *trace = model->pending.oldest;

	while (trace) {
		struct trace *next = trace->next;

		settle(model, trace, true);
		settle_again(model);
		trace = next;
	}
	for (int round = 0; round < LAST_ROUNDS && relearn_revisit(model); round++)
		settle_again(model);
}

int correlator_peek(struct correlator *correlator, const uint8_t trace_id[TRACE_ID_BYTES],
		    void (*visit)(const struct ledger *ledgers, size_t count, void *arg), void *arg)
{
	struct trace *trace = trace_find(&correlator->model, trace_id);

	if (!trace || !trace->span_count)
		return -ENOENT;
	return compute(&correlator->model, trace, false, visit, arg);
}

void correlator_stats(const struct correlator *correlator, struct correlator_stats *out_stats)
{
	uint64_t now_unix, bound = 0;

	*out_stats = correlator->model.stats;
	if (clock_map_to_unix(&correlator->model.clocks, correlator->model.now_ns, &now_unix,
			      &bound))
		out_stats->clock_bound_ns = bound;
}
