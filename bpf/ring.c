/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/ring.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/event_tails.h"
#include "collector/base/macros.h"

/* The kernel's head of each record: length with two flag bits, and an offset that is not for us. */
#define RING_BUSY       (1u << 31) /* reserved, not yet committed */
#define RING_DISCARD    (1u << 30)
#define RING_HEAD_BYTES 8u
#define LINE_BYTES      64u /* of a cache */
#define AHEAD_BYTES     (16 * LINE_BYTES)
#define HAND_BACK_PART  32u /* of the ring: so much is handed back at a time */
#define RING_WRAP_BYTES                                                                            \
	((size_t)128 << 10) /* the kernel's head, and event_header.bytes of 16 bits */

struct ring {
	size_t page_bytes;
	size_t data_bytes;  /* a power of two */
	uint64_t *consumer; /* the only page that we may write */
	const uint64_t *producer;
	const char *data; /* its front is mapped once more behind its end: no record wraps */
	const struct event_counters *counters;
	size_t counters_bytes;
	unsigned cpus;
	uint64_t malformed;
};

static int map(void **out_address, size_t bytes, int protection, int fd, size_t offset)
{
	void *address = mmap(NULL, bytes, protection, MAP_SHARED, fd, (off_t)offset);

	if (address == MAP_FAILED)
		return -errno;
	*out_address = address;
	return 0;
}

static size_t round_up(size_t bytes, size_t page_bytes)
{
	return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

/* A mapped page counts as resident each time: no more of the front than a record may need. */
static size_t mapped_bytes(const struct ring *ring)
{
	return ring->page_bytes + ring->data_bytes + MIN(ring->data_bytes, RING_WRAP_BYTES);
}

int ring_open(int ring_fd, size_t ring_bytes, int counters_fd, unsigned cpus,
	      struct ring **out_ring)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	void *consumer = NULL, *producer = NULL, *counters = NULL;
	int status;

	if (!ring)
		return -ENOMEM;
	ring->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	ring->data_bytes = ring_bytes;
	ring->cpus = cpus;
	ring->counters_bytes = round_up(cpus * sizeof(struct event_counters), ring->page_bytes);
	status = -EINVAL;
	if (ring_bytes < ring->page_bytes || ring_bytes & (ring_bytes - 1) || cpus == 0 ||
	    cpus > EVENT_MAX_CPUS)
		goto close_ring;
	status = map(&consumer, ring->page_bytes, PROT_READ | PROT_WRITE, ring_fd, 0);
	if (status < 0)
		goto close_ring;
	ring->consumer = consumer;
	status = map(&producer, mapped_bytes(ring), PROT_READ, ring_fd, ring->page_bytes);
	if (status < 0)
		goto close_ring;
	ring->producer = producer;
	ring->data = (const char *)producer + ring->page_bytes;
	status = map(&counters, ring->counters_bytes, PROT_READ, counters_fd, 0);
	if (status < 0)
		goto close_ring;
	ring->counters = counters;
	*out_ring = ring;
	return 0;
close_ring:
	ring_close(ring);
	return status;
}

void ring_close(struct ring *ring)
{
	if (!ring)
		return;
	if (ring->consumer)
		munmap(ring->consumer, ring->page_bytes);
	if (ring->producer)
		munmap((void *)ring->producer, mapped_bytes(ring));
	if (ring->counters)
		munmap((void *)ring->counters, ring->counters_bytes);
	free(ring);
}

/* Another CPU wrote it: the caches are told before it is needed. */
static void fetch_ahead(const struct ring *ring, uint64_t at, size_t bytes)
{
	const char *ahead = ring->data + ((at + AHEAD_BYTES) & (ring->data_bytes - 1));

	for (size_t i = 0; i < bytes; i += LINE_BYTES)
		__builtin_prefetch(ahead + i);
}

/* Does the record say of itself what its place in the ring says of it? */
static bool is_sound(const struct event_header *header, size_t bytes)
{
	return bytes >= sizeof(*header) && header->bytes == bytes && event_is_sound(header);
}

int ring_consume(struct ring *ring, unsigned max_records,
		 int (*visit)(const struct event_header *record, void *arg), void *arg)
{
	uint64_t at = *ring->consumer;
	uint64_t end = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE);
	uint64_t hand_back = at + ring->data_bytes / HAND_BACK_PART;
	unsigned visited = 0;
	bool stop = false;

	while (at < end && !stop && (max_records == 0 || visited < max_records)) {
		const char *place = ring->data + (at & (ring->data_bytes - 1));
		uint32_t head = __atomic_load_n((const uint32_t *)place, __ATOMIC_ACQUIRE);
		size_t bytes = head & ~(RING_BUSY | RING_DISCARD);
		const struct event_header *record = (const void *)(place + RING_HEAD_BYTES);

		if (head & RING_BUSY)
			break;
		fetch_ahead(ring, at, bytes);
		at += round_up(bytes + RING_HEAD_BYTES, 8);
		if (head & RING_DISCARD)
			continue;
		if (is_sound(record, bytes)) {
			stop = visit(record, arg) != 0;
			visited++;
		} else {
			ring->malformed++;
		}
		/* Not all at the end, so that long visits do not make the kernel drop; nor one by
		 * one, for each CPU that writes reads this word. */
		if (at >= hand_back) {
			__atomic_store_n(ring->consumer, at, __ATOMIC_RELEASE);
			hand_back = at + ring->data_bytes / HAND_BACK_PART;
		}
	}
	__atomic_store_n(ring->consumer, at, __ATOMIC_RELEASE);
	return (int)visited;
}

size_t ring_backlog_bytes(const struct ring *ring)
{
	uint64_t consumed = __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE);

	return (size_t)(__atomic_load_n(ring->producer, __ATOMIC_ACQUIRE) - consumed);
}

void ring_counters(const struct ring *ring, struct event_counters *out_sum)
{
	struct event_counters sum = { 0 };

	for (unsigned cpu = 0; cpu < ring->cpus; cpu++) {
		const struct event_counters *count = &ring->counters[cpu];

		for (unsigned cause = 0; cause < LOSS_KINDS; cause++)
			sum.lost[cause] += __atomic_load_n(&count->lost[cause], __ATOMIC_RELAXED);
		sum.records += __atomic_load_n(&count->records, __ATOMIC_RELAXED);
		sum.ticks += __atomic_load_n(&count->ticks, __ATOMIC_RELAXED);
		sum.stacks += __atomic_load_n(&count->stacks, __ATOMIC_RELAXED);
		sum.stack_budget += __atomic_load_n(&count->stack_budget, __ATOMIC_RELAXED);
	}
	*out_sum = sum;
}

uint64_t ring_missed(const struct ring *ring)
{
	uint64_t missed = 0;

	for (unsigned cpu = 0; cpu < ring->cpus; cpu++)
		missed += __atomic_load_n(&ring->counters[cpu].missed, __ATOMIC_RELAXED);
	return missed;
}

uint64_t ring_malformed(const struct ring *ring)
{
	return ring->malformed;
}
