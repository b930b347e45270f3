/* SPDX-License-Identifier: Apache-2.0 */
/* SDKs whose clocks are not the machine's. */
#include "tests/unit/correlate/world_builder.h"

#define RECVFROM 45
#define FUTEX    202
#define OFF_NS   (300 * MS) /* the SDK's clock */
#define NEXT_NS  (2000 * MS)
#define REQUESTS 5
#define CPU_NS   (180 * US) /* of each */

/* The thread carries `span` from `at` on, and waits within it until 10 ms later. */
static void carry(struct builder *b, struct builder_thread *t, uint64_t at, uint64_t span)
{
	builder_slice(b, t, at, at, at + MS, span, 0, RECVFROM);
	builder_slice(b, t, at + 10 * MS, at + 10 * MS, at + 12 * MS, 0, 0, FUTEX);
}

static void settle(struct builder *b, uint64_t now_ns)
{
	builder_clock(b, now_ns);
	correlator_advance(b->correlator, now_ns);
	correlator_settle_all(b->correlator);
}

/* Two traces: of the first one the span is seen, of the second one it runs between two looks. Both
 * are told `off_ns` too early. */
static void play(struct builder *b, uint64_t off_ns)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };

	builder_init(b);
	builder_clock(b, 500 * MS);
	builder_warm_up(b, &t);
	carry(b, &t, 1000 * MS, 1);
	carry(b, &t, NEXT_NS - OFF_NS, 0);
	carry(b, &t, NEXT_NS, 0);
	builder_span(b, 1, 0, 1000 * MS + 500 * US - off_ns, 1011 * MS - off_ns);
	settle(b, 2100 * MS);
	b->trace = 2;
	builder_span(b, 2, 0, NEXT_NS + 100 * US - off_ns, NEXT_NS + 200 * US - off_ns);
	settle(b, 2200 * MS);
}

/* No further off than it says, and that is not much. */
static void assert_near(const struct ledger *ledger, uint64_t cpu_ns, uint64_t most_ns)
{
	assert_true(ledger->grade >= GRADE_BOUNDED);
	assert_in_range(ledger->uncertain_ns, 0, most_ns);
	assert_in_range(distance(ledger->cpu_ns, cpu_ns), 0, ledger->uncertain_ns + 2 * US);
}

/* Moved to where it was seen: that leaves a millisecond. */
static void a_span_that_is_seen_after_its_end_only_has_a_wrong_clock(void **state)
{
	struct builder b;

	(void)state;
	play(&b, OFF_NS);
	assert_near(builder_ledger(&b, 1), 1500 * US, MS);
	correlator_free(b.correlator);
}

struct service {
	uint64_t late_ns; /* from a span's end to when it is taken off its thread */
	uint64_t wait_ns; /* from its start to the first wait; 0: 100 us */
	uint64_t came_ns; /* from when the thread came to its start; 0: 30 us */
	int64_t off_ns;   /* the SDK's clock, from what the time of day was at first */
	int64_t set_ns;   /* by so much that was set, before any span */
};

static void read_clock(struct builder *b, uint64_t mono, int64_t off_ns)
{
	correlator_clock(b->correlator, mono - 20, BUILDER_EPOCH_NS + mono + (uint64_t)off_ns,
			 mono + 20);
}

static void begin(struct builder *b, struct builder_thread *t)
{
	*t = (struct builder_thread){ .pid = BUILDER_PID, .tid = 11 };
	builder_init(b);
	read_clock(b, 500 * MS, 0);
	builder_warm_up(b, t);
}

/* A request: the thread wakes up 30 us before the span starts, waits, again 1.15 ms after the
 * start, and 30 us later the span ends. Where it is taken off its thread late, that waits with it.
 */
static void request(struct builder *b, struct builder_thread *t, const struct service *service,
		    uint64_t at)
{
	uint64_t end = at + 1200 * US, off = end + 50 * US + service->late_ns;
	uint64_t wait = at + (service->wait_ns ? service->wait_ns : 100 * US), span = b->trace;
	uint64_t came = at - (service->came_ns ? service->came_ns : 30 * US);

	builder_slice(b, t, came, came, wait, span, 0, RECVFROM);
	builder_slice(b, t, at + 1100 * US, at + 1100 * US, at + 1150 * US, span, 0, RECVFROM);
	builder_slice(b, t, end - 30 * US, end - 30 * US, end + 50 * US,
		      service->late_ns ? span : 0, 0, RECVFROM);
	builder_slice(b, t, off, off, end + MS, 0, 0, RECVFROM);
	builder_span(b, span, 0, at + (uint64_t)service->off_ns, end + (uint64_t)service->off_ns);
}

static void serve(struct builder *b, const struct service *service)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };

	builder_init(b);
	read_clock(b, 500 * MS, 0);
	read_clock(b, 510 * MS, service->set_ns);
	builder_warm_up(b, &t);
	for (b->trace = 1; b->trace <= REQUESTS; b->trace++)
		request(b, &t, service, 1000 * MS + b->trace * 20 * MS);
	read_clock(b, 3000 * MS, service->set_ns);
	correlator_advance(b->correlator, 3000 * MS);
	correlator_settle_all(b->correlator);
}

static void assert_all_near(struct builder *b, uint64_t most_ns)
{
	for (unsigned i = 1; i <= REQUESTS; i++)
		assert_near(builder_ledger(b, i), CPU_NS, most_ns);
	correlator_free(b->correlator);
}

/* 350 us after their end the spans are seen, but 100 us after their start, too: with a clock that
 * far behind they could not be. */
static void an_sdk_that_detaches_late_has_no_wrong_clock(void **state)
{
	struct builder b;

	(void)state;
	serve(&b, &(struct service){ .late_ns = 300 * US });
	assert_all_near(&b, LEDGER_EXACT_NS);
}

/* The spans are seen 400 us after their start, and still 345 us after their end: that leaves little
 * for anything else, though nothing was on their thread when they had begun. */
static void a_clock_that_both_edges_tell_of_is_as_good_as_they_are_near(void **state)
{
	struct builder b;

	(void)state;
	serve(&b, &(struct service){
			  .off_ns = -375 * (int64_t)US, .wait_ns = 25 * US, .came_ns = 500 * US });
	for (unsigned i = 1; i <= REQUESTS; i++)
		assert_near(builder_ledger(&b, i), 105 * US, 30 * US);
	correlator_free(b.correlator);
}

/* Before they start, by their own account, their thread still waits for something else. */
static void a_clock_that_is_a_little_behind_is_told_from_that(void **state)
{
	struct builder b;

	(void)state;
	serve(&b, &(struct service){ .off_ns = -50 * (int64_t)US });
	assert_true(builder_ledger(&b, 1)->uncertain_ns >=
		    60 * US); /* not only as far as is shown */
	assert_all_near(&b, 75 * US);
}

static void a_clock_that_is_a_little_ahead_is_told_by_starts(void **state)
{
	struct builder b;

	(void)state;
	serve(&b, &(struct service){ .off_ns = 150 * US });
	assert_all_near(&b, 75 * US);
}

/* A program gave the first span's times itself, a second ahead; the others' clock is right. */
static void play_made_up(struct builder *b)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };

	builder_init(b);
	read_clock(b, 500 * MS, 0);
	builder_warm_up(b, &t);
	b->trace = 1;
	request(b, &t, &(struct service){ .off_ns = 1000 * MS }, 1000 * MS);
	settle(b, 3000 * MS);
	for (b->trace = 2; b->trace <= REQUESTS; b->trace++) {
		request(b, &t, &(struct service){ .wait_ns = 20 * US },
			3000 * MS + b->trace * 20 * MS);
		settle(b, 4000 * MS);
	}
}

static void times_that_a_program_made_up_are_in_doubt_themselves(void **state)
{
	struct builder b;

	(void)state;
	play_made_up(&b);
	assert_true(builder_ledger(&b, 1)->grade < GRADE_BOUNDED ||
		    builder_ledger(&b, 1)->uncertain_ns >= 900 * MS);
	assert_near(builder_ledger(&b, 2), CPU_NS - 80 * US, 60 * US);
	correlator_free(b.correlator);
}

/* The first span shows the clock to be right, the second one that it has run ahead by a millisecond
 * since. The third one, which began half a millisecond after its thread came and ended as long
 * before that left, shows neither: what the first one allows at most, is no bound any more. */
static void a_clock_that_runs_away_is_doubted_by_how_far_it_came(void **state)
{
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	b.trace = 1;
	request(&b, &t, &(struct service){ .wait_ns = 20 * US }, 1020 * MS);
	settle(&b, 1030 * MS);
	b.trace = 2;
	request(&b, &t, &(struct service){ .off_ns = MS }, 1040 * MS);
	settle(&b, 1050 * MS);
	b.trace = 3;
	builder_slice(&b, &t, 1060 * MS, 1060 * MS, 1063 * MS, 3, 0, RECVFROM);
	builder_slice(&b, &t, 1070 * MS, 1070 * MS, 1073 * MS, 0, 0, FUTEX);
	builder_span(&b, 3, 0, 1060 * MS + 500 * US + MS, 1071 * MS + 500 * US + MS);
	settle(&b, 1100 * MS);
	assert_true(builder_ledger(&b, 3)->uncertain_ns >= 900 * US);
	correlator_free(b.correlator);
}

static void after_a_while_they_are_forgotten(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 12 };
	struct builder b;

	(void)state;
	play_made_up(&b);
	for (b.trace = 11; b.trace <= 15; b.trace++) {
		uint64_t at = 40000 * MS + (b.trace - 11) * 20000 * MS;

		request(&b, &t, &(struct service){ .wait_ns = 20 * US }, at);
		settle(&b, at + 1000 * MS);
	}
	assert_in_range(builder_ledger(&b, 15)->uncertain_ns, 0, LEDGER_EXACT_NS);
	correlator_free(b.correlator);
}

/* Does it go by what that was, or by what it is? 60 us apart, both agree with all that is seen. */
static void a_time_of_day_that_was_set_a_little_is_an_honest_doubt(void **state)
{
	struct builder before, now;

	(void)state;
	serve(&before, &(struct service){ .set_ns = 60 * US });
	assert_true(builder_ledger(&before, 1)->uncertain_ns >= 30 * US);
	assert_all_near(&before, 70 * US);
	serve(&now, &(struct service){ .set_ns = 60 * US, .off_ns = 60 * US });
	assert_true(builder_ledger(&now, 1)->uncertain_ns >= 30 * US);
	assert_all_near(&now, 70 * US);
}

/* It has been slewed by 12 us since the first trace. Of a span that begins 1 us after its thread
 * has come back, and ends 15 us after another switch, the tags agree with either. */
static void who_may_go_by_a_slewed_time_of_day_may_not(void **state)
{
	const int64_t slewed_ns = -12 * (int64_t)US;
	const uint64_t at = 2000 * MS, end = at + MS;
	struct builder_thread t;
	struct builder b;

	(void)state;
	begin(&b, &t);
	request(&b, &t, &(struct service){ .wait_ns = 500 }, 1000 * MS);
	read_clock(&b, 1500 * MS, 0);
	read_clock(&b, 1510 * MS, slewed_ns);
	b.trace = 2;
	builder_slice(&b, &t, at - 9 * MS, at - 9 * MS, at - 7 * MS, 2, 0, RECVFROM);
	builder_slice(&b, &t, at - US, at - US, at + 500, 3, 0, RECVFROM);
	builder_slice(&b, &t, end - 15 * US, end - 15 * US, end + 50 * US, 2, 0, RECVFROM);
	builder_slice(&b, &t, end + 8 * MS, end + 8 * MS, end + 9 * MS, 0, 0, FUTEX);
	builder_span(&b, 2, 0, at - 8 * MS + (uint64_t)slewed_ns, end + 8 * MS);
	builder_span(&b, 3, 2, at + (uint64_t)slewed_ns, end + (uint64_t)slewed_ns);
	read_clock(&b, 3000 * MS, slewed_ns);
	correlator_advance(b.correlator, 3000 * MS);
	correlator_settle_all(b.correlator);
	assert_near(builder_ledger(&b, 3), 15500, 40 * US);
	correlator_free(b.correlator);
}

/* Seen 20 us after it started, a span did not start 60 us before. */
static void tags_tell_by_which_time_of_day_an_sdk_goes(void **state)
{
	struct builder b;

	(void)state;
	serve(&b, &(struct service){ .set_ns = 60 * US, .off_ns = 60 * US, .wait_ns = 20 * US });
	assert_in_range(builder_ledger(&b, 1)->uncertain_ns, 0, LEDGER_EXACT_NS);
	correlator_free(b.correlator);
}

static void what_one_span_tells_of_the_clock_holds_for_the_next(void **state)
{
	struct builder b;

	(void)state;
	play(&b, OFF_NS);
	assert_true(builder_ledger(&b, 2)->grade < GRADE_BOUNDED ||
		    builder_ledger(&b, 2)->uncertain_ns >= OFF_NS - 11 * MS);
	correlator_free(b.correlator);
}

static void a_clock_that_is_right_is_not_doubted(void **state)
{
	struct builder b;

	(void)state;
	play(&b, 0);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_EXACT);
	assert_int_equal(builder_ledger(&b, 2)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

/* Somebody works on in the context of a span that is over: one look shows that its clock is right.
 */
static void work_in_the_context_of_an_ended_span_is_no_wrong_clock(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder b;

	(void)state;
	builder_init(&b);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, &t);
	builder_slice(&b, &t, 999 * MS, 999 * MS, 1000 * MS + 510 * US, 1, 0, RECVFROM);
	builder_slice(&b, &t, 1010 * MS, 1010 * MS, 1012 * MS, 1, 0, RECVFROM);
	carry(&b, &t, 1500 * MS, 1);
	builder_span(&b, 1, 0, 1000 * MS + 500 * US, 1011 * MS);
	settle(&b, 2100 * MS);
	assert_true(builder_ledger(&b, 1)->grade >= GRADE_BOUNDED);
	assert_in_range(builder_ledger(&b, 1)->uncertain_ns, 0, 20 * US);
	correlator_free(b.correlator);
}

static void a_thread_that_ends_in_a_spans_context_is_no_wrong_clock(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder_thread worker = { .pid = BUILDER_PID, .tid = 12 };
	struct builder b;

	(void)state;
	builder_init(&b);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, &t);
	builder_slice(&b, &worker, 0, 999 * MS, 1002 * MS, 1, 0, RECVFROM);
	builder_slice(&b, &worker, 1010 * MS, 1010 * MS, 1012 * MS, 1, EVENT_DEAD, -1);
	builder_span(&b, 1, 0, 1000 * MS + 500 * US, 1011 * MS);
	settle(&b, 2100 * MS);
	assert_true(builder_ledger(&b, 1)->grade >= GRADE_BOUNDED);
	assert_in_range(builder_ledger(&b, 1)->uncertain_ns, 0, 20 * US);
	correlator_free(b.correlator);
}

/* It was started 1 s before. */
static void a_span_from_before_the_machine_is_where_tags_tell(void **state)
{
	struct builder b;

	(void)state;
	serve(&b, &(struct service){ .off_ns = -1500 * (int64_t)MS });
	assert_all_near(&b, 75 * US);
}

/* The clock was never read at such a time. */
static void a_clock_that_is_far_ahead_is_as_good_as_tags_tell(void **state)
{
	struct builder b;

	(void)state;
	serve(&b, &(struct service){ .off_ns = 20000 * (int64_t)MS });
	assert_all_near(&b, 75 * US);
}

static void a_span_without_times_keeps_no_other_one_waiting(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder b;

	(void)state;
	builder_init(&b);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, &t);
	builder_slice(&b, &t, 999 * MS, 999 * MS, 1001 * MS, 1, 0, RECVFROM);
	builder_slice(&b, &t, 1010 * MS, 1010 * MS, 1012 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1000 * MS, 1011 * MS);
	builder_span(&b, 2, 1, -BUILDER_EPOCH_NS, -BUILDER_EPOCH_NS);
	settle(&b, 2100 * MS);
	assert_true(builder_ledger(&b, 1)->grade >= GRADE_BOUNDED);
	assert_true(builder_ledger(&b, 2)->grade < GRADE_BOUNDED ||
		    builder_ledger(&b, 2)->uncertain_ns > MS);
	correlator_free(b.correlator);
}

/* No clock is that far ahead. What tags show of the process's one is as if it was not there. */
static void times_beyond_all_clocks_tell_nothing_of_one(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder b;

	(void)state;
	builder_init(&b);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, &t);
	carry(&b, &t, 1000 * MS, 1);
	carry(&b, &t, 1500 * MS, 2);
	builder_span(&b, 1, 0, 1000 * MS + 500 * US - OFF_NS, 1011 * MS - OFF_NS);
	builder_span(&b, 2, 0, -BUILDER_EPOCH_NS - 2, -BUILDER_EPOCH_NS - 1);
	settle(&b, 2100 * MS);
	assert_near(builder_ledger(&b, 1), 1500 * US, MS);
	correlator_free(b.correlator);
}

/* It ends at 1510 ms, and says: 300 ms before. */
static void a_clock_that_is_behind_waits_for_what_threads_did(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder b;

	(void)state;
	builder_init(&b);
	builder_clock(&b, 500 * MS);
	builder_warm_up(&b, &t);
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1001 * MS, 1, 0, RECVFROM);
	builder_slice(&b, &t, 1499 * MS, 1499 * MS, 1500 * MS, 1, 0, RECVFROM);
	builder_span(&b, 1, 0, 1000 * MS + 500 * US - OFF_NS, 1510 * MS - OFF_NS);
	builder_clock(&b, 1512 * MS);
	correlator_advance(b.correlator, 1512 * MS);
	builder_slice(&b, &t, 1505 * MS, 1505 * MS, 1520 * MS, 0, 0, RECVFROM);
	builder_clock(&b, 1600 * MS);
	correlator_advance(b.correlator, 1600 * MS);
	assert_near(builder_ledger(&b, 1), 6500 * US, 20 * MS);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_span_that_is_seen_after_its_end_only_has_a_wrong_clock),
		cmocka_unit_test(an_sdk_that_detaches_late_has_no_wrong_clock),
		cmocka_unit_test(a_clock_that_both_edges_tell_of_is_as_good_as_they_are_near),
		cmocka_unit_test(a_clock_that_is_a_little_behind_is_told_from_that),
		cmocka_unit_test(a_clock_that_is_a_little_ahead_is_told_by_starts),
		cmocka_unit_test(times_that_a_program_made_up_are_in_doubt_themselves),
		cmocka_unit_test(after_a_while_they_are_forgotten),
		cmocka_unit_test(a_clock_that_runs_away_is_doubted_by_how_far_it_came),
		cmocka_unit_test(a_time_of_day_that_was_set_a_little_is_an_honest_doubt),
		cmocka_unit_test(who_may_go_by_a_slewed_time_of_day_may_not),
		cmocka_unit_test(tags_tell_by_which_time_of_day_an_sdk_goes),
		cmocka_unit_test(what_one_span_tells_of_the_clock_holds_for_the_next),
		cmocka_unit_test(a_clock_that_is_right_is_not_doubted),
		cmocka_unit_test(work_in_the_context_of_an_ended_span_is_no_wrong_clock),
		cmocka_unit_test(a_thread_that_ends_in_a_spans_context_is_no_wrong_clock),
		cmocka_unit_test(a_span_from_before_the_machine_is_where_tags_tell),
		cmocka_unit_test(a_clock_that_is_far_ahead_is_as_good_as_tags_tell),
		cmocka_unit_test(a_span_without_times_keeps_no_other_one_waiting),
		cmocka_unit_test(a_clock_that_is_behind_waits_for_what_threads_did),
		cmocka_unit_test(times_beyond_all_clocks_tell_nothing_of_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
