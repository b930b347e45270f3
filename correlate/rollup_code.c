/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a rollup cell: version, sums, buckets, waits, examples. Numbers are varints; signed
 * ones are zigzag. Most buckets count 1: a bit of the step to the next key says so. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/base/wire.h"
#include "correlate/rollup.h"
#include "correlate/sketch.h"

#define VERSION     1
#define MAX_BUCKETS (ROLLUP_MEASURES * SKETCH_BUCKETS)
#define MAX_WAITS   (ROLLUP_MAX_WAITS + REASON_COUNT)

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

static void put_buckets(struct buf *out, const struct rollup_cell *cell)
{
	uint32_t count = 0, before = 0;

	for (uint32_t i = 0; i < cell->bucket_count; i++)
		count += cell->buckets[i].count != 0;
	wire_put_varint(out, count);
	for (uint32_t i = 0; i < cell->bucket_count; i++) {
		const struct rollup_bucket *bucket = &cell->buckets[i];

		if (bucket->count == 0)
			continue;
		wire_put_varint(out, (uint64_t)(bucket->key - before) << 1 | (bucket->count != 1));
		if (bucket->count != 1)
			wire_put_varint(out, wire_zigzag(bucket->count));
		before = bucket->key;
	}
}

static bool has_address(const struct event_target *target)
{
	return target->kind == TARGET_INET4 || target->kind == TARGET_INET6;
}

static void put_waits(struct buf *out, const struct rollup_cell *cell)
{
	wire_put_varint(out, cell->wait_count);
	for (uint32_t i = 0; i < cell->wait_count; i++) {
		const struct rollup_wait *wait = &cell->waits[i];

		buf_append_byte(out, wait->reason);
		buf_append_byte(out, wait->target.kind);
		wire_put_varint(out, wait->target.port);
		wire_put_varint(out, wait->target.id);
		wire_put_varint(out, wait->stack);
		if (has_address(&wait->target))
			buf_append(out, wait->target.address, sizeof(wait->target.address));
		wire_put_varint(out, wire_zigzag(wait->ns));
		wire_put_varint(out, wire_zigzag(wait->count));
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

static void put_examples(struct buf *out, const struct rollup_cell *cell)
{
	for (unsigned kind = 0; kind < ROLLUP_EXAMPLES; kind++) {
		const struct rollup_example *example = &cell->examples[kind];
		enum example_form form = form_of(cell, kind);

		buf_append_byte(out, (uint8_t)form);
		if (form != EXAMPLE_OWN)
			continue;
		buf_append(out, example->trace_id, TRACE_ID_BYTES);
		buf_append(out, example->span_id, SPAN_ID_BYTES);
		wire_put_varint(out, example->wall_ns);
		wire_put_varint(out, example->ratio + 1); /* none is 0 */
	}
}

void rollup_cell_encode(const struct rollup_cell *cell, struct buf *out)
{
	wire_put_varint(out, VERSION);
	put_sums(out, cell);
	put_buckets(out, cell);
	put_waits(out, cell);
	put_examples(out, cell);
}

static bool get_signed(struct wire_reader *reader, int64_t *out_value)
{
	uint64_t value;

	if (!wire_get_varint(reader, &value))
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

/* Buckets are merged right away, many at a time: most of what a query reads are buckets. */
static int get_buckets(struct wire_reader *reader, struct rollup_cell *cell)
{
	struct rollup_bucket some[512];
	struct rollup_cell piece = { .buckets = some };
	uint64_t count, step;
	uint32_t key = 0;
	int rc = 0;

	if (!wire_get_varint(reader, &count) || count > MAX_BUCKETS)
		return -EBADMSG;
	for (bool is_first = true; count && rc == 0; count--, is_first = false) {
		struct rollup_bucket bucket = { .count = 1 };

		if (!wire_get_varint(reader, &step) || step >> 1 >= MAX_BUCKETS - key ||
		    (step & 1 && !get_signed(reader, &bucket.count)) || (!is_first && step < 2))
			return -EBADMSG;
		key += (uint32_t)(step >> 1);
		bucket.key = key;
		some[piece.bucket_count++] = bucket;
		if (count == 1 || piece.bucket_count == ARRAY_LEN(some)) {
			rc = rollup_cell_merge(cell, &piece);
			piece.bucket_count = 0;
		}
	}
	return rc;
}

static int get_waits(struct wire_reader *reader, struct rollup_cell *piece,
		     struct rollup_wait waits[MAX_WAITS])
{
	uint64_t count, port, id;

	if (!wire_get_varint(reader, &count) || count > MAX_WAITS)
		return -EBADMSG;
	for (uint64_t i = 0; i < count; i++) {
		struct rollup_wait *wait = &waits[i];

		memset(wait, 0, sizeof(*wait));
		if (!get_bytes(reader, &wait->reason, 1) ||
		    !get_bytes(reader, &wait->target.kind, 1) || wait->reason >= REASON_COUNT ||
		    !wire_get_varint(reader, &port) || !wire_get_varint(reader, &id) ||
		    !wire_get_varint(reader, &wait->stack) || port > UINT16_MAX)
			return -EBADMSG;
		wait->target.port = (uint16_t)port;
		wait->target.id = id;
		if ((has_address(&wait->target) &&
		     !get_bytes(reader, wait->target.address, sizeof(wait->target.address))) ||
		    !get_signed(reader, &wait->ns) || !get_signed(reader, &wait->count))
			return -EBADMSG;
	}
	piece->waits = waits;
	piece->wait_count = (uint32_t)count;
	return 0;
}

static bool get_example(struct wire_reader *reader, struct rollup_cell *cell, unsigned kind)
{
	struct rollup_example *example = &cell->examples[kind];
	uint8_t form;

	if (!get_bytes(reader, &form, 1) || form > EXAMPLE_AS_SECOND)
		return false;
	if (form == EXAMPLE_NONE)
		return true;
	if (form != EXAMPLE_OWN) {
		unsigned as = (unsigned)form - EXAMPLE_AS_FIRST;

		if (as < kind)
			*example = cell->examples[as];
		return as < kind;
	}
	if (!get_bytes(reader, example->trace_id, TRACE_ID_BYTES) ||
	    !get_bytes(reader, example->span_id, SPAN_ID_BYTES) ||
	    !wire_get_varint(reader, &example->wall_ns) ||
	    !wire_get_varint(reader, &example->ratio))
		return false;
	example->ratio--;
	return true;
}

int rollup_cell_decode(struct rollup_cell *cell, struct str bytes,
		       struct rollup_example out_examples[ROLLUP_EXAMPLES])
{
	struct rollup_wait waits[MAX_WAITS];
	struct rollup_cell piece = { 0 }; /* borrows, so it is not freed */
	struct wire_reader reader = wire_read(bytes);
	uint64_t version;
	int rc;

	if (!wire_get_varint(&reader, &version))
		return -EBADMSG;
	if (version > VERSION)
		return -EPROTO;
	if (!get_sums(&reader, &piece))
		return -EBADMSG;
	rc = get_buckets(&reader, cell);
	if (rc == 0)
		rc = get_waits(&reader, &piece, waits);
	for (unsigned kind = 0; kind < ROLLUP_EXAMPLES && rc == 0; kind++)
		rc = get_example(&reader, &piece, kind) ? 0 : -EBADMSG;
	if (rc == 0 && reader.at != reader.end)
		rc = -EBADMSG;
	if (rc == 0 && out_examples)
		memcpy(out_examples, piece.examples, sizeof(piece.examples));
	return rc < 0 ? rc : rollup_cell_merge(cell, &piece);
}
