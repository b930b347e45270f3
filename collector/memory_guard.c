/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/memory_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/engine.h"
#include "collector/http_conn.h"
#include "collector/nap.h"
#include "collector/net/network.h"
#include "collector/probe_watch.h"
#include "storage/store.h"

#define LOOK_EVERY_NS  (25 * NS_PER_MS)
#define LOOK_SELDOM_NS (100 * NS_PER_MS) /* where all that may be in flight would still fit in */
#define WEIGH_EVERY_NS (250 * NS_PER_MS)
#define KEEPER_BYTES   ((size_t)4 << 20) /* the probe's keeper: libraries, and nothing that grows */

struct memory_guard {
	struct memory_guard_options options;
	pthread_t thread;
	struct nap nap;
	int statm_fd;           /* owned; negative: there is no /proc */
	uint64_t next_weigh_ns; /* the thread's, as the next */
	struct memory_shares shares;

	pthread_mutex_t lock; /* of the next */
	struct memory_guard_snapshot now;
};

/* By what it holds and not by its share: what has been freed shows only after a while. */
static size_t weigh(size_t share, size_t whole, size_t held, size_t resident, size_t target)
{
	size_t over = resident > target ? resident - target : 0;

	if (over)
		return MAX(whole / MEMORY_GUARD_LEAST, held - MIN(held, over));
	if (resident < target - target / MEMORY_GUARD_STEPS)
		return MIN(whole, share + whole / MEMORY_GUARD_STEPS);
	return share;
}

void memory_shares_weigh(const struct memory_plan *plan, const struct memory_look *look,
			 struct memory_shares *shares)
{
	shares->correlator_bytes =
		MIN(plan->correlator_bytes,
		    weigh(shares->correlator_bytes, plan->correlator_bytes, look->correlator_bytes,
			  look->resident_bytes, MEMORY_GUARD_TARGET(plan->limit_bytes)));
	shares->in_flight_bytes =
		MIN(plan->in_flight_bytes,
		    weigh(shares->in_flight_bytes, plan->in_flight_bytes, look->in_flight_bytes,
			  look->resident_bytes, MEMORY_GUARD_HIGH(plan->limit_bytes)));
}

unsigned memory_guard_queries(const struct memory_plan *plan, size_t resident_bytes)
{
	size_t left = plan->limit_bytes - MIN(plan->limit_bytes, resident_bytes);

	return (unsigned)MAX(1, left / MEMORY_GUARD_QUERY(plan->limit_bytes));
}

/* Sanitizers take several times what we do; it is not ours. */
static size_t own_resident_bytes(const struct memory_guard *guard)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)guard;
	return 0;
#else
	char text[128];
	ssize_t bytes = pread(guard->statm_fd, text, sizeof(text) - 1, 0);
	size_t all, resident;

	if (bytes <= 0)
		return 0;
	text[bytes] = '\0';
	if (sscanf(text, "%zu %zu", &all, &resident) != 2)
		return 0;
	return resident * (size_t)sysconf(_SC_PAGESIZE);
#endif
}

/* Of the BPF maps the ring is mapped by us and the tables by the worker: they are resident. */
static size_t resident_bytes(const struct memory_guard *guard)
{
	const struct memory_plan *plan = guard->options.plan;
	struct probe_watch_snapshot probe;
	size_t mapped;

	probe_watch_snapshot(guard->options.watch, &probe);
	mapped = plan->ring_bytes + probe.stats.table_bytes;
	if (!probe.stats.worker_rss_bytes)
		return own_resident_bytes(guard);
	return own_resident_bytes(guard) + probe.stats.worker_rss_bytes + KEEPER_BYTES +
	       probe.map_bytes - MIN(probe.map_bytes, mapped);
}

static void look(const struct memory_guard *guard, struct memory_look *out_look)
{
	struct engine_snapshot engine;

	engine_snapshot(guard->options.engine, &engine);
	*out_look = (struct memory_look){
		.resident_bytes = resident_bytes(guard),
		.correlator_bytes = engine.correlator.timeline_bytes +
				    engine.correlator.fold_bytes + engine.correlator.trace_bytes,
		.in_flight_bytes = network_in_flight_bytes(guard->options.network),
	};
}

static bool is_much(const struct memory_guard *guard, const struct memory_look *now)
{
	return now->resident_bytes > MEMORY_GUARD_TARGET(guard->options.plan->limit_bytes);
}

/* Pages of files come back within milliseconds where much is read. */
static void forget_pages(struct memory_guard *guard, struct memory_look *now)
{
	if (!is_much(guard, now))
		return;
	store_forget_pages(guard->options.store);
	look(guard, now);
	pthread_mutex_lock(&guard->lock);
	guard->now.tidied++;
	pthread_mutex_unlock(&guard->lock);
}

static void weigh_shares(struct memory_guard *guard, struct memory_look *now)
{
#ifdef __GLIBC__
	if (is_much(guard, now)) {
		malloc_trim(0);
		look(guard, now);
	}
#endif
	memory_shares_weigh(guard->options.plan, now, &guard->shares);
	engine_limit(guard->options.engine, guard->shares.correlator_bytes);
	network_limit_in_flight(guard->options.network, guard->shares.in_flight_bytes);
}

/* Returns how long nothing will have to be held. */
static uint64_t hold(struct memory_guard *guard)
{
	const struct memory_plan *plan = guard->options.plan;
	uint64_t now_ns = clock_mono_ns();
	struct memory_look now;

	look(guard, &now);
	forget_pages(guard, &now);
	if (now_ns >= guard->next_weigh_ns) {
		guard->next_weigh_ns = now_ns + WEIGH_EVERY_NS;
		weigh_shares(guard, &now);
	}
	http_server_limit_long(guard->options.http, memory_guard_queries(plan, now.resident_bytes));
	pthread_mutex_lock(&guard->lock);
	guard->now.resident_bytes = now.resident_bytes;
	guard->now.shares = guard->shares;
	pthread_mutex_unlock(&guard->lock);
	return now.resident_bytes + plan->in_flight_bytes < MEMORY_GUARD_TARGET(plan->limit_bytes)
		       ? LOOK_SELDOM_NS
		       : LOOK_EVERY_NS;
}

static void *run(void *arg)
{
	struct memory_guard *guard = arg;
	uint64_t nap_ns = LOOK_EVERY_NS;

	pthread_setname_np(pthread_self(), "memory");
	while (nap_take(&guard->nap, nap_ns))
		nap_ns = hold(guard);
	return NULL;
}

static void free_guard(struct memory_guard *guard)
{
	if (guard->statm_fd >= 0)
		close(guard->statm_fd);
	nap_fini(&guard->nap);
	pthread_mutex_destroy(&guard->lock);
	free(guard);
}

int memory_guard_start(const struct memory_guard_options *options, struct memory_guard **out_guard)
{
	struct memory_guard *guard = calloc(1, sizeof(*guard));
	int rc;

	if (!guard)
		return -ENOMEM;
	guard->options = *options;
	guard->shares = (struct memory_shares){ options->plan->correlator_bytes,
						options->plan->in_flight_bytes };
	guard->now.shares = guard->shares;
	pthread_mutex_init(&guard->lock, NULL);
	nap_init(&guard->nap);
	guard->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	rc = -pthread_create(&guard->thread, NULL, run, guard);
	if (rc < 0)
		free_guard(guard);
	else
		*out_guard = guard;
	return rc;
}

void memory_guard_stop(struct memory_guard *guard)
{
	if (!guard)
		return;
	nap_end(&guard->nap);
	pthread_join(guard->thread, NULL);
	free_guard(guard);
}

void memory_guard_snapshot(struct memory_guard *guard, struct memory_guard_snapshot *out_snapshot)
{
	*out_snapshot = (struct memory_guard_snapshot){ 0 };
	if (!guard)
		return;
	pthread_mutex_lock(&guard->lock);
	*out_snapshot = guard->now;
	pthread_mutex_unlock(&guard->lock);
}
