/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/nap.h"

#include "collector/base/macros.h"
#include "collector/clock.h"

void nap_init(struct nap *nap)
{
	pthread_condattr_t monotonic;

	*nap = (struct nap){ 0 };
	pthread_mutex_init(&nap->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&nap->news, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

void nap_fini(struct nap *nap)
{
	pthread_cond_destroy(&nap->news);
	pthread_mutex_destroy(&nap->lock);
}

bool nap_take(struct nap *nap, uint64_t ns)
{
	uint64_t until_ns = clock_mono_ns() + ns;
	struct timespec until = { .tv_sec = (time_t)(until_ns / NS_PER_SEC),
				  .tv_nsec = (long)(until_ns % NS_PER_SEC) };
	bool is_over;
	int rc = 0;

	pthread_mutex_lock(&nap->lock);
	while (rc == 0 && !nap->is_over)
		rc = pthread_cond_timedwait(&nap->news, &nap->lock, &until);
	is_over = nap->is_over;
	pthread_mutex_unlock(&nap->lock);
	return !is_over;
}

void nap_end(struct nap *nap)
{
	pthread_mutex_lock(&nap->lock);
	nap->is_over = true;
	pthread_cond_signal(&nap->news);
	pthread_mutex_unlock(&nap->lock);
}
