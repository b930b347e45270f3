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
		cmocka_unit_test(without_a_budget_nothing_is_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
