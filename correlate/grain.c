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

static void doubt(struct node *node, uint64_t grain)
{
	node->uncertain_ns += grain;
	node->grain_ns += grain;
}

void join_doubt_grain(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		struct node *node = &join->nodes[i];
		uint64_t grain = grain_of(node->span);

		node->cut_ns = grain;
		join->cut_ns = MAX(join->cut_ns, grain);
		doubt(node, grain);
		if (node->parent >= 0)
			doubt(&join->nodes[node->parent], grain);
	}
}
