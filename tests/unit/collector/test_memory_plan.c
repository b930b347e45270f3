/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/buf.h"
#include "collector/config.h"
#include "collector/memory_plan.h"

static void shares_never_exceed_the_limit(void **state)
{
	struct config config;

	(void)state;
	config_init(&config);
	for (config.memory_limit_mib = 128; config.memory_limit_mib < 100000;
	     config.memory_limit_mib *= 3) {
		struct memory_plan plan = memory_plan(&config);

		assert_true(plan.ring_bytes + plan.in_flight_bytes + plan.correlator_bytes +
				    2 * plan.ledger_bytes + plan.index_bytes + plan.stack_bytes +
				    plan.name_bytes + plan.thread_bytes + plan.symbol_bytes +
				    plan.table_bytes <=
			    plan.limit_bytes);
		assert_int_equal(plan.ring_bytes & (plan.ring_bytes - 1), 0);
	}
}

static void the_defaults_fit_together(void **state)
{
	struct config config;
	struct buf message;

	(void)state;
	config_init(&config);
	buf_init(&message, 0);
	assert_int_equal(memory_plan_check(&config, &message), 0);
	buf_fini(&message);
}

static void a_request_must_fit_into_what_may_be_in_flight(void **state)
{
	struct config config;
	struct buf message;

	(void)state;
	config_init(&config);
	buf_init(&message, 0);
	config.max_request_mib = 64;
	assert_int_equal(memory_plan_check(&config, &message), -EINVAL);
	config.memory_limit_mib = 512;
	assert_int_equal(memory_plan_check(&config, &message), 0);
	config.ring_kib = 3000;
	assert_int_equal(memory_plan_check(&config, &message), -EINVAL);
	buf_fini(&message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_never_exceed_the_limit),
		cmocka_unit_test(the_defaults_fit_together),
		cmocka_unit_test(a_request_must_fit_into_what_may_be_in_flight),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
