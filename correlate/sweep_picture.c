/* SPDX-License-Identifier: Apache-2.0 */
/* What a span did when, coarsely: at most LEDGER_MAX_SLICES stretches without a hole between them.
 *
 * Those of a long span are gathered up to PICTURE_ROOM and thinned out together: the shortest go
 * to their longer neighbours. One by one, each would cost a look at all the others. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/sweep.h"

static bool is_alike(const struct ledger_slice *a, const struct ledger_slice *b)
{
	return a->state == b->state && a->reason == b->reason && a->tid == b->tid;
}

/* Lengths are told apart to a quarter of a power of two. */
#define STEPS   4
#define LENGTHS (64 * STEPS)

static uint32_t length_of(const struct ledger_slice *slice)
{
	uint64_t ns = slice->ns | STEPS;
	uint32_t power = 63 - (uint32_t)__builtin_clzll(ns);

	return power * STEPS + ((ns >> (power - 2)) & (STEPS - 1));
}

/* The length at which `most` of the shortest end; `*out_of_it` of them have that one. */
static uint32_t find_length(const struct ledger_slice *slices, uint32_t count, uint32_t most,
			    uint32_t *out_of_it)
{
	uint16_t counts[LENGTHS] = { 0 };
	uint32_t length = 0, shorter = 0;

	for (uint32_t i = 0; i < count; i++)
		counts[length_of(&slices[i])]++;
	for (; shorter + counts[length] < most; length++)
		shorter += counts[length];
	*out_of_it = most - shorter;
	return length;
}

/* Puts one behind the others; what is like the last one only makes that longer. */
static uint32_t put(struct ledger_slice *slices, uint32_t count, const struct ledger_slice *slice)
{
	if (count && is_alike(&slices[count - 1], slice)) {
		slices[count - 1].ns += slice->ns;
		return count;
	}
	slices[count] = *slice;
	return count + 1;
}

/* Those that are shorter than `length` go to their longer neighbours, and `of_it` of those that
 * have it. */
static uint32_t give_away(struct ledger_slice *slices, uint32_t count, uint32_t length,
			  uint32_t of_it)
{
	uint64_t ahead_ns = 0; /* what the next one gets */
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct ledger_slice slice = slices[i];
		uint32_t its = length_of(&slice);
		bool goes = its < length || (its == length && of_it);
		bool to_next = i + 1 < count && (!kept || slices[kept - 1].ns <= slices[i + 1].ns);

		slice.start_unix_ns -= ahead_ns;
		slice.ns += ahead_ns;
		ahead_ns = 0;
		of_it -= goes && its == length;
		if (goes && to_next)
			ahead_ns = slice.ns;
		else if (goes && kept)
			slices[kept - 1].ns += slice.ns;
		else
			kept = put(slices, kept, &slice);
	}
	return kept;
}

/* Where like meets like, two are gone with one: half of those that are too many, at a time. */
static void thin_out(struct ledger *ledger)
{
	uint32_t count = ledger->slice_count;

	while (count > LEDGER_MAX_SLICES) {
		uint32_t most = (count - LEDGER_MAX_SLICES + 1) / 2, of_it;
		uint32_t length = find_length(ledger->slices, count, most, &of_it);

		count = give_away(ledger->slices, count, length, of_it);
		ledger->slices_truncated = true;
	}
	ledger->slice_count = (uint16_t)count;
}

void sweep_picture_add(struct sweep *sweep, uint64_t start, uint64_t end, const struct segment *s,
		       uint8_t state)
{
	struct ledger *ledger = sweep->ledger;
	const struct ledger_slice slice = {
		.start_unix_ns = start + sweep->offset_ns,
		.ns = end - start,
		.tid = s ? s->thread->tid : 0,
		.state = state,
		.reason = state == STATE_BLOCKED ? sweep->join->waits[s->wait].reason : 0,
	};

	if (ledger->slice_count == PICTURE_ROOM)
		thin_out(ledger);
	ledger->slice_count = (uint16_t)put(ledger->slices, ledger->slice_count, &slice);
}

void sweep_picture_finish(struct ledger *ledger)
{
	thin_out(ledger);
}
