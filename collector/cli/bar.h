/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread's time looks like, one cell per character: on CPU, runnable, blocked by reason,
 * elsewhere. A cell is a letter; with colours it is drawn as a block of the state's shade and
 * colour, so that neither the eye that sees no colours nor the log that keeps none loses a state.
 */
#pragma once

#include <stdint.h>

#include "collector/base/json_read.h"
#include "collector/cli/term.h"
#include "correlate/ledger.h"

#define BAR_OUTSIDE    ' ' /* before or after the span */
#define BAR_UNMEASURED '-' /* no figures: its process publishes no tags */
#define BAR_RUNNING    '#'
#define BAR_RUNNABLE   'r'
#define BAR_ELSEWHERE  '.'
#define BAR_UNKNOWN    '?'

/* All cells but BAR_OUTSIDE, in the order of the legend. */
#define BAR_CELLS "#rLNDPSIFCGUO.?-"

/* What a cell of BAR_CELLS stands for, and its colour where there are more than eight. */
const char *bar_name(char cell);
const char *bar_web_colour(char cell);

/* The letter of a state as the API names it; `reason` counts when it is blocked. */
char bar_cell_of(const char *state, const char *reason);

/* Wall time by state, in ns or in shares: as numbers only their proportions count. */
struct bar_parts {
	double running, runnable, elsewhere, unknown;
	double blocked[REASON_COUNT];
};

/* From a ledger ("running_ns" ...), or from an operation's shares ("running" ...). */
void bar_parts_of_ledger(const struct json_value *ledger, struct bar_parts *out_parts);
void bar_parts_of_shares(const struct json_value *shares, struct bar_parts *out_parts);
double bar_parts_sum(const struct bar_parts *parts);
double bar_parts_blocked(const struct bar_parts *parts);
/* The reason with most; -1: not blocked at all. */
int bar_parts_top_reason(const struct bar_parts *parts);

/* Writes `count` cells in proportion, largest remainders first, so that they always fill up. */
void bar_compose(const struct bar_parts *parts, char *out_cells, unsigned count);

/* Draws the cells. */
void bar_put(const struct term *term, const char *cells, unsigned count, struct buf *out);

/* One line naming each kind of cell that stands in `cells`. */
void bar_legend(const struct term *term, const char *cells, size_t count, struct buf *out);
