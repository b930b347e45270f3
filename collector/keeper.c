/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/log.h"
#include "collector/nap.h"
#include "collector/thread_rank.h"
#include "storage/store.h"

#define EVERY_NS (5 * NS_PER_SEC)
#define REST     2 /* pieces' time between two pieces: the disk is others' too */

struct keeper {
	struct store *store; /* borrowed */
	pthread_t thread;
	struct nap nap;
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

static void *run(void *arg)
{
	struct keeper *keeper = arg;

	pthread_setname_np(pthread_self(), "keeper");
	thread_rank_set(THREAD_RANK_SCAN);
	while (nap_take(&keeper->nap, keep(keeper)))
		;
	return NULL;
}

int keeper_start(struct store *store, struct keeper **out_keeper)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	int rc;

	if (!keeper)
		return -ENOMEM;
	keeper->store = store;
	nap_init(&keeper->nap);
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
	nap_end(&keeper->nap);
	pthread_join(keeper->thread, NULL);
	nap_fini(&keeper->nap);
	free(keeper);
}
