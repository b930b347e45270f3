/* SPDX-License-Identifier: Apache-2.0 */
/* 64 bits that tell torn or foreign bytes from ours, at memory speed. Not against forgers. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Chains: pass the result as the `seed` of what follows. Every single changed bit shows. */
uint64_t checksum_of(const void *data, size_t len, uint64_t seed);

/* The same in steps, for what is hashed while it is still in the cache. All steps but the last are
 * of a multiple of CHECKSUM_STEP bytes. */
#define CHECKSUM_STEP ((size_t)32)

struct checksum {
	uint64_t lanes[CHECKSUM_STEP / sizeof(uint64_t)];
	uint64_t seed;
	size_t len;
};

void checksum_begin(struct checksum *checksum, uint64_t seed);
void checksum_add(struct checksum *checksum, const void *data, size_t len);
/* `data`: the rest, of any length. */
uint64_t checksum_end(struct checksum *checksum, const void *data, size_t len);
