/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/coarse_clock.h"

#include "collector/base/macros.h"

#define LEAST_TICK_NS (NS_PER_MS / 2)
#define MOST_TICK_NS  (NS_PER_SEC / 50)

static uint64_t told(const struct coarse_clock *clock, uint32_t index)
{
	return clock->told_ns[(clock->first + index) % COARSE_CLOCK_READINGS];
}

void coarse_clock_add(struct coarse_clock *clock, uint64_t unix_ns, uint64_t tick_ns)
{
	uint64_t last_ns = clock->count ? told(clock, clock->count - 1) : 0;

	if (tick_ns < LEAST_TICK_NS || tick_ns > MOST_TICK_NS || unix_ns == last_ns)
		return;
	if (tick_ns != clock->tick_ns || unix_ns < last_ns)
		clock->count = 0;
	clock->tick_ns = tick_ns;
	if (clock->count == COARSE_CLOCK_READINGS)
		clock->first = (clock->first + 1) % COARSE_CLOCK_READINGS;
	else
		clock->count++;
	clock->told_ns[(clock->first + clock->count - 1) % COARSE_CLOCK_READINGS] = unix_ns;
}

/* The number of the first reading that is not before that time. */
static uint32_t find(const struct coarse_clock *clock, uint64_t unix_ns)
{
	uint32_t low = 0, high = clock->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (told(clock, middle) < unix_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Of `count` steps from 0 to `whole_ns`, does one end there? */
static bool is_step(uint64_t at_ns, uint64_t whole_ns, uint64_t count)
{
	uint64_t nearest = (at_ns * count + whole_ns / 2) / whole_ns;

	return distance(at_ns, nearest * whole_ns / count) <= COARSE_CLOCK_OFF_NS;
}

uint64_t coarse_clock_tick(const struct coarse_clock *clock, uint64_t unix_ns)
{
	uint32_t after = find(clock, unix_ns);
	uint64_t from_ns, apart_ns;

	if (after == clock->count)
		return 0;
	if (told(clock, after) == unix_ns)
		return clock->tick_ns;
	if (after == 0)
		return 0;
	from_ns = told(clock, after - 1);
	apart_ns = told(clock, after) - from_ns;
	if (apart_ns > COARSE_CLOCK_APART_NS)
		return 0;
	return is_step(unix_ns - from_ns, apart_ns,
		       MAX(1, (apart_ns + clock->tick_ns / 2) / clock->tick_ns))
		       ? clock->tick_ns
		       : 0;
}
