/* SPDX-License-Identifier: Apache-2.0 */
/* A hash map with keys and values of fixed size, stored inline.
 *
 * Open addressing, linear probing, deletion by backward shift. Pointers to values hold until the
 * next put or delete. The order of map_each depends on the seed and must never reach a result. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map {
	char *slots; /* owned: {uint32 hash, key, value}, hash 0 = free */
	size_t key_bytes;
	size_t value_bytes;
	size_t value_offset;
	size_t slot_bytes;
	size_t cap; /* power of two, or 0 */
	size_t count;
	size_t max_count; /* 0: none; a put beyond it returns NULL */
	uint64_t seed;
};

/* Keys are compared as bytes: pad them with zeros. `seed`: random where peers choose the keys. */
void map_init(struct map *map, size_t key_bytes, size_t value_bytes, uint64_t seed);
void map_fini(struct map *map);
void map_clear(struct map *map);

/* NULL: not there. */
void *map_get(const struct map *map, const void *key);

/* Finds or makes (zeroed). NULL: out of memory or max_count reached. */
void *map_put(struct map *map, const void *key);

bool map_delete(struct map *map, const void *key);

/* Walks all: `*cursor` starts at 0. Returns the value or NULL at the end. No put or delete
 * meanwhile. */
void *map_next(const struct map *map, size_t *cursor, const void **out_key);

size_t map_bytes(const struct map *map);
uint64_t map_hash(const void *data, size_t len, uint64_t seed);
