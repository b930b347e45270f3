/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/nap.h"

static void it_ends_by_itself(void **state)
{
	uint64_t before_ns = clock_mono_ns();
	struct nap nap;

	(void)state;
	nap_init(&nap);
	assert_true(nap_take(&nap, 5 * NS_PER_MS));
	assert_true(clock_mono_ns() - before_ns >= 5 * NS_PER_MS);
	nap_fini(&nap);
}

static void *sleep_long(void *arg)
{
	return nap_take(arg, 3600 * NS_PER_SEC) ? arg : NULL;
}

static void whoever_rests_is_told_that_it_is_over(void **state)
{
	void *result = &result;
	pthread_t thread;
	struct nap nap;

	(void)state;
	nap_init(&nap);
	assert_int_equal(pthread_create(&thread, NULL, sleep_long, &nap), 0);
	nap_end(&nap);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_null(result);
	assert_false(nap_take(&nap, 3600 * NS_PER_SEC));
	nap_fini(&nap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_ends_by_itself),
		cmocka_unit_test(whoever_rests_is_told_that_it_is_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
