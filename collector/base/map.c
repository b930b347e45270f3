/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/map.h"

#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

#define MIN_SLOTS 16

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The last `len` < 8 bytes of `total` that end at `end`, as a little-endian number. */
static uint64_t tail(const unsigned char *end, size_t len, size_t total)
{
	uint64_t word = 0;

	if (len && total >= sizeof(word)) { /* read with what stands before them */
		memcpy(&word, end - sizeof(word), sizeof(word));
		return word >> 8 * (sizeof(word) - len);
	}
	for (size_t i = 0; i < len; i++)
		word |= (uint64_t)end[-(ptrdiff_t)len + (ptrdiff_t)i] << 8 * i;
	return word;
}

/* Multiply-and-fold over 8-byte words, in the manner of wyhash. */
uint64_t map_hash(const void *data, size_t len, uint64_t seed)
{
	const unsigned char *bytes = data;
	const size_t total = len;
	uint64_t hash = seed ^ 0x9e3779b97f4a7c15ull, word;

	for (; len >= 8; bytes += 8, len -= 8) {
		memcpy(&word, bytes, 8);
		hash = mix(hash ^ word, 0xa0761d6478bd642full);
	}
	word = len ? tail(bytes + len, len, total) : 0;
	return mix(hash ^ word ^ (uint64_t)len << 56, 0xe7037ed1a0b428dbull);
}

static uint32_t slot_hash(const struct map *map, const void *key)
{
	uint32_t hash = (uint32_t)(map_hash(key, map->key_bytes, map->seed) >> 32);

	return hash ? hash : 1; /* 0 marks a free slot */
}

static char *slot_at(const struct map *map, size_t index)
{
	return map->slots + index * map->slot_bytes;
}

static uint32_t hash_of(const char *slot)
{
	uint32_t hash;

	memcpy(&hash, slot, sizeof(hash));
	return hash;
}

void map_init(struct map *map, size_t key_bytes, size_t value_bytes, uint64_t seed)
{
	size_t value_offset = (sizeof(uint32_t) + key_bytes + 7) & ~(size_t)7;

	*map = (struct map){
		.key_bytes = key_bytes,
		.value_bytes = value_bytes,
		.value_offset = value_offset,
		.slot_bytes = value_offset + ((value_bytes + 7) & ~(size_t)7),
		.seed = seed,
	};
}

void map_fini(struct map *map)
{
	free(map->slots);
	map->slots = NULL;
	map->cap = 0;
	map->count = 0;
}

void map_clear(struct map *map)
{
	if (map->slots)
		memset(map->slots, 0, map->cap * map->slot_bytes);
	map->count = 0;
}

/* The slot of `key`, or the free one where it would go. */
static char *probe(const struct map *map, const void *key, uint32_t hash)
{
	size_t mask = map->cap - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		char *slot = slot_at(map, i);
		uint32_t found = hash_of(slot);

		if (!found ||
		    (found == hash && memcmp(slot + sizeof(found), key, map->key_bytes) == 0))
			return slot;
	}
}

static bool rehash(struct map *map, size_t cap)
{
	struct map bigger = *map;

	bigger.slots = calloc(cap, map->slot_bytes);
	if (!bigger.slots)
		return false;
	bigger.cap = cap;
	for (size_t i = 0; i < map->cap; i++) {
		char *slot = slot_at(map, i);
		uint32_t hash = hash_of(slot);

		if (hash)
			memcpy(probe(&bigger, slot + sizeof(hash), hash), slot, map->slot_bytes);
	}
	free(map->slots);
	*map = bigger;
	return true;
}

void *map_get(const struct map *map, const void *key)
{
	char *slot;

	if (!map->count)
		return NULL;
	slot = probe(map, key, slot_hash(map, key));
	return hash_of(slot) ? slot + map->value_offset : NULL;
}

void *map_put(struct map *map, const void *key)
{
	uint32_t hash = slot_hash(map, key);
	char *slot;

	if (map->cap) {
		slot = probe(map, key, hash);
		if (hash_of(slot))
			return slot + map->value_offset;
	}
	if (map->max_count && map->count >= map->max_count)
		return NULL;
	if (4 * (map->count + 1) > 3 * map->cap &&
	    !rehash(map, map->cap ? 2 * map->cap : MIN_SLOTS))
		return NULL;
	slot = probe(map, key, hash);
	memcpy(slot, &hash, sizeof(hash));
	memcpy(slot + sizeof(hash), key, map->key_bytes);
	memset(slot + map->value_offset, 0, map->value_bytes);
	map->count++;
	return slot + map->value_offset;
}

bool map_delete(struct map *map, const void *key)
{
	size_t mask = map->cap - 1, hole, i;
	char *slot;

	if (!map->count)
		return false;
	slot = probe(map, key, slot_hash(map, key));
	if (!hash_of(slot))
		return false;
	hole = (size_t)(slot - map->slots) / map->slot_bytes;
	for (i = (hole + 1) & mask; hash_of(slot_at(map, i)); i = (i + 1) & mask) {
		size_t home = hash_of(slot_at(map, i)) & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			memcpy(slot_at(map, hole), slot_at(map, i), map->slot_bytes);
			hole = i;
		}
	}
	memset(slot_at(map, hole), 0, map->slot_bytes);
	map->count--;
	return true;
}

void *map_next(const struct map *map, size_t *cursor, const void **out_key)
{
	while (*cursor < map->cap) {
		char *slot = slot_at(map, (*cursor)++);

		if (!hash_of(slot))
			continue;
		if (out_key)
			*out_key = slot + sizeof(uint32_t);
		return slot + map->value_offset;
	}
	return NULL;
}

size_t map_bytes(const struct map *map)
{
	return map->cap * map->slot_bytes;
}
