/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/filter.h"

#include <errno.h>
#include <string.h>

#include "storage/checksum.h"

#define LINE_BITS     480u
#define BITS_PER_KEY  12
#define PROBES        6
#define CHECKSUM_SEED 0x66696c746572ull

void filter_init(struct buf *out, uint64_t key_count)
{
	size_t lines = (size_t)(key_count * BITS_PER_KEY / LINE_BITS) + 1;
	char *room = buf_reserve(out, lines * FILTER_LINE_BYTES);

	if (!room)
		return;
	memset(room, 0, lines * FILTER_LINE_BYTES);
	out->len += lines * FILTER_LINE_BYTES;
}

/* The high half of the hash chooses the line, without a division. */
static size_t line_of(size_t bytes, uint64_t hash)
{
	return (size_t)((hash >> 32) * (bytes / FILTER_LINE_BYTES) >> 32);
}

/* The low half chooses the bits, by double hashing; the stride is odd. */
static uint32_t bit_of(uint64_t hash, uint32_t probe)
{
	uint32_t start = (uint32_t)hash, stride = (uint32_t)(hash >> 17) | 1;

	return (uint32_t)((uint64_t)(start + probe * stride) * LINE_BITS >> 32);
}

static uint32_t line_checksum(const struct filter_line *line, size_t index)
{
	return (uint32_t)checksum_of(line->words, sizeof(line->words), CHECKSUM_SEED + index);
}

void filter_add(struct buf *filter, uint64_t hash)
{
	struct filter_line *lines = (void *)filter->data;
	struct filter_line *line = &lines[line_of(filter->len, hash)];

	for (uint32_t i = 0; i < PROBES; i++) {
		uint32_t bit = bit_of(hash, i);

		line->words[bit / 32] |= 1u << bit % 32;
	}
}

void filter_seal(struct buf *filter)
{
	struct filter_line *lines = (void *)filter->data;

	for (size_t i = 0; i < filter->len / FILTER_LINE_BYTES; i++)
		lines[i].checksum = line_checksum(&lines[i], i);
}

void filter_prefetch(struct str filter, uint64_t hash)
{
	__builtin_prefetch(filter.data + line_of(filter.len, hash) * FILTER_LINE_BYTES);
}

int filter_probe(struct str filter, uint64_t hash)
{
	size_t index = line_of(filter.len, hash);
	struct filter_line line;

	memcpy(&line, filter.data + index * FILTER_LINE_BYTES, sizeof(line));
	if (line_checksum(&line, index) != line.checksum)
		return -EBADMSG;
	for (uint32_t i = 0; i < PROBES; i++) {
		uint32_t bit = bit_of(hash, i);

		if (!(line.words[bit / 32] & 1u << bit % 32))
			return 0;
	}
	return 1;
}
