/* SPDX-License-Identifier: Apache-2.0 */
/* What goes missing of a schedule's records on their way. The truth stays as it is. */
#pragma once

#include "tests/unit/correlate/schedule.h"

/* Any of them found the ring full. */
void losses_of_records(struct schedule *schedule, struct rng *rng, unsigned percent);
/* ... all of that time did. */
void losses_of_burst(struct schedule *schedule, uint64_t from_ns, uint64_t to_ns);
/* Records arrive, but their switch-ins were not reported. */
void losses_of_switch_ins(struct schedule *schedule, struct rng *rng, unsigned percent);
/* Between those times nobody watched. */
void losses_of_time(struct schedule *schedule, uint64_t from_ns, uint64_t to_ns);
/* There was no place for the thread: that alone is told, whenever it would have been recorded. */
void losses_of_thread(struct schedule *schedule, uint32_t thread, uint64_t from_ns, uint64_t to_ns);
