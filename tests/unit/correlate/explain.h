/* SPDX-License-Identifier: Apache-2.0 */
/* What a span's process did about that time, and what was told of it: for who looks for the cause
 * of a lie. Times are ms since the schedule began. */
#pragma once

#include "tests/unit/correlate/schedule.h"

/* So much before and after it; 0: nothing is explained. */
extern uint64_t explain_margin_ns;

void explain_span(const struct schedule *schedule, uint32_t span);
