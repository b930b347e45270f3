/* SPDX-License-Identifier: Apache-2.0 */
/* The slices of a ledger. Mostly they cover the span without a gap; then only their lengths are
 * written, and where the parent's slices say the same, how many of them to take. */
#include "storage/pack_ledgers.h"

#include <errno.h>

#include "collector/base/macros.h"

enum form { FORM_NONE, FORM_COVERING, FORM_LISTED, FORM_LAST = FORM_LISTED };

/* Of a slice that is not copied: state, then a bit, then the reason. */
enum slice_bits { STATE_BITS = 7, STATE_COPY = 7, BIT_OTHER_THREAD = 8, REASON_SHIFT = 4 };

struct slices {
	struct coder *coder;
	struct pack_member *member;
	const struct ledger *parent; /* NULL: none with slices */
	struct ledger_slice *list;   /* room for LEDGER_MAX_SLICES */
	unsigned count;
	uint64_t at_ns, end_ns;   /* covered so far; the span's end */
	struct ledger_split left; /* of the figures, when all slices so far are taken off */
	uint32_t tid;             /* of the last slice that had one */
};

static bool is_covering(const struct ledger *ledger)
{
	uint64_t at_ns = ledger->start_unix_ns;

	for (unsigned i = 0; i < ledger->slice_count; i++) {
		const struct ledger_slice *slice = &ledger->slices[i];

		if (slice->start_unix_ns != at_ns || slice->ns == 0)
			return false;
		at_ns += slice->ns;
	}
	return at_ns == ledger->start_unix_ns + ledger->wall_ns;
}

/* The parent's slice at this moment, cut to what is left of the span. */
static bool parents_slice(const struct slices *slices, uint64_t at_ns, struct ledger_slice *out)
{
	for (unsigned i = 0; slices->parent && i < slices->parent->slice_count; i++) {
		const struct ledger_slice *slice = &slices->parent->slices[i];
		uint64_t until_ns = slice->start_unix_ns + slice->ns;

		if (slice->start_unix_ns > at_ns || until_ns <= at_ns)
			continue;
		*out = *slice;
		out->start_unix_ns = at_ns;
		out->ns = MIN(until_ns, slices->end_ns) - at_ns;
		return true;
	}
	return false;
}

static bool is_same(const struct ledger_slice *a, const struct ledger_slice *b)
{
	return a->start_unix_ns == b->start_unix_ns && a->ns == b->ns && a->tid == b->tid &&
	       a->state == b->state && a->reason == b->reason;
}

/* Writing: how many of the next slices are the parent's. */
static unsigned count_copied(const struct slices *slices)
{
	unsigned count = 0, left = slices->member->ledger.slice_count - slices->count;
	struct ledger_slice expected;

	while (count < left) {
		const struct ledger_slice *slice = &slices->list[slices->count + count];

		if (!parents_slice(slices, slice->start_unix_ns, &expected) ||
		    !is_same(slice, &expected))
			break;
		count++;
	}
	return count;
}

/* What the ledger's figure for this kind of slice has left. */
static uint64_t *left_of(struct slices *slices, const struct ledger_slice *slice)
{
	switch (slice->state) {
	case STATE_RUNNING:
		return &slices->left.running_ns;
	case STATE_RUNNABLE:
		return &slices->left.runnable_ns;
	case STATE_BLOCKED:
		return &slices->left.blocked_ns[MIN(slice->reason, REASON_COUNT - 1)];
	case STATE_ELSEWHERE:
		return &slices->left.elsewhere_ns;
	default:
		return &slices->left.unknown_ns;
	}
}

static void note(struct slices *slices, const struct ledger_slice *slice)
{
	slices->tid = slice->tid ? slice->tid : slices->tid;
}

static void advance(struct slices *slices)
{
	const struct ledger_slice *slice = &slices->list[slices->count++];

	*left_of(slices, slice) -= slice->ns;
	slices->at_ns += slice->ns;
	note(slices, slice);
}

static void copy_parents(struct slices *slices, unsigned count)
{
	for (; count && slices->at_ns < slices->end_ns; count--) {
		if (slices->count == LEDGER_MAX_SLICES ||
		    !parents_slice(slices, slices->at_ns, &slices->list[slices->count])) {
			coder_fail(slices->coder);
			return;
		}
		advance(slices);
	}
}

static bool has_thread(const struct ledger_slice *slice)
{
	return slice->state != STATE_ELSEWHERE && slice->state != STATE_UNKNOWN;
}

/* State, reason and thread. Reading: false: it is a copy. */
static bool code_kind(struct slices *slices, struct ledger_slice *slice)
{
	struct coder *coder = slices->coder;
	uint32_t tid = slices->tid, expected = has_thread(slice) ? tid : 0;
	uint8_t bits = (uint8_t)(slice->state | slice->reason << REASON_SHIFT |
				 (slice->tid != expected ? BIT_OTHER_THREAD : 0));
	int64_t step;

	coder_byte(coder, COLUMN_SLICE, &bits, UINT8_MAX);
	if ((bits & STATE_BITS) == STATE_COPY)
		return false;
	slice->state = bits & STATE_BITS;
	slice->reason = bits >> REASON_SHIFT;
	if (slice->state > STATE_UNKNOWN || slice->reason >= REASON_COUNT)
		coder_fail(coder);
	expected = has_thread(slice) ? tid : 0;
	step = (int64_t)slice->tid - tid;
	if (bits & BIT_OTHER_THREAD)
		coder_wide_signed(coder, COLUMN_SLICE_NS, &step);
	slice->tid = bits & BIT_OTHER_THREAD ? tid + (uint32_t)step : expected;
	return true;
}

enum length { LENGTH_REST, LENGTH_LAST, LENGTHS };

/* A slice often covers the rest of the span, or is the last of its kind. */
static void code_length(struct slices *slices, struct ledger_slice *slice)
{
	uint64_t rest_ns = slices->end_ns - slices->at_ns, last_ns = *left_of(slices, slice);
	uint64_t form = slice->ns == rest_ns   ? LENGTH_REST
			: slice->ns == last_ns ? LENGTH_LAST
					       : slice->ns + LENGTHS;

	coder_wide(slices->coder, COLUMN_SLICE_NS, &form);
	slice->ns = form == LENGTH_REST ? rest_ns : form == LENGTH_LAST ? last_ns : form - LENGTHS;
	slice->start_unix_ns = slices->at_ns;
	if (slice->ns == 0 || slice->ns > rest_ns) {
		coder_fail(slices->coder);
		slice->ns = rest_ns;
	}
}

static void write_covering(struct slices *slices)
{
	while (slices->count < slices->member->ledger.slice_count) {
		uint64_t copied = count_copied(slices);
		uint8_t copy = STATE_COPY;

		if (copied) {
			bool is_rest = slices->count + copied == slices->member->ledger.slice_count;
			uint64_t count = is_rest ? 0 : copied;

			coder_byte(slices->coder, COLUMN_SLICE, &copy, STATE_COPY);
			coder_number(slices->coder, COLUMN_SLICE, &count);
			while (copied--)
				advance(slices);
		} else {
			code_kind(slices, &slices->list[slices->count]);
			code_length(slices, &slices->list[slices->count]);
			advance(slices);
		}
	}
}

static void read_covering(struct slices *slices)
{
	struct coder *coder = slices->coder;

	while (slices->at_ns < slices->end_ns && !coder->error) {
		struct ledger_slice *slice = &slices->list[slices->count];
		uint64_t count = 0;

		if (slices->count == LEDGER_MAX_SLICES) {
			coder_fail(coder);
		} else if (code_kind(slices, slice)) {
			code_length(slices, slice);
			advance(slices);
		} else {
			coder_number(coder, COLUMN_SLICE, &count);
			copy_parents(slices, count && count < LEDGER_MAX_SLICES
						     ? (unsigned)count
						     : LEDGER_MAX_SLICES);
		}
	}
}

static void code_listed(struct slices *slices, uint64_t count)
{
	struct coder *coder = slices->coder;

	coder_number(coder, COLUMN_SLICE, &count);
	if (count > LEDGER_MAX_SLICES) {
		coder_fail(coder);
		return;
	}
	for (; count && !coder->error; count--) {
		struct ledger_slice *slice = &slices->list[slices->count++];
		int64_t pause = (int64_t)(slice->start_unix_ns - slices->at_ns);

		if (!code_kind(slices, slice))
			coder_fail(coder);
		coder_wide_signed(coder, COLUMN_SLICE_NS, &pause);
		coder_wide(coder, COLUMN_SLICE_NS, &slice->ns);
		slice->start_unix_ns = slices->at_ns + (uint64_t)pause;
		slices->at_ns = slice->start_unix_ns + slice->ns;
		note(slices, slice);
	}
}

void pack_slices_code(struct pack_trace *trace, struct coder *coder, struct pack_member *member)
{
	struct ledger *ledger = &member->ledger;
	struct slices slices = {
		.coder = coder,
		.member = member,
		.parent = member->parent ? &member->parent->ledger : NULL,
		.list = ledger->slices,
		.at_ns = ledger->start_unix_ns,
		.end_ns = ledger->start_unix_ns + ledger->wall_ns,
		.left = ledger->all,
	};
	uint8_t form = ledger->slice_count == 0 ? FORM_NONE
		       : is_covering(ledger)    ? FORM_COVERING
						: FORM_LISTED;

	coder_byte(coder, COLUMN_SLICE, &form, FORM_LAST);
	if (form == FORM_NONE || coder->error)
		return;
	if (coder->is_reading)
		slices.list = arena_alloc(trace->arena, LEDGER_MAX_SLICES * sizeof(*slices.list));
	if (!slices.list) {
		coder->error = -ENOMEM;
		return;
	}
	if (form == FORM_LISTED)
		code_listed(&slices, ledger->slice_count);
	else if (coder->is_reading)
		read_covering(&slices);
	else
		write_covering(&slices);
	ledger->slices = slices.list;
	ledger->slice_count = (uint16_t)slices.count;
}
