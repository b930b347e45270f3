/* SPDX-License-Identifier: Apache-2.0 */
/* Random services against a slow, obviously right oracle.
 *
 * A failure names the seed and the span. `test_correlate_property 7` plays seed 7 alone, with
 * `1-5000` those; a second argument picks the claims by name (`*lie*`). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "tests/unit/correlate/judge.h"
#include "tests/unit/correlate/player.h"
#include "tests/unit/correlate/scenario.h"

static const struct play in_time = { .order = PLAY_IN_TIME };
static uint64_t first_seed = 1,
		last_seed; /* as the command line says; last 0: as each claim says */

/* Calls `check` for seeds up to `count`; it returns the number of things that were wrong. */
static void for_seeds(unsigned count, unsigned (*check)(uint64_t seed))
{
	unsigned wrong = 0;

	for (uint64_t seed = first_seed; seed <= (last_seed ? last_seed : count); seed++) {
		unsigned found = check(seed);

		if (found)
			print_message("seed %llu: %u wrong\n", (unsigned long long)seed, found);
		wrong += found ? 1 : 0;
	}
	assert_int_equal(wrong, 0);
}

/* ---- casts */

/* Whether ticks tell of clocks changes nothing else of what happens. */
static enum { CLOCKS_AS_SEED, CLOCKS_TOLD, CLOCKS_UNTOLD } clocks;

static struct schedule *random_service(uint64_t seed, struct schedule_knobs knobs)
{
	struct schedule *s = schedule_new(seed, &knobs);

	s->knobs.cpus = (uint32_t)rng_between(&s->rng, 1, knobs.cpus);
	scenario_random(s, 20);
	schedule_run(s);
	return s;
}

static struct schedule *hard_service(uint64_t seed)
{
	const struct schedule_knobs knobs = {
		.cpus = 3,
		.has_lag = seed & 1,
		.has_steal = seed & 2,
		.has_delay = seed & 4,
		.tells_stolen = seed & 8,
		.tells_clock = clocks == CLOCKS_AS_SEED ? seed & 16 : clocks == CLOCKS_TOLD,
	};

	return random_service(seed, knobs);
}

static uint32_t one_thread(struct schedule *s)
{
	uint32_t thread = schedule_thread(s, schedule_process(s, true));

	scenario_background(s, 1500 * MS);
	schedule_op(s, thread, (struct op){ .kind = OP_RUN, .ns = 20 * US });
	schedule_op(s, thread, (struct op){ .kind = OP_BLOCK, .wait = WAIT_FUTEX, .ns = 300 * MS });
	return thread;
}

static struct schedule *simple_service(uint64_t seed)
{
	const struct schedule_knobs knobs = { .cpus = 1 + seed % 2 };
	struct schedule *s = schedule_new(seed, &knobs);
	uint32_t thread = one_thread(s);

	for (unsigned i = 0; i < 4; i++) {
		scenario_nested(s, thread, 1 + (unsigned)rng_below(&s->rng, 4));
		scenario_many_waits(s, thread, 5);
	}
	schedule_run(s);
	return s;
}

/* Without a pid in the resource, who sends what is learned as time goes by: order matters then. */
static void name_processes(struct schedule *s)
{
	for (uint32_t i = 0; i < s->process_count; i++)
		s->processes[i].says_pid = true;
}

/* ---- claims */

/* Takes the schedule. */
static unsigned check_play(struct schedule *s, const struct play *how)
{
	struct outcome outcome = play(s, how);
	unsigned wrong = judge_flaws(s, &outcome) + judge_lies(s, &outcome);

	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

static unsigned check_no_lie(uint64_t seed)
{
	return check_play(hard_service(seed), &in_time);
}

static struct schedule_knobs knobs_of(uint64_t seed)
{
	return (struct schedule_knobs){
		.cpus = 3,
		.has_lag = seed & 1,
		.has_steal = seed & 2,
		.has_delay = seed & 4,
		.tells_stolen = true,
		.tells_clock = seed & 8,
	};
}

static struct schedule *service_with(uint64_t seed, bool is_exact, bool has_forks)
{
	struct schedule_knobs knobs = knobs_of(seed);

	knobs.is_exact = is_exact;
	knobs.has_forks = has_forks;
	return random_service(seed, knobs);
}

static unsigned check_grain(uint64_t seed)
{
	const struct play coarse = { .grain_ns = seed % 3 ? MS : US };

	return check_play(seed % 2 ? hard_service(seed) : service_with(seed, true, true), &coarse);
}

static void coarse_clocks_make_no_lie(void **state)
{
	(void)state;
	for_seeds(100, check_grain);
}

static unsigned check_exact_mode(uint64_t seed)
{
	return check_play(service_with(seed, true, false), &in_time);
}

static void exact_mode_does_not_lie(void **state)
{
	(void)state;
	for_seeds(80, check_exact_mode);
}

static unsigned check_exact_folded(uint64_t seed)
{
	const struct play short_reach = { .order = PLAY_LATE, .reach_ns = 50 * MS };

	return check_play(service_with(seed, true, seed & 16), &short_reach);
}

static void exact_mode_does_not_lie_when_folded(void **state)
{
	(void)state;
	for_seeds(40, check_exact_folded);
}

static unsigned check_forks(uint64_t seed)
{
	return check_play(service_with(seed, seed & 16, true), &in_time);
}

static void forks_make_no_lie(void **state)
{
	(void)state;
	for_seeds(80, check_forks);
}

static unsigned check_long(uint64_t seed, bool has_turns)
{
	struct schedule_knobs knobs = knobs_of(seed);
	struct schedule *s;

	knobs.has_no_turns = !has_turns;
	s = schedule_new(seed, &knobs);
	scenario_random(s, 200);
	schedule_run(s);
	return check_play(s, &in_time);
}

static unsigned check_long_pool(uint64_t seed)
{
	return check_long(seed, false);
}

static unsigned check_long_loops(uint64_t seed)
{
	return check_long(seed, true);
}

static void who_has_never_taken_turns_is_not_believed_too_much(void **state)
{
	(void)state;
	for_seeds(20, check_long_pool);
	for_seeds(20, check_long_loops);
}

static void no_vouched_figure_is_further_off_than_admitted(void **state)
{
	(void)state;
	for_seeds(300, check_no_lie);
}

static unsigned check_simple(uint64_t seed)
{
	struct schedule *s = simple_service(seed);
	struct outcome outcome = play(s, &in_time);
	unsigned wrong = judge_flaws(s, &outcome) + judge_below(s, &outcome, GRADE_EXACT);

	for (uint32_t i = 0; i < s->span_count; i++)
		wrong += outcome.spans[i].is_there &&
			 judge_errors(s, i, &outcome.spans[i], SLACK_NS);
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

static void spans_of_one_thread_with_waits_are_exact(void **state)
{
	(void)state;
	for_seeds(100, check_simple);
}

static unsigned check_back_to_back(uint64_t seed)
{
	const struct schedule_knobs knobs = { .cpus = 2 };
	struct schedule *s = schedule_new(seed, &knobs);
	uint32_t thread = one_thread(s);
	uint32_t sleeper = schedule_thread(s, s->threads[thread].process);
	struct outcome outcome;
	unsigned wrong;

	schedule_op(s, sleeper, (struct op){ .kind = OP_RUN, .ns = 20 * US });
	for (unsigned i = 0; i < 10; i++)
		scenario_back_to_back(s, thread, 10);
	schedule_run(s);
	outcome = play(s, &in_time);
	wrong = judge_flaws(s, &outcome) + judge_lies(s, &outcome) +
		judge_below(s, &outcome, GRADE_BOUNDED);
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

static void spans_within_one_slice_are_vouched_for_while_others_sleep(void **state)
{
	(void)state;
	for_seeds(30, check_back_to_back);
}

static unsigned check_deterministic(uint64_t seed)
{
	struct schedule *s = hard_service(seed);
	struct outcome first = play(s, &in_time), second = play(s, &in_time);
	unsigned wrong = judge_changed(&first, &second);

	outcome_free(&first);
	outcome_free(&second);
	schedule_free(s);
	return wrong;
}

static void the_same_inputs_give_the_same_bytes(void **state)
{
	(void)state;
	for_seeds(10, check_deterministic);
}

static unsigned check_orders(uint64_t seed)
{
	static const struct play orders[] = {
		{ .order = PLAY_EARLY },
		{ .order = PLAY_LATE },
		{ .order = PLAY_TWICE },
		{ .order = PLAY_SHUFFLED },
		{ .order = PLAY_SHUFFLED, .shuffle = 1 },
		{ .order = PLAY_SHUFFLED, .shuffle = 2 },
		{ .order = PLAY_MUCH_LATER },
		{ .order = PLAY_ROOTS_MUCH_LATER },
	};
	const struct schedule_knobs knobs = { .cpus = 2, .has_delay = seed & 1 };
	struct schedule *s = random_service(seed, knobs);
	struct outcome expected;
	unsigned wrong = 0;

	name_processes(s);
	expected = play(s, &in_time);
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		struct outcome outcome = play(s, &orders[i]);
		unsigned changed = judge_flaws(s, &outcome) + judge_changed(&expected, &outcome);

		if (changed)
			print_message(" order %d\n", orders[i].order);
		wrong += changed;
		outcome_free(&outcome);
	}
	outcome_free(&expected);
	schedule_free(s);
	return wrong;
}

static void the_order_in_which_spans_come_does_not_matter(void **state)
{
	(void)state;
	for_seeds(40, check_orders);
}

static unsigned check_late_roots(uint64_t seed)
{
	const struct play late = { .order = PLAY_ROOTS_LATE, .settle_ns = 200 * MS };
	const struct schedule_knobs knobs = { .cpus = 2 };
	struct schedule *s = random_service(seed, knobs);
	struct outcome expected, outcome;
	unsigned wrong, revised = 0;

	name_processes(s);
	expected = play(s, &in_time);
	outcome = play(s, &late);
	wrong = judge_flaws(s, &outcome) + judge_changed(&expected, &outcome);
	for (uint32_t i = 0; i < s->span_count; i++)
		revised += outcome.spans[i].is_there && outcome.spans[i].ledger.revision > 1;
	for (uint32_t i = 0; i < s->span_count && !revised; i++)
		wrong += s->spans[i].is_exported && s->spans[i].parent >= 0;
	outcome_free(&expected);
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

static void a_late_root_revises_to_what_it_would_have_been(void **state)
{
	(void)state;
	for_seeds(60, check_late_roots);
}

static unsigned check_losses(uint64_t seed)
{
	struct schedule *s = hard_service(seed);
	struct play how = in_time;
	struct outcome outcome;
	unsigned wrong;

	if (seed % 3 == 0)
		lose_records(s, &s->rng, 3);
	if (seed % 3 == 1)
		lose_switch_ins(s, &s->rng, 5);
	if (seed % 3 == 2) {
		how.gap_from_ns = SCHEDULE_START_NS + 400 * MS;
		how.gap_to_ns = how.gap_from_ns + rng_between(&s->rng, MS, 100 * MS);
		lose_time(s, how.gap_from_ns, how.gap_to_ns);
	}
	outcome = play(s, &how);
	wrong = judge_flaws(s, &outcome) + judge_lies(s, &outcome);
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

static void losses_make_no_lie(void **state)
{
	(void)state;
	for_seeds(300, check_losses);
}

/* Found by long runs of the claims above, and mended since. */
static void seeds_that_once_failed_do_not_any_more(void **state)
{
	static const struct {
		uint64_t seed;
		unsigned (*check)(uint64_t seed);
	} found[] = {
		{ 3010, check_no_lie },
		{ 10053, check_no_lie },
		{ 41304, check_no_lie },
		{ 41455, check_orders },
		{ 201559, check_losses },
		{ 202567, check_losses },
		{ 400282, check_losses },
		{ 400972, check_losses },
		{ 203029, check_losses },
		{ 203449, check_losses },
		{ 204145, check_losses },
		{ 206523, check_losses },
		{ 207301, check_losses },
		{ 208508, check_losses },
		{ 40548, check_no_lie },
		{ 1000047, check_losses },
		{ 1005261, check_losses },
		{ 1005351, check_losses },
		{ 1005462, check_losses },
		{ 1002437, check_losses },
		{ 3004163, check_losses },
		{ 123, check_grain },
		{ 195, check_grain },
		{ 285, check_grain },
		{ 534, check_grain },
		{ 534, check_forks },
		{ 910389, check_exact_mode },
		{ 910135, check_long_pool },
		{ 920532, check_grain },
		{ 921171, check_grain },
		{ 2000005, check_exact_folded },
	};
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(found); i++) {
		for (clocks = CLOCKS_TOLD; clocks <= CLOCKS_UNTOLD; clocks++) {
			if (found[i].check(found[i].seed) == 0)
				continue;
			print_message("seed %llu\n", (unsigned long long)found[i].seed);
			wrong++;
		}
	}
	clocks = CLOCKS_AS_SEED;
	assert_int_equal(wrong, 0);
}

/* Did records of that thread go missing while the span was open? */
static bool has_hole(const struct schedule *s, const struct true_span *span)
{
	uint64_t last_out_ns = 0, margin = MS;
	bool is_lost = false;

	for (uint32_t i = 0; i < s->record_count; i++) {
		const struct record *record = &s->records[i];

		if (s->threads[record->thread].process != span->process)
			continue;
		is_lost |= record->is_dropped;
		if (record->is_dropped)
			continue;
		if (is_lost && record->in_ns + margin > span->start_ns &&
		    last_out_ns < span->end_ns + margin)
			return true;
		is_lost = false;
		last_out_ns = record->slice.out_ns;
	}
	return is_lost && last_out_ns < span->end_ns + margin;
}

static unsigned check_loss_is_local(uint64_t seed)
{
	struct schedule *s = simple_service(seed);
	struct outcome outcome;
	unsigned wrong;

	lose_records(s, &s->rng, 2);
	outcome = play(s, &in_time);
	wrong = judge_flaws(s, &outcome) + judge_lies(s, &outcome);
	for (uint32_t i = 0; i < s->span_count; i++) {
		if (outcome.spans[i].ledger.grade == GRADE_EXACT || has_hole(s, &s->spans[i]))
			continue;
		print_message("  span %u is %s, yet nothing of it was lost\n", i,
			      ledger_grade_name(outcome.spans[i].ledger.grade));
		wrong++;
	}
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

static void a_loss_leaves_the_other_spans_exact(void **state)
{
	(void)state;
	for_seeds(100, check_loss_is_local);
}

static unsigned check_folded(uint64_t seed)
{
	const struct play short_reach = { .order = PLAY_IN_TIME, .reach_ns = 300 * MS };
	const struct schedule_knobs knobs = { .cpus = 1 + seed % 2, .has_delay = seed & 4 };
	struct schedule *s = schedule_new(seed, &knobs);
	uint32_t thread = one_thread(s);
	int32_t span = scenario_many_waits(s, thread, 1500);
	struct outcome outcome;
	unsigned wrong;

	schedule_run(s);
	outcome = play(s, &short_reach);
	wrong = judge_flaws(s, &outcome) + judge_lies(s, &outcome) +
		judge_below(s, &outcome, GRADE_BOUNDED);
	if (!outcome.stats.slices_folded) {
		print_message("  nothing was folded: span %d is too short\n", span);
		wrong++;
	}
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

static void a_span_beyond_the_reach_keeps_its_grade(void **state)
{
	(void)state;
	for_seeds(6, check_folded);
}

static unsigned check_folded_service(uint64_t seed)
{
	const struct play short_reach = { .order = PLAY_LATE, .reach_ns = 50 * MS };
	struct schedule *s = hard_service(seed);
	struct outcome outcome = play(s, &short_reach);
	unsigned wrong = judge_flaws(s, &outcome) + judge_lies(s, &outcome);

	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

static void what_was_folded_does_not_lie(void **state)
{
	(void)state;
	for_seeds(200, check_folded_service);
}

static unsigned check_no_tags(uint64_t seed)
{
	const struct schedule_knobs knobs = { .cpus = 2 };
	struct schedule *s = schedule_new(seed, &knobs);
	uint32_t thread = schedule_thread(s, schedule_process(s, false));
	struct outcome outcome;
	unsigned wrong;

	scenario_background(s, 500 * MS);
	for (unsigned i = 0; i < 5; i++)
		scenario_nested(s, thread, 3);
	schedule_run(s);
	outcome = play(s, &in_time);
	wrong = judge_flaws(s, &outcome);
	for (uint32_t i = 0; i < s->span_count; i++)
		wrong += outcome.spans[i].ledger.grade != GRADE_NONE ||
			 outcome.spans[i].ledger.none_cause != NONE_NO_TAGS;
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

static void a_process_without_tags_has_no_figures(void **state)
{
	(void)state;
	for_seeds(5, check_no_tags);
}

/* ---- hostile records */

static uint64_t odd_value(struct rng *rng, uint64_t value)
{
	switch (rng_below(rng, 6)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX - rng_below(rng, 3);
	case 2:
		return value - rng_scale(rng, 1, 1000 * MS);
	case 3:
		return value + rng_scale(rng, 1, 1000 * MS);
	case 4:
		return rng_below(rng, UINT64_MAX) >> rng_below(rng, 64);
	default:
		return value;
	}
}

static void spoil(struct rng *rng, struct event_slice *slice)
{
	__u64 *fields[] = { &slice->prev_out_ns,      &slice->waking_ns,        &slice->in_ns,
			    &slice->out_ns,           &slice->exec_in_ns,       &slice->exec_out_ns,
			    &slice->exec_start_in_ns, &slice->exec_start_out_ns };
	const uint32_t tails = EVENT_TAG_OUT | EVENT_TAG_IN | EVENT_TARGET | EVENT_WAKER;
	__u64 *field = fields[rng_below(rng, ARRAY_LEN(fields))];

	*field = odd_value(rng, *field);
	if (rng_chance(rng, 20))
		slice->header.flags ^= 1u << rng_below(rng, 20) & ~tails;
	if (rng_chance(rng, 5))
		slice->cpu = (uint32_t)odd_value(rng, slice->cpu);
	if (rng_chance(rng, 5))
		slice->tid += (uint32_t)rng_below(rng, 3);
	if (rng_chance(rng, 5))
		slice->header.bytes = (uint16_t)rng_between(rng, 0, slice->header.bytes);
}

static unsigned check_hostile(uint64_t seed)
{
	const struct play how = { .order = (enum play_order)(seed % (PLAY_ROOTS_LATE + 1)),
				  .settle_ns = 300 * MS,
				  .reach_ns = seed % 2 ? 100 * MS : 0 };
	struct schedule *s = hard_service(seed);
	struct outcome outcome;
	unsigned wrong;

	for (uint32_t i = 0; i < s->record_count; i++) {
		if (rng_chance(&s->rng, 10))
			spoil(&s->rng, &s->records[i].slice);
		if (i && rng_chance(&s->rng, 5)) {
			struct record *other = &s->records[rng_below(&s->rng, i)];
			struct record kept = *other;

			*other = s->records[i];
			s->records[i] = kept;
		}
	}
	outcome = play(s, &how);
	wrong = outcome.wrong_sums;
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

static void hostile_records_break_no_identity(void **state)
{
	(void)state;
	for_seeds(200, check_hostile);
}

static void pick_seeds(const char *text)
{
	char *rest;

	first_seed = last_seed = strtoull(text, &rest, 10);
	if (*rest == '-')
		last_seed = strtoull(rest + 1, NULL, 10);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans_of_one_thread_with_waits_are_exact),
		cmocka_unit_test(spans_within_one_slice_are_vouched_for_while_others_sleep),
		cmocka_unit_test(no_vouched_figure_is_further_off_than_admitted),
		cmocka_unit_test(coarse_clocks_make_no_lie),
		cmocka_unit_test(exact_mode_does_not_lie),
		cmocka_unit_test(exact_mode_does_not_lie_when_folded),
		cmocka_unit_test(forks_make_no_lie),
		cmocka_unit_test(who_has_never_taken_turns_is_not_believed_too_much),
		cmocka_unit_test(the_same_inputs_give_the_same_bytes),
		cmocka_unit_test(the_order_in_which_spans_come_does_not_matter),
		cmocka_unit_test(a_late_root_revises_to_what_it_would_have_been),
		cmocka_unit_test(losses_make_no_lie),
		cmocka_unit_test(seeds_that_once_failed_do_not_any_more),
		cmocka_unit_test(a_loss_leaves_the_other_spans_exact),
		cmocka_unit_test(a_span_beyond_the_reach_keeps_its_grade),
		cmocka_unit_test(what_was_folded_does_not_lie),
		cmocka_unit_test(a_process_without_tags_has_no_figures),
		cmocka_unit_test(hostile_records_break_no_identity),
	};

	if (argc > 1)
		pick_seeds(argv[1]);
	if (argc > 2)
		cmocka_set_test_filter(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
