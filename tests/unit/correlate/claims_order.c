/* SPDX-License-Identifier: Apache-2.0 */
/* In whatever order things come, the ledgers are the same in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "tests/unit/correlate/claims.h"

static unsigned check_deterministic(uint64_t seed)
{
	struct schedule *s = cast_hard(seed);
	struct outcome first = play(s, &play_in_time), second = play(s, &play_in_time);
	unsigned wrong = judge_changed(&first, &second);

	outcome_free(&first);
	outcome_free(&second);
	schedule_free(s);
	return wrong;
}

void the_same_inputs_give_the_same_bytes(void **state)
{
	(void)state;
	claims_for_seeds(10, check_deterministic);
}

/* As it was played in time, and in each of these orders. */
static unsigned compare_orders(const struct schedule *s, const struct play *how)
{
	static const struct play orders[] = {
		{ .order = PLAY_EARLY },
		{ .order = PLAY_LATE },
		{ .order = PLAY_TWICE },
		{ .order = PLAY_SHUFFLED },
		{ .order = PLAY_SHUFFLED, .shuffle = 1 },
		{ .order = PLAY_SHUFFLED, .shuffle = 2 },
		{ .order = PLAY_MUCH_LATER },
		{ .order = PLAY_ROOTS_MUCH_LATER },
	};
	struct outcome expected = play(s, how);
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		struct play other = *how;
		struct outcome outcome;
		unsigned changed;

		other.order = orders[i].order;
		other.shuffle = orders[i].shuffle;
		outcome = play(s, &other);
		changed = judge_flaws(s, &outcome) + judge_changed(&expected, &outcome);

		if (changed)
			print_message(" order %d\n", orders[i].order);
		wrong += changed;
		outcome_free(&outcome);
	}
	outcome_free(&expected);
	return wrong;
}

unsigned check_orders(uint64_t seed)
{
	const struct schedule_knobs knobs = { .cpus = 2, .has_delay = seed & 1 };
	struct schedule *s = cast_random(seed, knobs);
	unsigned wrong;

	cast_name_processes(s);
	wrong = compare_orders(s, &play_in_time);
	schedule_free(s);
	return wrong;
}

unsigned check_orders_off(uint64_t seed)
{
	const struct schedule_knobs knobs = { .cpus = 2, .has_delay = seed & 1 };
	struct schedule *s = cast_random(seed, knobs);
	struct wall wall = wall_even();
	const struct play how = { .wall = &wall, .sdk = SDK_OFF };
	unsigned wrong;

	wall.off_ns = (int64_t)rng_scale(&s->rng, US, 20000 * MS) * (seed & 2 ? 1 : -1);
	cast_name_processes(s);
	wrong = compare_orders(s, &how);
	schedule_free(s);
	return wrong;
}

void the_order_does_not_matter_where_clocks_are_off(void **state)
{
	(void)state;
	claims_for_seeds(100, check_orders_off);
}

void the_order_in_which_spans_come_does_not_matter(void **state)
{
	(void)state;
	claims_for_seeds(40, check_orders);
}

static unsigned check_late_roots(uint64_t seed)
{
	const struct play late = { .order = PLAY_ROOTS_LATE, .settle_ns = 200 * MS };
	const struct schedule_knobs knobs = { .cpus = 2 };
	struct schedule *s = cast_random(seed, knobs);
	struct outcome expected, outcome;
	unsigned wrong, revised = 0;

	cast_name_processes(s);
	expected = play(s, &play_in_time);
	outcome = play(s, &late);
	wrong = judge_flaws(s, &outcome) + judge_changed(&expected, &outcome);
	for (uint32_t i = 0; i < s->span_count; i++)
		revised += outcome.spans[i].is_there && outcome.spans[i].ledger.revision > 1;
	for (uint32_t i = 0; i < s->span_count && !revised; i++)
		wrong += s->spans[i].is_exported && s->spans[i].parent >= 0;
	outcome_free(&expected);
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

void a_late_root_revises_to_what_it_would_have_been(void **state)
{
	(void)state;
	claims_for_seeds(60, check_late_roots);
}
