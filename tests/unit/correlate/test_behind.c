/* SPDX-License-Identifier: Apache-2.0 */
/* A call to another process, whose pool works on it and whose event loop answers: who stood behind
 * the answer. Times are ms. */
#include "tests/unit/correlate/world_builder.h"

#define SYS_READ    0
#define SERVER_PID  20
#define CALL        1
#define ANSWER      7
#define OTHER_TRACE 2

enum tids { CALLER = 11, LOOP = 21, WORKER = 22, STRANGER = 31 };

struct world {
	struct builder b;
	struct builder_thread caller, loop, worker;
};

static void start(struct world *world)
{
	const struct event_process server = { .pid = SERVER_PID,
					      .ns_pid = SERVER_PID,
					      .publish = PUBLISH_TAGS };

	builder_init(&world->b);
	world->caller = (struct builder_thread){ .pid = BUILDER_PID, .tid = CALLER };
	world->loop = (struct builder_thread){ .pid = SERVER_PID, .tid = LOOP };
	world->worker = (struct builder_thread){ .pid = SERVER_PID, .tid = WORKER };
	assert_int_equal(correlator_process(world->b.correlator, &server), 0);
	builder_warm_up(&world->b, &world->caller);
	world->b.trace = OTHER_TRACE;
	builder_slice(&world->b, &world->loop, 0, 920 * MS, 930 * MS, 0, 0, SYS_READ);
}

/* Woken at the begin by `waker`, if any; carries `span` at its end. */
static void slice(struct world *world, struct builder_thread *thread, uint64_t in, uint64_t out,
		  uint64_t span, const struct builder_thread *waker)
{
	world->b.trace = thread == &world->caller ? 1 : OTHER_TRACE;
	if (waker)
		world->b.waker = (struct event_waker){ .pid = waker->pid, .tid = waker->tid };
	builder_slice(&world->b, thread, waker ? in * MS : 0, in * MS, out * MS, span, 0, SYS_READ);
}

/* The caller waits from 1010 to 1100. */
static void call_ended_by(struct world *world, const struct event_waker *waker)
{
	slice(world, &world->caller, 1000, 1010, CALL, NULL);
	world->b.waker = *waker;
	world->b.trace = 1;
	builder_slice(&world->b, &world->caller, 1100 * MS, 1100 * MS, 1110 * MS, CALL, 0,
		      SYS_READ);
	builder_span(&world->b, CALL, 0, 1001 * MS, 1109 * MS);
	builder_clock(&world->b, 1300 * MS);
	correlator_settle_all(world->b.correlator);
}

static void call(struct world *world, uint32_t waker_kind)
{
	const struct event_waker loop = { .pid = SERVER_PID,
					  .tid = LOOP,
					  .kind = (uint8_t)waker_kind };

	call_ended_by(world, &loop);
}

/* The kernel's half tells of the call's wait, while it lasts, who was behind its end. */
static void call_behind(struct world *world, uint32_t flags, uint64_t out_ns)
{
	struct event_behind behind = { .header = { EVENT_BEHIND, sizeof(behind), flags },
				       .pid = BUILDER_PID,
				       .tid = CALLER,
				       .out_ns = out_ns,
				       .from_ns = 1005 * MS,
				       .to_ns = 1095 * MS,
				       .waker = { .pid = SERVER_PID, .tid = WORKER } };

	slice(world, &world->caller, 1000, 1010, CALL, NULL);
	world->b.trace = OTHER_TRACE;
	behind.waker.tag = builder_tag(&world->b, ANSWER);
	assert_int_equal(correlator_record(world->b.correlator, &behind.header), 0);
	world->b.waker = (struct event_waker){ .pid = STRANGER, .tid = STRANGER };
	world->b.trace = 1;
	builder_slice(&world->b, &world->caller, 1100 * MS, 1100 * MS, 1110 * MS, CALL, 0,
		      SYS_READ);
	builder_span(&world->b, CALL, 0, 1001 * MS, 1109 * MS);
	builder_clock(&world->b, 1300 * MS);
	correlator_settle_all(world->b.correlator);
}

static const struct ledger_wait *the_wait(const struct world *world)
{
	return &world->b.first_wait[builder_ledger(&world->b, CALL) - world->b.ledgers];
}

static void check_chain_of(struct world *world, uint64_t ns)
{
	const struct ledger_link *link = builder_link(&world->b, CALL, 0);
	struct event_tag answer;

	assert_int_equal(builder_ledger(&world->b, CALL)->link_count, 1);
	world->b.trace = OTHER_TRACE;
	answer = builder_tag(&world->b, ANSWER);
	assert_int_equal(link->via, LINK_CHAIN);
	assert_memory_equal(&link->to, &answer, sizeof(answer));
	assert_int_equal(link->ns, ns);
	correlator_free(world->b.correlator);
}

static void check_chain(struct world *world)
{
	check_chain_of(world, 90 * MS);
}

static void check_none(struct world *world)
{
	assert_int_equal(builder_ledger(&world->b, CALL)->link_count, 0);
	correlator_free(world->b.correlator);
}

/* It carries the answer's span from 1020 on, waits with it, and has left it at 1095. */
static void work(struct world *world)
{
	slice(world, &world->worker, 1020, 1030, ANSWER, NULL);
	slice(world, &world->worker, 1080, 1095, 0, NULL);
}

static void an_event_loop_passes_on_what_a_pool_has_worked_out(void **state)
{
	struct world world;

	(void)state;
	start(&world);
	work(&world);
	slice(&world, &world.loop, 1091, 1105, 0, &world.worker);
	call(&world, WAKER_NETWORK);
	check_chain(&world);
}

static void what_was_preempted_or_looked_at_on_the_way_counts(void **state)
{
	struct world world;

	(void)state;
	start(&world);
	work(&world);
	world.b.waker = (struct event_waker){ .pid = SERVER_PID, .tid = WORKER };
	builder_slice(&world.b, &world.loop, 1091 * MS, 1091 * MS, 1093 * MS, 0, EVENT_TICK, -1);
	builder_slice(&world.b, &world.loop, 0, 1093 * MS, 1094 * MS, 0, EVENT_PREEMPTED, -1);
	slice(&world, &world.loop, 1097, 1105, 0, NULL);
	call(&world, WAKER_THREAD);
	check_chain(&world);
}

/* What it was woken for it has passed on to the first one: this was something else, which came
 * meanwhile. */
static void an_event_loop_that_has_woken_another_one_first_passes_nothing_on(void **state)
{
	const struct event_waker loop = {
		.pid = SERVER_PID, .tid = LOOP, .kind = WAKER_NETWORK, .is_later = 1
	};
	struct world world;

	(void)state;
	start(&world);
	work(&world);
	slice(&world, &world.loop, 1091, 1105, 0, &world.worker);
	call_ended_by(&world, &loop);
	check_none(&world);
}

static void the_span_that_it_has_just_left_is_the_wakers_own(void **state)
{
	struct world world;

	(void)state;
	start(&world);
	slice(&world, &world.loop, 1020, 1030, ANSWER, NULL);
	slice(&world, &world.loop, 1080, 1105, 0, NULL);
	call(&world, WAKER_NETWORK);
	check_chain(&world);
}

static void who_has_waited_since_does_not_answer_for_what_woke_it_before(void **state)
{
	struct world world;

	(void)state;
	start(&world);
	work(&world);
	slice(&world, &world.loop, 1091, 1093, 0, &world.worker);
	slice(&world, &world.loop, 1096, 1105, 0, NULL);
	call(&world, WAKER_NETWORK);
	check_none(&world);
}

static void what_was_over_before_the_call_has_not_answered_it(void **state)
{
	struct world world;

	(void)state;
	start(&world);
	slice(&world, &world.worker, 980, 985, ANSWER, NULL);
	slice(&world, &world.worker, 990, 1005, 0, NULL);
	slice(&world, &world.loop, 1002, 1105, 0, &world.worker);
	call(&world, WAKER_NETWORK);
	check_none(&world);
}

static void a_timer_that_found_the_loop_there_proves_nothing(void **state)
{
	struct world world;

	(void)state;
	start(&world);
	work(&world);
	slice(&world, &world.loop, 1091, 1105, 0, &world.worker);
	call(&world, WAKER_TIMER);
	check_none(&world);
}

static void whom_a_server_without_tags_waited_for_is_told_with_the_wait(void **state)
{
	const struct ledger_wait *wait;
	struct world world;

	(void)state;
	start(&world);
	call_behind(&world, 0, 1010 * MS);
	wait = the_wait(&world);
	assert_int_equal(ledger_count_wakers(wait), 1);
	assert_int_equal(wait->waker_count, 2);
	assert_int_equal(wait->wakers[1].kind, HOLDER_BEHIND);
	assert_int_equal(wait->wakers[1].tid, WORKER);
	assert_int_equal(wait->wakers[1].ns, 85 * MS); /* within this wait */
	check_chain_of(&world, 85 * MS);
}

static void who_made_such_a_server_go_on_is_linked_alone(void **state)
{
	struct world world;

	(void)state;
	start(&world);
	call_behind(&world, EVENT_BEHIND_ASKED, 1010 * MS);
	assert_int_equal(the_wait(&world)->waker_count, 1);
	check_chain_of(&world, 85 * MS);
}

static void what_is_told_of_another_wait_is_not_taken(void **state)
{
	struct world world;

	(void)state;
	start(&world);
	call_behind(&world, 0, 1009 * MS);
	assert_int_equal(the_wait(&world)->waker_count, 1);
	check_none(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_loop_passes_on_what_a_pool_has_worked_out),
		cmocka_unit_test(what_was_preempted_or_looked_at_on_the_way_counts),
		cmocka_unit_test(an_event_loop_that_has_woken_another_one_first_passes_nothing_on),
		cmocka_unit_test(the_span_that_it_has_just_left_is_the_wakers_own),
		cmocka_unit_test(who_has_waited_since_does_not_answer_for_what_woke_it_before),
		cmocka_unit_test(what_was_over_before_the_call_has_not_answered_it),
		cmocka_unit_test(a_timer_that_found_the_loop_there_proves_nothing),
		cmocka_unit_test(whom_a_server_without_tags_waited_for_is_told_with_the_wait),
		cmocka_unit_test(who_made_such_a_server_go_on_is_linked_alone),
		cmocka_unit_test(what_is_told_of_another_wait_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
