/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/base/arena.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/nth_alloc.h"

static void memory_is_zeroed_aligned_and_does_not_overlap(void **state)
{
	unsigned char *blocks[1000];
	struct arena arena;

	(void)state;
	arena_init(&arena, 0);
	for (size_t i = 0; i < 1000; i++) {
		size_t bytes = i * 37 % 500;

		blocks[i] = arena_alloc(&arena, bytes);
		assert_non_null(blocks[i]);
		assert_int_equal((uintptr_t)blocks[i] % alignof(max_align_t), 0);
		for (size_t k = 0; k < bytes; k++)
			assert_int_equal(blocks[i][k], 0);
		memset(blocks[i], (int)(i % 255) + 1, bytes);
	}
	for (size_t i = 0; i < 1000; i++) {
		for (size_t k = 0; k < i * 37 % 500; k++)
			assert_int_equal(blocks[i][k], i % 255 + 1);
	}
	arena_fini(&arena);
}

static void a_block_may_be_larger_than_a_chunk(void **state)
{
	struct arena arena;
	char *large;

	(void)state;
	arena_init(&arena, 0);
	assert_non_null(arena_alloc(&arena, 10));
	large = arena_alloc(&arena, 1 << 20);
	assert_non_null(large);
	large[(1 << 20) - 1] = 1;
	assert_null(arena_alloc(&arena, SIZE_MAX));
	assert_null(arena_alloc(&arena, SIZE_MAX / 2 + 1));
	arena_fini(&arena);
	assert_int_equal(arena.used_bytes, 0);
	arena_fini(&arena);
}

static void what_is_cleared_serves_again(void **state)
{
	struct arena arena;
	char *first;

	(void)state;
	arena_init(&arena, 0);
	arena_clear(&arena);
	first = arena_alloc(&arena, 100);
	memset(first, 7, 100);
	assert_non_null(arena_alloc(&arena, 1 << 20));
	for (int i = 0; i < 3; i++) { /* whichever chunk is kept, no more is asked for */
		size_t used;

		arena_clear(&arena);
		used = arena.used_bytes;
		first = arena_alloc(&arena, 100);
		for (size_t k = 0; k < 100; k++)
			assert_int_equal(first[k], 0);
		assert_int_equal(arena.used_bytes, used);
	}
	arena_fini(&arena);
}

static void the_limit_counts_what_the_system_gave(void **state)
{
	struct arena arena;
	size_t count = 0;

	(void)state;
	arena_init(&arena, 200000);
	while (arena_alloc(&arena, 1000))
		count++;
	assert_true(arena.used_bytes <= 200000);
	assert_in_range(count, 150, 200);
	arena_fini(&arena);
}

static void what_is_reserved_is_one_piece_and_no_larger(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena, 0);
	assert_true(arena_reserve(&arena, 300));
	assert_in_range(arena.used_bytes, 300, 320);
	assert_non_null(arena_alloc(&arena, 100));
	assert_non_null(arena_alloc(&arena, 150));
	assert_in_range(arena.used_bytes, 300, 320);
	assert_non_null(arena_alloc(&arena, 100)); /* beyond: little more */
	assert_in_range(arena.used_bytes, 400, 2000);
	assert_false(arena_reserve(&arena, SIZE_MAX - 1));
	arena_fini(&arena);
}

static void no_memory_is_null_and_harmless(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena, 0);
	nth_alloc_arm(1);
	assert_null(arena_alloc(&arena, 1));
	assert_true(nth_alloc_disarm());
	assert_non_null(arena_alloc(&arena, 1));
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_aligned_and_does_not_overlap),
		cmocka_unit_test(a_block_may_be_larger_than_a_chunk),
		cmocka_unit_test(what_is_cleared_serves_again),
		cmocka_unit_test(the_limit_counts_what_the_system_gave),
		cmocka_unit_test(what_is_reserved_is_one_piece_and_no_larger),
		cmocka_unit_test(no_memory_is_null_and_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
