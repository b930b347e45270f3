/* SPDX-License-Identifier: Apache-2.0 */
/* The true ledger of a span: slow, and so plain that it must be right.
 *
 * The span's time is cut wherever anything at all changes, and each piece is judged by itself, by
 * the words of the design (sec. 4). An unexported span is none that a reader could know of: what
 * was done for it was done for the nearest exported one above. */
#pragma once

#include "tests/unit/correlate/schedule.h"

struct true_ledger {
	uint64_t wall_ns;
	uint64_t cpu_ns, cpu_self_ns;
	struct ledger_split all, self;
};

struct true_ledger oracle_ledger(const struct schedule *schedule, int32_t span);

/* The exported span above or at it; -1: none. */
int32_t oracle_exported(const struct schedule *schedule, int32_t span);
/* `span` is `above` or below it, all the way within one process. */
bool oracle_is_below(const struct schedule *schedule, int32_t span, int32_t above);
