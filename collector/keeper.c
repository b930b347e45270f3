/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/log.h"
#include "collector/thread_rank.h"
#include "storage/store.h"

#define EVERY_NS (5 * NS_PER_SEC)
#define REST     2 /* pieces' time between two pieces: the disk is others' too */

struct keeper {
	struct store *store; /* borrowed */
	pthread_t thread;
	pthread_mutex_t lock; /* the next two */
	pthread_cond_t news;
	bool is_stopping;
};

/* How long to rest after it. */
static uint64_t keep(struct keeper *keeper)
{
	uint64_t before_ns = clock_mono_ns();
	int rc = store_keep(keeper->store, clock_unix_ns());

	if (rc < 0)
		LOG_LIMITED(LOG_WARNING, "store: old parts could not be dropped or packed: %s",
			    strerror(-rc));
	return rc > 0 ? REST * (clock_mono_ns() - before_ns) : EVERY_NS;
}

/* False: it is over. */
static bool rest(struct keeper *keeper, uint64_t ns)
{
	uint64_t until_ns = clock_mono_ns() + ns;
	struct timespec until = { .tv_sec = (time_t)(until_ns / NS_PER_SEC),
				  .tv_nsec = (long)(until_ns % NS_PER_SEC) };
	bool goes_on;
	int rc = 0;

	pthread_mutex_lock(&keeper->lock);
	while (rc == 0 && !keeper->is_stopping)
		rc = pthread_cond_timedwait(&keeper->news, &keeper->lock, &until);
	goes_on = !keeper->is_stopping;
	pthread_mutex_unlock(&keeper->lock);
	return goes_on;
}

static void *run(void *arg)
{
	struct keeper *keeper = arg;

	pthread_setname_np(pthread_self(), "keeper");
	thread_rank_set(THREAD_RANK_SCAN);
	while (rest(keeper, keep(keeper)))
		;
	return NULL;
}

int keeper_start(struct store *store, struct keeper **out_keeper)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	pthread_condattr_t monotonic;
	int rc;

	if (!keeper)
		return -ENOMEM;
	keeper->store = store;
	pthread_mutex_init(&keeper->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&keeper->news, &monotonic);
	pthread_condattr_destroy(&monotonic);
	rc = -pthread_create(&keeper->thread, NULL, run, keeper);
	if (rc < 0)
		free(keeper);
	else
		*out_keeper = keeper;
	return rc;
}

void keeper_stop(struct keeper *keeper)
{
	if (!keeper)
		return;
	pthread_mutex_lock(&keeper->lock);
	keeper->is_stopping = true;
	pthread_cond_signal(&keeper->news);
	pthread_mutex_unlock(&keeper->lock);
	pthread_join(keeper->thread, NULL);
	pthread_cond_destroy(&keeper->news);
	pthread_mutex_destroy(&keeper->lock);
	free(keeper);
}
