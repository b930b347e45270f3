/* SPDX-License-Identifier: Apache-2.0 */
/* Three threads and a lock: who had it while the last of them waited. Times are ms. */
#include "tests/unit/correlate/world_builder.h"

#define SYS_FCNTL 72
#define SYS_FLOCK 73
#define SYS_FUTEX 202
#define OTHER_PID 20

enum tids { A = 11, B = 12, C = 13, D = 14 };

struct world {
	struct builder b;
	struct builder_thread a_thread, b_thread, c_thread;
	int32_t call;  /* in which it is waited for */
	uint32_t dies; /* EVENT_DEAD: the next slice is its thread's last one */
};

static const struct event_target the_lock = { .kind = TARGET_FUTEX, .id = 0x7f0000001040 };

static void start(struct world *world, uint32_t b_pid)
{
	builder_init(&world->b);
	world->call = SYS_FUTEX;
	world->dies = 0;
	world->a_thread = (struct builder_thread){ .pid = BUILDER_PID, .tid = A };
	world->b_thread = (struct builder_thread){ .pid = b_pid, .tid = B };
	world->c_thread = (struct builder_thread){ .pid = BUILDER_PID, .tid = C };
	builder_warm_up(&world->b, &world->a_thread);
}

/* A slice that begins at `in` (the waker woke it then, if any) and ends in a wait for `lock`. */
static void slice(struct world *world, struct builder_thread *thread, uint64_t in, uint64_t out,
		  uint32_t waker, uint64_t span, const struct event_target *lock)
{
	/* who carries another trace is no lane of ours */
	world->b.trace = thread == &world->c_thread ? 1 : 2;
	if (lock)
		world->b.target = *lock;
	world->b.waker =
		(struct event_waker){ .pid = waker == B ? world->b_thread.pid : BUILDER_PID,
				      .tid = waker,
				      .comm = "worker",
				      .tag = builder_tag(&world->b, waker) };
	builder_slice(&world->b, thread, waker ? in * MS : 0, in * MS, out * MS, span, world->dies,
		      world->call);
	world->dies = 0;
}

/* A has the lock up to 1040, then B; C, which carries span 1, waits for it from 1010 to 1100. */
static void play(struct world *world, const struct event_target *b_lock,
		 const struct event_target *c_lock)
{
	slice(world, &world->b_thread, 980, 1000, 0, B, b_lock);
	slice(world, &world->c_thread, 1000, 1010, 0, 1, c_lock);
	world->dies = EVENT_DEAD; /* as its thread may: it is remembered */
	slice(world, &world->b_thread, 1040, 1100, A, B, NULL);
	slice(world, &world->c_thread, 1100, 1110, B, 1, NULL);
	builder_span(&world->b, 1, 0, 1001 * MS, 1109 * MS);
	builder_clock(&world->b, 1300 * MS);
	correlator_settle_all(world->b.correlator);
}

static const struct ledger_wait *the_wait(const struct world *world)
{
	const struct ledger *ledger = builder_ledger(&world->b, 1);
	const struct ledger_wait *wait = &world->b.first_wait[ledger - world->b.ledgers];

	assert_int_equal(wait->reason, REASON_LOCK);
	assert_int_equal(wait->ns, 90 * MS);
	assert_int_equal(ledger_count_wakers(wait), 1);
	assert_int_equal(wait->wakers[0].tid, B);
	assert_int_equal(wait->wakers[0].ns, 90 * MS);
	return wait;
}

static void check_holder(const struct ledger_wait *wait, unsigned index, uint8_t kind, uint32_t tid,
			 uint64_t ms)
{
	const struct ledger_waker *holder = &wait->wakers[1 + index];
	const uint64_t span = tid;

	assert_true(1 + index < wait->waker_count);
	assert_int_equal(holder->kind, kind);
	assert_int_equal(holder->tid, tid);
	assert_int_equal(holder->ns, ms * MS);
	assert_memory_equal(holder->tag.span_id, &span, sizeof(span));
}

static void finish(struct world *world, const struct ledger_wait *wait, unsigned holders)
{
	assert_int_equal(wait->waker_count, 1 + holders);
	correlator_free(world->b.correlator);
}

static void who_was_woken_for_it_held_it_and_who_was_not_let_go_of_it(void **state)
{
	const struct ledger_wait *wait;
	struct world world;

	(void)state;
	start(&world, BUILDER_PID);
	play(&world, &the_lock, &the_lock);
	wait = the_wait(&world);
	check_holder(wait, 0, HOLDER_HELD, B, 60);
	check_holder(wait, 1, HOLDER_RELEASED, A, 30);
	finish(&world, wait, 2);
}

static void a_tid_that_stands_in_the_lock_is_its_holder(void **state)
{
	struct event_target owned = the_lock;
	const struct ledger_wait *wait;
	struct world world;

	(void)state;
	owned.aux = A;
	start(&world, BUILDER_PID);
	play(&world, &the_lock, &owned);
	wait = the_wait(&world);
	check_holder(wait, 1, HOLDER_HELD, A, 30);
	finish(&world, wait, 2);
}

static void of_another_lock_nothing_is_concluded(void **state)
{
	struct event_target other = the_lock;
	const struct ledger_wait *wait;
	struct world world;

	(void)state;
	other.id += 64;
	start(&world, BUILDER_PID);
	play(&world, &other, &the_lock);
	wait = the_wait(&world);
	check_holder(wait, 0, HOLDER_RELEASED, B, 90);
	finish(&world, wait, 1);
}

static const struct event_target the_shared_lock = { .kind = TARGET_FUTEX_SHARED,
						     .id = 0x40,
						     .address = { 7, 7 } };

static const struct event_target the_file = { .kind = TARGET_FILE, .id = 4711, .aux = 8 };

/* B is of another process. */
static const struct ledger_wait *play_apart_in(struct world *world, int32_t call,
					       const struct event_target *b_lock,
					       const struct event_target *c_lock)
{
	const struct event_process process = { .pid = OTHER_PID,
					       .ns_pid = OTHER_PID,
					       .publish = PUBLISH_TAGS };

	start(world, OTHER_PID);
	world->call = call;
	assert_int_equal(correlator_process(world->b.correlator, &process), 0);
	play(world, b_lock, c_lock);
	return the_wait(world);
}

static const struct ledger_wait *play_apart(struct world *world, const struct event_target *lock)
{
	return play_apart_in(world, SYS_FUTEX, lock, lock);
}

static void a_file_that_is_locked_as_a_whole_is_followed_too(void **state)
{
	struct world world;
	const struct ledger_wait *wait = play_apart_in(&world, SYS_FLOCK, &the_file, &the_file);

	(void)state;
	check_holder(wait, 0, HOLDER_HELD, B, 60);
	check_holder(wait, 1, HOLDER_RELEASED, A, 30);
	finish(&world, wait, 2);
}

static void of_parts_of_a_file_it_is_told_who_let_go(void **state)
{
	struct world world;
	const struct ledger_wait *wait = play_apart_in(&world, SYS_FCNTL, &the_file, &the_file);

	(void)state;
	check_holder(wait, 0, HOLDER_RELEASED, B, 90);
	finish(&world, wait, 1);
}

/* B is woken for it by A, wakes C as it stands behind it, and waits on. */
static const struct ledger_wait *play_vain_try(struct world *world, int32_t call)
{
	start(world, BUILDER_PID);
	world->call = call;
	slice(world, &world->b_thread, 980, 1000, 0, B, &the_file);
	slice(world, &world->c_thread, 1000, 1010, 0, 1, &the_file);
	slice(world, &world->b_thread, 1098, 1101, A, B, &the_file);
	slice(world, &world->c_thread, 1100, 1110, B, 1, NULL);
	builder_span(&world->b, 1, 0, 1001 * MS, 1109 * MS);
	builder_clock(&world->b, 1300 * MS);
	correlator_settle_all(world->b.correlator);
	return the_wait(world);
}

static void who_only_tried_again_has_let_go_of_nothing(void **state)
{
	struct world world;
	const struct ledger_wait *wait = play_vain_try(&world, SYS_FCNTL);

	(void)state;
	finish(&world, wait, 0);
}

static void who_let_that_one_try_has(void **state)
{
	struct world world;
	const struct ledger_wait *wait = play_vain_try(&world, SYS_FLOCK);

	(void)state;
	check_holder(wait, 0, HOLDER_RELEASED, A, 88);
	finish(&world, wait, 1);
}

static void the_same_number_on_another_device_is_another_file(void **state)
{
	struct event_target other = the_file;
	const struct ledger_wait *wait;
	struct world world;

	(void)state;
	other.aux++;
	wait = play_apart_in(&world, SYS_FLOCK, &other, &the_file);
	check_holder(wait, 0, HOLDER_RELEASED, B, 90);
	finish(&world, wait, 1);
}

static void a_shared_lock_is_followed_into_other_processes(void **state)
{
	struct world world;
	const struct ledger_wait *wait = play_apart(&world, &the_shared_lock);

	(void)state;
	check_holder(wait, 0, HOLDER_HELD, B, 60);
	check_holder(wait, 1, HOLDER_RELEASED, A, 30);
	finish(&world, wait, 2);
}

/* An address is another lock in another process. */
static void a_private_lock_is_not(void **state)
{
	struct world world;
	const struct ledger_wait *wait = play_apart(&world, &the_lock);

	(void)state;
	check_holder(wait, 0, HOLDER_RELEASED, B, 90);
	finish(&world, wait, 1);
}

/* A, which had the lock as C began to wait, lets go of it at 1040 and wakes B for it; but D, which
 * has not waited, was faster, and wakes C at 1100. */
static const struct ledger_wait *play_theft(struct world *world, uint32_t owner)
{
	struct event_target lock = the_lock;
	const struct ledger_wait *wait;

	start(world, BUILDER_PID);
	lock.aux = owner;
	slice(world, &world->b_thread, 980, 1000, 0, B, &lock);
	slice(world, &world->c_thread, 1000, 1010, 0, 1, &lock);
	lock.aux = D;
	slice(world, &world->b_thread, 1040, 1041, A, B, &lock);
	slice(world, &world->c_thread, 1100, 1110, D, 1, NULL);
	builder_span(&world->b, 1, 0, 1001 * MS, 1109 * MS);
	builder_clock(&world->b, 1300 * MS);
	correlator_settle_all(world->b.correlator);
	wait = &world->b.first_wait[builder_ledger(&world->b, 1) - world->b.ledgers];
	assert_int_equal(wait->ns, 90 * MS);
	assert_int_equal(wait->wakers[0].tid, D);
	return wait;
}

static void who_was_faster_had_it_only_since_the_one_before_let_go(void **state)
{
	const struct ledger_wait *wait;
	struct world world;

	(void)state;
	wait = play_theft(&world, A);
	check_holder(wait, 0, HOLDER_RELEASED, D, 60);
	check_holder(wait, 1, HOLDER_HELD, A, 30);
	finish(&world, wait, 2);
	wait = play_theft(&world, 0);
	check_holder(wait, 1, HOLDER_RELEASED, A, 30);
	finish(&world, wait, 2);
}

/* Whoever had it: a lock is one target. */
static void waits_for_one_lock_are_one_whoever_had_it(void **state)
{
	struct event_target lock = the_lock;
	const struct ledger *ledger;
	struct world world;

	(void)state;
	start(&world, BUILDER_PID);
	for (uint32_t i = 0; i < 3; i++) {
		lock.aux = A + i % 2;
		slice(&world, &world.c_thread, 1000 + 20 * i, 1010 + 20 * i, i ? B : 0, 1, &lock);
	}
	slice(&world, &world.c_thread, 1060, 1070, B, 1, NULL);
	builder_span(&world.b, 1, 0, 1001 * MS, 1069 * MS);
	builder_clock(&world.b, 1300 * MS);
	correlator_settle_all(world.b.correlator);
	ledger = builder_ledger(&world.b, 1);
	assert_int_equal(ledger->wait_count, 1);
	assert_int_equal(world.b.first_wait[ledger - world.b.ledgers].count, 3);
	assert_int_equal(world.b.first_wait[ledger - world.b.ledgers].target.aux, 0);
	correlator_free(world.b.correlator);
}

#define TURNS 6

/* Of seven who had it in turn, the first had it for most of the time; C, the last to want it,
 * learns of four of them, and the first is one. */
static void who_had_it_the_longest_keeps_its_place(void **state)
{
	struct builder_thread threads[TURNS];
	struct event_target lock = the_lock;
	const struct ledger_wait *wait;
	struct world world;

	(void)state;
	start(&world, BUILDER_PID);
	for (uint32_t i = 0; i < TURNS; i++) {
		threads[i] = (struct builder_thread){ .pid = BUILDER_PID, .tid = 20 + i };
		slice(&world, &threads[i], 980, 1000, 0, 20 + i, &lock);
	}
	slice(&world, &world.c_thread, 1000, 1010, 0, 1, &lock);
	for (uint32_t i = 0; i < TURNS; i++)
		slice(&world, &threads[i], 1100 + 2 * i, 1102 + 2 * i, i ? 19 + i : A, 20 + i,
		      NULL);
	slice(&world, &world.c_thread, 1112, 1120, 19 + TURNS, 1, NULL);
	builder_span(&world.b, 1, 0, 1001 * MS, 1119 * MS);
	builder_clock(&world.b, 1300 * MS);
	correlator_settle_all(world.b.correlator);
	wait = &world.b.first_wait[builder_ledger(&world.b, 1) - world.b.ledgers];
	check_holder(wait, 0, HOLDER_RELEASED, A, 90);
	finish(&world, wait, LEDGER_MAX_WAKERS / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_was_woken_for_it_held_it_and_who_was_not_let_go_of_it),
		cmocka_unit_test(a_tid_that_stands_in_the_lock_is_its_holder),
		cmocka_unit_test(of_another_lock_nothing_is_concluded),
		cmocka_unit_test(a_shared_lock_is_followed_into_other_processes),
		cmocka_unit_test(a_private_lock_is_not),
		cmocka_unit_test(a_file_that_is_locked_as_a_whole_is_followed_too),
		cmocka_unit_test(of_parts_of_a_file_it_is_told_who_let_go),
		cmocka_unit_test(who_only_tried_again_has_let_go_of_nothing),
		cmocka_unit_test(who_let_that_one_try_has),
		cmocka_unit_test(the_same_number_on_another_device_is_another_file),
		cmocka_unit_test(who_was_faster_had_it_only_since_the_one_before_let_go),
		cmocka_unit_test(waits_for_one_lock_are_one_whoever_had_it),
		cmocka_unit_test(who_had_it_the_longest_keeps_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
