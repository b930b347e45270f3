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

/* The `rank`-th of the shortest lengths, from 0 on (Hoare's selection). */
static uint64_t select_length(const struct ledger_slice *slices, uint32_t count, uint32_t rank)
{
	uint64_t ns[PICTURE_ROOM];
	uint32_t low = 0, high = count - 1;

	for (uint32_t i = 0; i < count; i++)
		ns[i] = slices[i].ns;
	while (low < high) {
		uint64_t pivot = ns[low + (high - low) / 2];
		int64_t left = low, right = high;

		while (left <= right) {
			while (ns[left] < pivot)
				left++;
			while (ns[right] > pivot)
				right--;
			if (left <= right) {
				uint64_t other = ns[left];

				ns[left++] = ns[right];
				ns[right--] = other;
			}
		}
		if ((int64_t)rank <= right)
			high = (uint32_t)right;
		else if (rank >= left)
			low = (uint32_t)left;
		else
			break;
	}
	return ns[rank];
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

/* `most` of those that are no longer than `length_ns` go to their longer neighbours. */
static uint32_t give_away(struct ledger_slice *slices, uint32_t count, uint64_t length_ns,
			  uint32_t most)
{
	uint64_t ahead_ns = 0; /* what the next one gets */
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct ledger_slice slice = slices[i];
		bool goes = most && slice.ns <= length_ns;
		bool to_next = i + 1 < count && (!kept || slices[kept - 1].ns <= slices[i + 1].ns);

		slice.start_unix_ns -= ahead_ns;
		slice.ns += ahead_ns;
		ahead_ns = 0;
		most -= goes;
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
		uint32_t most = (count - LEDGER_MAX_SLICES + 1) / 2;
		uint64_t length_ns = select_length(ledger->slices, count, most - 1);

		count = give_away(ledger->slices, count, length_ns, most);
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
