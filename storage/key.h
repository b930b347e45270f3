/* SPDX-License-Identifier: Apache-2.0 */
/* Every key layout on one page. Numbers are big-endian, so that LMDB's memcmp sorts them.
 *
 *   blocks        seq:8                                          packed parts: spans or ledgers
 *   by_trace      run:4  hash:8  seq:4  row:4                    first entry of a chunk
 *   by_operation  run:4  kind:4  operation:4  minute:4  seq:4    first entry of a chunk
 *   operations    id:4                                           service, operation, kind
 *   rollup        level:4  run:4  minute:4  operation:4          a cell; see rollup_table.h
 *   stacks        id:8                                           its frames; packed: some
 *   frames        hash:8; packed: number:4                       one frame; packed: some
 *   about         name                                           "part", "log", "spilled",
 * "rolled", "filter"
 */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "collector/base/str.h"

#define KEY_SEQ_BYTES   8
#define KEY_ENTRY_BYTES 16 /* of a run's entry, without the run */
#define KEY_RUN_BYTES   (4 + KEY_ENTRY_BYTES)

static inline void key_put32(uint8_t *at, uint32_t value)
{
	value = htobe32(value);
	memcpy(at, &value, sizeof(value));
}

static inline void key_put64(uint8_t *at, uint64_t value)
{
	value = htobe64(value);
	memcpy(at, &value, sizeof(value));
}

static inline uint32_t key_get32(const void *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return be32toh(value);
}

static inline uint64_t key_get64(const void *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return be64toh(value);
}

static inline struct str key_str(const uint8_t *key, size_t len)
{
	return (struct str){ (const char *)key, len };
}
