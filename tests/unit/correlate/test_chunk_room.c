/* SPDX-License-Identifier: Apache-2.0 */
/* Places for chunks. That nothing stays mapped is seen by what a place holds when it is taken
 * again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "correlate/chunk_room.h"

#define MANY  1000 /* of eight blocks */
#define APART 50   /* who keeps one in so many keeps all blocks */

static uint8_t *chunks[MANY];
static uint8_t expected[CHUNK_ROOM_BYTES];

static void fill(struct chunk_room *room)
{
	for (unsigned i = 0; i < MANY; i++) {
		chunks[i] = chunk_room_take(room);
		assert_non_null(chunks[i]);
		assert_int_equal((uintptr_t)chunks[i] % CHUNK_ROOM_BYTES, 0);
		memset(chunks[i], (int)(1 + i % 251), CHUNK_ROOM_BYTES);
	}
}

static void check(unsigned number)
{
	memset(expected, (int)(1 + number % 251), sizeof(expected));
	assert_memory_equal(chunks[number], expected, sizeof(expected));
}

static void each_keeps_what_it_has(void **state)
{
	struct chunk_room room = { 0 };

	(void)state;
	fill(&room);
	for (unsigned i = 0; i < MANY; i += 2)
		chunk_room_give(&room, chunks[i]);
	for (unsigned i = 1; i < MANY; i += 2)
		check(i);
	for (unsigned i = 1; i < MANY; i += 2)
		chunk_room_give(&room, chunks[i]);
	assert_int_equal(room.spare_count, CHUNK_ROOM_SPARES);
	chunk_room_fini(&room);
	assert_null(room.open);
}

/* Pages that the system has had in between are zero. */
static void what_is_free_has_no_pages_but_for_some(void **state)
{
	struct chunk_room room = { 0 };
	unsigned kept = 0, resident = 0;

	(void)state;
	fill(&room);
	for (unsigned i = 0; i < MANY; i++) {
		if (i % APART)
			chunk_room_give(&room, chunks[i]);
		else
			chunks[kept++] = chunks[i];
	}
	memset(expected, 0, sizeof(expected));
	for (unsigned i = kept; i < MANY / 2; i++) {
		chunks[i] = chunk_room_take(&room);
		assert_non_null(chunks[i]);
		resident += memcmp(chunks[i], expected, sizeof(expected)) != 0;
	}
	assert_int_equal(resident, CHUNK_ROOM_SPARES);
	for (unsigned i = 0; i < MANY / 2; i++)
		chunk_room_give(&room, chunks[i]);
	chunk_room_fini(&room);
	assert_null(room.open);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_keeps_what_it_has),
		cmocka_unit_test(what_is_free_has_no_pages_but_for_some),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
