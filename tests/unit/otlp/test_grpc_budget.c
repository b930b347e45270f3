/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LIMIT 1000000
#define STEP  100

/* Takes as much as it gets. */
static void grab(struct grpc_share *share)
{
	while (!grpc_share_is_over(share))
		grpc_share_move(share, 0, STEP);
	grpc_share_move(share, STEP, 0); /* what was refused */
}

static void one_alone_may_have_most(void **state)
{
	struct grpc_budget budget = { .limit_bytes = LIMIT };
	struct grpc_share share = { .budget = &budget };

	(void)state;
	grab(&share);
	assert_int_equal(share.bytes, LIMIT / 5 * 4);
	grpc_share_move(&share, share.bytes, 0);
	assert_int_equal(budget.used_bytes, 0);
}

static void the_greedy_leave_room_for_others(void **state)
{
	(void)state;
	for (size_t count = 1; count <= 10; count++) {
		struct grpc_budget budget = { .limit_bytes = LIMIT };
		struct grpc_share shares[11] = { 0 };

		for (size_t i = 0; i <= count; i++)
			shares[i].budget = &budget;
		for (size_t i = 0; i < 100 * count; i++) { /* refused, and there again */
			grpc_share_move(&shares[i % count], shares[i % count].bytes, 0);
			grab(&shares[i % count]);
		}
		grpc_share_move(&shares[count], 0, LIMIT / (4 * count + 4));
		assert_false(grpc_share_is_over(&shares[count]));
	}
}

/* Those who came first keep what they have, and more and more come: whoever is content with its own
 * part has it. */
static void what_is_ones_own_is_always_there(void **state)
{
	enum { OWN = 4 * STEP, COUNT = 1000 };
	static struct grpc_share shares[COUNT + 1];
	struct grpc_budget budget = { .limit_bytes = LIMIT, .own_bytes = OWN };

	(void)state;
	for (size_t i = 0; i <= COUNT; i++)
		shares[i] = (struct grpc_share){ .budget = &budget };
	for (size_t i = 0; i < COUNT; i++)
		grab(&shares[i]);
	assert_true(budget.used_bytes <= LIMIT);
	assert_true(shares[COUNT - 1].bytes >= OWN);
	assert_true(shares[COUNT - 1].bytes < OWN + STEP);
	grpc_share_move(&shares[COUNT], 0, OWN);
	assert_false(grpc_share_is_over(&shares[COUNT]));
	grpc_share_move(&shares[COUNT], 0, STEP);
	assert_true(grpc_share_is_over(&shares[COUNT]));
	for (size_t i = 0; i <= COUNT; i++)
		grpc_share_move(&shares[i], shares[i].bytes, 0);
	assert_int_equal(budget.used_bytes, 0);
}

static void the_silent_have_less_time_when_it_is_short(void **state)
{
	struct grpc_budget budget = { .limit_bytes = LIMIT, .own_bytes = STEP };
	struct grpc_share few = { .budget = &budget }, much = { .budget = &budget };

	(void)state;
	grpc_share_move(&few, 0, STEP);
	grpc_share_move(&much, 0, LIMIT / 2);
	assert_int_equal(grpc_share_patience_ms(&much, 30000), 30000);
	grpc_share_move(&much, 0, LIMIT / 2);
	assert_int_equal(grpc_share_patience_ms(&much, 30000), GRPC_BUDGET_SHORT_MS);
	assert_int_equal(grpc_share_patience_ms(&much, 1000), 1000);
	assert_int_equal(grpc_share_patience_ms(&few, 30000), 30000);
}

static void trust_ends_where_half_of_it_is_gone(void **state)
{
	struct grpc_budget budget = { .limit_bytes = 100 };
	struct grpc_share one = { &budget, 0, 0 }, alone = { NULL, 0, 0 };

	(void)state;
	assert_true(grpc_share_is_ample(&one, 50));
	assert_false(grpc_share_is_ample(&one, 51));
	grpc_share_move(&one, 0, 30);
	assert_true(grpc_share_is_ample(&one, 20));
	assert_false(grpc_share_is_ample(&one, 21));
	assert_true(grpc_share_is_ample(&alone, 1000));
}

static void without_a_budget_nothing_is_too_much(void **state)
{
	struct grpc_share share = { 0 };

	(void)state;
	grpc_share_move(&share, 0, SIZE_MAX);
	assert_false(grpc_share_is_over(&share));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_alone_may_have_most),
		cmocka_unit_test(the_greedy_leave_room_for_others),
		cmocka_unit_test(what_is_ones_own_is_always_there),
		cmocka_unit_test(the_silent_have_less_time_when_it_is_short),
		cmocka_unit_test(trust_ends_where_half_of_it_is_gone),
		cmocka_unit_test(without_a_budget_nothing_is_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
