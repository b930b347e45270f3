/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/name_cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/arena.h"
#include "collector/base/json.h"
#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "collector/query/plumbing.h"

#define MAX_FRAMES       512
#define HOUR_NS          (3600 * NS_PER_SEC)
#define HOLD_GENERATIONS 32 /* of one answer */

struct key {
	uint64_t id;
	uint64_t hour; /* 0: it has no frame that was compiled at run time */
};

struct generation {
	unsigned references; /* the cache's, and one of each hold */
	struct arena arena;  /* what the maps lead to */
	struct map stacks;   /* struct key -> const struct stack_names * */
	struct map frames;   /* hash of its bytes -> const struct named_frame * */
};

struct name_cache {
	pthread_mutex_t
		lock;       /* of all, maps and arenas included; what they lead to never changes */
	size_t limit_bytes; /* of one generation */
	uint64_t seed;      /* names are chosen by others */
	struct generation *young, *old; /* NULL: none yet */
};

int name_cache_new(size_t limit_bytes, uint64_t seed, struct name_cache **out_cache)
{
	struct name_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	pthread_mutex_init(&cache->lock, NULL);
	cache->limit_bytes = limit_bytes / 2;
	cache->seed = seed;
	*out_cache = cache;
	return 0;
}

static void release(struct generation *generation)
{
	if (!generation || --generation->references)
		return;
	map_fini(&generation->stacks);
	map_fini(&generation->frames);
	arena_fini(&generation->arena);
	free(generation);
}

void name_cache_free(struct name_cache *cache)
{
	if (!cache)
		return;
	release(cache->young);
	release(cache->old);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

static size_t bytes_of(const struct generation *generation)
{
	return generation->arena.used_bytes + map_bytes(&generation->stacks) +
	       map_bytes(&generation->frames);
}

/* The young one, with room. NULL: out of memory. Locked. */
static struct generation *make_room(struct name_cache *cache)
{
	struct generation *fresh;

	if (cache->young && bytes_of(cache->young) < cache->limit_bytes)
		return cache->young;
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return NULL;
	fresh->references = 1;
	arena_init(&fresh->arena, 0);
	map_init(&fresh->stacks, sizeof(struct key), sizeof(struct stack_names *), cache->seed);
	map_init(&fresh->frames, sizeof(uint64_t[2]), sizeof(struct named_frame *), cache->seed);
	release(cache->old);
	cache->old = cache->young;
	cache->young = fresh;
	return fresh;
}

/* ---- holding ---- */

void name_hold_init(struct name_hold *hold, struct name_cache *cache)
{
	hold->cache = cache;
	buf_init(&hold->generations, HOLD_GENERATIONS * sizeof(struct generation *));
}

void name_hold_fini(struct name_hold *hold)
{
	struct generation *const *held = (void *)hold->generations.data;

	if (!hold->generations.len)
		return;
	pthread_mutex_lock(&hold->cache->lock);
	for (size_t i = 0; i < hold->generations.len / sizeof(*held); i++)
		release(held[i]);
	pthread_mutex_unlock(&hold->cache->lock);
	buf_fini(&hold->generations);
}

/* It is mostly the one that was held last. Locked. */
static bool keep(struct name_hold *hold, struct generation *generation)
{
	struct generation *const *held = (void *)hold->generations.data;

	for (size_t i = hold->generations.len / sizeof(*held); i > 0; i--) {
		if (held[i - 1] == generation)
			return true;
	}
	buf_append(&hold->generations, &generation, sizeof(generation));
	if (buf_error(&hold->generations))
		return false;
	generation->references++;
	return true;
}

/* ---- filling ---- */

static struct str copy(struct arena *arena, struct str text)
{
	char *room = arena_alloc(arena, text.len + 1);

	if (room && text.len)
		memcpy(room, text.data, text.len);
	return (struct str){ room, room ? text.len : 0 };
}

/* NULL: out of memory. */
static const struct named_frame *make_frame(struct arena *arena, const struct frame *frame)
{
	struct named_frame *named = arena_alloc(arena, sizeof(*named));
	struct buf text, quoted;
	struct json json;

	if (!named)
		return NULL;
	buf_init(&text, 0);
	buf_init(&quoted, 0);
	frame_text(frame, &text);
	json_init(&json, &quoted);
	json_str(&json, NULL, buf_str(&text));
	*named = (struct named_frame){
		.frame = *frame,
		.text = copy(arena, buf_str(&text)),
		.quoted = copy(arena, buf_str(&quoted)),
		.is_plumbing = plumbing_is(frame),
	};
	named->frame.name = copy(arena, frame->name);
	named->frame.module = copy(arena, frame->module);
	if (buf_error(&text) || buf_error(&quoted) || !named->frame.module.data ||
	    !named->frame.name.data || !named->text.data || !named->quoted.data)
		named = NULL;
	buf_fini(&text);
	buf_fini(&quoted);
	return named;
}

static const struct named_frame *frame_of(struct generation *to, const uint64_t hash[2],
					  const struct frame *frame)
{
	const struct named_frame **slot = map_get(&to->frames, hash);
	struct named_frame *named;

	if (slot)
		return *slot;
	named = (struct named_frame *)make_frame(&to->arena, frame);
	slot = named ? map_put(&to->frames, hash) : NULL;
	if (!slot)
		return NULL;
	memcpy(named->hash, hash, sizeof(named->hash));
	*slot = named;
	return named;
}

/* Room for the frames of a stack, which are still to come. NULL: out of memory. */
static const struct named_frame **make_list(struct generation *to, uint32_t count)
{
	return arena_alloc(&to->arena, count * sizeof(const struct named_frame *) + 1);
}

static const struct stack_names *add(struct generation *to, const struct key *key,
				     const struct named_frame **frames, uint32_t count)
{
	struct stack_names *names = arena_alloc(&to->arena, sizeof(*names));
	struct stack_names **slot = names ? map_put(&to->stacks, key) : NULL;

	if (!slot)
		return NULL;
	*names = (struct stack_names){ count, frames };
	*slot = names;
	return names;
}

static const struct stack_names *carry(struct generation *to, const struct key *key,
				       const struct stack_names *from)
{
	const struct named_frame **frames = make_list(to, from->count);

	for (uint32_t i = 0; frames && i < from->count; i++) {
		frames[i] = frame_of(to, from->frames[i]->hash, &from->frames[i]->frame);
		if (!frames[i])
			return NULL;
	}
	return frames ? add(to, key, frames, from->count) : NULL;
}

static uint32_t count_frames(struct str bytes, bool *out_is_jit)
{
	struct wire_reader reader = wire_read(bytes);
	struct frame frame;
	uint32_t count = 0;

	*out_is_jit = false;
	while (count < MAX_FRAMES && frame_next(&reader, &frame) == 1) {
		*out_is_jit = *out_is_jit || frame.kind == FRAME_JIT;
		count++;
	}
	return count;
}

static const struct stack_names *read_frames(struct name_cache *cache, const struct key *key,
					     uint32_t count, struct str bytes)
{
	struct generation *to = cache->young;
	struct wire_reader reader = wire_read(bytes);
	const struct named_frame **frames = make_list(to, count);

	for (uint32_t i = 0; frames && i < count; i++) {
		const char *start = reader.at;
		struct frame frame;
		uint64_t hash[2];

		frame_next(&reader, &frame);
		for (uint64_t k = 0; k < 2; k++)
			hash[k] = map_hash(start, (size_t)(reader.at - start), cache->seed + k);
		frames[i] = frame_of(to, hash, &frame);
		if (!frames[i])
			return NULL;
	}
	return frames ? add(to, key, frames, count) : NULL;
}

/* ---- asking ---- */

static struct key hourly(uint64_t id, uint64_t unix_ns)
{
	return (struct key){ id, unix_ns / HOUR_NS + 1 };
}

static const struct stack_names *get(const struct generation *generation, const struct key *key)
{
	const struct stack_names **slot = generation ? map_get(&generation->stacks, key) : NULL;

	return slot ? *slot : NULL;
}

/* Locked. What is in the old generation is carried to the young one. */
static const struct stack_names *find(struct name_cache *cache, const struct key *key)
{
	const struct stack_names *names = get(cache->young, key);

	if (names || !get(cache->old, key) || !make_room(cache))
		return names;
	names = get(cache->old, key); /* making room may have thrown it away */
	return names ? carry(cache->young, key, names) : NULL;
}

const struct stack_names *name_cache_find(struct name_hold *hold, uint64_t id, uint64_t unix_ns)
{
	struct name_cache *cache = hold->cache;
	const struct key keys[] = { { id, 0 }, hourly(id, unix_ns) };
	const struct stack_names *names = NULL;

	pthread_mutex_lock(&cache->lock);
	for (size_t i = 0; i < ARRAY_LEN(keys) && !names; i++)
		names = find(cache, &keys[i]);
	if (names && !keep(hold, cache->young))
		names = NULL;
	pthread_mutex_unlock(&cache->lock);
	return names;
}

const struct stack_names *name_cache_put(struct name_hold *hold, uint64_t id, uint64_t unix_ns,
					 struct str frames)
{
	struct name_cache *cache = hold->cache;
	const struct stack_names *names = NULL;
	struct key key = { id, 0 };
	bool is_jit;
	uint32_t count = count_frames(frames, &is_jit);

	if (is_jit)
		key = hourly(id, unix_ns);
	pthread_mutex_lock(&cache->lock);
	if (make_room(cache))
		names = get(cache->young, &key); /* another was faster */
	if (cache->young && !names)
		names = read_frames(cache, &key, count, frames);
	if (names && !keep(hold, cache->young))
		names = NULL;
	pthread_mutex_unlock(&cache->lock);
	return names;
}
