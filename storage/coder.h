/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of a packed block, written and read by the same code.
 *
 * Whoever describes a record (pack_rows.c and its kin) calls a function for each field: a coder
 * that writes appends the field to its column, one that reads sets it. So the two ways cannot drift
 * apart. What stands in one column is alike, and is compressed for itself; reading unpacks only the
 * columns that are asked for.
 *
 *   for each column: varint plain bytes, varint packed bytes (0: as it is)
 *   then the columns, one after the other
 *
 * Reading believes nothing: what does not fit sets `error` to -EBADMSG, once, and is zero from then
 * on. Not thread safe. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/compress.h"
#include "collector/base/wire.h"

/* X(name, form, what stands in it); in the order in which they are wanted. RANDOM ones are not
 * compressed, the others are searched for what repeats itself: SHORT ones, like numbers in lists,
 * for some bytes, LONG ones for records, PATTERNS, where these stand in ever new combinations, for
 * long. A column NAME and NAME_BITS belong to coder_wide: of each number the first says how
 * many bits it has, the second the bits. */
/* clang-format off */
#define CODER_COLUMNS(X) \
	X(TRACE,          LONG, "rows back to the one before of its trace; 0: a new trace") \
	X(TRACE_ID,       RANDOM, "of new traces") \
	X(SPAN_ID,        RANDOM, "") \
	X(PARENT,         LONG, "the row of the parent, from this one; or none, or its id follows") \
	X(PARENT_ID,      RANDOM, "of parents that have no row") \
	X(TIME_FORM,      LONG, "against what start and end are counted") \
	X(START,          LONG, "") \
	X(START_BITS,     RANDOM, "") \
	X(END,            LONG, "") \
	X(END_BITS,       RANDOM, "") \
	X(OPERATION,      LONG, "") \
	X(KIND,           LONG, "kind and status") \
	X(FLAGS,          LONG, "of OTLP") \
	X(OWNER,          LONG, "resource and scope") \
	X(THREAD,         LONG, "thread and process") \
	X(GRADE,          LONG, "of the ledger, and flags") \
	X(REVISION,       LONG, "of ledgers that were revised") \
	X(FIGURES,        LONG, "which figures are there") \
	X(FIGURE,         LONG, "process and rare ones") \
	X(CPU,            LONG, "") \
	X(CPU_BITS,       RANDOM, "") \
	X(RUNNABLE,       LONG, "") \
	X(RUNNABLE_BITS,  RANDOM, "") \
	X(BLOCKED,        LONG, "") \
	X(BLOCKED_BITS,   RANDOM, "") \
	X(UNCERTAIN,      LONG, "") \
	X(UNCERTAIN_BITS, RANDOM, "") \
	X(TEXT_FORM,      LONG, "how the span message is kept") \
	X(TEXT_LEN,       LONG, "of the message, and how much of it is kept") \
	X(WORD,           LONG, "names and peers, as numbers of strings") \
	X(STRING,         SHORT, "the strings: resources, scopes, names, peers") \
	X(TABLE,          SHORT, "their lengths; resources and scopes, as numbers of strings") \
	X(TEXT,           LONG, "span messages without ids and times") \
	X(DETAIL_AT,      SHORT, "where every sixteenth trace begins in the next columns") \
	X(DETAIL,         PATTERNS, "waits, items, links: choices") \
	X(DETAIL_KIND,    SHORT, "... kinds of waits, as numbers in their list") \
	X(DETAIL_TEXT,    SHORT, "... texts, tags and links, as numbers in their lists") \
	X(DETAIL_ID,      RANDOM, "... ids") \
	X(WAKER_KIND,     SHORT, "... wakers, as numbers in their list") \
	X(WAKER_ROW,      SHORT, "... the row of a waker's span, from this one") \
	X(DETAIL_NS,      LONG, "... durations") \
	X(DETAIL_NS_BITS, RANDOM, "") \
	X(STACK,          LONG, "stacks: choices") \
	X(STACK_KIND,     LONG, "... numbers in their list") \
	X(STACK_NS,       LONG, "... durations") \
	X(STACK_NS_BITS,  RANDOM, "") \
	X(SLICE,          LONG, "slices: choices") \
	X(SLICE_NS,       LONG, "... durations and threads") \
	X(SLICE_NS_BITS,  RANDOM, "") \
	X(LIST_STACK,     SHORT, "lists: stacks") \
	X(LIST_TARGET,    SHORT, "... targets") \
	X(LIST_KIND,      LONG, "... kinds of waits") \
	X(LIST_KIND_OF,   SHORT, "... their stacks and targets, from the ones before") \
	X(LIST_WAKER,     SHORT, "... wakers: process and thread, from the ones before") \
	X(LIST_NAME,      SHORT, "... their names") \
	X(LIST_TEXT,      SHORT, "... texts") \
	X(LIST_ID,        RANDOM, "... ids")
/* clang-format on */

enum coder_column {
#define X(name, form, what) COLUMN_##name,
	CODER_COLUMNS(X)
#undef X
		CODER_COLUMN_COUNT
};

#define CODER_MAX_BYTES ((uint64_t)1 << 28) /* of one column, plain */

struct coder_state {
	struct buf bytes; /* owned: written, or unpacked */
	struct wire_reader
		reader;     /* into the bytes, or into the block where they are as they are */
	const char *start;  /* where the reader began */
	uint64_t bits;      /* writing NAME_BITS: those that fill no byte yet */
	uint64_t bit_count; /* ... and how many; reading: how many were read */
	struct str packed;  /* borrowed: in the block; until it is unpacked */
	size_t plain_bytes;
	bool is_packed;
};

struct coder {
	bool is_reading;
	int error;
	struct coder_state columns[CODER_COLUMN_COUNT];
};

struct coder_packers {
	struct compress_packer *short_ones, *long_ones, *patterns; /* owned */
};

int coder_packers_init(struct coder_packers *packers); /* -ENOMEM */
void coder_packers_fini(struct coder_packers *packers);

/* A coder that writes. coder_clear: the next block. */
void coder_init(struct coder *coder);
void coder_clear(struct coder *coder);
void coder_fini(struct coder *coder); /* of both ways; zeros too */
/* Appends the whole to `out`. `packers` NULL: nothing is compressed. -ENOMEM. */
int coder_seal(struct coder *coder, struct coder_packers *packers, struct buf *out);

/* A coder that reads what coder_seal made; `bytes` are borrowed until coder_fini. Each column must
 * be unpacked before it is read. -EBADMSG, -ENOMEM; it is fit for coder_fini either way. */
int coder_open(struct coder *coder, struct str bytes);
int coder_unpack(struct coder *coder, enum coder_column first, enum coder_column last);
/* Gives back the memory of columns that have been read. */
void coder_forget(struct coder *coder, enum coder_column first, enum coder_column last);

/* How many plain bytes a column has, or had so far. */
size_t coder_bytes_of(const struct coder *coder, enum coder_column column);
/* Bytes on disk of a column that is read, and of the list in front of all. */
size_t coder_stored_bytes(const struct coder *coder, enum coder_column column);

/* Where some columns stand, in bytes or bits, and back. Seeking beyond the end is an error. */
void coder_tell(const struct coder *coder, enum coder_column first, unsigned count,
		uint32_t *out_places);
void coder_seek(struct coder *coder, enum coder_column first, unsigned count,
		const uint32_t *places);

void coder_fail(struct coder *coder); /* -EBADMSG */
uint64_t coder_read_number(struct coder *coder, enum coder_column column);
uint64_t coder_read_wide(struct coder *coder, enum coder_column column);
void coder_write_wide(struct coder *coder, enum coder_column column, uint64_t value);

/* Small numbers take one byte. */
static inline void coder_number(struct coder *coder, enum coder_column column, uint64_t *value)
{
	struct coder_state *state = &coder->columns[column];

	if (!coder->is_reading)
		wire_put_varint(&state->bytes, *value);
	else if (state->reader.at < state->reader.end && (uint8_t)*state->reader.at < 0x80)
		*value = (uint8_t)*state->reader.at++;
	else
		*value = coder_read_number(coder, column);
}

static inline void coder_number32(struct coder *coder, enum coder_column column, uint32_t *value)
{
	uint64_t wide = *value;

	coder_number(coder, column, &wide);
	if (wide > UINT32_MAX) {
		coder_fail(coder);
		wide = 0;
	}
	*value = (uint32_t)wide;
}

static inline void coder_signed(struct coder *coder, enum coder_column column, int64_t *value)
{
	uint64_t wide = coder->is_reading ? 0 : wire_zigzag(*value);

	coder_number(coder, column, &wide);
	*value = wire_unzigzag(wide);
}

void coder_raw(struct coder *coder, enum coder_column column, void *bytes, size_t len);

/* A byte of at most `max`. */
static inline void coder_byte(struct coder *coder, enum coder_column column, uint8_t *value,
			      uint8_t max)
{
	struct wire_reader *reader = &coder->columns[column].reader;

	if (coder->is_reading && reader->at < reader->end)
		*value = (uint8_t)*reader->at++;
	else
		coder_raw(coder, column, value, 1);
	if (*value > max) {
		*value = 0;
		coder_fail(coder);
	}
}

/* A number of many bits, like a duration, in `column` and the one behind it. */
static inline void coder_wide(struct coder *coder, enum coder_column column, uint64_t *value)
{
	if (coder->is_reading)
		*value = coder_read_wide(coder, column);
	else
		coder_write_wide(coder, column, *value);
}

static inline void coder_wide_signed(struct coder *coder, enum coder_column column, int64_t *value)
{
	if (coder->is_reading)
		*value = wire_unzigzag(coder_read_wide(coder, column));
	else
		coder_write_wide(coder, column, wire_zigzag(*value));
}

/* Reading: goes past so many of them. */
void coder_skip_wide(struct coder *coder, enum coder_column column, uint64_t count);

/* A wide number that is mostly one of the guesses, which both sides know: which one is a choice in
 * the first column; if it is none, it follows in the second. */
void coder_guess(struct coder *coder, enum coder_column choice, enum coder_column column,
		 const uint64_t *guesses, uint8_t count, uint64_t *value);
