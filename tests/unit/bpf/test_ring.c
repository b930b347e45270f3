/* SPDX-License-Identifier: Apache-2.0 */
/* A ring that no kernel writes: a memfd laid out as the kernel lays out its map. Mapped once and
 * not twice, so no record of these tests may wrap. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/ring.h"

#define PAGE       4096u
#define RING_BYTES 65536u
#define BUSY       (1u << 31)
#define DISCARD    (1u << 30)
#define CPUS       3u

struct fixture {
	int ring_fd, counters_fd;
	char *pages;
	struct event_counters *counters;
	struct ring *ring;
	unsigned visited;
	uint32_t last_tid;
	unsigned stop_after;
};

static int open_ring(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){ .ring_fd = memfd_create("ring", 0),
				    .counters_fd = memfd_create("counters", 0) };
	assert_int_equal(ftruncate(fixture.ring_fd, 2 * PAGE + 2 * RING_BYTES), 0);
	assert_int_equal(ftruncate(fixture.counters_fd, PAGE), 0);
	fixture.pages = mmap(NULL, 2 * PAGE + 2 * RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			     fixture.ring_fd, 0);
	fixture.counters =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fixture.counters_fd, 0);
	assert_int_equal(
		ring_open(fixture.ring_fd, RING_BYTES, fixture.counters_fd, CPUS, &fixture.ring),
		0);
	*state = &fixture;
	return 0;
}

static int close_ring(void **state)
{
	struct fixture *fixture = *state;

	ring_close(fixture->ring);
	munmap(fixture->pages, 2 * PAGE + 2 * RING_BYTES);
	munmap(fixture->counters, PAGE);
	close(fixture->ring_fd);
	close(fixture->counters_fd);
	return 0;
}

static uint64_t *producer(struct fixture *fixture)
{
	return (uint64_t *)(fixture->pages + PAGE);
}

static uint64_t *consumer(struct fixture *fixture)
{
	return (uint64_t *)fixture->pages;
}

static void put(struct fixture *fixture, const void *record, uint32_t bytes, uint32_t flags)
{
	char *place = fixture->pages + 2 * PAGE + *producer(fixture);
	uint32_t head[2] = { bytes | flags, 0 };

	memcpy(place, head, sizeof(head));
	memcpy(place + sizeof(head), record, bytes);
	*producer(fixture) += (bytes + sizeof(head) + 7) & ~7ull;
}

static struct event_slice slice_of(uint32_t tid)
{
	return (struct event_slice){
		.header = { .kind = EVENT_SLICE, .bytes = sizeof(struct event_slice) },
		.tid = tid,
	};
}

static void put_slice(struct fixture *fixture, uint32_t tid, uint32_t flags)
{
	struct event_slice slice = slice_of(tid);

	put(fixture, &slice, sizeof(slice), flags);
}

static int note(const struct event_header *record, void *arg)
{
	struct fixture *fixture = arg;

	fixture->last_tid = ((const struct event_slice *)record)->tid;
	return ++fixture->visited == fixture->stop_after;
}

static int consume(struct fixture *fixture, unsigned max_records)
{
	return ring_consume(fixture->ring, max_records, note, fixture);
}

static void records_come_in_order_and_make_room(void **state)
{
	struct fixture *fixture = *state;

	put_slice(fixture, 1, 0);
	put_slice(fixture, 2, 0);
	assert_int_equal(ring_backlog_bytes(fixture->ring), *producer(fixture));
	assert_int_equal(consume(fixture, 0), 2);
	assert_int_equal(fixture->last_tid, 2);
	assert_int_equal(*consumer(fixture), *producer(fixture));
	assert_int_equal(ring_backlog_bytes(fixture->ring), 0);
	assert_int_equal(consume(fixture, 0), 0);
}

static void a_record_that_is_still_written_is_waited_for(void **state)
{
	struct fixture *fixture = *state;

	put_slice(fixture, 1, 0);
	uint64_t begin = *producer(fixture);

	put_slice(fixture, 2, BUSY);
	put_slice(fixture, 3, 0);
	assert_int_equal(consume(fixture, 0), 1);
	assert_int_equal(*consumer(fixture), begin);
	*(uint32_t *)(fixture->pages + 2 * PAGE + begin) &= ~BUSY;
	assert_int_equal(consume(fixture, 0), 2);
	assert_int_equal(fixture->last_tid, 3);
}

static void a_discarded_record_is_skipped(void **state)
{
	struct fixture *fixture = *state;

	put_slice(fixture, 1, DISCARD);
	put_slice(fixture, 2, 0);
	assert_int_equal(consume(fixture, 0), 1);
	assert_int_equal(fixture->last_tid, 2);
	assert_int_equal(ring_malformed(fixture->ring), 0);
}

static void the_reader_can_stop_and_go_on(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t tid = 1; tid <= 6; tid++)
		put_slice(fixture, tid, 0);
	assert_int_equal(consume(fixture, 2), 2);
	assert_int_equal(fixture->last_tid, 2);
	fixture->stop_after = 3;
	assert_int_equal(consume(fixture, 0), 1);
	assert_int_equal(fixture->last_tid, 3);
	assert_int_equal(consume(fixture, 0), 3);
	assert_int_equal(fixture->last_tid, 6);
}

static void malformed_records_are_counted_and_not_visited(void **state)
{
	struct fixture *fixture = *state;
	struct event_slice slice = slice_of(1);
	struct event_life life = { .header = { .kind = EVENT_FORK, .bytes = sizeof(life) - 8 } };

	put(fixture, &slice, 4, 0); /* shorter than a header */
	slice.header.bytes += 8;    /* does not say its length */
	put(fixture, &slice, sizeof(slice), 0);
	slice = slice_of(1);
	slice.header.flags = EVENT_TAG_OUT; /* announces a tail that is not there */
	put(fixture, &slice, sizeof(slice), 0);
	slice = slice_of(1);
	slice.header.kind = 99;
	put(fixture, &slice, sizeof(slice), 0);
	put(fixture, &life, sizeof(life) - 8, 0);
	put_slice(fixture, 7, 0);
	assert_int_equal(consume(fixture, 0), 1);
	assert_int_equal(fixture->last_tid, 7);
	assert_int_equal(ring_malformed(fixture->ring), 5);
}

static void counters_are_summed_over_cpus(void **state)
{
	struct fixture *fixture = *state;
	struct event_counters sum;

	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		fixture->counters[cpu].records = 10 + cpu;
		fixture->counters[cpu].ticks = 1;
		fixture->counters[cpu].lost[LOSS_KINDS - 1] = cpu;
	}
	fixture->counters[CPUS].records = 1000; /* not one of ours */
	ring_counters(fixture->ring, &sum);
	assert_int_equal(sum.records, 33);
	assert_int_equal(sum.ticks, 3);
	assert_int_equal(sum.lost[LOSS_KINDS - 1], 3);
	assert_int_equal(sum.lost[0], 0);
}

static void impossible_sizes_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct ring *ring = NULL;

	assert_int_equal(ring_open(fixture->ring_fd, 65000, fixture->counters_fd, CPUS, &ring),
			 -EINVAL);
	assert_int_equal(ring_open(fixture->ring_fd, RING_BYTES, fixture->counters_fd, 0, &ring),
			 -EINVAL);
	assert_int_equal(ring_open(-1, RING_BYTES, fixture->counters_fd, CPUS, &ring), -EBADF);
	assert_null(ring);
}

#define RING_TEST(name) cmocka_unit_test_setup_teardown(name, open_ring, close_ring)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(records_come_in_order_and_make_room),
		RING_TEST(a_record_that_is_still_written_is_waited_for),
		RING_TEST(a_discarded_record_is_skipped),
		RING_TEST(the_reader_can_stop_and_go_on),
		RING_TEST(malformed_records_are_counted_and_not_visited),
		RING_TEST(counters_are_summed_over_cpus),
		RING_TEST(impossible_sizes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
