/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/accuracy/scenario.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MOST_ROOTS   3 /* of a driver in a turn */
#define MOST_DRIVERS 8

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

void scenario_nap_now_and_then(void)
{
	if (truth_one_in(2))
		scenario_nap(20 * US, 1 * MS);
}

void scenario_pause(void)
{
	if (truth_one_in(2))
		scenario_sleep_ns(truth_length_ns(20 * US, 1 * MS));
	else
		scenario_spin(5 * US, 200 * US);
}

struct driver {
	pthread_t thread;
	void (*play)(struct truth_span *root);
	void (*nap)(void);
};

static void *drive(void *arg)
{
	const struct driver *driver = arg;
	uint64_t roots = truth_between(1, MOST_ROOTS);

	for (uint64_t i = 0; i < roots; i++) {
		struct truth_span *root = truth_open_below("root", NULL);

		driver->play(root);
		truth_close(root);
		if (truth_between(0, 1))
			driver->nap();
	}
	return NULL;
}

void scenario_drive(unsigned threads, void (*play)(struct truth_span *root), void (*nap)(void))
{
	struct driver drivers[MOST_DRIVERS];

	scenario_check(threads <= MOST_DRIVERS, "drivers");
	for (unsigned i = 0; i < threads; i++) {
		drivers[i] = (struct driver){ .play = play, .nap = nap };
		scenario_check(pthread_create(&drivers[i].thread, NULL, drive, &drivers[i]) == 0,
			       "thread");
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(drivers[i].thread, NULL);
}
