/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

#define ARENA_LIMIT_BYTES ((size_t)64 << 20)
#define MOST_BEFORE_NS    (1ull << 55) /* a year: no more need be in doubt */

int32_t join_find(const struct join *join, const uint8_t span_id[SPAN_ID_BYTES])
{
	uint32_t low = 0, high = join->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;
		const struct node *node = &join->nodes[join->by_id[middle]];
		int order = memcmp(node->span->span_id, span_id, SPAN_ID_BYTES);

		if (order == 0)
			return (int32_t)join->by_id[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

static int by_id(const void *a, const void *b, void *arg)
{
	const struct node *nodes = arg;

	return memcmp(nodes[*(const uint32_t *)a].span->span_id,
		      nodes[*(const uint32_t *)b].span->span_id, SPAN_ID_BYTES);
}

static int by_start(const void *a, const void *b, void *arg)
{
	const struct node *x = &((const struct node *)arg)[*(const uint32_t *)a];
	const struct node *y = &((const struct node *)arg)[*(const uint32_t *)b];

	if (x->a_ns != y->a_ns)
		return x->a_ns < y->a_ns ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* The wall time is what the span claims, to the nanosecond; where the clock map sees another length
 * (a slew, or a step while it ran) the difference is uncertain. */
static void fix_length(struct node *node, uint64_t bound_ns)
{
	uint64_t claimed = node->a_ns + (node->span->end_unix_ns - node->span->start_unix_ns);

	node->bound_ns = bound_ns;
	node->skew_ns += node->span->backward_ns;
	if (distance(claimed, node->b_ns) > bound_ns)
		node->skew_ns += distance(claimed, node->b_ns);
	node->b_ns = claimed;
}

/* Before the machine was started there is no time to place a span at: it is at 0 then, in doubt by
 * the rest, unless tags tell where it was. */
static bool map_start(const struct clock_map *clocks, struct node *node, uint64_t *out_bound_ns)
{
	uint64_t unix_ns = node->span->start_unix_ns, begin_ns;

	if (clock_map_to_mono(clocks, unix_ns, &node->a_ns, out_bound_ns))
		return true;
	if (!clock_map_to_unix(clocks, 0, &begin_ns, out_bound_ns))
		return false;
	node->a_ns = 0;
	node->before_ns = MIN(distance(begin_ns, unix_ns), MOST_BEFORE_NS);
	node->skew_ns += node->before_ns;
	return true;
}

static bool map_times(struct join *join)
{
	const struct clock_map *clocks = &join->model->clocks;

	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];
		const struct trace_span *span = node->span;
		uint64_t bound_a = 0, bound_b = 0;

		if (!map_start(clocks, node, &bound_a))
			return false;
		if (node->before_ns ||
		    !clock_map_to_mono(clocks, span->end_unix_ns, &node->b_ns, &bound_b))
			node->b_ns = node->a_ns + (span->end_unix_ns - span->start_unix_ns);
		fix_length(node, bound_a + bound_b);
	}
	return true;
}

static void find_extent(struct join *join)
{
	join->from_ns = UINT64_MAX;
	for (uint32_t i = 0; i < join->count; i++) {
		join->from_ns = MIN(join->from_ns, join->nodes[i].a_ns);
		join->to_ns = MAX(join->to_ns, join->nodes[i].b_ns);
	}
}

static void add_sighting(struct join *join, const struct observation *o)
{
	int32_t index = o->inherited ? -1 : join_find(join, o->span_id);

	if (o->fold && !o->inherited)
		join->folded[join->folded_count++] = (struct folded){ o, index };
	if (o->thread->process->forked)
		join->forked[join->forked_count++] = o;
	if (index < 0)
		return;
	join->sightings[join->sighting_count] =
		(struct sighting){ join->nodes[index].sightings, o->thread, o->first_ns, o->last_ns,
				   o };
	join->nodes[index].sightings = (int32_t)join->sighting_count++;
}

static bool add_sightings(struct join *join)
{
	uint32_t count = 0, folded = 0, forked = 0;

	for (const struct observation *o = join->trace->observations; o; o = o->next) {
		count++;
		folded += o->fold ? 1 : 0;
		forked += o->thread->process->forked;
	}
	join->sightings = arena_alloc(&join->arena, (count + 1) * sizeof(*join->sightings));
	join->folded = arena_alloc(&join->arena, (folded + 1) * sizeof(*join->folded));
	join->forked = arena_alloc(&join->arena, (forked + 1) * sizeof(*join->forked));
	if (!join->sightings || !join->folded || !join->forked)
		return false;
	for (const struct observation *o = join->trace->observations; o; o = o->next)
		add_sighting(join, o);
	return true;
}

const struct sighting *join_sighting(const struct join *join, int32_t node,
				     const struct thread *thread)
{
	for (int32_t i = join->nodes[node].sightings; i >= 0; i = join->sightings[i].next) {
		if (join->sightings[i].thread == thread)
			return &join->sightings[i];
	}
	return NULL;
}

/* `latest` is a tree over them: each knot has the greatest end of the two below it, the leaves come
 * last. */
static bool sort_by_start(struct join *join)
{
	qsort_r(join->by_start, join->count, sizeof(*join->by_start), by_start, join->nodes);
	for (join->leaves = 1; join->leaves < join->count;)
		join->leaves *= 2;
	join->latest = arena_alloc(&join->arena, 2 * (size_t)join->leaves * sizeof(*join->latest));
	if (!join->latest)
		return false;
	for (uint32_t i = 0; i < join->count; i++)
		join->latest[join->leaves + i] = join->nodes[join->by_start[i]].b_ns;
	for (uint32_t i = join->leaves - 1; i > 0; i--)
		join->latest[i] = MAX(join->latest[2 * i], join->latest[2 * i + 1]);
	return true;
}

int join_init(struct join *join, struct model *model, struct trace *trace)
{
	uint32_t count = trace->span_count;

	*join = (struct join){
		.model = model, .trace = trace, .count = count, .looks_left = JOIN_MAX_LOOKS
	};
	arena_init(&join->arena, ARENA_LIMIT_BYTES);
	join->nodes = arena_alloc(&join->arena, (count + 1) * sizeof(*join->nodes));
	join->by_id = arena_alloc(&join->arena, (count + 1) * sizeof(*join->by_id));
	join->by_start = arena_alloc(&join->arena, (count + 1) * sizeof(*join->by_start));
	join->meaning = arena_alloc(&join->arena, sizeof(*join->meaning));
	if (!join->nodes || !join->by_id || !join->by_start || !join->meaning)
		return -ENOMEM;
	trace_spans_sort(model, trace);
	for (uint32_t i = 0; i < count; i++) {
		join->nodes[i] = (struct node){ .span = &trace->spans[i],
						.sightings = -1,
						.adopted_by = -1,
						.first_child = -1,
						.next_child = -1 };
		join->by_id[i] = join->by_start[i] = i;
	}
	qsort_r(join->by_id, count, sizeof(*join->by_id), by_id, join->nodes);
	if (!map_times(join))
		return -EAGAIN;
	if (!add_sightings(join) || !tree_find_parents(join))
		return -ENOMEM;
	owner_find(join);
	if (!join_find_grain(join) || !skew_find(join))
		return -ENOMEM;
	find_extent(join);
	if (!tree_number(join) || !sort_by_start(join) || !begun_find(join) ||
	    !adopt_orphans(join) || !tree_list(join))
		return -ENOMEM;
	join_doubt_grain(join);
	join_find_marks(join);
	return 0;
}

/* As late as its process's clock allows. */
static uint64_t latest_end(const struct join *join)
{
	uint64_t latest = 0;

	for (uint32_t i = 0; i < join->count; i++)
		latest = MAX(latest, join->nodes[i].b_ns + join->nodes[i].astray_ns);
	return latest;
}

void join_learn(struct join *join)
{
	join->trace->is_guessed = join->is_guessed;
	join->trace->to_ns = latest_end(join);
	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *node = &join->nodes[i];

		if (node->sightings >= 0 && !node->is_contested)
			senders_note(join->model, node->span->resource_key, node->process);
	}
	for (uint32_t i = 0; i < join->lane_count && join->turns == TURNS_SEEN; i++)
		lesson_note(join, LESSON_WITHIN, join->lanes[i]->process, NULL, join->from_ns,
			    join->to_ns);
	skew_learn(join);
	join->trace->lesson = join->model->lesson;
	aside_learn(join);
	lessons_settle(join);
	company_note(join);
}

void join_fini(struct join *join)
{
	for (uint32_t i = 0; i < join->lane_count; i++)
		lane_put_back(join->model, join->lanes[i]);
	lessons_drop(join->model, &join->lessons);
	free(join->lanes);
	free(join->segments);
	free(join->waits);
	free(join->rounds);
	free(join->holds);
	arena_fini(&join->arena);
}

bool join_reserve(void **array, uint32_t count, uint32_t *cap, size_t item_bytes)
{
	void *moved;

	if (count <= *cap)
		return true;
	moved = realloc(*array, count * item_bytes);
	if (!moved)
		return false;
	*array = moved;
	*cap = count;
	return true;
}

bool join_grow(void **array, uint32_t count, uint32_t *cap, size_t item_bytes)
{
	return count < *cap || join_reserve(array, *cap ? 2 * *cap : 16, cap, item_bytes);
}

bool join_takes_turns(const struct join *join, const struct process *process)
{
	return turns_taken(&process->habits.turns, join->from_ns, join->to_ns);
}

bool join_is_pinned(const struct join *join, const struct process *process,
		    const struct slice *slice)
{
	return (slice->flags & EVENT_TOLD || !join_takes_turns(join, process)) &&
	       slice_keeps_tag(slice) && !tag_is_of(slice->tag_in, join->trace->id);
}

struct wait *join_add_wait(struct join *join, int32_t *out_index)
{
	if (!join_grow((void **)&join->waits, join->wait_count, &join->wait_cap,
		       sizeof(*join->waits))) {
		join->out_of_memory = true;
		return NULL;
	}
	*out_index = (int32_t)join->wait_count;
	return &join->waits[join->wait_count++];
}

void join_add_hold(struct join *join, struct wait *wait, const struct hold *hold)
{
	if (hold->from_ns >= hold->to_ns)
		return;
	if (!join_grow((void **)&join->holds, join->hold_count, &join->hold_cap,
		       sizeof(*join->holds))) {
		join->out_of_memory = true;
		return;
	}
	join->holds[join->hold_count++] = *hold;
	wait->hold_count++;
}

struct segment *join_add_segment(struct join *join)
{
	if (!join_grow((void **)&join->segments, join->segment_count, &join->segment_cap,
		       sizeof(*join->segments))) {
		join->out_of_memory = true;
		return NULL;
	}
	return &join->segments[join->segment_count++];
}

/* The first one from that place on that reaches past that moment; the number of leaves: none. */
static uint32_t next_reaching(const struct join *join, uint32_t place, uint64_t time_ns)
{
	uint32_t at = join->leaves + place;

	if (place >= join->leaves)
		return join->leaves;
	while (join->latest[at] <= time_ns) { /* up, where that is all there is, and on */
		while (at & 1)
			at /= 2;
		if (!at)
			return join->leaves;
		at++;
	}
	while (at < join->leaves)
		at = join->latest[2 * at] > time_ns ? 2 * at : 2 * at + 1;
	return at - join->leaves;
}

int32_t join_next_overlapping(const struct join *join, const struct process *process,
			      uint32_t *place, uint64_t from_ns, uint64_t to_ns)
{
	for (uint32_t i = next_reaching(join, *place, from_ns); i < join->count;
	     i = next_reaching(join, i + 1, from_ns)) {
		uint32_t index = join->by_start[i];
		const struct node *node = &join->nodes[index];

		if (node->a_ns >= to_ns)
			break;
		*place = i + 1;
		if (node->process == process)
			return (int32_t)index;
	}
	return -1;
}

uint32_t join_overlapping(const struct join *join, const struct process *process, uint64_t from_ns,
			  uint64_t to_ns, int32_t *out_nodes, uint32_t max)
{
	uint32_t found = 0, place = 0;
	int32_t index;

	while (found < max &&
	       (index = join_next_overlapping(join, process, &place, from_ns, to_ns)) >= 0)
		out_nodes[found++] = index;
	return found;
}
