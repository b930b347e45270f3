/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a rollup cell: version, sums, buckets, waits, examples. Numbers are varints; signed
 * ones are zigzag. Most buckets count 1: a bit of the step to the next key says so. All streams but
 * the last have their lengths in front when they stand together. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/base/wire.h"
#include "correlate/rollup.h"
#include "correlate/sketch.h"

#define VERSION         2
#define MAX_BUCKETS     (ROLLUP_MEASURES * SKETCH_BUCKETS)
#define BUCKETS_AT_ONCE 512u
#define MAX_WAITS       (ROLLUP_MAX_WAITS + REASON_COUNT)

/* How an example is written: the same span often serves as several. */
enum example_form { EXAMPLE_NONE, EXAMPLE_OWN, EXAMPLE_AS_FIRST, EXAMPLE_AS_SECOND };

_Static_assert(ROLLUP_SUMS <= 64, "a bit each");

static void put_sums(struct buf *out, const struct rollup_cell *cell)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < ROLLUP_SUMS; i++)
		bits |= (uint64_t)(cell->sums[i] != 0) << i;
	wire_put_varint(out, bits);
	for (unsigned i = 0; i < ROLLUP_SUMS; i++) {
		if (cell->sums[i])
			wire_put_varint(out, wire_zigzag(cell->sums[i]));
	}
}

static void put_buckets(struct buf *streams, const struct rollup_cell *cell)
{
	struct buf *steps = &streams[ROLLUP_STEPS], *counts = &streams[ROLLUP_COUNTS];
	uint32_t count = 0, before = 0;

	for (uint32_t i = 0; i < cell->bucket_count; i++)
		count += cell->buckets[i].count != 0;
	wire_put_varint(&streams[ROLLUP_NUMBERS], count);
	for (uint32_t i = 0; i < cell->bucket_count; i++) {
		const struct rollup_bucket *bucket = &cell->buckets[i];

		if (bucket->count == 0)
			continue;
		wire_put_varint(steps,
				(uint64_t)(bucket->key - before) << 1 | (bucket->count != 1));
		if (bucket->count != 1)
			wire_put_varint(counts, wire_zigzag(bucket->count));
		before = bucket->key;
	}
}

static bool has_address(const struct event_target *target)
{
	return target->kind == TARGET_INET4 || target->kind == TARGET_INET6;
}

static void put_waits(struct buf *streams, const struct rollup_cell *cell)
{
	struct buf *numbers = &streams[ROLLUP_NUMBERS], *kinds = &streams[ROLLUP_KINDS];

	wire_put_varint(numbers, cell->wait_count);
	for (uint32_t i = 0; i < cell->wait_count; i++) {
		const struct rollup_wait *wait = &cell->waits[i];

		buf_append_byte(kinds, wait->reason);
		buf_append_byte(kinds, wait->target.kind);
		wire_put_varint(kinds, wait->target.port);
		wire_put_varint(kinds, wait->target.id);
		wire_put_varint(kinds, wait->stack);
		if (has_address(&wait->target))
			buf_append(kinds, wait->target.address, sizeof(wait->target.address));
		wire_put_varint(numbers, wire_zigzag(wait->ns));
		wire_put_varint(numbers, wire_zigzag(wait->count));
	}
}

static enum example_form form_of(const struct rollup_cell *cell, unsigned kind)
{
	if (hex_is_zero(cell->examples[kind].trace_id, TRACE_ID_BYTES))
		return EXAMPLE_NONE;
	for (unsigned i = 0; i < kind; i++) {
		if (memcmp(&cell->examples[i], &cell->examples[kind], sizeof(cell->examples[i])) ==
		    0)
			return EXAMPLE_AS_FIRST + i;
	}
	return EXAMPLE_OWN;
}

static void put_examples(struct buf *streams, const struct rollup_cell *cell)
{
	struct buf *numbers = &streams[ROLLUP_NUMBERS], *ids = &streams[ROLLUP_IDS];

	for (unsigned kind = 0; kind < ROLLUP_EXAMPLES; kind++) {
		const struct rollup_example *example = &cell->examples[kind];
		enum example_form form = form_of(cell, kind);

		buf_append_byte(numbers, (uint8_t)form);
		if (form != EXAMPLE_OWN)
			continue;
		buf_append(ids, example->trace_id, TRACE_ID_BYTES);
		buf_append(ids, example->span_id, SPAN_ID_BYTES);
		wire_put_varint(numbers, example->wall_ns);
		wire_put_varint(numbers, example->ratio + 1); /* none is 0 */
	}
}

void rollup_cell_encode(const struct rollup_cell *cell, struct rollup_code *code)
{
	wire_put_varint(&code->streams[ROLLUP_NUMBERS], VERSION);
	put_sums(&code->streams[ROLLUP_NUMBERS], cell);
	put_buckets(code->streams, cell);
	put_waits(code->streams, cell);
	put_examples(code->streams, cell);
}

void rollup_code_init(struct rollup_code *code)
{
	for (unsigned i = 0; i < ROLLUP_STREAMS; i++)
		buf_init(&code->streams[i], 0);
}

void rollup_code_fini(struct rollup_code *code)
{
	for (unsigned i = 0; i < ROLLUP_STREAMS; i++)
		buf_fini(&code->streams[i]);
}

void rollup_code_clear(struct rollup_code *code)
{
	for (unsigned i = 0; i < ROLLUP_STREAMS; i++)
		buf_clear(&code->streams[i]);
}

void rollup_code_put(const struct rollup_code *code, struct buf *out)
{
	for (unsigned i = 0; i + 1 < ROLLUP_STREAMS; i++)
		wire_put_varint(out, code->streams[i].len);
	for (unsigned i = 0; i < ROLLUP_STREAMS; i++) {
		buf_append_str(out, buf_str(&code->streams[i]));
		if (buf_error(&code->streams[i]))
			out->error = buf_error(&code->streams[i]);
	}
}

int rollup_bytes_get(struct str bytes, struct rollup_bytes *out_bytes)
{
	struct wire_reader reader = wire_read(bytes);
	struct rollup_bytes found;
	uint64_t lens[ROLLUP_STREAMS], sum = 0;

	for (unsigned i = 0; i + 1 < ROLLUP_STREAMS; i++) {
		if (!wire_get_varint(&reader, &lens[i]) || lens[i] > bytes.len)
			return -EBADMSG;
		sum += lens[i];
	}
	if (sum > (size_t)(reader.end - reader.at))
		return -EBADMSG;
	lens[ROLLUP_STREAMS - 1] = (size_t)(reader.end - reader.at) - sum;
	for (unsigned i = 0; i < ROLLUP_STREAMS; i++) {
		found.streams[i] = (struct str){ reader.at, (size_t)lens[i] };
		reader.at += lens[i];
	}
	*out_bytes = found;
	return 0;
}

static bool get_signed(struct wire_reader *reader, int64_t *out_value)
{
	uint64_t value;

	if (!wire_get_short_varint(reader, &value))
		return false;
	*out_value = wire_unzigzag(value);
	return true;
}

static bool get_bytes(struct wire_reader *reader, void *out, size_t len)
{
	if ((size_t)(reader->end - reader->at) < len)
		return false;
	memcpy(out, reader->at, len);
	reader->at += len;
	return true;
}

static bool get_sums(struct wire_reader *reader, struct rollup_cell *cell)
{
	uint64_t bits;

	if (!wire_get_varint(reader, &bits) || bits >> ROLLUP_SUMS)
		return false;
	for (unsigned i = 0; i < ROLLUP_SUMS; i++) {
		if (bits >> i & 1 && !get_signed(reader, &cell->sums[i]))
			return false;
	}
	return true;
}

/* The next buckets, as many as fit into `out`, of which there are `left`. Returns how many; 0:
 * damaged.
 * `*key`: that of the one before, 0 at first. */
static uint32_t read_buckets(struct wire_reader *readers, uint64_t left, uint32_t *key,
			     struct rollup_bucket out[BUCKETS_AT_ONCE])
{
	struct wire_reader steps = readers[ROLLUP_STEPS], counts = readers[ROLLUP_COUNTS];
	uint32_t many = (uint32_t)MIN(left, BUCKETS_AT_ONCE), at = *key;

	for (uint32_t i = 0; i < many; i++) {
		struct wire_reader next = counts;
		uint64_t step, count = wire_zigzag(1);

		if (!wire_get_short_varint(&steps, &step) || step >> 1 >= MAX_BUCKETS - at ||
		    (step < 2 && (i || at)))
			return 0;
		if (!wire_get_short_varint(&next, &count) && step & 1)
			return 0;
		counts.at = step & 1 ? next.at : counts.at;
		at += (uint32_t)(step >> 1);
		out[i] = (struct rollup_bucket){ step & 1 ? wire_unzigzag(count) : 1, at };
	}
	readers[ROLLUP_STEPS] = steps;
	readers[ROLLUP_COUNTS] = counts;
	*key = at;
	return many;
}

/* Buckets are merged right away, many at a time: most of what a query reads are buckets. */
static int get_buckets(struct wire_reader *readers, struct rollup_cell *cell)
{
	struct rollup_bucket some[BUCKETS_AT_ONCE];
	struct rollup_cell piece = { .buckets = some };
	uint32_t key = 0;
	uint64_t left;
	int rc = 0;

	if (!wire_get_varint(&readers[ROLLUP_NUMBERS], &left) || left > MAX_BUCKETS)
		return -EBADMSG;
	for (; left && rc == 0; left -= piece.bucket_count) {
		piece.bucket_count = read_buckets(readers, left, &key, some);
		rc = piece.bucket_count ? rollup_cell_merge(cell, &piece) : -EBADMSG;
	}
	return rc;
}

static int get_waits(struct wire_reader *readers, struct rollup_cell *piece,
		     struct rollup_wait waits[MAX_WAITS])
{
	struct wire_reader *numbers = &readers[ROLLUP_NUMBERS], *kinds = &readers[ROLLUP_KINDS];
	uint64_t count, port, id;

	if (!wire_get_varint(numbers, &count) || count > MAX_WAITS)
		return -EBADMSG;
	for (uint64_t i = 0; i < count; i++) {
		struct rollup_wait *wait = &waits[i];

		memset(wait, 0, sizeof(*wait));
		if (!get_bytes(kinds, &wait->reason, 1) ||
		    !get_bytes(kinds, &wait->target.kind, 1) || wait->reason >= REASON_COUNT ||
		    !wire_get_varint(kinds, &port) || !wire_get_varint(kinds, &id) ||
		    !wire_get_varint(kinds, &wait->stack) || port > UINT16_MAX)
			return -EBADMSG;
		wait->target.port = (uint16_t)port;
		wait->target.id = id;
		if ((has_address(&wait->target) &&
		     !get_bytes(kinds, wait->target.address, sizeof(wait->target.address))) ||
		    !get_signed(numbers, &wait->ns) || !get_signed(numbers, &wait->count))
			return -EBADMSG;
	}
	piece->waits = waits;
	piece->wait_count = (uint32_t)count;
	return 0;
}

static bool get_example(struct wire_reader *readers, struct rollup_cell *cell, unsigned kind)
{
	struct wire_reader *numbers = &readers[ROLLUP_NUMBERS], *ids = &readers[ROLLUP_IDS];
	struct rollup_example *example = &cell->examples[kind];
	uint8_t form;

	if (!get_bytes(numbers, &form, 1) || form > EXAMPLE_AS_SECOND)
		return false;
	if (form == EXAMPLE_NONE)
		return true;
	if (form != EXAMPLE_OWN) {
		unsigned as = (unsigned)form - EXAMPLE_AS_FIRST;

		if (as < kind)
			*example = cell->examples[as];
		return as < kind;
	}
	if (!get_bytes(ids, example->trace_id, TRACE_ID_BYTES) ||
	    !get_bytes(ids, example->span_id, SPAN_ID_BYTES) ||
	    !wire_get_varint(numbers, &example->wall_ns) ||
	    !wire_get_varint(numbers, &example->ratio))
		return false;
	example->ratio--;
	return true;
}

int rollup_cell_decode(struct rollup_cell *cell, const struct rollup_bytes *bytes,
		       struct rollup_example out_examples[ROLLUP_EXAMPLES])
{
	struct rollup_wait waits[MAX_WAITS];
	struct rollup_cell piece = { 0 }; /* borrows, so it is not freed */
	struct wire_reader readers[ROLLUP_STREAMS];
	uint64_t version;
	int rc;

	for (unsigned i = 0; i < ROLLUP_STREAMS; i++)
		readers[i] = wire_read(bytes->streams[i]);
	if (!wire_get_varint(&readers[ROLLUP_NUMBERS], &version) || version < VERSION)
		return -EBADMSG;
	if (version > VERSION)
		return -EPROTO;
	if (!get_sums(&readers[ROLLUP_NUMBERS], &piece))
		return -EBADMSG;
	rc = get_buckets(readers, cell);
	if (rc == 0)
		rc = get_waits(readers, &piece, waits);
	for (unsigned kind = 0; kind < ROLLUP_EXAMPLES && rc == 0; kind++)
		rc = get_example(readers, &piece, kind) ? 0 : -EBADMSG;
	for (unsigned i = 0; i < ROLLUP_STREAMS && rc == 0; i++)
		rc = readers[i].at == readers[i].end ? 0 : -EBADMSG;
	if (rc == 0 && out_examples)
		memcpy(out_examples, piece.examples, sizeof(piece.examples));
	return rc < 0 ? rc : rollup_cell_merge(cell, &piece);
}
