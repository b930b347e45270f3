/* SPDX-License-Identifier: Apache-2.0 */
/* Records that no kernel writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "tests/unit/correlate/claims.h"

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
	struct schedule *s = cast_hard(seed);
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

void hostile_records_break_no_identity(void **state)
{
	(void)state;
	claims_for_seeds(200, check_hostile);
}
