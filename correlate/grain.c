/* SPDX-License-Identifier: Apache-2.0 */
/* SDKs whose clocks tell whole milliseconds, or microseconds.
 *
 * Both edges of a span are cut to the grain, each by less than one. A figure gains at one edge what
 * the cut gave it there, and loses at the other: it is off by less than a grain, in either
 * direction. The parent's own share is off by as much. A clock that tells nanoseconds shows both
 * edges at whole microseconds once in a million spans. */
#include "collector/base/macros.h"
#include "correlate/join.h"

static uint64_t grain_of(const struct trace_span *span)
{
	static const uint64_t grains[] = { NS_PER_SEC, NS_PER_MS, NS_PER_MS / 1000 };

	for (size_t i = 0; i < ARRAY_LEN(grains); i++) {
		if (span->start_unix_ns % grains[i] == 0 && span->end_unix_ns % grains[i] == 0)
			return grains[i];
	}
	return 0;
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

void join_find_grain(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		node->cut_ns = grain_of_node(join, node);
		join->cut_ns = MAX(join->cut_ns, node->cut_ns);
	}
}

void join_doubt_grain(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];

		doubt(node, node->cut_ns);
		if (node->parent >= 0)
			doubt(&join->nodes[node->parent], node->cut_ns);
	}
}
