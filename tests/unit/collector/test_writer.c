/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/metrics.h"
#include "collector/ticket.h"
#include "collector/writer.h"
#include "storage/store.h"

/* A store in place of the real one: counts, and fails on demand. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned commits, batches, ledgers, written, failed;
	int error;       /* of every commit */
	bool is_blocked; /* commits wait */
	const struct span_batch *poison;
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER };

static struct metrics metrics;
static struct writer *writer;

int store_commit(struct store *store, const struct store_group *group, uint64_t now_unix_ns)
{
	int rc;

	(void)store;
	(void)now_unix_ns;
	pthread_mutex_lock(&fake.lock);
	fake.commits++;
	pthread_cond_broadcast(&fake.moved);
	while (fake.is_blocked)
		pthread_cond_wait(&fake.moved, &fake.lock);
	rc = fake.error;
	for (size_t i = 0; i < group->batch_count; i++) {
		if (fake.poison && group->batches[i] == fake.poison)
			rc = -EMSGSIZE;
	}
	if (rc == 0) {
		fake.batches += (unsigned)group->batch_count;
		for (size_t i = 0; i < group->row_count; i++)
			fake.ledgers += (unsigned)group->rows[i].count;
	}
	pthread_cond_broadcast(&fake.moved);
	pthread_mutex_unlock(&fake.lock);
	return rc;
}

int store_end_part(struct store *store, uint64_t now_unix_ns)
{
	(void)store;
	(void)now_unix_ns;
	return 0;
}

static void on_written(struct ticket *ticket, void *arg)
{
	(void)arg;
	pthread_mutex_lock(&fake.lock);
	fake.written++;
	fake.failed += ticket->result < 0;
	pthread_cond_broadcast(&fake.moved);
	pthread_mutex_unlock(&fake.lock);
}

static void on_group(void *arg)
{
	(void)arg;
}

static int set_up(void **state)
{
	struct writer_options options = {
		.metrics = &metrics,
		.max_ledger_bytes = 1 << 20,
		.on_written = on_written,
		.on_group = on_group,
	};

	(void)state;
	fake.commits = fake.batches = fake.ledgers = fake.written = fake.failed = 0;
	fake.error = 0;
	fake.is_blocked = false;
	fake.poison = NULL;
	return writer_start(&options, &writer);
}

static int tear_down(void **state)
{
	(void)state;
	writer_stop(writer);
	writer = NULL;
	return 0;
}

static void set(int error, bool is_blocked)
{
	pthread_mutex_lock(&fake.lock);
	fake.error = error;
	fake.is_blocked = is_blocked;
	pthread_cond_broadcast(&fake.moved);
	pthread_mutex_unlock(&fake.lock);
}

static void wait_until(const unsigned *counter, unsigned value)
{
	pthread_mutex_lock(&fake.lock);
	while (*counter < value)
		pthread_cond_wait(&fake.moved, &fake.lock);
	pthread_mutex_unlock(&fake.lock);
}

static void what_came_during_a_commit_is_the_next_group(void **state)
{
	struct ticket tickets[6] = { 0 };

	(void)state;
	set(0, true);
	writer_batch(writer, &tickets[0]);
	wait_until(&fake.commits, 1);
	for (int i = 1; i < 6; i++)
		writer_batch(writer, &tickets[i]);
	set(0, false);
	wait_until(&fake.written, 6);
	assert_int_equal(fake.commits, 2);
	assert_int_equal(fake.batches, 6);
	assert_int_equal(fake.failed, 0);
}

static void ledgers_survive_a_full_disk(void **state)
{
	struct ledger ledger = { .wall_ns = 1 };
	struct ticket ticket = { 0 };

	(void)state;
	set(-ENOSPC, false);
	assert_true(writer_ledgers(writer, &ledger, 1));
	wait_until(&fake.commits, 1);
	writer_batch(writer, &ticket);
	wait_until(&fake.written, 1);
	assert_int_equal(fake.failed, 1);
	assert_int_equal(fake.ledgers, 0);
	set(0, false);
	wait_until(&fake.ledgers, 1);
}

static void one_bad_batch_does_not_take_the_others_along(void **state)
{
	struct ticket tickets[3] = { 0 };
	struct span_batch batches[3] = { 0 };

	(void)state;
	fake.poison = &batches[1];
	set(0, true);
	tickets[0].batch = &batches[0];
	writer_batch(writer, &tickets[0]);
	wait_until(&fake.commits, 1);
	for (int i = 1; i < 3; i++) {
		tickets[i].batch = &batches[i];
		writer_batch(writer, &tickets[i]);
	}
	set(0, false);
	wait_until(&fake.written, 3);
	assert_int_equal(fake.failed, 1);
	assert_int_equal(tickets[1].result, -EMSGSIZE);
	assert_int_equal(tickets[2].result, 0);
}

static void ledgers_have_a_limit(void **state)
{
	struct ledger ledgers[50] = { 0 };
	unsigned taken = 0;

	(void)state;
	set(-ENOSPC, false);
	assert_true(writer_has_room(writer));
	while (taken < 10000 && writer_ledgers(writer, ledgers, 50))
		taken++;
	assert_in_range(taken, 1, 9999);
	assert_false(writer_has_room(writer));
}

/* A span's second ledger, which replaces the first. */
static void ledgers_that_are_held_come_into_one_commit(void **state)
{
	struct ledger first = { .wall_ns = 1, .revision = 1 },
		      second = { .wall_ns = 1, .revision = 2 };
	struct ticket tickets[2] = { 0 };

	(void)state;
	writer_hold(writer, true);
	assert_true(writer_ledgers(writer, &first, 1));
	for (unsigned i = 0; i < 2; i++) {
		writer_batch(writer, &tickets[i]);
		wait_until(&fake.written, i + 1);
		assert_int_equal(fake.ledgers, 0);
	}
	assert_true(writer_ledgers(writer, &second, 1));
	writer_hold(writer, false);
	wait_until(&fake.ledgers, 1);
	assert_int_equal(fake.ledgers, 2);
	assert_int_equal(fake.commits, 3);
}

static void too_many_ledgers_are_held_in_vain(void **state)
{
	struct ledger ledgers[50] = { 0 };

	(void)state;
	writer_hold(writer, true);
	while (writer_has_room(writer) && fake.ledgers == 0)
		assert_true(writer_ledgers(writer, ledgers, 50));
	wait_until(&fake.ledgers, 50);
	writer_hold(writer, false);
}

static void stop_writes_what_is_queued(void **state)
{
	struct ledger ledger = { .wall_ns = 1 };
	struct ticket ticket = { 0 };

	(void)state;
	set(0, true);
	writer_batch(writer, &ticket);
	wait_until(&fake.commits, 1);
	for (int i = 0; i < 10; i++)
		assert_true(writer_ledgers(writer, &ledger, 1));
	set(0, false);
	writer_stop(writer);
	writer = NULL;
	assert_int_equal(fake.ledgers, 10);
	assert_int_equal(fake.written, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_came_during_a_commit_is_the_next_group),
		TEST(ledgers_survive_a_full_disk),
		TEST(one_bad_batch_does_not_take_the_others_along),
		TEST(ledgers_have_a_limit),
		TEST(ledgers_that_are_held_come_into_one_commit),
		TEST(too_many_ledgers_are_held_in_vain),
		TEST(stop_writes_what_is_queued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
