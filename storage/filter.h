/* SPDX-License-Identifier: Apache-2.0 */
/* A blocked Bloom filter: says for sure that a trace is not in a part, by one cache line.
 *
 * Each line of 64 bytes holds 480 bits and a checksum of its own, so that a probe checks what it
 * believes and opening a part need not read the whole filter. 12 bits and 6 probes a key: about
 * 1 % of the probes for what is not there say "maybe". */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

#define FILTER_LINE_BYTES 64

struct filter_line {
	uint32_t words[15];
	uint32_t checksum;
};

/* Appends an empty filter for `key_count` keys to `out`. */
void filter_init(struct buf *out, uint64_t key_count);
/* `hash` is well mixed already. `filter` is what filter_init appended. */
void filter_add(struct buf *filter, uint64_t hash);
/* After the last key. */
void filter_seal(struct buf *filter);

/* Has the line that a probe will read come into the cache, if it is in memory: many filters are
 * probed in the time of a few, when all of their lines are asked for first. */
void filter_prefetch(struct str filter, uint64_t hash);
/* 1: maybe; 0: certainly not; -EBADMSG: damaged. `filter` may lie at any multiple of 4. */
int filter_probe(struct str filter, uint64_t hash);
