/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/coder.h"

#include <errno.h>
#include <string.h>

#include "collector/base/macros.h"

#define LEAST_BYTES 24 /* what is shorter is not worth a frame */

void coder_init(struct coder *coder)
{
	*coder = (struct coder){ .is_reading = false };
}

void coder_clear(struct coder *coder)
{
	for (size_t i = 0; i < CODER_COLUMN_COUNT; i++) {
		buf_clear(&coder->columns[i].bytes);
		coder->columns[i].bits = coder->columns[i].bit_count = 0;
	}
	coder->error = 0;
}

void coder_fini(struct coder *coder)
{
	for (size_t i = 0; i < CODER_COLUMN_COUNT; i++)
		buf_fini(&coder->columns[i].bytes);
	*coder = (struct coder){ .is_reading = false };
}

enum form { SHORT, LONG, PATTERNS, RANDOM };

static const uint8_t forms[] = {
#define X(name, form, what) form,
	CODER_COLUMNS(X)
#undef X
};

static bool is_worth_packing(enum coder_column column, size_t bytes)
{
	return bytes >= LEAST_BYTES && forms[column] != RANDOM;
}

/* As measured on ledgers of a real service. */
int coder_packers_init(struct coder_packers *packers)
{
	*packers = (struct coder_packers){
		.short_ones = compress_packer_new(6, 0),
		.long_ones = compress_packer_new(8, 5),
		.patterns = compress_packer_new(10, 6),
	};
	return packers->short_ones && packers->long_ones && packers->patterns ? 0 : -ENOMEM;
}

void coder_packers_fini(struct coder_packers *packers)
{
	compress_packer_free(packers->short_ones);
	compress_packer_free(packers->long_ones);
	compress_packer_free(packers->patterns);
	*packers = (struct coder_packers){ 0 };
}

/* NULL: the column stays as it is. */
static struct compress_packer *packer_of(const struct coder_packers *packers,
					 enum coder_column column, size_t bytes)
{
	if (!packers || !is_worth_packing(column, bytes))
		return NULL;
	switch ((enum form)forms[column]) {
	case SHORT:
		return packers->short_ones;
	case PATTERNS:
		return packers->patterns;
	default:
		return packers->long_ones;
	}
}

/* The last bits, with zeros up to the byte. */
static void end_bits(struct coder_state *state)
{
	buf_append(&state->bytes, &state->bits, (size_t)(state->bit_count + 7) / 8);
	state->bits = state->bit_count = 0;
}

/* Packs into `bodies`, or copies. Returns the packed bytes; 0: it was copied. */
static size_t put_body(const struct coder_packers *packers, enum coder_column column,
		       struct str plain, struct buf *bodies)
{
	struct compress_packer *packer = packer_of(packers, column, plain.len);
	size_t before = bodies->len;

	if (packer) {
		int rc = compress_pack(packer, plain, bodies);

		if (rc < 0 && !bodies->error)
			bodies->error = rc;
		if (rc == 0 && bodies->len - before < plain.len)
			return bodies->len - before;
		bodies->len = before;
	}
	buf_append_str(bodies, plain);
	return 0;
}

int coder_seal(struct coder *coder, struct coder_packers *packers, struct buf *out)
{
	struct buf bodies;
	int rc = coder->error;

	buf_init(&bodies, 0);
	for (size_t i = 0; i < CODER_COLUMN_COUNT && rc == 0; i++) {
		const struct buf *column = &coder->columns[i].bytes;

		end_bits(&coder->columns[i]);
		rc = column->len < CODER_MAX_BYTES ? buf_error(column) : -EMSGSIZE;
		wire_put_varint(out, column->len);
		wire_put_varint(out,
				put_body(packers, (enum coder_column)i, buf_str(column), &bodies));
	}
	buf_append_str(out, buf_str(&bodies));
	if (rc == 0)
		rc = buf_error(&bodies) ? buf_error(&bodies) : buf_error(out);
	buf_fini(&bodies);
	return rc;
}

static bool read_sizes(struct coder *coder, struct wire_reader *reader)
{
	for (size_t i = 0; i < CODER_COLUMN_COUNT; i++) {
		struct coder_state *state = &coder->columns[i];
		uint64_t plain, packed;

		if (!wire_get_varint(reader, &plain) || !wire_get_varint(reader, &packed) ||
		    plain >= CODER_MAX_BYTES || packed > plain)
			return false;
		state->plain_bytes = (size_t)plain;
		state->is_packed = packed != 0;
		state->packed.len = (size_t)(packed ? packed : plain);
	}
	return true;
}

int coder_open(struct coder *coder, struct str bytes)
{
	struct wire_reader reader = wire_read(bytes);

	*coder = (struct coder){ .is_reading = true };
	if (!read_sizes(coder, &reader))
		return -EBADMSG;
	for (size_t i = 0; i < CODER_COLUMN_COUNT; i++) {
		struct coder_state *state = &coder->columns[i];

		if (state->packed.len > (size_t)(reader.end - reader.at))
			return -EBADMSG;
		state->packed.data = reader.at;
		reader.at += state->packed.len;
	}
	return reader.at == reader.end ? 0 : -EBADMSG;
}

static int unpack(struct coder_state *state)
{
	char *room = NULL;
	int rc = 0;

	if (state->is_packed) {
		room = buf_reserve(&state->bytes, state->plain_bytes);
		rc = room ? compress_unpack(state->packed, room, state->plain_bytes) : -ENOMEM;
	}
	if (rc < 0)
		return rc;
	state->bytes.len = room ? state->plain_bytes : 0;
	state->reader = wire_read(room ? buf_str(&state->bytes)
				       : (struct str){ state->packed.data, state->plain_bytes });
	state->start = state->reader.at;
	state->bit_count = 0;
	return 0;
}

int coder_unpack(struct coder *coder, enum coder_column first, enum coder_column last)
{
	int rc = 0;

	for (size_t i = first; i <= last && rc == 0; i++)
		rc = unpack(&coder->columns[i]);
	return rc;
}

void coder_forget(struct coder *coder, enum coder_column first, enum coder_column last)
{
	for (size_t i = first; i <= last; i++) {
		buf_fini(&coder->columns[i].bytes);
		coder->columns[i].reader = wire_read((struct str){ 0 });
		coder->columns[i].start = NULL;
	}
}

size_t coder_bytes_of(const struct coder *coder, enum coder_column column)
{
	const struct coder_state *state = &coder->columns[column];

	return coder->is_reading ? state->plain_bytes : state->bytes.len;
}

size_t coder_stored_bytes(const struct coder *coder, enum coder_column column)
{
	const struct coder_state *state = &coder->columns[column];

	return state->packed.len + wire_varint_bytes(state->plain_bytes) +
	       wire_varint_bytes(state->is_packed ? state->packed.len : 0);
}

/* What is random is read by bits. */
static uint64_t place_of(const struct coder *coder, enum coder_column column)
{
	const struct coder_state *state = &coder->columns[column];

	if (coder->is_reading)
		return forms[column] == RANDOM ? state->bit_count
					       : (uint64_t)(state->reader.at - state->start);
	return forms[column] == RANDOM ? 8 * state->bytes.len + state->bit_count : state->bytes.len;
}

void coder_tell(const struct coder *coder, enum coder_column first, unsigned count,
		uint32_t *out_places)
{
	for (unsigned i = 0; i < count; i++) {
		out_places[i] = (uint32_t)place_of(coder, (enum coder_column)(first + i));
	}
}

void coder_seek(struct coder *coder, enum coder_column first, unsigned count,
		const uint32_t *places)
{
	for (unsigned i = 0; i < count; i++) {
		struct coder_state *state = &coder->columns[first + i];
		size_t bytes = (size_t)(state->reader.end - state->start);

		if (forms[first + i] == RANDOM && places[i] <= 8 * (uint64_t)bytes)
			state->bit_count = places[i];
		else if (forms[first + i] != RANDOM && places[i] <= bytes)
			state->reader.at = state->start + places[i];
		else
			coder_fail(coder);
	}
}

void coder_fail(struct coder *coder)
{
	if (!coder->error)
		coder->error = -EBADMSG;
}

/* Of eight bytes of which each has seven bits of a number, these bits, one after the other. */
static uint64_t squeeze(uint64_t word)
{
	word = (word & 0x007f007f007f007full) | (word & 0x7f007f007f007f00ull) >> 1;
	word = (word & 0x00003fff00003fffull) | (word & 0x3fff00003fff0000ull) >> 2;
	return (word & 0x000000000fffffffull) | (word & 0x0fffffff00000000ull) >> 4;
}

/* Most have two bytes; nearly all are shorter than eight, and are not the column's last ones. */
uint64_t coder_read_number(struct coder *coder, enum coder_column column)
{
	struct wire_reader *reader = &coder->columns[column].reader;
	uint64_t value = 0, ends;

	if (reader->end - reader->at >= 2 &&
	    ((uint8_t)reader->at[0] & ~(uint8_t)reader->at[1] & 0x80)) {
		value = ((uint8_t)reader->at[0] & 0x7f) | (uint64_t)reader->at[1] << 7;
		reader->at += 2;
		return value;
	}
	if (reader->end - reader->at >= (ptrdiff_t)sizeof(value)) {
		memcpy(&value, reader->at, sizeof(value));
		ends = ~value & 0x8080808080808080ull;
		if (ends) {
			unsigned bytes = (unsigned)__builtin_ctzll(ends) / 8 + 1;

			reader->at += bytes;
			return squeeze(value & (UINT64_MAX >> (64 - 8 * bytes)) &
				       0x7f7f7f7f7f7f7f7full);
		}
	}
	if (wire_get_varint(reader, &value))
		return value;
	coder_fail(coder);
	return 0;
}

/* Bytes among what is read by bits: such a column has nothing else, so they lie at whole ones. */
static void read_random(struct coder *coder, struct coder_state *state, void *bytes, size_t len)
{
	size_t at = (size_t)(state->bit_count / 8);

	if (state->bit_count % 8 == 0 && len <= (size_t)(state->reader.end - state->start) - at) {
		memcpy(bytes, state->start + at, len);
		state->bit_count += 8 * len;
	} else {
		memset(bytes, 0, len);
		coder_fail(coder);
	}
}

void coder_raw(struct coder *coder, enum coder_column column, void *bytes, size_t len)
{
	struct coder_state *state = &coder->columns[column];

	if (len == 0)
		return;
	if (!coder->is_reading) {
		buf_append(&state->bytes, bytes, len);
	} else if (forms[column] == RANDOM) {
		read_random(coder, state, bytes, len);
	} else if ((size_t)(state->reader.end - state->reader.at) >= len) {
		memcpy(bytes, state->reader.at, len);
		state->reader.at += len;
	} else {
		memset(bytes, 0, len);
		coder_fail(coder);
	}
}

#define HALF_BITS 32u

/* At most HALF_BITS of them. */
static void put_bits(struct coder_state *state, uint64_t bits, unsigned count)
{
	state->bits |= bits << state->bit_count;
	state->bit_count += count;
	if (state->bit_count >= HALF_BITS) {
		buf_append(&state->bytes, &state->bits, HALF_BITS / 8);
		state->bits >>= HALF_BITS;
		state->bit_count -= HALF_BITS;
	}
}

static uint64_t get_bits(struct coder *coder, struct coder_state *state, unsigned count)
{
	size_t bytes = (size_t)(state->reader.end - state->start);
	size_t at = (size_t)(state->bit_count / 8);
	uint64_t word = 0;

	if (count > 8 * (uint64_t)bytes - state->bit_count) {
		coder_fail(coder);
		return 0;
	}
	if (bytes - at >= sizeof(word))
		memcpy(&word, state->start + at, sizeof(word));
	else
		memcpy(&word, state->start + at, bytes - at);
	word = word >> state->bit_count % 8 & ((1ull << count) - 1);
	state->bit_count += count;
	return word;
}

/* So many lie within eight bytes, whatever bit they begin with. */
#define WORD_BITS 57u

/* Near the end of a column, and of more bits than a word has. */
static uint64_t read_wide_slowly(struct coder *coder, enum coder_column column)
{
	struct coder_state *state = &coder->columns[column + 1];
	unsigned high, low;
	uint64_t value;
	uint8_t bits;

	coder_byte(coder, column, &bits, 64);
	if (bits < 2)
		return bits;
	low = MIN(bits - 1u, HALF_BITS);
	high = bits - 1u - low;
	value = get_bits(coder, state, low);
	return value | 1ull << (bits - 1) | (high ? get_bits(coder, state, high) << HALF_BITS : 0);
}

/* The leading bit is always set: it is left out. */
uint64_t coder_read_wide(struct coder *coder, enum coder_column column)
{
	struct wire_reader *lengths = &coder->columns[column].reader;
	struct coder_state *state = &coder->columns[column + 1];
	const char *at = state->start + state->bit_count / 8;
	uint64_t word;
	unsigned bits;

	if (lengths->at == lengths->end || (uint8_t)*lengths->at > WORD_BITS ||
	    state->reader.end - at < (ptrdiff_t)sizeof(word))
		return read_wide_slowly(coder, column);
	bits = (uint8_t)*lengths->at++;
	if (bits < 2)
		return bits;
	memcpy(&word, at, sizeof(word));
	word = word >> state->bit_count % 8 & ((1ull << (bits - 1)) - 1);
	state->bit_count += bits - 1;
	return word | 1ull << (bits - 1);
}

void coder_write_wide(struct coder *coder, enum coder_column column, uint64_t value)
{
	struct coder_state *state = &coder->columns[column + 1];
	uint8_t bits = value ? (uint8_t)(64 - __builtin_clzll(value)) : 0;
	unsigned high, low;
	uint64_t rest;

	coder_byte(coder, column, &bits, 64);
	if (bits < 2)
		return;
	low = MIN(bits - 1u, HALF_BITS);
	high = bits - 1u - low;
	rest = value & ~(1ull << (bits - 1));
	put_bits(state, rest & ((1ull << low) - 1), low);
	if (high)
		put_bits(state, rest >> HALF_BITS, high);
}

void coder_skip_wide(struct coder *coder, enum coder_column column, uint64_t count)
{
	struct wire_reader *lengths = &coder->columns[column].reader;
	struct coder_state *state = &coder->columns[column + 1];
	uint64_t bits = 8 * (uint64_t)(state->reader.end - state->start), sum = 0;

	if (count > (uint64_t)(lengths->end - lengths->at)) {
		coder_fail(coder);
		return;
	}
	for (uint64_t i = 0; i < count; i++)
		sum += lengths->at[i] ? (uint8_t)lengths->at[i] - 1u : 0;
	lengths->at += count;
	if (sum > bits - state->bit_count)
		coder_fail(coder);
	else
		state->bit_count += sum;
}

void coder_guess(struct coder *coder, enum coder_column choice, enum coder_column column,
		 const uint64_t *guesses, uint8_t count, uint64_t *value)
{
	uint8_t chosen = 0;

	while (!coder->is_reading && chosen < count && guesses[chosen] != *value)
		chosen++;
	coder_byte(coder, choice, &chosen, count);
	if (chosen == count)
		coder_wide(coder, column, value);
	else if (coder->is_reading)
		*value = guesses[chosen];
}
