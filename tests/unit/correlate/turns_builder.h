/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that tells when its tag changes. Two spans of one trace, siblings below nobody, take
 * turns on it between 1000 and 1010 ms: A, B, A, none, B. */
#pragma once

#include "tests/unit/correlate/world_builder.h"

#define A          1
#define B          2
#define FUTEX      202
#define EPOLL_WAIT 232

struct turn {
	uint64_t at_ns, span;
};

static const struct turn turns[] __attribute__((unused)) = {
	{ 1001 * MS, A }, { 1002 * MS, B }, { 1003 * MS, A }, { 1006 * MS, 0 }, { 1008 * MS, B },
};

static inline void tell_of(struct builder *b, const struct builder_thread *t,
			   const struct turn *told, uint32_t count, uint32_t is_first)
{
	struct event_changes record = { .header = { .kind = EVENT_CHANGES,
						    .bytes = (uint16_t)EVENT_CHANGES_BYTES(count) },
					.pid = t->pid,
					.tid = t->tid,
					.count = count,
					.is_first = is_first };

	for (uint32_t i = 0; i < count; i++)
		record.changes[i] =
			(struct event_change){ told[i].at_ns, builder_tag(b, told[i].span) };
	assert_int_equal(correlator_record(b->correlator, &record.header), 0);
}

static inline void tell(struct builder *b, uint32_t tid, const struct turn *told, uint32_t count,
			uint32_t is_first)
{
	tell_of(b, &(struct builder_thread){ .pid = BUILDER_PID, .tid = tid }, told, count,
		is_first);
}

static inline void begin(struct builder *b, struct builder_thread *t)
{
	*t = (struct builder_thread){ .pid = BUILDER_PID, .tid = 11 };
	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, t);
}

static inline void end(struct builder *b)
{
	builder_span(b, A, 0, 1001 * MS, 1006 * MS);
	builder_span(b, B, 0, 1002 * MS, 1010 * MS);
	builder_settle(b);
}

static inline void slice(struct builder *b, struct builder_thread *t, uint32_t flags)
{
	builder_slice(b, t, 1000 * MS, 1000 * MS, 1010 * MS, B, flags, -1);
	builder_slice(b, t, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
}

static inline uint64_t refused(const struct builder *b)
{
	struct correlator_stats stats;

	correlator_stats(b->correlator, &stats);
	return stats.changes_refused;
}
