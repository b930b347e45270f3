/* SPDX-License-Identifier: Apache-2.0 */
/* What the lines of a verdict are put together from. Internal to correlate/. */
#pragma once

#include "correlate/ledger.h"

/* Products of times and percentages pass 64 bits. */
static inline bool is_more_than(uint64_t part, unsigned percent, uint64_t whole)
{
	return (unsigned __int128)part * 100 > (unsigned __int128)whole * percent;
}

static inline bool is_less_than(uint64_t part, unsigned percent, uint64_t whole)
{
	return (unsigned __int128)part * 100 < (unsigned __int128)whole * percent;
}

/* Names and addresses come from strangers: what is not printable would break the line. */
void verdict_put_clean(struct buf *out, const char *text, size_t size);

/* That of which most is. */
enum ledger_reason verdict_reason(const struct ledger_split *split);

/* "for the network (10.0.0.5:5432) in Pool.query, woken by postgres" */
void verdict_put_wait(struct buf *out, const struct ledger *ledger, enum ledger_reason reason,
		      const struct ledger_code *code);
