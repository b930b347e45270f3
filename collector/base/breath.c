/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/breath.h"

#include <stdint.h>
#include <sys/prctl.h>
#include <time.h>

#include "collector/base/macros.h"

#define WORK_NS  ((uint64_t)500000) /* between two pauses */
#define PAUSE_NS 20000              /* shorter ones are over before another thread is chosen */

static _Thread_local uint64_t next_ns; /* 0: not begun */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

void breath_begin(void)
{
	if (next_ns)
		return;
	prctl(PR_SET_TIMERSLACK, 1ul); /* else pauses are 50 us longer */
	next_ns = now_ns() + WORK_NS;
}

void breath_end(void)
{
	next_ns = 0;
}

void breath_take(void)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };

	if (!next_ns || now_ns() < next_ns)
		return;
	nanosleep(&pause, NULL);
	next_ns = now_ns() + WORK_NS;
}
