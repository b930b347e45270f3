/* SPDX-License-Identifier: Apache-2.0 */
/* The slices of one thread, for the time of a trace: unpacked once, and asked again and again. */
#include <stdlib.h>

#include "collector/base/macros.h"
#include "correlate/glimpse.h"
#include "correlate/join.h"

#define SEEN_MARGIN_NS (50 * NS_PER_MS)
#define MOST_RESERVED  1024
#define SPARE_SLICES   1024u
#define SLICES_BEYOND  3     /* the trace's end: they tell of the clock then */
#define SUMS_LEAST     1024u /* slices: of fewer each is looked at */

/* A tick that found the tag being written tells nothing: the slice is taken as if it had not come.
 */
static bool is_cut_for_nothing(const struct slice *slice, const struct slice *after)
{
	return slice->flags & EVENT_TAG_OUT_UNKNOWN && stint_goes_on(slice, after);
}

static void extend(struct slice *slice, const struct slice *by)
{
	const uint32_t head = EVENT_IN_LOST | EVENT_OUT_LOST | EVENT_FIRST | EVENT_AFTER_TICK |
			      EVENT_THROTTLED | EVENT_WAKER | EVENT_TAG_IN | EVENT_TAG_IN_NONE;

	slice->out_ns = by->out_ns;
	slice->booked_ns += by->booked_ns;
	slice->raw_lag_out = by->raw_lag_out;
	slice->stolen_out_ns = by->stolen_out_ns;
	slice->flags = (slice->flags & head) | (by->flags & ~(head | EVENT_TOLD));
	slice->state = by->state;
	slice->syscall = by->syscall;
	slice->tag_out = by->tag_out;
	slice->target = by->target;
	slice->stack = by->stack;
}

/* Of those before the trace begins only the last one is kept, which gives the reason of the wait
 * after it, and what tells of that one: the stint and the changes that it belongs to. */
static bool is_over_before(const struct lane *lane, const struct slice *slice, uint64_t begin_ns)
{
	return slice->out_ns < begin_ns && !(slice->flags & EVENT_TOLD) &&
	       !lane->thread->inherited_until_ns;
}

/* `margin_ns`: nothing at all is kept from before that, but for the last one. */
static bool add_slice(struct lane *lane, const struct slice *slice, uint64_t begin_ns,
		      uint64_t margin_ns)
{
	struct slice *last = lane->count ? &lane->slices[lane->count - 1] : NULL;

	if (last && last->flags & EVENT_TAG_OUT_UNKNOWN &&
	    last->in_ns >= lane->thread->folded_until_ns && is_cut_for_nothing(last, slice)) {
		extend(last, slice);
		return true;
	}
	if (slice->out_ns < margin_ns ||
	    (is_over_before(lane, slice, begin_ns) && last && !stint_goes_on(last, slice)))
		lane->count = lane->run_count = 0;
	if (!join_grow((void **)&lane->slices, lane->count, &lane->cap, sizeof(*slice)))
		return false;
	lane->slices[lane->count++] = *slice;
	return true;
}

/* In pieces where the thread was looked at from beside. */
static bool add_pieces(struct lane *lane, const struct slice *slice, uint64_t begin_ns,
		       uint64_t margin_ns)
{
	struct slice rest, piece;

	if (!lane->thread->glimpse_count || slice->out_ns < begin_ns)
		return add_slice(lane, slice, begin_ns, margin_ns);
	rest = *slice;
	while (glimpse_cut(lane->thread, &rest, &piece)) {
		if (!add_slice(lane, &piece, begin_ns, margin_ns))
			return false;
	}
	return add_slice(lane, &rest, begin_ns, margin_ns);
}

/* Up to which slices that are alike are the same for all that is known. */
static uint64_t alike_until(const struct join *join, const struct thread *thread, uint64_t from_ns)
{
	const struct glimpse *next = glimpse_after(thread, from_ns);

	return next ? MIN(join->to_ns, next->time_ns) : join->to_ns;
}

/* Nothing before that was seen of the trace: where it begins, or earlier by what its spans' clock
 * says too late. */
static uint64_t first_seen(const struct join *join)
{
	uint64_t first_ns = join->from_ns;

	for (const struct observation *o = join->trace->observations; o; o = o->next)
		first_ns = o->inherited ? first_ns : MIN(first_ns, o->first_ns);
	return first_ns;
}

/* It is over before the trace begins, and in no stint with the one before it: what comes before
 * tells nothing. */
static bool may_be_first(const struct lane *lane, const struct slice *slice, uint64_t begin_ns,
			 uint64_t margin_ns)
{
	return slice->out_ns < margin_ns ||
	       (is_over_before(lane, slice, begin_ns) && slice->prev_out_ns < slice->in_ns);
}

/* To a slice that may be the first: where a trace before began, or at the begin of a chunk, or of
 * the chunk before: what comes out must not depend on where that is. Returns the slice. */
static const struct slice *seek_lane(const struct lane *lane, uint64_t begin_ns, uint64_t margin_ns,
				     struct timeline_cursor *cursor)
{
	struct timeline *timeline = &lane->thread->timeline;
	const struct timeline_chunk *chunk;
	const struct slice *first;

	for (int place = TIMELINE_MARKS - 1; place >= 0; place--) {
		first = timeline_seek_mark(timeline, place, MAX(margin_ns, begin_ns), cursor);
		if (first && may_be_first(lane, first, begin_ns, margin_ns))
			return first;
	}
	timeline_seek(timeline, MAX(margin_ns, begin_ns), cursor);
	chunk = cursor->chunk;
	first = timeline_next(cursor);
	if (!chunk || !chunk->older || may_be_first(lane, first, begin_ns, margin_ns))
		return first;
	timeline_back(cursor);
	return timeline_next(cursor);
}

/* Room for what the chunks hold from there on, as long as the trace lasts: so that a long lane does
 * not move as it grows. */
static bool reserve(const struct join *join, struct lane *lane, const struct timeline_chunk *chunk)
{
	uint32_t count = 2;

	for (; chunk && chunk->first_ns <= join->to_ns && count < MOST_RESERVED;
	     chunk = chunk->newer)
		count += chunk->count;
	return join_reserve((void **)&lane->slices, MIN(count, MOST_RESERVED), &lane->cap,
			    sizeof(*lane->slices));
}

/* Slices that are like the one before them show nothing new. */
static void note_others(const struct join *join, struct lane *lane, const struct slice *slice)
{
	lane->shows_others |= slice->out_ns > join->from_ns && slice->out_ns < join->to_ns &&
			      !tag_is_none(slice->tag_out) &&
			      !tag_is_of(slice->tag_out, join->trace->id);
}

/* Those right after the last slice that are like it, as long as they end by that moment. */
static bool add_alike(struct lane *lane, struct timeline_cursor *cursor, uint64_t until_ns)
{
	uint32_t number = MAX(lane->run_count, 1), first = lane->count;
	struct timeline_run run;

	if (!join_grow((void **)&lane->runs, number, &lane->run_cap, sizeof(*lane->runs)))
		return false;
	run = timeline_next_alike(cursor, until_ns, lane->slices + first, lane->cap - first,
				  number);
	if (!run.count)
		return true;
	lane->runs[number] =
		(struct lane_run){ first, first + run.count, run.ran_ns, !run.has_empty };
	lane->run_count = number + 1;
	lane->count += run.count;
	return true;
}

static bool unpack_lane(const struct join *join, struct lane *lane)
{
	struct timeline *timeline = &lane->thread->timeline;
	uint64_t margin = join->from_ns > SEEN_MARGIN_NS ? join->from_ns - SEEN_MARGIN_NS : 0;
	uint64_t begin = first_seen(join);
	struct timeline_cursor cursor;
	const struct slice *slice = seek_lane(lane, begin, margin, &cursor);
	bool goes_on = true;
	unsigned beyond = 0;

	if (!reserve(join, lane, cursor.chunk))
		return false;
	if (cursor.chunk == timeline->oldest && timeline->before.slice.out_ns &&
	    !add_slice(lane, &timeline->before.slice, 0, 0))
		return false;
	for (; slice && goes_on; slice = timeline_next(&cursor)) {
		if (is_over_before(lane, slice, begin)) { /* of which only the last is kept */
			timeline_skip_alike(&cursor, begin);
			timeline_mark(timeline, TIMELINE_BEGIN, &cursor);
		}
		if (!add_pieces(lane, slice, begin, margin))
			return false;
		note_others(join, lane, slice);
		if (slice->prev_out_ns > join->to_ns + JOIN_AHEAD_NS)
			break;
		if (slice->prev_out_ns > join->to_ns && !(slice->flags & EVENT_AFTER_TICK) &&
		    ++beyond > SLICES_BEYOND)
			break;
		if (slice->out_ns >= MAX(begin, margin)) /* all that come now are kept */
			goes_on = add_alike(lane, &cursor,
					    alike_until(join, lane->thread, slice->out_ns));
		if (cursor.last.out_ns <= join->to_ns)
			timeline_mark(timeline, TIMELINE_END, &cursor);
	}
	return goes_on;
}

static void free_lane(struct lane *lane)
{
	free(lane->slices);
	free(lane->runs);
	free(lane);
}

/* One with little room is kept for the next trace. */
void lane_put_back(struct model *model, struct lane *lane)
{
	free(lane->stints);
	free(lane->sums);
	free(lane->meant);
	lane->stints = NULL;
	lane->sums = NULL;
	lane->meant = NULL;
	for (size_t i = 0; i < MODEL_SPARE_LANES && lane->cap <= SPARE_SLICES; i++) {
		if (model->spare_lanes[i])
			continue;
		model->spare_lanes[i] = lane;
		return;
	}
	free_lane(lane);
}

void lanes_fini(struct model *model)
{
	for (size_t i = 0; i < MODEL_SPARE_LANES; i++) {
		if (model->spare_lanes[i])
			free_lane(model->spare_lanes[i]);
	}
}

static struct lane *new_lane(struct model *model)
{
	for (size_t i = 0; i < MODEL_SPARE_LANES; i++) {
		struct lane *lane = model->spare_lanes[i];

		if (!lane)
			continue;
		model->spare_lanes[i] = NULL;
		*lane = (struct lane){ .slices = lane->slices,
				       .cap = lane->cap,
				       .runs = lane->runs,
				       .run_cap = lane->run_cap };
		return lane;
	}
	return calloc(1, sizeof(struct lane));
}

struct lane *join_find_lane(const struct join *join, const struct thread *thread)
{
	for (uint32_t i = 0; i < join->lane_count; i++) {
		if (join->lanes[i]->thread == thread)
			return join->lanes[i];
	}
	return NULL;
}

uint32_t lane_first_after(const struct lane *lane, uint64_t time_ns)
{
	uint32_t low = 0, high = lane->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (lane->slices[middle].out_ns <= time_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct slice *lane_on_cpu(const struct lane *lane, uint64_t time_ns)
{
	return lane_on_cpu_about(lane, time_ns, 0);
}

const struct slice *lane_on_cpu_about(const struct lane *lane, uint64_t time_ns, uint64_t cut_ns)
{
	uint32_t index = lane_first_after(lane, time_ns);

	if (index == lane->count || lane->slices[index].in_ns > time_ns + cut_ns)
		return NULL;
	return &lane->slices[index];
}

const struct slice *lane_ran_at_edge(const struct lane *lane, const struct node *node,
				     uint64_t edge_ns)
{
	uint64_t error = node->bound_ns + node->skew_ns + 1;
	uint64_t from_ns = edge_ns - MIN(error, edge_ns);

	return lane_on_cpu_about(lane, from_ns, edge_ns - from_ns + node->cut_ns + error);
}

/* From when on before its switch-in the thread may have been on the CPU, for all that is known. */
static uint64_t earliest_in(const struct lane *lane, uint32_t index)
{
	const struct slice *slice = &lane->slices[index];
	uint64_t before = index ? lane->slices[index - 1].out_ns : 0;
	uint64_t error = slice->stint == STINT_PLAIN ? 0 : lane_stint(lane, slice)->in_early_ns;

	if (slice->gap)
		error = UINT64_MAX;

	return slice->in_ns - MIN(error, slice->in_ns - MIN(before, slice->in_ns));
}

/* Before the slice, within [from, to). */
static uint64_t lost_before(const struct lane *lane, uint32_t index, uint64_t from_ns,
			    uint64_t to_ns)
{
	const struct slice *slice = &lane->slices[index];
	uint64_t start, end = MIN(slice->in_ns, to_ns);

	if (slice->stint == STINT_PLAIN && !slice->gap) /* it came when it says */
		return 0;
	start = MAX(earliest_in(lane, index), from_ns);
	return end - MIN(start, end);
}

static uint64_t ran_in(const struct slice *slice, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t start = MAX(slice->in_ns, from_ns), end = MIN(slice->out_ns, to_ns);

	return end - MIN(start, end);
}

/* Each span of a long trace may ask for most of a lane. Without the memory for it, each is looked
 * at. */
static void sum_up(struct lane *lane)
{
	struct lane_sums sums = { 0 };

	if (lane->count >= SUMS_LEAST)
		lane->sums = reallocarray(NULL, lane->count, sizeof(*lane->sums));
	for (uint32_t i = 0; lane->sums && i < lane->count; i++) {
		const struct slice *slice = &lane->slices[i];

		lane->sums[i] = sums;
		sums.lost_ns += lost_before(lane, i, 0, UINT64_MAX);
		sums.ran_ns += slice->out_ns - slice->in_ns;
	}
}

static int32_t meant_by(const struct join *join, const struct event_tag *tag)
{
	return tag_is_of(tag, join->trace->id) ? join_find(join, tag->span_id) : -1;
}

void lane_find_meant(const struct join *join, struct lane *lane)
{
	if (lane->meant || lane->count < SUMS_LEAST)
		return;
	lane->meant = reallocarray(NULL, lane->count, sizeof(*lane->meant));
	for (uint32_t i = 0; lane->meant && i < lane->count; i++) {
		const struct slice *slice = &lane->slices[i];
		struct lane_meant *meant = &lane->meant[i];

		meant->in = i && slice->tag_in == slice[-1].tag_out ? meant[-1].out
								    : meant_by(join, slice->tag_in);
		meant->out = slice->tag_out == slice->tag_in ? meant->in
							     : meant_by(join, slice->tag_out);
	}
}

int32_t lane_meant_in(const struct join *join, const struct lane *lane, const struct slice *slice)
{
	return lane->meant ? lane->meant[slice - lane->slices].in : meant_by(join, slice->tag_in);
}

int32_t lane_meant_out(const struct join *join, const struct lane *lane, const struct slice *slice)
{
	return lane->meant ? lane->meant[slice - lane->slices].out : meant_by(join, slice->tag_out);
}

struct lane *join_lane(struct join *join, struct thread *thread)
{
	struct lane *lane = join_find_lane(join, thread);

	if (lane)
		return lane;
	if (!join_grow((void **)&join->lanes, join->lane_count, &join->lane_cap,
		       sizeof(*join->lanes)) ||
	    !(lane = new_lane(join->model))) {
		join->out_of_memory = true;
		return NULL;
	}
	lane->thread = thread;
	lane->process = thread->process;
	lane->takes_turns = turns_of_thread(thread, join->from_ns, join->to_ns);
	lane->lag = &join->model->lag;
	lane->until_ns = join->to_ns + JOIN_AHEAD_NS;
	lane->open_until_ns = thread->dead || !thread->seen ? 0 : join->model->now_ns;
	join->lanes[join->lane_count++] = lane;
	if (!unpack_lane(join, lane) || !stint_find(lane)) {
		join->out_of_memory = true;
		lane->count = 0;
	}
	sum_up(lane);
	return lane;
}

/* The slices that [from, to) concerns: from `first` up to the one that reaches its end, or the last
 * one. false: there are none. */
static bool find_range(const struct lane *lane, uint64_t from_ns, uint64_t to_ns, uint32_t *first,
		       uint32_t *last)
{
	if (from_ns >= to_ns)
		return false;
	*first = lane_first_after(lane, from_ns);
	if (*first == lane->count)
		return false;
	*last = MIN(lane_first_after(lane, to_ns - 1), lane->count - 1);
	return true;
}

uint64_t lane_lost_ns(const struct lane *lane, uint64_t from_ns, uint64_t to_ns)
{
	uint32_t first, last;
	uint64_t lost;

	if (!find_range(lane, from_ns, to_ns, &first, &last))
		return 0;
	lost = lost_before(lane, first, from_ns, to_ns);
	if (lane->sums && last > first)
		return lost + lane->sums[last].lost_ns - lane->sums[first + 1].lost_ns +
		       lost_before(lane, last, from_ns, to_ns);
	while (first++ < last)
		lost += lost_before(lane, first, from_ns, to_ns);
	return lost;
}

uint64_t lane_ran_ns(const struct lane *lane, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t ran = lane_lost_ns(lane, from_ns, to_ns);
	uint32_t first, last;

	if (!find_range(lane, from_ns, to_ns, &first, &last))
		return ran;
	ran += ran_in(&lane->slices[first], from_ns, to_ns);
	if (lane->sums && last > first)
		return ran + lane->sums[last].ran_ns - lane->sums[first + 1].ran_ns +
		       ran_in(&lane->slices[last], from_ns, to_ns);
	while (first++ < last)
		ran += ran_in(&lane->slices[first], from_ns, to_ns);
	return ran;
}
