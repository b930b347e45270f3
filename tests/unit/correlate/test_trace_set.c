/* SPDX-License-Identifier: Apache-2.0 */
/* Traces by their ids, and in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "correlate/trace_set.h"

#define MANY 3000

struct named {
	uint8_t id[TRACE_ID_BYTES];
	uint32_t number;
};

static struct named traces[MANY];

static void add(struct trace_set *set, uint32_t number)
{
	struct named *trace = &traces[number];

	*trace = (struct named){ .number = number };
	memcpy(trace->id, &number, sizeof(number));
	assert_null(trace_set_find(set, trace->id));
	assert_non_null(trace_set_add(set, trace));
}

static void drop(struct trace_set *set, uint32_t number)
{
	struct trace_place *place = trace_set_find(set, traces[number].id);

	assert_non_null(place);
	trace_set_remove(set, place);
	assert_null(trace_set_find(set, traces[number].id));
}

/* All that are there, in order, and found. */
static uint32_t check(struct trace_set *set, uint32_t from, uint32_t to)
{
	const struct trace_place *place;
	uint32_t count = 0, last = 0;

	for (uint32_t at = 0; (place = trace_set_next(set, &at)); count++) {
		const struct named *trace = trace_place_at(place);

		assert_true(count == 0 || trace->number > last);
		assert_in_range(trace->number, from, to - 1);
		assert_ptr_equal(trace_set_find(set, trace->id), place);
		last = trace->number;
	}
	assert_int_equal(count, set->count);
	return count;
}

static void all_are_found_and_stand_in_order(void **state)
{
	struct trace_set set;

	(void)state;
	trace_set_init(&set, 42);
	assert_null(trace_set_find(&set, traces[0].id));
	for (uint32_t i = 0; i < MANY; i++)
		add(&set, i);
	assert_int_equal(check(&set, 0, MANY), MANY);
	for (uint32_t i = 0; i < MANY; i += 3)
		drop(&set, i);
	assert_int_equal(check(&set, 1, MANY), MANY - MANY / 3);
	trace_set_fini(&set);
}

/* Each goes when a hundred others have come after it, but for a few that stay. */
static void those_that_are_gone_take_no_room(void **state)
{
	struct trace_set set;

	(void)state;
	trace_set_init(&set, 42);
	for (uint32_t i = 0; i < MANY; i++) {
		add(&set, i);
		if (i >= 100 && (i - 100) % 500)
			drop(&set, i - 100);
	}
	assert_int_equal(check(&set, 0, MANY), 100 + MANY / 500);
	assert_in_range(set.cap, 100, 1024);
	assert_in_range(set.key_cap, 100, 1024);
	trace_set_fini(&set);
}

static void one_may_be_put_in_the_place_of_another(void **state)
{
	struct named other = { .id = { 1 } };
	struct trace_place *place;
	struct trace_set set;

	(void)state;
	trace_set_init(&set, 42);
	for (uint32_t i = 0; i < 3; i++)
		add(&set, i);
	place = trace_set_find(&set, other.id);
	place->is_resting = place->has_taught = true;
	place->concerns = (1u << TRACE_CONCERNS) - 1;
	assert_ptr_equal(trace_place_at(place), &traces[1]);
	trace_place_put(place, &other);
	assert_ptr_equal(trace_place_at(trace_set_find(&set, traces[1].id)), &other);
	assert_false(place->is_resting || place->has_taught || place->concerns);
	trace_set_fini(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_found_and_stand_in_order),
		cmocka_unit_test(those_that_are_gone_take_no_room),
		cmocka_unit_test(one_may_be_put_in_the_place_of_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
