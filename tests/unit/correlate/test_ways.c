/* SPDX-License-Identifier: Apache-2.0 */
/* The way from a span's start to where a thread shows it, and out of it: whose time that is. */
#include "tests/unit/correlate/turns_builder.h"

/* Two traces, one after the other and again, so often; then none. */
static void take_turns(struct builder *b, struct builder_thread *t, uint64_t count)
{
	for (uint64_t i = 0; i <= count; i++) {
		const struct turn turn = { (950 + i) * MS, i < count ? 7 + i % 2 : 0 };

		b->trace = 50 + i % 2;
		tell(b, t->tid, &turn, 1, i == 0);
	}
	b->trace = 1;
	builder_slice(b, t, 949 * MS, 949 * MS, 955 * MS, 0, EVENT_TOLD | EVENT_CHANGED, FUTEX);
}

/* A service reads the clock, then attaches; it detaches, then reads the clock. */
static void tell_ways(struct builder *b, struct builder_thread *t, uint64_t way_ns)
{
	const struct turn ways[] = {
		{ 1001 * MS, A },
		{ 1003 * MS + way_ns, B },
		{ 1006 * MS - way_ns, A },
	};

	tell(b, t->tid, ways, 3, 1);
	builder_slice(b, t, 1000 * MS, 1000 * MS, 1010 * MS, A, EVENT_TOLD | EVENT_CHANGED, -1);
	builder_slice(b, t, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	builder_span(b, A, 0, 1001 * MS, 1010 * MS);
	builder_span(b, B, A, 1003 * MS, 1006 * MS);
	builder_clock(b, 3000 * MS);
	correlator_settle_all(b->correlator);
	assert_int_equal(builder_ledger(b, B)->cpu_ns, 3 * MS);
	assert_int_equal(builder_ledger(b, A)->cpu_self_ns, 6 * MS);
}

static void play_ways(struct builder *b, uint64_t way_ns, uint64_t turn_count)
{
	struct builder_thread t;

	begin(b, &t);
	if (turn_count)
		take_turns(b, &t, turn_count);
	tell_ways(b, &t, way_ns);
}

/* The thread has a span twice, and waits in between by that system call. */
static void come_back(struct builder *b, struct builder_thread *t, int32_t syscall)
{
	b->trace = 50;
	for (uint64_t at = 940 * MS; at < 960 * MS; at += 10 * MS) {
		const struct turn turn[] = { { at + 1 * MS, 7 }, { at + 2 * MS, 0 } };

		tell(b, t->tid, turn, 2, 1);
		builder_slice(b, t, at, at, at + 3 * MS, 0, EVENT_TOLD | EVENT_CHANGED, syscall);
	}
	b->trace = 1;
}

/* A pool's thread has got more work for the same span; an event loop may have put spans aside. */
static void the_way_is_the_spans_of_a_pool_and_in_doubt_of_a_loop(void **state)
{
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	come_back(&b, &t, FUTEX);
	tell_ways(&b, &t, 20 * US);
	assert_int_equal(builder_ledger(&b, B)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
	begin(&b, &t);
	come_back(&b, &t, EPOLL_WAIT);
	tell_ways(&b, &t, 20 * US);
	assert_in_range(builder_ledger(&b, B)->uncertain_ns, 40 * US, 60 * US);
	correlator_free(b.correlator);
}

/* However many: they are not looked at. */
static void threads_that_come_later_did_not_begin_it(void **state)
{
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	for (uint32_t i = 0; i < 100; i++) {
		struct builder_thread later = { .pid = BUILDER_PID, .tid = 100 + i };

		builder_slice(&b, &later, 1015 * MS, 1015 * MS, 1016 * MS, 0, 0, FUTEX);
	}
	tell_ways(&b, &t, 20 * US);
	assert_int_equal(builder_ledger(&b, B)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

static void the_way_into_a_span_and_out_of_it_is_the_spans(void **state)
{
	struct builder b;

	(void)state;
	play_ways(&b, 20 * US, 0);
	assert_int_equal(builder_ledger(&b, B)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

/* A span that two threads have, one after the other. */
static void hand_on(struct builder *b, struct builder_thread *t, struct builder_thread *other)
{
	enum { ROOT = 61, HANDED };

	b->trace = 60;
	builder_slice(b, t, 955 * MS, 955 * MS, 956 * MS, HANDED, 0, FUTEX);
	builder_slice(b, t, 957 * MS, 957 * MS, 958 * MS, 0, 0, FUTEX);
	builder_slice(b, other, 965 * MS, 965 * MS, 966 * MS, HANDED, 0, FUTEX);
	builder_slice(b, other, 967 * MS, 967 * MS, 968 * MS, 0, 0, FUTEX);
	builder_span(b, ROOT, 0, 954 * MS, 975 * MS);
	builder_span(b, HANDED, ROOT, 955 * MS, 967 * MS + 500 * US);
	b->trace = 1;
}

/* The thread goes on with the parent, while another one, which shows nothing, is on a CPU. */
static void who_shows_nothing_may_have_ended_what_was_handed_on(void **state)
{
	(void)state;
	for (int hands_on = 0; hands_on < 2; hands_on++) {
		struct builder_thread t, other = { .pid = BUILDER_PID, .tid = 12 };
		struct builder b;

		begin(&b, &t);
		builder_warm_up(&b, &other);
		if (hands_on)
			hand_on(&b, &t, &other);
		builder_slice(&b, &other, 1005 * MS, 1005 * MS, 1007 * MS, 0, EVENT_TOLD, FUTEX);
		tell_ways(&b, &t, 20 * US);
		if (hands_on)
			assert_in_range(builder_ledger(&b, B)->uncertain_ns, 20 * US, 30 * US);
		else
			assert_int_equal(builder_ledger(&b, B)->grade, GRADE_EXACT);
		correlator_free(b.correlator);
	}
}

/* A clock that is ahead by some us, and no tag tells: it has the span end when nobody of the
 * process is on a CPU any more, who could have ended it. */
static void a_span_that_ends_when_nobody_runs_was_ended_by_who_ran_last(void **state)
{
	static const struct turn ways[] = { { 1001 * MS, A }, { 1004 * MS, 0 } };
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	tell(&b, t.tid, ways, 2, 1);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1004 * MS + 20 * US, 0,
		      EVENT_TOLD | EVENT_CHANGED, FUTEX);
	builder_slice(&b, &t, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	builder_span(&b, A, 0, 1001 * MS - 20 * US, 1004 * MS + 23 * US);
	builder_clock(&b, 3000 * MS);
	correlator_settle_all(b.correlator);
	assert_int_equal(builder_ledger(&b, A)->cpu_ns, 3040 * US);
	correlator_free(b.correlator);
}

/* The first one was put aside for a handler, which was over when it came back. */
static void the_way_is_the_spans_where_handlers_come_between(void **state)
{
	struct builder b;

	(void)state;
	play_ways(&b, 20 * US, 3);
	assert_int_equal(builder_ledger(&b, B)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

/* B begins 800 us before it shows. `other_ns`: when another thread of the process ran; 0: never. */
static void play_long_way(struct builder *b, uint64_t other_ns)
{
	static const struct turn way[] = { { 1003 * MS + 800 * US, B }, { 1006 * MS, 0 } };
	struct builder_thread t, other = { .pid = BUILDER_PID, .tid = 12 };

	begin(b, &t);
	builder_warm_up(b, &other);
	tell(b, t.tid, way, 2, 1);
	if (other_ns)
		builder_slice(b, &other, other_ns, other_ns, other_ns + 100 * US, 0, EVENT_TOLD,
			      FUTEX);
	builder_slice(b, &t, 1000 * MS, 1000 * MS, 1010 * MS, 0, EVENT_TOLD | EVENT_CHANGED, -1);
	builder_slice(b, &t, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	builder_span(b, B, 0, 1003 * MS, 1006 * MS);
	builder_settle(b);
	assert_int_equal(builder_ledger(b, B)->cpu_ns, 3 * MS);
}

/* Another one may have begun it for it. */
static void a_long_way_is_the_spans_of_who_was_alone(void **state)
{
	struct builder b;

	(void)state;
	play_long_way(&b, 0);
	assert_in_range(builder_ledger(&b, B)->uncertain_ns, 0, 10 * US);
	correlator_free(b.correlator);
	play_long_way(&b, 1002 * MS + 950 * US);
	assert_true(builder_ledger(&b, B)->uncertain_ns >= 800 * US);
	correlator_free(b.correlator);
}

/* The thread has A, and begins B below it 800 us before it shows that. `beside`: what another
 * thread, on a CPU all the time, shows meanwhile: nothing, A, or a sibling of B. */
static uint64_t uncertain_beside(uint64_t beside)
{
	enum { SIBLING = 3 };
	const struct turn ways[] = { { 1001 * MS, A },
				     { 1003 * MS + 800 * US, B },
				     { 1006 * MS, A } };
	const struct turn others = { 1002 * MS, beside };
	struct builder_thread t, other = { .pid = BUILDER_PID, .tid = 12 };
	uint64_t uncertain;
	struct builder b;

	begin(&b, &t);
	builder_warm_up(&b, &other);
	tell(&b, t.tid, ways, 3, 1);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1010 * MS, A, EVENT_TOLD | EVENT_CHANGED, -1);
	tell(&b, other.tid, &others, 1, 1);
	builder_slice(&b, &other, 1000 * MS, 1000 * MS, 1009 * MS, beside,
		      EVENT_TOLD | EVENT_CHANGED, -1);
	builder_slice(&b, &t, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	builder_span(&b, A, 0, 1001 * MS, 1010 * MS);
	builder_span(&b, B, A, 1003 * MS, 1006 * MS);
	builder_span(&b, SIBLING, A, 1002 * MS, 1009 * MS);
	builder_settle(&b);
	uncertain = builder_ledger(&b, B)->uncertain_ns;
	correlator_free(b.correlator);
	return uncertain;
}

static void who_shows_a_sibling_did_not_begin_it_for_another(void **state)
{
	(void)state;
	assert_in_range(uncertain_beside(3), 0, 10 * US);
	assert_true(uncertain_beside(A) >= 800 * US);
	assert_true(uncertain_beside(0) >= 800 * US);
}

/* It shows what its parent showed at both ends of the slice: nothing. */
static void a_forked_childs_first_span_is_its_own(void **state)
{
	static const struct turn own[] = { { 1001 * MS, B }, { 1006 * MS, 0 } };
	const struct event_life fork = {
		.header = { .kind = EVENT_FORK, .bytes = sizeof(fork) },
		.pid = BUILDER_PID,
		.tid = 11,
		.other_pid = 20,
		.time_ns = 990 * MS,
	};
	struct builder_thread t, child = { .pid = 20, .tid = 20 };
	struct builder b;

	(void)state;
	begin(&b, &t);
	assert_int_equal(correlator_record(b.correlator, &fork.header), 0);
	builder_warm_up(&b, &child);
	tell_of(&b, &child, own, 2, 1);
	builder_slice(&b, &child, 1000 * MS, 1000 * MS, 1010 * MS, 0, EVENT_TOLD | EVENT_CHANGED,
		      -1);
	builder_slice(&b, &child, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	builder_span(&b, B, 0, 1001 * MS, 1006 * MS);
	builder_clock(&b, 3000 * MS);
	correlator_settle_all(b.correlator);
	assert_int_equal(builder_ledger(&b, B)->grade, GRADE_BOUNDED);
	assert_in_range(builder_ledger(&b, B)->uncertain_ns, 0, 10 * US);
	assert_int_equal(builder_ledger(&b, B)->cpu_ns, 5 * MS);
	correlator_free(b.correlator);
}

/* The child is heard of first, and shows its parent's span again after one of its own. */
static void a_span_that_a_child_inherited_is_its_parents(void **state)
{
	static const struct turn own[] = { { 1003 * MS, B }, { 1006 * MS, A } };
	static const struct turn parents[] = { { 1001 * MS, A }, { 1019 * MS, 0 } };
	const struct event_life fork = {
		.header = { .kind = EVENT_FORK, .bytes = sizeof(fork) },
		.pid = BUILDER_PID,
		.tid = 11,
		.other_pid = 20,
		.time_ns = 1002 * MS,
	};
	struct builder_thread t, child = { .pid = 20, .tid = 20, .span = A };
	const struct ledger *a;
	struct builder b;

	(void)state;
	begin(&b, &t);
	assert_int_equal(correlator_record(b.correlator, &fork.header), 0);
	tell_of(&b, &child, own, 2, 1);
	builder_slice(&b, &child, 1002 * MS, 1002 * MS, 1010 * MS, A, EVENT_TOLD | EVENT_CHANGED,
		      FUTEX);
	tell(&b, t.tid, parents, 2, 1);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1020 * MS, 0, EVENT_TOLD | EVENT_CHANGED,
		      FUTEX);
	builder_slice(&b, &child, 1015 * MS, 1015 * MS, 1016 * MS, A, EVENT_TOLD, FUTEX);
	builder_span(&b, A, 0, 1001 * MS, 1019 * MS);
	builder_clock(&b, 3000 * MS);
	correlator_settle_all(b.correlator);
	a = builder_ledger(&b, A);
	assert_int_equal(a->pid, BUILDER_PID);
	assert_int_equal(a->cpu_ns, 18 * MS);
	assert_in_range(a->uncertain_ns, 0, 10 * US);
	correlator_free(b.correlator);
}

/* As a handler does, in the middle of another trace's work. */
static void the_way_is_the_spans_whatever_was_shown_before(void **state)
{
	static const struct turn turns_of_both[] = {
		{ 1001 * MS, 7 },
		{ 1003 * MS + 20 * US, B },
		{ 1006 * MS - 20 * US, 7 },
	};
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	for (uint32_t i = 0; i < 3; i++) {
		b.trace = turns_of_both[i].span == 7 ? 50 : 1;
		tell(&b, t.tid, &turns_of_both[i], 1, i == 0);
	}
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1010 * MS, 7, EVENT_TOLD | EVENT_CHANGED, -1);
	builder_slice(&b, &t, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	b.trace = 1;
	builder_span(&b, B, 0, 1003 * MS, 1006 * MS);
	builder_clock(&b, 3000 * MS);
	correlator_settle_all(b.correlator);
	assert_int_equal(refused(&b), 0);
	assert_int_equal(builder_ledger(&b, B)->cpu_ns, 3 * MS);
	correlator_free(b.correlator);
}

/* There it may be nothing to do with it: a coroutine was made, and waited for its turn. */
static void a_long_way_is_in_doubt_where_spans_take_turns(void **state)
{
	struct builder b;

	(void)state;
	play_ways(&b, 20 * US, 4);
	assert_in_range(builder_ledger(&b, B)->uncertain_ns, 40 * US, 60 * US);
	correlator_free(b.correlator);
}

/* Did it begin when it says, or with its first turn? It was not carried in between. */
static void the_way_into_a_span_that_takes_turns_is_in_doubt(void **state)
{
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	tell(&b, t.tid, turns, 5, 1);
	slice(&b, &t, EVENT_TOLD | EVENT_CHANGED);
	builder_span(&b, A, 0, 1001 * MS - 30 * US, 1006 * MS);
	builder_span(&b, B, 0, 1002 * MS, 1010 * MS);
	builder_clock(&b, 3000 * MS);
	correlator_settle_all(b.correlator);
	assert_in_range(builder_ledger(&b, A)->cpu_ns, 4 * MS, 4 * MS + 30 * US);
	assert_true(builder_ledger(&b, A)->uncertain_ns >= 30 * US);
	correlator_free(b.correlator);
}

/* A begins B, and works on; a pool's thread, which looks for work all the time, has B from
 * `way_ns` later on, and lets go of it so much before its end. */
static void poll_for_work(struct builder *b, uint64_t way_ns, bool is_on_cpu)
{
	struct builder_thread own, pool = { .pid = BUILDER_PID, .tid = 12 };
	const struct turn in_own[] = { { 1001 * MS, A } };
	const struct turn in_pool[] = { { 1003 * MS + way_ns, B }, { 1006 * MS - way_ns, 0 } };
	uint64_t out_ns = is_on_cpu ? 1010 * MS : 1002 * MS;

	begin(b, &own);
	builder_warm_up(b, &pool);
	tell(b, own.tid, in_own, 1, 1);
	builder_slice(b, &own, 1000 * MS, 1000 * MS, out_ns, A, EVENT_TOLD | EVENT_CHANGED, FUTEX);
	tell(b, pool.tid, in_pool, 2, 1);
	builder_slice(b, &pool, 999 * MS, 999 * MS, 1009 * MS, 0, EVENT_TOLD | EVENT_CHANGED,
		      FUTEX);
	builder_slice(b, &own, 1020 * MS, 1020 * MS, 1021 * MS, 0, EVENT_TOLD, FUTEX);
	builder_span(b, A, 0, 1001 * MS, 1021 * MS);
	builder_span(b, B, A, 1003 * MS, 1006 * MS);
	builder_clock(b, 3000 * MS);
	correlator_settle_all(b->correlator);
}

static void who_is_at_hand_did_not_begin_what_others_began(void **state)
{
	const uint64_t ways[] = { 3 * US, 20 * US, 150 * US };
	struct builder b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		poll_for_work(&b, ways[i], true);
		assert_true(builder_ledger(&b, B)->uncertain_ns >= 2 * ways[i]);
		correlator_free(b.correlator);
		poll_for_work(&b, ways[i], false); /* nobody else can have begun it */
		assert_true(builder_ledger(&b, B)->uncertain_ns < 5 * US);
		correlator_free(b.correlator);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_way_is_the_spans_of_a_pool_and_in_doubt_of_a_loop),
		cmocka_unit_test(threads_that_come_later_did_not_begin_it),
		cmocka_unit_test(the_way_into_a_span_and_out_of_it_is_the_spans),
		cmocka_unit_test(the_way_is_the_spans_where_handlers_come_between),
		cmocka_unit_test(a_span_that_ends_when_nobody_runs_was_ended_by_who_ran_last),
		cmocka_unit_test(a_long_way_is_the_spans_of_who_was_alone),
		cmocka_unit_test(who_shows_nothing_may_have_ended_what_was_handed_on),
		cmocka_unit_test(who_is_at_hand_did_not_begin_what_others_began),
		cmocka_unit_test(who_shows_a_sibling_did_not_begin_it_for_another),
		cmocka_unit_test(a_forked_childs_first_span_is_its_own),
		cmocka_unit_test(a_span_that_a_child_inherited_is_its_parents),
		cmocka_unit_test(the_way_is_the_spans_whatever_was_shown_before),
		cmocka_unit_test(a_long_way_is_in_doubt_where_spans_take_turns),
		cmocka_unit_test(the_way_into_a_span_that_takes_turns_is_in_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
