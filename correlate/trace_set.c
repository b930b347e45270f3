/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/trace_set.h"

#include <stdlib.h>
#include <string.h>

#include "collector/base/map.h"

#define LEAST_PLACES 64
#define LEAST_KEYS   64

void trace_set_init(struct trace_set *set, uint64_t seed)
{
	*set = (struct trace_set){ .seed = seed };
}

void trace_set_fini(struct trace_set *set)
{
	free(set->places);
	free(set->keys);
	*set = (struct trace_set){ .seed = set->seed };
}

static uint32_t hash_of(const struct trace_set *set, const uint8_t *id)
{
	return (uint32_t)(map_hash(id, TRACE_ID_BYTES, set->seed) >> 32);
}

static const uint8_t *id_at(const struct trace_place *place)
{
	return trace_place_at(place);
}

/* The key of that id, or the free one where it would stand. */
static struct trace_key *key_of(const struct trace_set *set, const uint8_t *id, uint32_t hash)
{
	uint32_t mask = set->key_cap - 1;

	for (uint32_t i = hash & mask;; i = (i + 1) & mask) {
		struct trace_key *key = &set->keys[i];

		if (!key->number ||
		    (key->hash == hash &&
		     memcmp(id_at(&set->places[key->number - 1]), id, TRACE_ID_BYTES) == 0))
			return key;
	}
}

struct trace_place *trace_set_find(const struct trace_set *set, const uint8_t id[TRACE_ID_BYTES])
{
	const struct trace_key *key;

	if (!set->count)
		return NULL;
	key = key_of(set, id, hash_of(set, id));
	return key->number ? &set->places[key->number - 1] : NULL;
}

static void enter(struct trace_set *set, uint32_t at)
{
	const uint8_t *id = id_at(&set->places[at]);
	uint32_t hash = hash_of(set, id);

	*key_of(set, id, hash) = (struct trace_key){ hash, at + 1 };
}

static void enter_all(struct trace_set *set)
{
	memset(set->keys, 0, set->key_cap * sizeof(*set->keys));
	for (uint32_t i = set->first; i < set->end; i++) {
		if (set->places[i].at)
			enter(set, i);
	}
}

/* Three quarters of them are in use at most. */
static bool make_keys(struct trace_set *set)
{
	uint32_t cap = set->key_cap ? 2 * set->key_cap : LEAST_KEYS;
	struct trace_key *keys;

	if (4 * ((uint64_t)set->count + 1) <= 3 * (uint64_t)set->key_cap)
		return true;
	keys = calloc(cap, sizeof(*keys));
	if (!keys)
		return false;
	free(set->keys);
	set->keys = keys;
	set->key_cap = cap;
	enter_all(set);
	return true;
}

/* Those that are gone leave their places to the others, which move up; where they are few, there
 * are more places. */
static bool make_places(struct trace_set *set)
{
	uint32_t cap = set->cap ? 2 * set->cap : LEAST_PLACES, count = 0;
	struct trace_place *places = set->places;

	if (set->end < set->cap)
		return true;
	if (set->count > set->cap / 4 * 3 || !set->cap) {
		places = realloc(places, cap * sizeof(*places));
		if (!places)
			return false;
		set->places = places;
		set->cap = cap;
	}
	for (uint32_t i = set->first; i < set->end; i++) {
		if (places[i].at)
			places[count++] = places[i];
	}
	set->first = 0;
	set->end = count;
	if (set->key_cap)
		enter_all(set);
	return true;
}

struct trace_place *trace_set_add(struct trace_set *set, void *trace)
{
	struct trace_place *place;

	if (!make_places(set) || !make_keys(set))
		return NULL;
	place = &set->places[set->end];
	trace_place_put(place, trace);
	enter(set, set->end++);
	set->count++;
	return place;
}

/* Who stands behind it, and would be found there no more, moves up. */
static void remove_key(struct trace_set *set, struct trace_key *key)
{
	uint32_t mask = set->key_cap - 1, hole = (uint32_t)(key - set->keys);

	for (uint32_t i = (hole + 1) & mask; set->keys[i].number; i = (i + 1) & mask) {
		uint32_t home = set->keys[i].hash & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			set->keys[hole] = set->keys[i];
			hole = i;
		}
	}
	set->keys[hole] = (struct trace_key){ 0 };
}

void trace_set_remove(struct trace_set *set, struct trace_place *place)
{
	const uint8_t *id = id_at(place);

	remove_key(set, key_of(set, id, hash_of(set, id)));
	*place = (struct trace_place){ 0 };
	set->count--;
	while (set->first < set->end && !set->places[set->first].at)
		set->first++;
}

struct trace_place *trace_set_next(const struct trace_set *set, uint32_t *at)
{
	uint32_t i = *at > set->first ? *at : set->first;

	while (i < set->end && !set->places[i].at)
		i++;
	*at = i + 1;
	return i < set->end ? &set->places[i] : NULL;
}
