/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks that misbehave while a span is open. Each test plays the same service: its thread runs
 * 1000..1002 and 1005..1010 ms, and waits for the network in between. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX    202
#define RECVFROM 45
#define START    (1001 * MS)
#define END      (1008 * MS)
#define RUNNING  (4 * MS) /* between these two */

/* Unix time at that moment. */
typedef uint64_t (*wall_clock)(uint64_t mono_ns);

static uint64_t even(uint64_t mono_ns)
{
	return BUILDER_EPOCH_NS + mono_ns;
}

/* Set forward, as by NTP at first contact, or after a suspend. */
static uint64_t leaping(uint64_t mono_ns)
{
	return even(mono_ns) + (mono_ns >= 1003 * MS ? 50 * MS : 0);
}

static uint64_t falling_back(uint64_t mono_ns)
{
	return even(mono_ns) - (mono_ns >= 1003 * MS ? 3 * MS : 0);
}

/* As much as adjtimex(2) allows. */
static uint64_t slewing(uint64_t mono_ns)
{
	return even(mono_ns) + mono_ns / 2000;
}

/* Readings every half second, and right before spans come, as the daemon takes them. */
static void read_clocks(struct builder *b, wall_clock clock, uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at <= to; at += 500 * MS)
		correlator_clock(b->correlator, at - 20, clock(at), at + 20);
}

static void play_on(struct builder *b, wall_clock clock, uint64_t start_unix, uint64_t end_unix)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };

	builder_warm_up(b, &t);
	builder_slice(b, &t, 0, 1000 * MS, 1002 * MS, 1, 0, RECVFROM);
	builder_slice(b, &t, 1005 * MS, 1005 * MS, 1010 * MS, 0, 0, FUTEX);
	read_clocks(b, clock, 1100 * MS, 2600 * MS);
	builder_span(b, 1, 0, start_unix - BUILDER_EPOCH_NS, end_unix - BUILDER_EPOCH_NS);
	read_clocks(b, clock, 3100 * MS, 3100 * MS);
	correlator_advance(b->correlator, 3100 * MS);
	correlator_settle_all(b->correlator);
}

static void play(struct builder *b, wall_clock clock, uint64_t start_unix, uint64_t end_unix)
{
	builder_init(b);
	read_clocks(b, clock, 100 * MS, 600 * MS);
	play_on(b, clock, start_unix, end_unix);
}

/* The wall is what the span says; what it was in truth lies within what the ledger admits. */
static void assert_admits(const struct ledger *l, uint64_t wall_ns)
{
	assert_int_equal(l->wall_ns, wall_ns);
	assert_true(l->grade >= GRADE_BOUNDED);
	assert_true(distance(l->all.running_ns, RUNNING) <= l->uncertain_ns);
	assert_true(distance(l->all.blocked_ns[REASON_NET], 3 * MS) <= l->uncertain_ns);
	assert_true(distance(l->cpu_ns, RUNNING) <= l->uncertain_ns);
}

static void a_steady_clock_is_exact(void **state)
{
	struct builder b;

	(void)state;
	play(&b, even, even(START), even(END));
	assert_admits(builder_ledger(&b, 1), END - START);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_EXACT);
	correlator_free(b.correlator);
}

/* A process of which is known that it goes by the time of day: two of its spans, of 100 us each,
 * lie a second apart. */
static void a_slew_costs_little(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 12 };
	struct builder b;

	(void)state;
	builder_init(&b);
	read_clocks(&b, slewing, 100 * MS, 600 * MS);
	for (uint64_t at = 300 * MS; at <= 600 * MS; at += 300 * MS) {
		uint64_t start = slewing(at + 50 * US) - BUILDER_EPOCH_NS;

		b.trace = at;
		builder_slice(&b, &t, at, at, at + 100 * US, at, 0, RECVFROM);
		builder_slice(&b, &t, at + 120 * US, at + 120 * US, at + 200 * US, 0, 0, FUTEX);
		builder_span(&b, at, 0, start, start + 100 * US);
	}
	b.trace = 1;
	play_on(&b, slewing, slewing(START), slewing(END));
	assert_admits(builder_ledger(&b, 1), slewing(END) - slewing(START));
	assert_true(builder_ledger(&b, 1)->uncertain_ns < 10 * US);
	correlator_free(b.correlator);
}

static void a_step_forward_within_a_span_is_admitted(void **state)
{
	struct builder b;

	(void)state;
	play(&b, leaping, leaping(START), leaping(END));
	assert_admits(builder_ledger(&b, 1), END - START + 50 * MS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_BOUNDED);
	correlator_free(b.correlator);
}

static void a_step_back_within_a_span_is_admitted(void **state)
{
	struct builder b;

	(void)state;
	play(&b, falling_back, falling_back(START), falling_back(END));
	assert_admits(builder_ledger(&b, 1), END - START - 3 * MS);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_BOUNDED);
	correlator_free(b.correlator);
}

/* The clock went back by more than the span lasted. */
static void a_span_that_ends_before_it_begins_has_no_length_and_vouches_for_nothing(void **state)
{
	struct builder b;

	(void)state;
	play(&b, even, even(END), even(START));
	assert_int_equal(builder_ledger(&b, 1)->wall_ns, 0);
	assert_int_equal(builder_ledger(&b, 1)->all.running_ns, 0);
	assert_int_equal(builder_ledger(&b, 1)->grade, GRADE_INFERRED);
	assert_true(builder_ledger(&b, 1)->uncertain_ns >= END - START);
	correlator_free(b.correlator);
}

static void assert_cut(uint64_t grain_ns, uint64_t start, uint64_t end)
{
	uint64_t from = even(start) / grain_ns * grain_ns, to = even(end) / grain_ns * grain_ns;
	uint64_t running = 1002 * MS - start + end - 1005 * MS;
	const struct ledger *l;
	struct builder b;

	play(&b, even, from, to);
	l = builder_ledger(&b, 1);
	assert_int_equal(l->wall_ns, to - from);
	assert_int_equal(l->grade, GRADE_BOUNDED);
	assert_true(l->uncertain_ns >= grain_ns && l->uncertain_ns <= grain_ns + 2 * US);
	assert_true(distance(l->all.running_ns, running) <= l->uncertain_ns);
	assert_true(distance(l->cpu_ns, running) <= l->uncertain_ns);
	assert_true(distance(l->all.blocked_ns[REASON_NET], 3 * MS) <= l->uncertain_ns);
	correlator_free(b.correlator);
}

static void a_clock_of_milliseconds_is_admitted(void **state)
{
	(void)state;
	assert_cut(MS, 1001 * MS + 10 * US, 1007 * MS + 990 * US);
	assert_cut(MS, 1001 * MS + 990 * US, 1007 * MS + 10 * US);
	assert_cut(MS, 1001 * MS + 600 * US, 1007 * MS + 600 * US);
}

/* The start is cut, and the end lies as far after it as it did. */
static void a_start_of_milliseconds_moves_the_end_as_well(void **state)
{
	const uint64_t start = 1001 * MS + 700 * US, end = 1007 * MS + 300 * US + 37;
	uint64_t from = even(start) / MS * MS;
	uint64_t running = 1002 * MS - start + end - 1005 * MS;
	const struct ledger *l;
	struct builder b;

	(void)state;
	play(&b, even, from, from + end - start);
	l = builder_ledger(&b, 1);
	assert_true(l->uncertain_ns >= MS);
	assert_true(distance(l->cpu_ns, running) <= l->uncertain_ns);
	correlator_free(b.correlator);
}

/* A clock that tells the time of the last timer tick, four milliseconds apart. */
static void a_clock_that_stands_still_between_ticks_is_admitted(void **state)
{
	struct builder b;

	(void)state;
	builder_init(&b);
	read_clocks(&b, even, 100 * MS, 600 * MS);
	builder_span(&b, 2, 1, 1000 * MS + 37, 1000 * MS + 37);
	play_on(&b, even, even(1000 * MS + 37), even(1008 * MS + 37));
	assert_true(builder_ledger(&b, 1)->uncertain_ns >= 4 * MS);
	assert_int_equal(builder_ledger(&b, 2)->grade, GRADE_INFERRED);
	correlator_free(b.correlator);
}

/* ... and tells both edges of a span to be others' as well, so that none is without length. */
static void edges_that_coincide_show_a_clock_that_stands_still(void **state)
{
	struct builder b;

	(void)state;
	builder_init(&b);
	read_clocks(&b, even, 100 * MS, 600 * MS);
	builder_span(&b, 2, 1, 1000 * MS + 37, 1004 * MS + 37);
	builder_span(&b, 3, 1, 1004 * MS + 37, 1008 * MS + 37);
	play_on(&b, even, even(1000 * MS + 37), even(1008 * MS + 37));
	assert_true(builder_ledger(&b, 1)->uncertain_ns >= 4 * MS);
	assert_true(builder_ledger(&b, 2)->uncertain_ns >= 4 * MS);
	correlator_free(b.correlator);
}

/* Others are of any length: its times were given. */
static void a_mark_without_length_puts_nothing_in_doubt(void **state)
{
	struct builder b;

	(void)state;
	builder_init(&b);
	read_clocks(&b, even, 100 * MS, 600 * MS);
	builder_span(&b, 2, 1, 1001 * MS + 37, 1001 * MS + 37);
	play_on(&b, even, even(1000 * MS + 300 * US + 37), even(1007 * MS + 812 * US));
	assert_true(builder_ledger(&b, 1)->uncertain_ns < 10 * US);
	correlator_free(b.correlator);
}

/* All that lies below such a span in its process has its clock. */
static void what_is_below_a_start_of_milliseconds_is_moved_as_well(void **state)
{
	const uint64_t start = 1001 * MS + 700 * US, end = 1007 * MS + 300 * US + 37;
	uint64_t cut = even(start) % MS, from = even(start) - cut;
	struct builder b;

	(void)state;
	builder_init(&b);
	read_clocks(&b, even, 100 * MS, 600 * MS);
	builder_span(&b, 3, 2, 1001 * MS + 850 * US - cut, 1001 * MS + 950 * US - cut);
	builder_span(&b, 2, 1, 1001 * MS + 800 * US - cut, 1001 * MS + 990 * US - cut);
	play_on(&b, even, from, from + end - start);
	assert_true(builder_ledger(&b, 2)->uncertain_ns >= MS);
	assert_true(builder_ledger(&b, 3)->uncertain_ns >= MS);
	correlator_free(b.correlator);
}

/* It shows no length at all, or a whole grain. */
static void a_span_shorter_than_the_grain_is_not_called_sure(void **state)
{
	static const uint64_t starts[] = { 1001 * MS + 100 * US, 1001 * MS + 800 * US };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		const struct ledger *l;
		struct builder b;

		play(&b, even, even(starts[i]) / MS * MS, even(starts[i] + 400 * US) / MS * MS);
		l = builder_ledger(&b, 1);
		assert_true(l->grade <= GRADE_INFERRED || l->uncertain_ns >= MS);
		correlator_free(b.correlator);
	}
}

static void a_clock_of_microseconds_is_admitted(void **state)
{
	const struct ledger *l;
	struct builder b;

	(void)state;
	play(&b, even, even(START + 7 * US) / US * US, even(END) / US * US);
	l = builder_ledger(&b, 1);
	assert_true(l->uncertain_ns >= US && l->uncertain_ns <= 4 * US);
	correlator_free(b.correlator);
}

/* As of a server that asks for the time once in each turn of its loop. */
static void a_span_whose_clock_stood_still_is_inferred(void **state)
{
	struct builder b;

	(void)state;
	builder_init(&b);
	read_clocks(&b, even, 100 * MS, 600 * MS);
	builder_span(&b, 2, 1, 1003 * MS, 1003 * MS);
	play_on(&b, even, even(START + 7 * US), even(END));
	assert_int_equal(builder_ledger(&b, 2)->grade, GRADE_INFERRED);
	assert_int_equal(builder_ledger(&b, 2)->wall_ns, 0);
	assert_int_not_equal(builder_ledger(&b, 1)->grade, GRADE_INFERRED);
	correlator_free(b.correlator);
}

/* Begun and ended at one reading, at a whole millisecond, as one in a thousand is. */
static void a_span_without_length_has_the_grain_of_the_others(void **state)
{
	struct builder b;

	(void)state;
	builder_init(&b);
	read_clocks(&b, even, 100 * MS, 600 * MS);
	builder_span(&b, 2, 1, even(1003 * MS) / MS * MS - BUILDER_EPOCH_NS,
		     even(1003 * MS) / MS * MS - BUILDER_EPOCH_NS);
	play_on(&b, even, even(START + 7 * US) / US * US, even(END) / US * US);
	assert_true(builder_ledger(&b, 2)->uncertain_ns <= 4 * US);
	assert_true(builder_ledger(&b, 1)->uncertain_ns <= 6 * US);
	correlator_free(b.correlator);
}

/* Its own share ends where the child's begins. */
static void a_coarse_child_puts_its_parents_own_share_in_doubt(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	uint64_t off = BUILDER_EPOCH_NS % MS;
	struct builder b;

	(void)state;
	builder_init(&b);
	read_clocks(&b, even, 100 * MS, 600 * MS);
	builder_warm_up(&b, &t);
	builder_slice(&b, &t, 0, 1000 * MS, 1010 * MS, 1, 0, RECVFROM);
	builder_slice(&b, &t, 1015 * MS, 1015 * MS, 1020 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1001 * MS, 1019 * MS);
	builder_span(&b, 2, 1, 1003 * MS - off, 1006 * MS - off);
	read_clocks(&b, even, 3100 * MS, 3100 * MS);
	correlator_settle_all(b.correlator);
	assert_true(builder_ledger(&b, 1)->uncertain_ns >= MS);
	assert_true(builder_ledger(&b, 2)->uncertain_ns >= MS);
	correlator_free(b.correlator);
}

/* Within [1000, 1010), which the parent spends on the CPU; the children share it. Where in it the
 * 2 ms were stolen, nobody knows. */
static void stolen_time_is_no_cpu_time_and_in_doubt_for_parts(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	const struct ledger *l;
	struct builder b;

	(void)state;
	builder_init(&b);
	read_clocks(&b, even, 100 * MS, 600 * MS);
	builder_warm_up(&b, &t);
	builder_slice(&b, &t, 998 * MS, 998 * MS, 999 * MS, 1, 0, RECVFROM);
	b.steal_ns = 2 * MS;
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1010 * MS, 1, 0, RECVFROM);
	builder_slice(&b, &t, 1015 * MS, 1015 * MS, 1016 * MS, 0, 0, FUTEX);
	builder_slice(&b, &t, 1020 * MS, 1020 * MS, 1021 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 998500 * US, 1015500 * US);
	builder_span(&b, 2, 1, 1000500 * US, 1004 * MS);
	builder_span(&b, 3, 1, 1004 * MS, 1009500 * US);
	read_clocks(&b, even, 3100 * MS, 3100 * MS);
	correlator_settle_all(b.correlator);
	l = builder_ledger(&b, 1);
	assert_int_equal(l->all.running_ns, 11 * MS);
	assert_true(distance(l->cpu_ns, 9 * MS) <= 10 * US);
	for (uint64_t i = 0; i < 2; i++) {
		uint64_t most = i ? 5500 * US : 3500 * US;

		l = builder_ledger(&b, 2 + i);
		assert_int_equal(l->all.running_ns, most);
		assert_true(distance(l->cpu_ns, most) <= l->uncertain_ns);
		assert_true(distance(l->cpu_ns, most - 2 * MS) <= l->uncertain_ns);
	}
	correlator_free(b.correlator);
}

static void tell_clock(struct builder *b, uint64_t time_ns)
{
	const struct event_clock clock = { .header = { EVENT_CLOCK, sizeof(clock), 0 },
					   .before_ns = time_ns,
					   .sched_ns = time_ns - BUILDER_SCHED_NS,
					   .after_ns = time_ns + 100 };

	assert_int_equal(correlator_record(b->correlator, &clock.header), 0);
}

/* Two ticks come one after the other, and the scheduler books nothing in between. */
static void what_a_tick_left_unbooked_is_booked_after_the_next_one(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	const struct ledger *l;
	struct builder b;

	(void)state;
	builder_init(&b);
	b.tells_stolen = true;
	read_clocks(&b, even, 100 * MS, 600 * MS);
	tell_clock(&b, 890 * MS);
	builder_warm_up(&b, &t);
	tell_clock(&b, 990 * MS);
	b.unbooked_ns = 50 * US;
	builder_slice(&b, &t, 1000 * MS, 1000 * MS, 1003 * MS, 1, EVENT_TICK, -1);
	b.unbooked_ns = 60 * US;
	builder_slice(&b, &t, 0, 1003 * MS, 1003010 * US, 1, EVENT_TICK, -1);
	builder_slice(&b, &t, 0, 1003010 * US, 1004 * MS, 0, 0, FUTEX);
	tell_clock(&b, 1010 * MS);
	builder_span(&b, 1, 0, 1000500 * US, 1003 * MS);
	read_clocks(&b, even, 3100 * MS, 3100 * MS);
	correlator_settle_all(b.correlator);
	l = builder_ledger(&b, 1);
	assert_int_equal(l->all.running_ns, 2500 * US);
	assert_true(distance(l->cpu_ns, 2500 * US) <= 2 * US);
	correlator_free(b.correlator);
}

/* The span ends right before the switch-in, by a clock that is known to 4 us: or right after it,
 * and then what was booked ahead of that is its own. */
static void what_was_booked_ahead_of_a_switch_is_in_doubt_for_who_ends_about_then(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	const struct ledger *l;
	struct builder b;

	(void)state;
	builder_init(&b);
	for (uint64_t at = 100 * MS; at <= 600 * MS; at += 500 * MS)
		correlator_clock(b.correlator, at - 2 * US, even(at), at + 2 * US);
	builder_warm_up(&b, &t);
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 1, 0, RECVFROM);
	b.ahead_ns = 80 * US;
	builder_slice(&b, &t, 0, 1005 * MS, 1010 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, START, 1005 * MS - 500);
	correlator_clock(b.correlator, 1100 * MS - 2 * US, even(1100 * MS), 1100 * MS + 2 * US);
	correlator_settle_all(b.correlator);
	l = builder_ledger(&b, 1);
	assert_true(l->grade >= GRADE_BOUNDED);
	assert_true(distance(l->cpu_ns, 1002 * MS - START) <= l->uncertain_ns);
	assert_true(distance(l->cpu_ns, 1002 * MS - START + 80 * US) <= l->uncertain_ns);
	assert_true(l->uncertain_ns < 100 * US);
	correlator_free(b.correlator);
}

/* As the thread leaves its CPU, to the nanosecond: it may have begun right before that. */
static void a_span_that_starts_at_the_very_switch_may_have_waited(void **state)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder b;

	(void)state;
	builder_init(&b);
	read_clocks(&b, even, 100 * MS, 600 * MS);
	builder_warm_up(&b, &t);
	builder_slice(&b, &t, 0, 1000 * MS, 1002 * MS, 0, EVENT_PREEMPTED, -1);
	builder_slice(&b, &t, 0, 1005 * MS, 1005100 * US, 1, 0, RECVFROM);
	builder_slice(&b, &t, 1015 * MS, 1015 * MS, 1015100 * US, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1002 * MS, 1015050 * US);
	read_clocks(&b, even, 1100 * MS, 3100 * MS);
	correlator_settle_all(b.correlator);
	assert_true(builder_ledger(&b, 1)->uncertain_ns >= 3 * MS);
	correlator_free(b.correlator);
}

/* CLOCK_MONOTONIC stands still meanwhile: what was a wait of 3 ms was 5 s by the wall. Whoever
 * settles then knows that much of the span's length is not the kernel's. */
static uint64_t asleep(uint64_t mono_ns)
{
	return even(mono_ns) + (mono_ns >= 1003500 * US ? 5000 * MS : 0);
}

static void a_suspend_within_a_span_is_admitted(void **state)
{
	const struct ledger *l;
	struct builder b;

	(void)state;
	play(&b, asleep, asleep(START), asleep(END));
	l = builder_ledger(&b, 1);
	assert_admits(l, END - START + 5000 * MS);
	assert_true(l->uncertain_ns >= 5000 * MS);
	correlator_free(b.correlator);
}

/* The SDK's clock runs ahead: the span is seen before it says that it began. */
static void a_clock_that_runs_ahead_is_found_out(void **state)
{
	struct builder b;

	(void)state;
	play(&b, even, even(1003 * MS), even(1009 * MS));
	assert_true(builder_ledger(&b, 1)->uncertain_ns >= 1 * MS);
	correlator_free(b.correlator);
}

/* Of the parent of a child on a thread of its own: clocks are read within that time to either side.
 */
static uint64_t doubt_of_parent(uint64_t read_ns)
{
	struct builder_thread own, other;
	struct builder b;
	uint64_t doubt;

	builder_begin_two(&b, &own, &other);
	builder_slice(&b, &own, 0, 1000 * MS, 1002 * MS, 1, 0, FUTEX);
	builder_slice(&b, &other, 0, 1003 * MS, 1004 * MS, 2, 0, FUTEX);
	builder_slice(&b, &other, 1005 * MS, 1005 * MS, 1006 * MS, 0, 0, FUTEX);
	builder_slice(&b, &own, 1010 * MS, 1010 * MS, 1012 * MS, 0, 0, FUTEX);
	for (uint64_t at = 1100 * MS; at <= 3100 * MS; at += 1000 * MS)
		correlator_clock(b.correlator, at - read_ns, even(at), at + read_ns);
	builder_span(&b, 1, 0, 1001 * MS, 1011 * MS);
	builder_span(&b, 2, 1, 1003 * MS + 200 * US, 1005 * MS + 500 * US);
	correlator_advance(b.correlator, 3100 * MS);
	correlator_settle_all(b.correlator);
	doubt = builder_ledger(&b, 1)->uncertain_ns;
	correlator_free(b.correlator);
	return doubt;
}

/* It works for its parent from the child's start to its end, and both may be off, by the 20 us that
 * two readings leave open, as may the own edges. */
static void what_a_childs_clock_is_off_by_is_its_parents_doubt(void **state)
{
	(void)state;
	assert_true(doubt_of_parent(10 * US) - doubt_of_parent(20) >= 35 * US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_steady_clock_is_exact),
		cmocka_unit_test(a_slew_costs_little),
		cmocka_unit_test(a_step_forward_within_a_span_is_admitted),
		cmocka_unit_test(a_step_back_within_a_span_is_admitted),
		cmocka_unit_test(
			a_span_that_ends_before_it_begins_has_no_length_and_vouches_for_nothing),
		cmocka_unit_test(a_clock_of_milliseconds_is_admitted),
		cmocka_unit_test(a_start_of_milliseconds_moves_the_end_as_well),
		cmocka_unit_test(a_clock_that_stands_still_between_ticks_is_admitted),
		cmocka_unit_test(edges_that_coincide_show_a_clock_that_stands_still),
		cmocka_unit_test(a_mark_without_length_puts_nothing_in_doubt),
		cmocka_unit_test(what_is_below_a_start_of_milliseconds_is_moved_as_well),
		cmocka_unit_test(a_span_shorter_than_the_grain_is_not_called_sure),
		cmocka_unit_test(a_clock_of_microseconds_is_admitted),
		cmocka_unit_test(a_span_whose_clock_stood_still_is_inferred),
		cmocka_unit_test(a_span_without_length_has_the_grain_of_the_others),
		cmocka_unit_test(a_coarse_child_puts_its_parents_own_share_in_doubt),
		cmocka_unit_test(stolen_time_is_no_cpu_time_and_in_doubt_for_parts),
		cmocka_unit_test(what_a_tick_left_unbooked_is_booked_after_the_next_one),
		cmocka_unit_test(
			what_was_booked_ahead_of_a_switch_is_in_doubt_for_who_ends_about_then),
		cmocka_unit_test(a_span_that_starts_at_the_very_switch_may_have_waited),
		cmocka_unit_test(a_suspend_within_a_span_is_admitted),
		cmocka_unit_test(a_clock_that_runs_ahead_is_found_out),
		cmocka_unit_test(what_a_childs_clock_is_off_by_is_its_parents_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
