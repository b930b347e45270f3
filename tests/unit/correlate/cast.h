/* SPDX-License-Identifier: Apache-2.0 */
/* Services for the claims of the property test, played to their ends. All follow from the seed. */
#pragma once

#include "tests/unit/correlate/schedule.h"

enum cast_clocks { CLOCKS_AS_SEED, CLOCKS_TOLD, CLOCKS_UNTOLD };

/* Whether ticks tell of clocks changes nothing else of what happens. */
extern enum cast_clocks cast_clocks;

struct schedule *cast_random(uint64_t seed, struct schedule_knobs knobs);
/* With all that a CPU's clock can do wrong, as the seed says. */
struct schedule *cast_hard(uint64_t seed);
struct schedule_knobs cast_knobs(uint64_t seed);
struct schedule *cast_with(uint64_t seed, bool is_exact, bool has_forks);
/* A service of one thread, to be given something to do. */
uint32_t cast_one_thread(struct schedule *schedule);
struct schedule *cast_simple(uint64_t seed);
/* Without a pid in the resource, who sends what is learned as time goes by: order matters then. */
void cast_name_processes(struct schedule *schedule);
