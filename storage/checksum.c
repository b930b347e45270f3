/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/checksum.h"

#include <string.h>

/* Odd constants with well mixed bits; each step is a bijection of its word, which is why no single
 * flip can hide. Four lanes keep the multiplier busy. */
#define PRIME_1 0x9e3779b185ebca87ull
#define PRIME_2 0xc2b2ae3d27d4eb4full
#define PRIME_3 0x165667b19e3779f9ull
#define LANES   (CHECKSUM_STEP / sizeof(uint64_t))

static uint64_t rotate(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

static uint64_t step(uint64_t lane, uint64_t word)
{
	return rotate(lane + word * PRIME_2, 31) * PRIME_1;
}

static uint64_t word_at(const unsigned char *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

void checksum_begin(struct checksum *checksum, uint64_t seed)
{
	*checksum = (struct checksum){ { seed + PRIME_1, seed + PRIME_2, seed, seed - PRIME_1 },
				       seed,
				       0 };
}

void checksum_add(struct checksum *checksum, const void *data, size_t len)
{
	const unsigned char *bytes = data;
	uint64_t lanes[LANES];

	memcpy(lanes, checksum->lanes, sizeof(lanes));
	for (size_t left = len; left >= CHECKSUM_STEP;
	     left -= CHECKSUM_STEP, bytes += CHECKSUM_STEP) {
		lanes[0] = step(lanes[0], word_at(bytes));
		lanes[1] = step(lanes[1], word_at(bytes + 8));
		lanes[2] = step(lanes[2], word_at(bytes + 16));
		lanes[3] = step(lanes[3], word_at(bytes + 24));
	}
	memcpy(checksum->lanes, lanes, sizeof(lanes));
	checksum->len += len;
}

uint64_t checksum_end(struct checksum *checksum, const void *data, size_t len)
{
	const unsigned char *bytes =
		(const unsigned char *)data + len / CHECKSUM_STEP * CHECKSUM_STEP;
	size_t left = len % CHECKSUM_STEP;
	uint64_t sum, tail = 0;

	checksum_add(checksum, data, len);
	sum = checksum->seed ^ checksum->len * PRIME_3;
	for (size_t i = 0; i < LANES; i++)
		sum = step(sum, checksum->lanes[i]);
	for (; left >= 8; left -= 8, bytes += 8)
		sum = step(sum, word_at(bytes));
	if (left)
		memcpy(&tail, bytes, left);
	sum = step(sum, tail);
	sum ^= sum >> 33;
	sum *= PRIME_2;
	return sum ^ sum >> 29;
}

uint64_t checksum_of(const void *data, size_t len, uint64_t seed)
{
	struct checksum checksum;

	checksum_begin(&checksum, seed);
	return checksum_end(&checksum, data, len);
}
