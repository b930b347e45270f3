/* SPDX-License-Identifier: Apache-2.0 */
/* The sweep over a few lanes side by side. Stretches of slices that are alike are made as they are
 * reached. What comes out is the same as of all segments in one order (sweep.c). */
#include "correlate/sweep_lanes.h"

#include "collector/base/macros.h"

/* ---- the next stretch of a lane */

void strand_make(const struct rounds *rounds, const struct slice *slice, uint8_t state,
		 struct stretch_of *out)
{
	struct segment *s = &out->segment;

	out->rounds = rounds;
	out->slice = slice;
	*s = (struct segment){ .start_ns = slice[-1].out_ns,
			       .end_ns = slice->in_ns,
			       .since_ns = slice[-1].out_ns,
			       .thread = rounds->thread,
			       .carrier = rounds->owner,
			       .wait = -1,
			       .state = state };
	if (state == STATE_BLOCKED) {
		s->end_ns = rounds_woken_ns(rounds, slice);
		out->wait = rounds_wait(rounds, slice);
	} else if (state == STATE_RUNNABLE) {
		s->start_ns = rounds_woken_ns(rounds, slice);
		s->why = rounds->why;
	} else {
		s->start_ns = s->since_ns = slice->in_ns;
		s->end_ns = slice->out_ns;
		s->cpu_ns = slice->booked_ns;
		s->stack = rounds_stack(rounds, slice);
	}
}

static void make_next(struct strand *strand, struct stretch_of *next)
{
	strand_make(strand->rounds, strand->slice, strand->state, next);
	if (strand->state == STATE_RUNNING && ++strand->slice == strand->rounds->end)
		strand->rounds = NULL;
	strand->state = strand->state == STATE_BLOCKED    ? STATE_RUNNABLE
			: strand->state == STATE_RUNNABLE ? STATE_RUNNING
							  : STATE_BLOCKED;
}

/* The first slice of the rounds that ends after that moment. */
const struct slice *rounds_first_after(const struct rounds *rounds, uint64_t time_ns)
{
	const struct slice *low = rounds->first, *high = rounds->end - 1;

	while (low < high) {
		const struct slice *middle = low + (high - low) / 2;

		if (middle->out_ns <= time_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool take_piece(const struct sweep *sweep, struct strand *strand, struct stretch_of *next)
{
	const struct segment *piece = strand->piece++;

	if (piece->end_ns <= sweep->start_ns ||
	    (piece->carrier != sweep->index &&
	     !node_is_below(sweep->join, piece->carrier, sweep->index)))
		return false;
	if (piece->state != SEGMENT_ROUNDS) {
		next->segment = *piece;
		next->rounds = NULL;
		return true;
	}
	strand->rounds = &sweep->join->rounds[piece->wait];
	strand->slice = rounds_first_after(strand->rounds, sweep->start_ns);
	strand->state = STATE_BLOCKED;
	return false;
}

void strand_look_ahead(const struct sweep *sweep, struct strand *strand)
{
	struct stretch_of *next = strand_next(strand);
	const struct segment *s = &next->segment;

	for (;;) {
		if (strand->rounds) {
			make_next(strand, next);
			if (s->start_ns < s->end_ns && s->end_ns > sweep->start_ns)
				break;
		} else if (strand->piece == strand->end ||
			   strand->piece->start_ns >= sweep->node->b_ns) {
			strand->is_over = true;
			return;
		} else if (take_piece(sweep, strand, next)) {
			break;
		}
	}
	strand->is_over = s->start_ns >= sweep->node->b_ns;
}

void strand_go_on(struct sweep *sweep, struct strand *strand)
{
	strand->now = !strand->now;
	strand->is_there = true;
	sweep_take(sweep, &strand_now(strand)->segment);
	strand_look_ahead(sweep, strand);
}

/* ---- all lanes */

/* Whose next stretch begins first; NULL: there is none. */
static struct strand *first_of(struct strands *strands)
{
	struct strand *first = NULL;

	for (uint32_t i = 0; i < strands->count; i++) {
		struct strand *strand = &strands->all[i];

		if (!strand->is_over && (!first || strand_is_before(&strand_next(strand)->segment,
								    &strand_next(first)->segment)))
			first = strand;
	}
	return first;
}

static bool is_over(const struct join *join, const struct segment *s, const struct segment *other)
{
	if (sweep_decides_over(join, s, other))
		return true;
	return !sweep_decides_over(join, other, s) && strand_is_before(s, other);
}

/* Whom that instant is given to. `*until_ns` is when the first one ends, `*count` how many there
 * are. */
static struct strand *decide(struct strands *strands, uint64_t time_ns, uint64_t *until_ns,
			     uint32_t *count)
{
	struct strand *best = NULL;

	for (uint32_t i = 0; i < strands->count; i++) {
		struct strand *strand = &strands->all[i];
		const struct segment *s = &strand_now(strand)->segment;

		strand->is_there = strand->is_there && s->end_ns > time_ns;
		if (!strand->is_there)
			continue;
		++*count;
		*until_ns = MIN(*until_ns, s->end_ns);
		if (!best || is_over(strands->sweep->join, s, &strand_now(best)->segment))
			best = strand;
	}
	return best;
}

/* While a lane runs, it does not matter what others that do not are at. As many as sweep.c goes
 * over at once. Returns when the first one begins that does matter. */
static uint64_t pass_hidden(struct strands *strands, uint64_t until_ns, uint32_t count)
{
	struct strand *first;

	while ((first = first_of(strands)) && strand_next(first)->segment.start_ns < until_ns) {
		if (strand_next(first)->segment.state == STATE_RUNNING ||
		    count++ >= SWEEP_MAX_LANES / 2)
			return strand_next(first)->segment.start_ns;
		strand_go_on(strands->sweep, first);
	}
	return until_ns;
}

/* From one change to the next. Returns when that is. */
static uint64_t step(struct strands *strands, uint64_t time)
{
	struct sweep *sweep = strands->sweep;
	uint64_t until = sweep->node->b_ns;
	const struct segment *s = NULL;
	const struct wait *wait = NULL;
	struct strand *best, *first;
	uint32_t count = 0;

	while ((first = first_of(strands)) && strand_next(first)->segment.start_ns <= time)
		strand_go_on(sweep, first);
	best = decide(strands, time, &until, &count);
	if (best)
		s = &strand_now(best)->segment;
	if (s && s->state == STATE_RUNNING)
		until = pass_hidden(strands, MIN(s->end_ns, sweep->node->b_ns), count);
	else if (first)
		until = MIN(until, strand_next(first)->segment.start_ns);
	if (s && s->state == STATE_BLOCKED)
		wait = s->wait >= 0 ? &sweep->join->waits[s->wait] : &strand_now(best)->wait;
	sweep_account(sweep, time, until, s, wait);
	return until;
}

/* The first of its pieces that may be the span's. They stand one after the other. */
static const struct segment *first_piece(const struct sweep *sweep, const struct lane *lane)
{
	const struct segment *low = sweep->join->segments + lane->first_segment;
	const struct segment *high = low + lane->segment_count;

	while (low < high) {
		const struct segment *middle = low + (high - low) / 2;

		if (middle->end_ns <= sweep->start_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void begin(struct strands *strands, struct sweep *sweep)
{
	const struct join *join = sweep->join;

	strands->sweep = sweep;
	strands->count = 0;
	for (uint32_t i = 0; i < join->lane_count; i++) {
		const struct lane *lane = join->lanes[i];
		struct strand *strand = &strands->all[strands->count];

		if (!lane->segment_count)
			continue;
		strand->first = strand->piece = first_piece(sweep, lane);
		strand->end = join->segments + lane->first_segment + lane->segment_count;
		strand->rounds = NULL;
		strand->is_there = false;
		strand->now = 0;
		strand_look_ahead(sweep, strand);
		strands->count++;
	}
}

/* No other one has anything of the span. */
static bool is_only(const struct strands *strands, const struct strand *strand)
{
	for (uint32_t i = 0; i < strands->count; i++) {
		if (!strands->all[i].is_over && &strands->all[i] != strand)
			return false;
	}
	return true;
}

void sweep_lanes(struct sweep *sweep)
{
	uint64_t time = sweep->start_ns, end = sweep->node->b_ns;
	struct strands strands;
	const struct strand *first;

	begin(&strands, sweep);
	first = first_of(&strands);
	sweep->first_seen_ns = first ? first->both[!first->now].segment.start_ns : UINT64_MAX;
	if (!first || is_only(&strands, first)) {
		sweep_alone(sweep, first ? first->first : NULL, first ? first->end : NULL);
		return;
	}
	while (time < end) {
		time = step(&strands, time);
		if (time < end)
			time = sweep_rounds(&strands, time);
	}
}
