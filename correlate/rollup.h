/* SPDX-License-Identifier: Apache-2.0 */
/* What many spans of one operation have in common: numbers, sums, quantiles, waits, examples.
 *
 * A cell is a delta: cells are merged by adding, and a ledger that was replaced is taken out by
 * adding it with the sign -1. So all counts are signed, and only the sum of all deltas is a result.
 * Quantiles are those of correlate/sketch.h, with its bound. Figures (cpu, ratio, runnable,
 * blocked) come from spans graded inferred, bounded or exact; `count` and wall from all. Not thread
 * safe. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "correlate/ledger.h"

enum rollup_sum {
	ROLLUP_COUNT,
	ROLLUP_ERRORS,
	ROLLUP_GRADES, /* + enum ledger_grade: spans of that grade */
	ROLLUP_WALL_NS = ROLLUP_GRADES + GRADE_EXACT + 1, /* of all */
	ROLLUP_FIGURED_WALL_NS,                           /* of those with figures, as the rest */
	ROLLUP_CPU_NS,
	ROLLUP_RUNNING_NS,
	ROLLUP_RUNNABLE_NS,
	ROLLUP_ELSEWHERE_NS,
	ROLLUP_UNKNOWN_NS,
	ROLLUP_BLOCKED_NS, /* + enum ledger_reason */
	ROLLUP_SUMS = ROLLUP_BLOCKED_NS + REASON_COUNT,
};

/* What has quantiles. A zero of runnable and blocked is not noted: it is what is missing. */
enum rollup_measure {
	ROLLUP_WALL, /* ns */
	ROLLUP_CPU,
	ROLLUP_RATIO, /* in millionths */
	ROLLUP_RUNNABLE,
	ROLLUP_BLOCKED, /* + enum ledger_reason */
	ROLLUP_MEASURES = ROLLUP_BLOCKED + REASON_COUNT,
};

#define ROLLUP_RATIO_ONE 1000000
#define ROLLUP_MAX_WAITS 16 /* distinct ones of a cell; the rest is summed by reason */

struct rollup_bucket {
	int64_t count;
	uint32_t key; /* measure * SKETCH_BUCKETS + bucket */
};

#define ROLLUP_REST UINT8_MAX /* target.kind: several targets, summed */

struct rollup_wait {
	struct event_target target; /* without what differs from span to span: rollup_target() */
	uint64_t stack;             /* an id, or enum event_no_stack */
	uint8_t reason;
	int64_t ns;
	int64_t count;
};

enum rollup_example_kind {
	ROLLUP_SLOW,      /* the longest wall */
	ROLLUP_LOW_RATIO, /* the lowest ratio */
	ROLLUP_TYPICAL,   /* drawn at random: many cells give some near the median */
	ROLLUP_EXAMPLES,
};

struct rollup_example {
	uint8_t trace_id[TRACE_ID_BYTES]; /* zero: there is none */
	uint8_t span_id[SPAN_ID_BYTES];
	uint64_t wall_ns;
	uint64_t ratio; /* in millionths; UINT64_MAX: no figures */
};

struct rollup_pages; /* rollup_pages.h */

/* All zeros is an empty one. */
struct rollup_cell {
	int64_t sums[ROLLUP_SUMS];
	struct rollup_bucket *buckets; /* owned; by key */
	struct rollup_wait *waits;     /* owned */
	uint32_t bucket_count, bucket_cap;
	uint32_t wait_count, wait_cap;
	struct rollup_pages *pages; /* owned; NULL, as mostly: counts are in the buckets */
	struct rollup_example examples[ROLLUP_EXAMPLES];
};

void rollup_cell_fini(struct rollup_cell *cell);

/* `sign` 1 adds, -1 takes out. -ENOMEM: the cell is then to be thrown away; so with all below. */
int rollup_cell_add(struct rollup_cell *cell, const struct ledger *ledger, bool is_error, int sign);
/* A span without figures, for which no ledger was made. */
struct rollup_span {
	const uint8_t *trace_id, *span_id; /* borrowed */
	uint64_t wall_ns;
	bool is_error;
};
int rollup_cell_add_plain(struct rollup_cell *cell, const struct rollup_span *span);
int rollup_cell_merge(struct rollup_cell *cell, const struct rollup_cell *other);

/* A cell as bytes, in streams of what is alike: those of many cells, each stream for itself, are
 * compressed better than the cells. */
enum rollup_stream {
	ROLLUP_NUMBERS, /* the version, sums, and what is in no other stream */
	ROLLUP_STEPS,   /* from bucket to bucket */
	ROLLUP_COUNTS,  /* of buckets that have more than one */
	ROLLUP_KINDS,   /* of waits */
	ROLLUP_IDS,     /* of examples: random */
	ROLLUP_STREAMS,
};

struct rollup_code {
	struct buf streams[ROLLUP_STREAMS]; /* owned */
};

struct rollup_bytes {
	struct str streams[ROLLUP_STREAMS]; /* borrowed */
};

void rollup_code_init(struct rollup_code *code);
void rollup_code_fini(struct rollup_code *code);
void rollup_code_clear(struct rollup_code *code);
/* The streams one after the other, and where they are in what that appends. -EBADMSG. */
void rollup_code_put(const struct rollup_code *code, struct buf *out);
int rollup_bytes_get(struct str bytes, struct rollup_bytes *out_bytes);

/* Appends. */
void rollup_cell_encode(const struct rollup_cell *cell, struct rollup_code *code);
/* What is decoded is merged; `out_examples` (may be NULL) gets its own ones. -EBADMSG: damaged;
 * -EPROTO: a newer version. */
int rollup_cell_decode(struct rollup_cell *cell, const struct rollup_bytes *bytes,
		       struct rollup_example out_examples[ROLLUP_EXAMPLES]);

/* Heap memory. */
size_t rollup_cell_bytes(const struct rollup_cell *cell);

/* A sum that is a result: never negative. */
uint64_t rollup_cell_sum(const struct rollup_cell *cell, unsigned sum);
uint64_t rollup_cell_figured(const struct rollup_cell *cell); /* number of spans with figures */
/* sum(cpu) / sum(wall) over those; negative: there are none. */
double rollup_cell_ratio(const struct rollup_cell *cell);
/* The value that a share of `quantile` (0 to 1) of the spans does not exceed, 0 without spans. */
uint64_t rollup_cell_quantile(const struct rollup_cell *cell, unsigned measure, double quantile);

bool rollup_wait_is_same(const struct rollup_wait *a, const struct rollup_wait *b);

/* The target as waits are summed by: a lock's address and a connection's own port say nothing
 * beyond one process. */
struct event_target rollup_target(const struct event_target *target);
