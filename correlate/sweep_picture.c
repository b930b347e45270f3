/* SPDX-License-Identifier: Apache-2.0 */
/* What a span did when, coarsely: at most LEDGER_MAX_SLICES stretches without a hole between them.
 *
 * Those of a long span are gathered up to PICTURE_ROOM and thinned out together: the shortest go
 * to their longer neighbours. One by one, each would cost a look at all the others. Those that come
 * after that, and are shorter than what was given away, go to the one before. As none has a
 * hole before it, only the first one's start is kept. */
#include "collector/base/macros.h"
#include "correlate/sweep.h"

/* Lengths are told apart to a quarter of a power of two. */
#define STEPS   4
#define LENGTHS (64 * STEPS)

static uint32_t length_of(uint64_t ns)
{
	uint32_t power = 63 - (uint32_t)__builtin_clzll(ns |= STEPS);

	return power * STEPS + ((ns >> (power - 2)) & (STEPS - 1));
}

/* The shortest that has that length. */
static uint64_t least_of(uint32_t length)
{
	return (uint64_t)(STEPS + length % STEPS) << (length / STEPS - 2);
}

/* The length at which `most` of the shortest end; `*out_of_it` of them have that one. Notes those
 * of all. */
static uint32_t find_length(struct picture *picture, uint32_t most, uint32_t *out_of_it)
{
	uint16_t counts[LENGTHS] = { 0 };
	uint32_t length = LENGTHS, shorter = 0;

	for (uint32_t i = 0; i < picture->count; i++) {
		uint32_t its = length_of(picture->pieces[i].ns);

		picture->lengths[i] = (uint8_t)its;
		counts[its]++;
		length = MIN(length, its);
	}
	for (; shorter + counts[length] < most; length++)
		shorter += counts[length];
	*out_of_it = most - shorter;
	return length;
}

/* Puts one behind the others; what is like the last one only makes that longer. */
static inline uint32_t put(struct picture_piece *pieces, uint32_t count, uint64_t what, uint64_t ns)
{
	if (count && pieces[count - 1].what == what) {
		pieces[count - 1].ns += ns;
		return count;
	}
	pieces[count] = (struct picture_piece){ what, ns };
	return count + 1;
}

/* Those that are shorter than `length` go to their longer neighbours, and `of_it` of those that
 * have it. */
static void give_away(struct picture *picture, uint32_t length, uint32_t of_it)
{
	struct picture_piece *pieces = picture->pieces;
	uint64_t ahead_ns = 0; /* what the next one gets */
	uint32_t count = picture->count, kept = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t ns = pieces[i].ns + ahead_ns;
		uint32_t its = picture->lengths[i];

		ahead_ns = 0;
		if (its > length || (its == length && !of_it)) {
			kept = put(pieces, kept, pieces[i].what, ns);
			continue;
		}
		of_it -= its == length;
		if (i + 1 < count && (!kept || pieces[kept - 1].ns <= pieces[i + 1].ns))
			ahead_ns = ns;
		else if (kept)
			pieces[kept - 1].ns += ns;
		else
			kept = put(pieces, kept, pieces[i].what, ns);
	}
	picture->count = kept;
}

/* Where like meets like, two are gone with one: half of those that are too many, at a time. */
static void thin_out(struct picture *picture)
{
	while (picture->count > LEDGER_MAX_SLICES) {
		uint32_t most = (picture->count - LEDGER_MAX_SLICES + 1) / 2, of_it;
		uint32_t length = find_length(picture, most, &of_it);

		give_away(picture, length, of_it);
		picture->least_ns = MAX(picture->least_ns, least_of(length));
		picture->is_truncated = true;
	}
}

void sweep_picture_begin(struct sweep *sweep, struct picture *picture)
{
	picture->start_unix_ns = sweep->start_ns + sweep->offset_ns;
	picture->count = 0;
	picture->least_ns = 0;
	picture->is_truncated = false;
	sweep->picture = picture;
}

void sweep_picture_put(struct picture *picture, uint64_t ns, uint64_t what)
{
	if (picture->count == PICTURE_ROOM)
		thin_out(picture);
	picture->count = put(picture->pieces, picture->count, what, ns);
}

void sweep_picture_finish(struct sweep *sweep)
{
	struct picture *picture = sweep->picture;
	struct ledger *ledger = sweep->ledger;
	uint64_t start = picture->start_unix_ns;

	thin_out(picture);
	for (uint32_t i = 0; i < picture->count; i++) {
		const struct picture_piece *piece = &picture->pieces[i];

		ledger->slices[i] = (struct ledger_slice){
			.start_unix_ns = start,
			.ns = piece->ns,
			.tid = (uint32_t)piece->what,
			.state = (uint8_t)(piece->what >> 32),
			.reason = (uint8_t)(piece->what >> 40),
		};
		start += piece->ns;
	}
	ledger->slice_count = (uint16_t)picture->count;
	ledger->slices_truncated = picture->is_truncated;
}
