/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "collector/base/breath.h"

#define CALLS 1000000u

/* How often the thread let go of its CPU by itself. */
static long pauses(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
	return usage.ru_nvcsw;
}

static void *work(void *arg)
{
	long *paused = arg, before;

	if (*paused)
		breath_begin();
	before = pauses();
	for (unsigned i = 0; i < CALLS; i++)
		breath_take();
	*paused = pauses() - before;
	return NULL;
}

static long work_in_a_thread(bool has_begun)
{
	long paused = has_begun;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, work, &paused), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	return paused;
}

static void only_threads_that_have_begun_pause(void **state)
{
	(void)state;
	assert_true(work_in_a_thread(true) > 0);
	assert_int_equal(work_in_a_thread(false), 0);
}

/* Not between any two pieces of work. */
static void pauses_are_rare(void **state)
{
	(void)state;
	assert_true(work_in_a_thread(true) < CALLS / 100);
}

static void who_ends_it_pauses_no_more(void **state)
{
	long before;

	(void)state;
	breath_begin();
	breath_end();
	before = pauses();
	for (unsigned i = 0; i < CALLS; i++)
		breath_take();
	assert_int_equal(pauses(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_threads_that_have_begun_pause),
		cmocka_unit_test(pauses_are_rare),
		cmocka_unit_test(who_ends_it_pauses_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
