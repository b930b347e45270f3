/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/memory_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>

#include "collector/base/buf.h"
#include "collector/base/macros.h"
#include "collector/config.h"

#define MIB         ((size_t)1 << 20)
#define INDEX_BYTES (8 * MIB)
#define RING_LEAST  ((size_t)64 << 10)

/* A request that is larger is given back to the system when it is freed; what is smaller is used
 * again without page faults. By itself glibc raises the limit to the largest that was ever freed,
 * up to 32 MiB, and every thread's heap keeps its holes: so they share one, which is also no
 * slower, for what is small comes from each thread's own cache. */
#define HEAP_LARGEST ((int)(4 * MIB))
#define HEAP_SPARE   (2 * HEAP_LARGEST)

static size_t ring_bytes(const struct config *config, size_t most)
{
	size_t wanted = MIN((size_t)config->ring_kib << 10, most);
	size_t bytes = RING_LEAST;

	while (bytes * 2 <= wanted)
		bytes *= 2;
	return bytes;
}

/* Where programs of several languages run, their tables take 10 MB and more: up to five eighths of
 * their share are taken from what the ring leaves of its own. */
static size_t table_bytes(size_t limit, size_t ring)
{
	size_t share = limit / 32;

	return MIN(share + MIN(share / 8 * 5, (limit / 8 - ring) / 2), (size_t)UINT32_MAX);
}

struct memory_plan memory_plan(const struct config *config)
{
	size_t limit = (size_t)config->memory_limit_mib * MIB;
	size_t in_flight = (size_t)config->max_in_flight_mib * MIB;
	size_t ring = ring_bytes(config, limit / 8);

	return (struct memory_plan){
		.limit_bytes = limit,
		.ring_bytes = ring,
		.in_flight_bytes = in_flight ? in_flight : limit / 8,
		.correlator_bytes = limit / 2 - limit / 64,
		.ledger_bytes = limit / 32,
		.index_bytes = MIN(INDEX_BYTES, limit / 32),
		.stack_bytes = limit / 32,
		.name_bytes = limit / 64,
		.thread_bytes = MIN(limit / 32, (size_t)UINT32_MAX),
		.symbol_bytes = MIN(limit / 16, (size_t)UINT32_MAX),
		.table_bytes = table_bytes(limit, ring),
	};
}

void memory_plan_tell_heap(void)
{
#ifdef M_MMAP_THRESHOLD
	mallopt(M_MMAP_THRESHOLD, HEAP_LARGEST);
	mallopt(M_TRIM_THRESHOLD, HEAP_SPARE);
	mallopt(M_ARENA_MAX, 1);
#endif
}

int memory_plan_check(const struct config *config, struct buf *message)
{
	struct memory_plan plan = memory_plan(config);
	size_t request = (size_t)config->max_request_mib * MIB;

	if ((config->ring_kib & (config->ring_kib - 1)) != 0) {
		buf_printf(message, "ring_kib: %" PRIu64 " is not a power of two\n",
			   config->ring_kib);
		return -EINVAL;
	}
	if (plan.in_flight_bytes < request) {
		buf_printf(message,
			   "max_in_flight_mib: %zu MiB (0 means an eighth of memory_limit_mib) "
			   "cannot hold one request of max_request_mib = %" PRIu64 " MiB\n",
			   plan.in_flight_bytes / MIB, config->max_request_mib);
		return -EINVAL;
	}
	if (plan.in_flight_bytes > plan.limit_bytes / 4) {
		buf_printf(
			message,
			"max_in_flight_mib: must be at most a quarter of memory_limit_mib, which "
			"is %" PRIu64 "\n",
			config->memory_limit_mib);
		return -EINVAL;
	}
	return 0;
}
