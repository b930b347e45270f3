/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/nth_alloc.h"

#define KEYS 300

/* 12 bytes: no multiple of a word, so that the tail of the hash is used. */
struct key {
	uint32_t words[3];
};

static struct key key_of(uint32_t number)
{
	return (struct key){ { number, 0, number * 7 } };
}

/* The obviously right map: one place for each key. */
struct model {
	uint64_t values[KEYS];
	bool has[KEYS];
	size_t count;
};

static uint32_t next_random(uint64_t *random)
{
	*random = *random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*random >> 33);
}

static void compare(const struct map *map, const struct model *model)
{
	size_t cursor = 0, seen = 0;
	const void *at;
	uint64_t *value;

	assert_int_equal(map->count, model->count);
	while ((value = map_next(map, &cursor, &at))) {
		struct key key;

		memcpy(&key, at, sizeof(key));
		assert_true(key.words[0] < KEYS && model->has[key.words[0]]);
		assert_true(*value == model->values[key.words[0]]);
		seen++;
	}
	assert_int_equal(seen, model->count);
	for (uint32_t i = 0; i < KEYS; i++) {
		struct key key = key_of(i);

		value = map_get(map, &key);
		assert_int_equal(value != NULL, model->has[i]);
	}
}

static void step(struct map *map, struct model *model, uint64_t *random, uint32_t put_share)
{
	uint32_t number = next_random(random) % KEYS;
	struct key key = key_of(number);
	uint64_t *value;

	if (next_random(random) % 100 < put_share) {
		value = map_put(map, &key);
		assert_non_null(value);
		assert_true(*value == (model->has[number] ? model->values[number] : 0));
		*value = model->values[number] = next_random(random);
		model->count += !model->has[number];
		model->has[number] = true;
		return;
	}
	assert_int_equal(map_delete(map, &key), model->has[number]);
	model->count -= model->has[number];
	model->has[number] = false;
}

static void random_steps_agree_with_a_naive_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct model model = { 0 };
		uint64_t random = seed;
		struct map map;

		map_init(&map, sizeof(struct key), sizeof(uint64_t), seed);
		for (uint32_t i = 0; i < 3000; i++) {
			step(&map, &model, &random, i / 500 % 2 ? 30 : 70);
			if (i % 50 == 0)
				compare(&map, &model);
		}
		map_clear(&map);
		model = (struct model){ 0 };
		compare(&map, &model);
		map_fini(&map);
	}
}

static void an_empty_map_answers(void **state)
{
	struct key key = key_of(1);
	size_t cursor = 0;
	struct map map;

	(void)state;
	map_init(&map, sizeof(key), 0, 1);
	assert_null(map_get(&map, &key));
	assert_false(map_delete(&map, &key));
	assert_null(map_next(&map, &cursor, NULL));
	assert_int_equal(map_bytes(&map), 0);
	map_clear(&map);
	map_fini(&map);
	map_fini(&map);
}

static void max_count_refuses_new_keys_only(void **state)
{
	struct key first = key_of(1), second = key_of(2), third = key_of(3);
	struct map map;

	(void)state;
	map_init(&map, sizeof(first), sizeof(int), 1);
	map.max_count = 2;
	assert_non_null(map_put(&map, &first));
	assert_non_null(map_put(&map, &second));
	assert_null(map_put(&map, &third));
	assert_non_null(map_put(&map, &first));
	assert_true(map_delete(&map, &first));
	assert_non_null(map_put(&map, &third));
	map_fini(&map);
}

static void no_memory_loses_nothing(void **state)
{
	struct map map;
	uint32_t number = 0;

	(void)state;
	map_init(&map, sizeof(struct key), sizeof(uint64_t), 1);
	for (unsigned failures = 0; failures < 5; number++) {
		struct key key = key_of(number);

		nth_alloc_arm(1);
		if (!map_put(&map, &key)) {
			failures++;
			assert_non_null(map_put(&map, &key));
		}
		nth_alloc_disarm();
		for (uint32_t i = 0; i <= number; i++) {
			key = key_of(i);
			assert_non_null(map_get(&map, &key));
		}
	}
	map_fini(&map);
}

static void the_hash_depends_on_seed_length_and_every_byte(void **state)
{
	unsigned char bytes[24] = { 0 };

	(void)state;
	for (size_t len = 0; len < sizeof(bytes); len++) {
		uint64_t hash = map_hash(bytes, len, 1);

		assert_true(hash != map_hash(bytes, len, 2));
		assert_true(hash != map_hash(bytes, len + 1, 1));
		for (size_t i = 0; i < len; i++) {
			bytes[i] ^= 1;
			assert_true(hash != map_hash(bytes, len, 1));
			bytes[i] ^= 1;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_steps_agree_with_a_naive_model),
		cmocka_unit_test(an_empty_map_answers),
		cmocka_unit_test(max_count_refuses_new_keys_only),
		cmocka_unit_test(no_memory_loses_nothing),
		cmocka_unit_test(the_hash_depends_on_seed_length_and_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
