/* SPDX-License-Identifier: Apache-2.0 */
/* Records that the kernel had no room for: whose were they? */
#include <errno.h>

#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202

static struct builder_thread main_thread, worker;

/* It comes with a span or with none, and leaves without. */
static void slice_after_loss(struct builder *b, struct builder_thread *t, uint64_t at,
			     uint32_t lost)
{
	struct {
		struct event_slice slice;
		struct event_tag tag;
	} record = { .tag = builder_tag(b, t->span) };
	uint32_t tag_flag = t->span ? EVENT_TAG_IN : EVENT_TAG_IN_NONE;

	record.slice = (struct event_slice){
		.header = { .kind = EVENT_SLICE,
			    .bytes = (uint16_t)(t->span ? sizeof(record) : sizeof(record.slice)),
			    .flags = tag_flag | EVENT_STOLEN_UNTOLD },
		.pid = t->pid,
		.tid = t->tid,
		.prev_out_ns = t->out_ns + MS,
		.in_ns = at,
		.out_ns = at + MS,
		.exec_in_ns = t->exec_ns,
		.exec_out_ns = t->exec_ns + MS,
		.exec_start_in_ns = at - BUILDER_SCHED_NS,
		.exec_start_out_ns = at + MS - BUILDER_SCHED_NS,
		.lost_before = lost,
		.state = 1,
		.syscall = FUTEX,
	};

	assert_int_equal(correlator_record(b->correlator, &record.slice.header), 0);
}

/* Two spans, 1000 to 1010 and 1100 to 1110 ms, on one thread; a worker sleeps since 920 ms. */
static void begin(struct builder *b)
{
	main_thread = (struct builder_thread){ .pid = BUILDER_PID, .tid = 11 };
	worker = (struct builder_thread){ .pid = BUILDER_PID, .tid = 12 };
	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, &main_thread);
	builder_slice(b, &worker, 920 * MS, 920 * MS, 921 * MS, 0, 0, FUTEX);
	for (uint64_t i = 0; i < 2; i++) {
		uint64_t at = (1000 + 100 * i) * MS;

		builder_slice(b, &main_thread, at, at, at + MS, 1 + i, 0, FUTEX);
		builder_slice(b, &main_thread, at + 8 * MS, at + 8 * MS, at + 11 * MS, 0, 0, FUTEX);
		builder_span(b, 1 + i, 0, at, at + 10 * MS);
	}
}

/* Two records were lost between 1000 and 1010 ms. */
static void play(struct builder *b)
{
	begin(b);
	correlator_loss(b->correlator, 1000 * MS, 1010 * MS, 2);
	builder_settle(b);
}

static void while_a_thread_sleeps_on_it_may_have_run(void **state)
{
	struct builder b;

	(void)state;
	play(&b);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_PARTIAL);
	assert_int_equal(builder_ledger(&b, 2)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

static void once_another_has_owned_up_it_has_not(void **state)
{
	struct builder_thread stranger = { .pid = BUILDER_PID + 1, .tid = 21, .out_ns = 990 * MS };
	struct builder b;

	(void)state;
	play(&b);
	slice_after_loss(&b, &stranger, 2000 * MS, 1);
	correlator_advance(b.correlator, 5000 * MS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_PARTIAL);
	slice_after_loss(&b, &stranger, 2002 * MS, 1);
	correlator_advance(b.correlator, 7000 * MS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

static void whoever_has_come_since_owns_up_himself(void **state)
{
	struct builder b;

	(void)state;
	play(&b);
	builder_slice(&b, &worker, 1200 * MS, 1200 * MS, 1201 * MS, 0, 0, FUTEX);
	b.trace = 2; /* it settles now; the first one is not looked at again */
	builder_span(&b, 3, 0, 1000 * MS + 500 * US, 1000 * MS + 600 * US);
	builder_span(&b, 4, 0, 1100 * MS + 500 * US, 1100 * MS + 600 * US);
	correlator_settle_all(b.correlator);
	assert_int_equal(builder_ledger(&b, 3)->grade,
			 GRADE_PARTIAL); /* never seen: whose is it? */
	assert_int_not_equal(builder_ledger(&b, 4)->grade, GRADE_PARTIAL);
	correlator_free(b.correlator);
}

/* It had the span when it was seen for the first time, after all of its own that was lost. */
static void before_a_threads_first_record_it_may_have_run(void **state)
{
	struct builder_thread late = {
		.pid = BUILDER_PID, .tid = 13, .span = 1, .out_ns = 1018 * MS
	};
	struct builder_thread early = { .pid = BUILDER_PID, .tid = 11 };
	struct builder b;

	(void)state;
	builder_init(&b);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, &early);
	builder_slice(&b, &early, 1000 * MS, 1000 * MS, 1001 * MS, 1, 0, FUTEX);
	builder_slice(&b, &early, 1011 * MS, 1011 * MS, 1012 * MS, 0, 0, FUTEX);
	slice_after_loss(&b, &late, 1020 * MS, 2);
	builder_span(&b, 1, 0, 1000 * MS, 1010 * MS);
	builder_clock(&b, 3000 * MS);
	correlator_settle_all(b.correlator);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_PARTIAL);
	correlator_free(b.correlator);
}

/* On a CPU when it began to be followed, since nobody knows when. */
static void before_it_was_found_running_a_thread_may_have_run(void **state)
{
	struct builder_thread late = { .pid = BUILDER_PID, .tid = 13, .span = 1 };
	struct builder_thread early = { .pid = BUILDER_PID, .tid = 11 };
	struct builder b;

	(void)state;
	builder_init(&b);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, &early);
	builder_slice(&b, &late, 0, 1004 * MS, 1004 * MS, 1, 0, FUTEX);
	builder_slice(&b, &late, 1006 * MS, 1006 * MS, 1012 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1000 * MS, 1010 * MS);
	builder_settle(&b);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_PARTIAL);
	correlator_free(b.correlator);
}

/* Told in short, of one that never came: when it ran is known, and nothing else. */
static void one_that_is_told_of_an_unknown_one_is_lost(void **state)
{
	const struct event_again again = {
		.header = { EVENT_AGAIN, sizeof(again), EVENT_TAG_IN_NONE | EVENT_STOLEN_UNTOLD },
		.tid = 12,
		.waking = EVENT_NOT_WOKEN,
		.prev_out_ns = 1002 * MS,
		.in = 3 * MS,
		.length = MS,
		.exec = MS,
	};
	struct correlator_stats stats;
	struct builder b;

	(void)state;
	begin(&b);
	assert_int_equal(correlator_record(b.correlator, &again.header), -EBADMSG);
	builder_settle(&b);
	correlator_stats(b.correlator, &stats);
	assert_int_equal(stats.slices_malformed, 1);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_PARTIAL);
	assert_int_equal(builder_ledger(&b, 2)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

/* One span, 1000 to 1010 ms, while a worker sleeps; and the daemon ends at `now_ns`. */
static enum ledger_grade grade_at_end(uint64_t now_ns, uint64_t worker_ns)
{
	struct builder b;
	enum ledger_grade grade;

	begin(&b);
	if (worker_ns)
		builder_slice(&b, &worker, worker_ns, worker_ns, worker_ns + MS, 0, 0, FUTEX);
	builder_clock(&b, now_ns);
	correlator_advance(b.correlator, now_ns);
	correlator_settle_all(b.correlator);
	grade = builder_ledger(&b, 1)->grade;
	correlator_free(b.correlator);
	return grade;
}

/* Whoever came onto a CPU meanwhile is there still, and has told nothing. */
static void what_has_not_been_told_yet_is_lost_at_the_end(void **state)
{
	(void)state;
	assert_int_equal(grade_at_end(1012 * MS, 0), GRADE_PARTIAL);
	assert_int_equal(grade_at_end(1012 * MS, 1011 * MS), GRADE_EXACT);
	assert_int_equal(grade_at_end(1100 * MS, 0), GRADE_EXACT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(while_a_thread_sleeps_on_it_may_have_run),
		cmocka_unit_test(once_another_has_owned_up_it_has_not),
		cmocka_unit_test(whoever_has_come_since_owns_up_himself),
		cmocka_unit_test(before_a_threads_first_record_it_may_have_run),
		cmocka_unit_test(before_it_was_found_running_a_thread_may_have_run),
		cmocka_unit_test(one_that_is_told_of_an_unknown_one_is_lost),
		cmocka_unit_test(what_has_not_been_told_yet_is_lost_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
