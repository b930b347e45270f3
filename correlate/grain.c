/* SPDX-License-Identifier: Apache-2.0 */
/* SDKs whose clocks tell whole milliseconds, or microseconds.
 *
 * Both edges of a span are cut to the grain, each by less than one. A figure gains at one edge what
 * the cut gave it there, and loses at the other: it is off by less than a grain, in either
 * direction. The parent's own share is off by as much. A clock that tells nanoseconds shows both
 * edges at whole microseconds once in a million spans.
 *
 * Some read milliseconds at a span's start only, and add its length by a finer clock
 * (JavaScript's), or do so for all that is below it in the process as well (Java 8's): all these
 * are moved by what the start was cut. A clock that tells nanoseconds shows an edge at a whole
 * millisecond as rarely.
 *
 * CLOCK_REALTIME_COARSE stands still from one timer tick to the next, at any nanosecond. Its times
 * are those that it told the daemon, too (coarse_clock.h), as far as that has asked. It also shows
 * by a span without length, or two edges at their parents', where all others are as long as so many
 * ticks. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/join.h"

#define US_NS (NS_PER_MS / 1000)

/* One edge is at a whole millisecond, and by the other one its clock does not tell microseconds. */
static bool is_cut(uint64_t edge_ns, uint64_t other_ns)
{
	return edge_ns % NS_PER_MS == 0 && other_ns % US_NS != 0;
}

static bool is_cut_at_start(const struct trace_span *span)
{
	return is_cut(span->start_unix_ns, span->end_unix_ns);
}

static uint64_t grain_of(const struct trace_span *span)
{
	static const uint64_t grains[] = { NS_PER_SEC, NS_PER_MS, US_NS };

	for (size_t i = 0; i < ARRAY_LEN(grains); i++) {
		if (span->start_unix_ns % grains[i] == 0 && span->end_unix_ns % grains[i] == 0)
			return grains[i];
	}
	return is_cut_at_start(span) || is_cut(span->end_unix_ns, span->start_unix_ns) ? NS_PER_MS
										       : 0;
}

/* Both edges of a span without length are one reading: that lies at a whole millisecond of a clock
 * that tells microseconds once in a thousand. Others of the same resource tell better, if there are
 * any. */
static uint64_t grain_of_resource(const struct join *join, const struct trace_span *span)
{
	uint64_t grain = UINT64_MAX;

	for (uint32_t i = 0; i < join->count && grain; i++) {
		const struct trace_span *other = join->nodes[i].span;

		if (other->start_unix_ns != other->end_unix_ns &&
		    other->resource_key == span->resource_key)
			grain = MIN(grain, grain_of(other));
	}
	return MIN(grain, grain_of(span));
}

static uint64_t grain_of_node(const struct join *join, const struct node *node)
{
	if (node->span->start_unix_ns == node->span->end_unix_ns && grain_of(node->span))
		return grain_of_resource(join, node->span);
	return grain_of(node->span);
}

static void doubt(struct node *node, uint64_t grain)
{
	node_doubt(node, grain);
	node->grain_ns += grain;
}

#define TICKS          4
#define ENOUGH_ALIKE   2  /* a library may give a child its parent's edge */
#define MOST_RESOURCES 16 /* of a trace; of further ones each span is on its own */

static const uint64_t ticks_ns[TICKS] = { NS_PER_SEC / 100, NS_PER_SEC / 250, NS_PER_SEC / 300,
					  NS_PER_MS };

/* What the spans of a resource show of its clock. */
struct tick {
	uint64_t resource_key;
	unsigned alike; /* edges at the same nanosecond as another one */
	bool fits[TICKS];
};

struct ticks {
	struct tick all[MOST_RESOURCES];
	uint32_t count;
};

/* `last` is for those beyond. */
static struct tick *tick_of(struct ticks *ticks, uint64_t resource_key, struct tick *last)
{
	struct tick *tick = last;

	for (uint32_t i = 0; i < ticks->count; i++) {
		if (ticks->all[i].resource_key == resource_key)
			return &ticks->all[i];
	}
	if (ticks->count < MOST_RESOURCES)
		tick = &ticks->all[ticks->count++];
	*tick = (struct tick){ .resource_key = resource_key };
	memset(tick->fits, true, sizeof(tick->fits));
	return tick;
}

/* The time of day is slewed by a two thousandth at most. */
static bool is_so_many(uint64_t length_ns, uint64_t tick_ns)
{
	uint64_t rest = (length_ns + tick_ns / 2) % tick_ns;

	return distance(rest, tick_ns / 2) <= 100 + length_ns / 2000;
}

/* How often a reading of the clock told the same as another one did: its own, or its parent's. */
static unsigned count_alike(const struct join *join, const struct node *node)
{
	const struct trace_span *span = node->span, *above;

	if (span->backward_ns || grain_of(span))
		return 0;
	if (span->start_unix_ns == span->end_unix_ns)
		return ENOUGH_ALIKE;
	above = node->any_parent >= 0 ? join->nodes[node->any_parent].span : span;
	if (above == span || above->resource_key != span->resource_key)
		return 0;
	return (above->start_unix_ns == span->start_unix_ns) +
	       (above->end_unix_ns == span->end_unix_ns);
}

static void look_at_ticks(struct tick *tick, const struct join *join, const struct node *node)
{
	uint64_t length_ns = node->span->end_unix_ns - node->span->start_unix_ns;

	tick->alike += count_alike(join, node);
	for (unsigned i = 0; i < TICKS; i++)
		tick->fits[i] &= is_so_many(length_ns, ticks_ns[i]);
}

static uint64_t told_by(const struct tick *tick)
{
	for (unsigned i = 0; i < TICKS && tick->alike >= ENOUGH_ALIKE; i++) {
		if (tick->fits[i])
			return ticks_ns[i];
	}
	return 0;
}

static void find_ticks(struct join *join)
{
	struct ticks ticks = { .count = 0 };
	struct tick last;

	for (uint32_t i = 0; i < join->count; i++) {
		const struct node *node = &join->nodes[i];

		look_at_ticks(tick_of(&ticks, node->span->resource_key, &last), join, node);
	}
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];
		struct tick *tick = tick_of(&ticks, node->span->resource_key, &last);

		if (tick == &last)
			look_at_ticks(tick, join, node);
		node->cut_ns = MAX(node->cut_ns, told_by(tick));
	}
}

/* Both edges are times that the coarse clock told. */
static uint64_t tick_of_span(const struct join *join, const struct trace_span *span)
{
	const struct coarse_clock *clock = &join->model->coarse;

	return coarse_clock_tick(clock, span->end_unix_ns)
		       ? coarse_clock_tick(clock, span->start_unix_ns)
		       : 0;
}

enum shift { SHIFT_NOT_KNOWN, SHIFT_NONE, SHIFT_BY_START };

static int32_t parent_of_resource(const struct join *join, int32_t index)
{
	const struct node *node = &join->nodes[index];

	if (node->any_parent < 0 ||
	    join->nodes[node->any_parent].span->resource_key != node->span->resource_key)
		return -1;
	return node->any_parent;
}

/* Its own start, or that of one above it, was cut, and its end was not: then all in between are. */
static enum shift find_shift(const struct join *join, uint8_t *shifts, int32_t from)
{
	enum shift shift = SHIFT_NONE;
	int32_t top = from;

	for (; top >= 0 && !shifts[top]; top = parent_of_resource(join, top)) {
		if (is_cut_at_start(join->nodes[top].span)) {
			shift = SHIFT_BY_START;
			break;
		}
	}
	if (top >= 0 && shifts[top])
		shift = (enum shift)shifts[top];
	for (int32_t at = from; at >= 0 && at != top; at = parent_of_resource(join, at))
		shifts[at] = (uint8_t)shift;
	if (top >= 0)
		shifts[top] = (uint8_t)shift;
	return shift;
}

/* A clock that tells nanoseconds does not tell the same one twice, unless somebody keeps what it
 * told, for as long as his loop's turn takes. */
static bool is_instant(const struct node *node)
{
	const struct trace_span *span = node->span;

	return span->start_unix_ns == span->end_unix_ns && !span->backward_ns && !node->cut_ns;
}

bool join_find_grain(struct join *join)
{
	uint8_t *shifts = arena_alloc(&join->arena, join->count + 1);

	if (!shifts)
		return false;
	memset(shifts, SHIFT_NOT_KNOWN, join->count + 1);
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		node->cut_ns = MAX(grain_of_node(join, node), tick_of_span(join, node->span));
		if (find_shift(join, shifts, (int32_t)i) == SHIFT_BY_START)
			node->cut_ns = MAX(node->cut_ns, NS_PER_MS);
	}
	find_ticks(join);
	for (uint32_t i = 0; i < join->count; i++) {
		join->cut_ns = MAX(join->cut_ns, join->nodes[i].cut_ns);
		join->nodes[i].is_instant = is_instant(&join->nodes[i]);
	}
	return true;
}

#define EVEN_NS 500 /* what clocks are off by that are neither set nor slewed, at most */

/* Of many children less would add up to more than it is. */
static uint64_t off_by(const struct node *node)
{
	uint64_t error = node->bound_ns + node->skew_ns;

	return error > EVEN_NS ? error : 0;
}

/* By a child's edges its parent has less of its own; and comes to a thread that shows nothing else.
 */
void join_doubt_grain(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		doubt(node, node->cut_ns);
		if (node->parent >= 0)
			doubt(&join->nodes[node->parent], node->cut_ns + off_by(node));
	}
}
