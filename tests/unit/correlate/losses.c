/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/correlate/losses.h"

#include <assert.h>
#include <stdlib.h>

#include "collector/base/macros.h"

/* Of what came before nothing is known. */
static void begin_anew(struct event_slice *slice)
{
	slice->header.flags |= EVENT_FIRST;
	slice->prev_out_ns = 0;
}

/* The next one that gets through tells of those before it. */
static void drop(struct record *record, uint32_t *lost_of_thread, bool is_dropped)
{
	record->is_dropped = is_dropped;
	if (is_dropped) {
		++*lost_of_thread;
		return;
	}
	record->slice.lost_before = *lost_of_thread;
	*lost_of_thread = 0;
}

void losses_of_records(struct schedule *s, struct rng *rng, unsigned percent)
{
	uint32_t *lost = calloc(s->thread_count + 1, sizeof(*lost));

	assert(lost);
	for (uint32_t i = 0; i < s->record_count; i++)
		drop(&s->records[i], &lost[s->records[i].thread], rng_chance(rng, percent));
	free(lost);
}

void losses_of_burst(struct schedule *s, uint64_t from_ns, uint64_t to_ns)
{
	uint32_t *lost = calloc(s->thread_count + 1, sizeof(*lost));

	assert(lost);
	for (uint32_t i = 0; i < s->record_count; i++) {
		struct record *record = &s->records[i];

		drop(record, &lost[record->thread],
		     record->slice.out_ns >= from_ns && record->slice.out_ns < to_ns);
	}
	free(lost);
}

void losses_of_thread(struct schedule *s, uint32_t thread, uint64_t from_ns, uint64_t to_ns)
{
	bool was_refused = false;

	for (uint32_t i = 0; i < s->record_count; i++) {
		struct record *record = &s->records[i];
		uint64_t out_ns = record->slice.out_ns;

		if (record->thread != thread)
			continue;
		record->is_refused = out_ns >= from_ns && out_ns < to_ns;
		if (was_refused && !record->is_refused)
			begin_anew(&record->slice);
		was_refused = record->is_refused;
	}
}

void losses_of_switch_ins(struct schedule *s, struct rng *rng, unsigned percent)
{
	for (uint32_t i = 0; i < s->record_count; i++) {
		struct event_slice *slice = &s->records[i].slice;

		if ((slice->header.flags & (EVENT_AFTER_TICK | EVENT_FIRST)) ||
		    !rng_chance(rng, percent))
			continue;
		slice->header.flags |= EVENT_IN_LOST;
		slice->in_ns = 0;
		slice->exec_start_in_ns = 0;
		slice->stolen_in_ns = 0;
	}
}

void losses_of_time(struct schedule *s, uint64_t from_ns, uint64_t to_ns)
{
	bool *is_known = calloc(s->thread_count + 1, sizeof(*is_known));

	assert(is_known);
	for (uint32_t i = 0; i < s->record_count; i++) {
		struct record *record = &s->records[i];
		struct event_slice *slice = &record->slice;

		record->is_dropped = slice->out_ns >= from_ns && slice->out_ns < to_ns;
		if (slice->out_ns < to_ns || is_known[record->thread])
			continue;
		is_known[record->thread] = true; /* by a new probe, that knows of nothing before */
		begin_anew(slice);
		slice->waking_ns =
			MAX(slice->waking_ns, to_ns) == slice->waking_ns ? slice->waking_ns : 0;
		if (slice->in_ns >= to_ns)
			continue;
		slice->in_ns = slice->out_ns;
		slice->exec_in_ns = slice->exec_out_ns;
		slice->exec_start_in_ns = slice->exec_start_out_ns;
		slice->stolen_in_ns = slice->stolen_out_ns;
	}
	free(is_known);
}
