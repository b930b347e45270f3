/* SPDX-License-Identifier: Apache-2.0 */
/* What a block holds of one operation in one minute: enough to know that a search need not open it,
 * and how good its best row can be. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/map.h"
#include "storage/block.h"

#define SUMMARY_ALL      UINT32_MAX /* operation: the whole block */
#define SUMMARY_ANY_BITS 0xff       /* of a row whose span is not known: may be anything */

struct summary {
	uint32_t operation;
	uint32_t minute; /* of the start: Unix ns / 60e9 */
	uint32_t seq;    /* of the block; 0 in the block itself */
	uint32_t count;
	uint64_t min_start_unix_ns, max_start_unix_ns;
	uint64_t max_wall_ns;
	uint64_t max_blocked_rank;
	uint64_t max_ratio_rank;
	uint16_t reasons;
	uint8_t grades;   /* 1 << enum ledger_grade */
	uint8_t statuses; /* 1 << enum span_status */
	uint8_t kinds;    /* 1 << enum span_kind */
	uint8_t block_kind;
	uint16_t zero;
};

_Static_assert(sizeof(struct summary) == 64, "on disk");

/* Lower ratios rank higher; 0: no ratio (negative). */
uint64_t summary_ratio_rank(double ratio);
uint32_t summary_minute(uint64_t unix_ns);

/* Widens `summary` by one row. */
void summary_add_span(struct summary *summary, const struct block_span *row);
void summary_add_ledger(struct summary *summary, const struct block_ledger *row);
struct summary summary_of(uint32_t operation, uint32_t minute, enum block_kind kind);

/* A summary of a packed block is of all minutes: that is 0. It has grades if it has ledgers. */

#define SUMMARY_RECENT 16u

/* Gathers the summaries of one block, SUMMARY_ALL first, the others in order of appearance. */
struct summary_set {
	struct map places;               /* (operation, minute) -> index + 1 */
	struct buf list;                 /* of struct summary */
	uint32_t recent[SUMMARY_RECENT]; /* by operation: index + 1 of the one asked for last */
};

void summary_set_init(struct summary_set *set, uint64_t seed);
void summary_set_fini(struct summary_set *set);
void summary_set_clear(struct summary_set *set, enum block_kind kind);
/* -ENOMEM. */
int summary_set_span(struct summary_set *set, const struct block_span *row);
int summary_set_ledger(struct summary_set *set, const struct block_ledger *row);
/* A row of a packed block; `ledger` NULL: it has none. */
int summary_set_packed(struct summary_set *set, const struct block_span *span,
		       const struct block_ledger *ledger);
