/* SPDX-License-Identifier: Apache-2.0 */
/* What can be wrong with the ledgers of a schedule: each counts, and prints what it counts. */
#pragma once

#include "tests/unit/correlate/player.h"

#define SLACK_NS 2000 /* clocks are read to about a microsecond */

/* Figures of that span that are further from the truth than allowed. */
unsigned judge_errors(const struct schedule *s, uint32_t span, const struct kept *kept,
		      uint64_t allowed_ns);
/* Spans with figures that are further off than the ledger admits. */
unsigned judge_lies(const struct schedule *s, const struct outcome *outcome);
/* Ledgers that do not add up, are of nobody, or are missing. */
unsigned judge_flaws(const struct schedule *s, const struct outcome *outcome);
/* Prints the grades of all that were asked for flaws, and how much of them was uncertain. */
void judge_tell(void);
/* Spans of other nodes that have figures. */
unsigned judge_foreign(const struct schedule *s, const struct outcome *outcome);
/* Exported spans of a worse grade. */
unsigned judge_below(const struct schedule *s, const struct outcome *outcome,
		     enum ledger_grade least);
/* Ledgers that are not the same, byte for byte. */
unsigned judge_changed(const struct outcome *a, const struct outcome *b);
