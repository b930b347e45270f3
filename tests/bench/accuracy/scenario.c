/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/accuracy/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

char **scenario_arguments;

void scenario_check(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

void scenario_sleep_ns(uint64_t ns)
{
	struct timespec time = { (time_t)(ns / 1000000000U), (long)(ns % 1000000000U) };

	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

void scenario_wait_until_found(void)
{
	char go;

	if (read(STDIN_FILENO, &go, 1) != 1)
		exit(1);
	scenario_sleep_ns(1 * MS); /* the thread is known from its first switch on */
}

void scenario_spin(uint64_t least, uint64_t most)
{
	truth_spin_ns(truth_length_ns(least, most));
}

void scenario_nap(uint64_t least, uint64_t most)
{
	truth_wait_begin();
	scenario_sleep_ns(truth_length_ns(least, most));
	truth_wait_end();
}
