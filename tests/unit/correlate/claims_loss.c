/* SPDX-License-Identifier: Apache-2.0 */
/* Records that went missing, and time that has left the timelines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/correlate/claims.h"
#include "tests/unit/correlate/losses.h"

unsigned check_losses(uint64_t seed)
{
	struct schedule *s = cast_hard(seed);
	struct play how = play_in_time;
	struct outcome outcome;
	unsigned wrong;

	if (seed % 3 == 0)
		losses_of_records(s, &s->rng, 3);
	if (seed % 3 == 1)
		losses_of_switch_ins(s, &s->rng, 5);
	if (seed % 3 == 2) {
		how.gap_from_ns = SCHEDULE_START_NS + 400 * MS;
		how.gap_to_ns = how.gap_from_ns + rng_between(&s->rng, MS, 100 * MS);
		losses_of_time(s, how.gap_from_ns, how.gap_to_ns);
	}
	outcome = play(s, &how);
	wrong = judge_flaws(s, &outcome) + judge_lies(s, &outcome);
	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

/* The ring is full for a while; a thread finds no place. */
unsigned check_more_losses(uint64_t seed)
{
	struct schedule *s = seed & 16 ? cast_with(seed, true, false) : cast_hard(seed);
	uint64_t from_ns = SCHEDULE_START_NS + rng_between(&s->rng, 300 * MS, 500 * MS);
	uint64_t to_ns = from_ns + rng_scale(&s->rng, MS, 100 * MS);

	if (seed % 2)
		losses_of_burst(s, from_ns, to_ns);
	else
		losses_of_thread(s, (uint32_t)rng_below(&s->rng, s->thread_count), from_ns, to_ns);
	return claims_check_play(s, &play_in_time);
}

void a_full_ring_and_a_full_table_make_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(100, check_more_losses);
}

void losses_make_no_lie(void **state)
{
	(void)state;
	claims_for_seeds(300, check_losses);
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
	struct schedule *s = cast_simple(seed);
	struct outcome outcome;
	unsigned wrong;

	losses_of_records(s, &s->rng, 2);
	outcome = play(s, &play_in_time);
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

void a_loss_leaves_the_other_spans_exact(void **state)
{
	(void)state;
	claims_for_seeds(100, check_loss_is_local);
}

unsigned check_folded_service(uint64_t seed)
{
	const struct play short_reach = { .order = PLAY_LATE, .reach_ns = 50 * MS };
	struct schedule *s = cast_hard(seed);
	struct outcome outcome = play(s, &short_reach);
	unsigned wrong = judge_flaws(s, &outcome) + judge_lies(s, &outcome);

	outcome_free(&outcome);
	schedule_free(s);
	return wrong;
}

void what_was_folded_does_not_lie(void **state)
{
	(void)state;
	claims_for_seeds(200, check_folded_service);
}
