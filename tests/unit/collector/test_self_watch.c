/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/self_watch.h"
#include "collector/snapshot.h"

static double value_of(enum self_watch_check check, const struct snapshot *now,
		       const struct snapshot *before)
{
	double values[SELF_WATCH_CHECKS];

	self_watch_measure(now, before, 10, values);
	return values[check];
}

static void values_are_shares_rates_and_means(void **state)
{
	static struct snapshot before, now;

	(void)state;
	before.store.commits = now.store.commits = 7; /* no commit since */
	assert_float_equal(value_of(SELF_WATCH_SYNC, &now, &before), 0, 0);
	assert_float_equal(value_of(SELF_WATCH_RING, &now, &before), 0, 0); /* no ring at all */
	now.engine.ring_bytes = 1000;
	now.engine.ring_backlog_bytes = 600;
	now.engine.kernel_counters.lost[LOSS_RING_FULL] = 150;
	now.engine.kernel_counters.lost[LOSS_TAG_FAULT] = 5000; /* costs no record */
	now.engine.kernel_counters.lost[LOSS_CPU_CHAIN] = 5000; /* nor this */
	now.store.commits = 17;
	now.store.sync_ns = 5 * NS_PER_SEC;
	now.own_anonymous_bytes = 60;
	now.probe.map_bytes = 40;
	now.plan.limit_bytes = 200;
	assert_float_equal(value_of(SELF_WATCH_RING, &now, &before), 0.6, 1e-9);
	assert_float_equal(value_of(SELF_WATCH_LOST, &now, &before), 15, 1e-9);
	assert_float_equal(value_of(SELF_WATCH_SYNC, &now, &before), 0.5, 1e-9);
	assert_float_equal(value_of(SELF_WATCH_MEMORY, &now, &before), 0.5, 1e-9);
	/* The probe was started again, and its counters with it. */
	assert_float_equal(value_of(SELF_WATCH_LOST, &before, &now), 0, 0);
}

static void one_line_when_it_gets_worse_and_one_when_it_is_well(void **state)
{
	static const struct {
		double value;
		bool changes, is_degraded;
	} looks[] = {
		{ 0.96, false, false }, /* once is chance */
		{ 0.90, false, false }, { 0.96, false, false }, { 0.97, true, true },
		{ 0.99, false, true },  { 0.90, false, true }, /* not well yet */
		{ 0.77, false, true },  { 0.75, true, false },  { 0.50, false, false },
	};
	struct self_watch_state memory = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
		bool changes = self_watch_step(SELF_WATCH_MEMORY, looks[i].value, 100 + i, &memory);

		assert_int_equal(changes, looks[i].changes);
		assert_int_equal(memory.is_degraded, looks[i].is_degraded);
	}
	assert_int_equal(memory.since_unix_ns, 107);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_shares_rates_and_means),
		cmocka_unit_test(one_line_when_it_gets_worse_and_one_when_it_is_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
