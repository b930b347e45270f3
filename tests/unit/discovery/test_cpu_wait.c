/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/cpu_wait.h"
#include "collector/base/macros.h"

#define SPIN_NS (200 * NS_PER_MS) /* many turns on a CPU that two threads want */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static void *spin(void *stopped)
{
	while (!atomic_load((atomic_bool *)stopped))
		;
	return NULL;
}

static void who_shares_a_cpu_waits_for_it(void **state)
{
	int fd = cpu_wait_open();
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC), waited_ns = cpu_wait_ns(fd);
	uint64_t until_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) + SPIN_NS;
	atomic_bool stopped = false;
	cpu_set_t before, one;
	pthread_t other;

	(void)state;
	if (fd < 0)
		skip(); /* a kernel without CONFIG_SCHED_INFO */
	sched_getaffinity(0, sizeof(before), &before);
	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(pthread_create(&other, NULL, spin, &stopped), 0);
	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until_ns)
		;
	atomic_store(&stopped, true);
	pthread_join(other, NULL);
	waited_ns = cpu_wait_ns(fd) - waited_ns;
	assert_in_range(waited_ns, 1, clock_ns(CLOCK_MONOTONIC) - begin_ns);
	sched_setaffinity(0, sizeof(before), &before);
	close(fd);
}

static void where_nobody_tells_it_is_nothing(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(cpu_wait_ns(-1), 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(cpu_wait_ns(fds[0]), 0);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_shares_a_cpu_waits_for_it),
		cmocka_unit_test(where_nobody_tells_it_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
