/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/correlate/wall.h"

#include <assert.h>
#include <stdlib.h>

#include "collector/base/macros.h"

#define MOST_SLEW_PPM  500
#define MOST_SLEWED_NS (2 * MS) /* within the time of a schedule, there and back */

struct wall wall_even(void)
{
	return (struct wall){ .pieces = { { 0, SCHEDULE_EPOCH_NS, 0 } }, .count = 1 };
}

static uint64_t read_piece(const struct wall_piece *piece, uint64_t mono_ns)
{
	int64_t passed = (int64_t)(mono_ns - piece->from_ns);

	return piece->unix_ns + (uint64_t)(passed + passed * piece->slew_ppm / 1000000);
}

static const struct wall_piece *piece_at(const struct wall *wall, uint64_t mono_ns)
{
	uint32_t i = wall->count - 1;

	while (i > 0 && wall->pieces[i].from_ns > mono_ns)
		i--;
	return &wall->pieces[i];
}

uint64_t wall_at(const struct wall *wall, uint64_t mono_ns)
{
	return read_piece(piece_at(wall, mono_ns), mono_ns);
}

static int by_from(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

struct wall wall_random(struct rng *rng, unsigned changes, uint64_t most_ns, uint64_t to_ns)
{
	struct wall wall = wall_even();
	uint64_t at[WALL_MAX_PIECES];

	assert(changes < WALL_MAX_PIECES);
	for (unsigned i = 0; i < changes; i++)
		at[i] = rng_between(rng, SCHEDULE_START_NS, to_ns);
	qsort(at, changes, sizeof(*at), by_from);
	for (unsigned i = 0; i < changes; i++) {
		struct wall_piece next = { at[i], wall_at(&wall, at[i]), 0 };

		if (rng_chance(rng, 50))
			next.slew_ppm =
				(int32_t)rng_below(rng, 2 * MOST_SLEW_PPM + 1) - MOST_SLEW_PPM;
		if (most_ns && rng_chance(rng, 60))
			next.unix_ns += rng_chance(rng, 50) ? rng_scale(rng, US, most_ns)
							    : -rng_scale(rng, US, most_ns);
		wall.pieces[wall.count++] = next;
	}
	return wall;
}

uint64_t wall_told(const struct wall *wall, enum sdk_clock sdk, uint64_t start_ns, uint64_t mono_ns)
{
	switch (sdk) {
	case SDK_MEASURES:
		return wall_at(wall, start_ns) + mono_ns - start_ns;
	case SDK_ANCHORED:
		return wall_at(wall, SCHEDULE_START_NS) + mono_ns - SCHEDULE_START_NS;
	case SDK_OFF:
		return wall_at(wall, mono_ns) + (uint64_t)wall->off_ns;
	default:
		return wall_at(wall, mono_ns);
	}
}

uint64_t wall_strays_ns(const struct wall *wall)
{
	uint64_t strays_ns = (uint64_t)llabs(wall->off_ns);

	for (uint32_t i = 1; i < wall->count; i++) {
		uint64_t now = wall->pieces[i].unix_ns;
		uint64_t was = read_piece(&wall->pieces[i - 1], wall->pieces[i].from_ns);

		strays_ns += (now > was ? now - was : was - now) + MOST_SLEWED_NS;
	}
	return strays_ns;
}
