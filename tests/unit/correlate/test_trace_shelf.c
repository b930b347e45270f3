/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that lie side by side. That nothing stays is the sanitizer's to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "correlate/trace_shelf.h"

#define MANY 2000 /* on some ten shelves */
#define MOST 9000 /* bytes */

static uint8_t *blocks[MANY];
static uint8_t expected[MOST];

/* Most are small, some have a shelf of their own. */
static size_t bytes_of(unsigned number)
{
	return number % 97 == 5 ? MOST : 100 + number % 131;
}

static void put(struct trace_shelf **shelf, unsigned number)
{
	memset(expected, (int)(number % 251), sizeof(expected));
	blocks[number] = trace_shelf_put(shelf, expected, bytes_of(number));
	assert_non_null(blocks[number]);
}

static void check(unsigned number)
{
	memset(expected, (int)(number % 251), sizeof(expected));
	assert_memory_equal(blocks[number], expected, bytes_of(number));
}

static void each_keeps_what_it_has(void **state)
{
	struct trace_shelf *shelf = NULL;

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		put(&shelf, i);
	for (unsigned i = 0; i < MANY; i += 2)
		trace_shelf_take(shelf, blocks[i]);
	for (unsigned i = 1; i < MANY; i += 2)
		check(i);
	for (unsigned i = 1; i < MANY; i += 2)
		trace_shelf_take(shelf, blocks[i]);
	trace_shelf_free(shelf);
}

static void a_shelf_that_is_empty_is_filled_again(void **state)
{
	struct trace_shelf *shelf = NULL;
	const uint8_t *first;

	(void)state;
	put(&shelf, 0);
	first = blocks[0];
	for (unsigned i = 0; i < 10 * MANY; i++) {
		trace_shelf_take(shelf, blocks[0]);
		put(&shelf, 0);
		assert_ptr_equal(blocks[0], first);
	}
	trace_shelf_take(shelf, blocks[0]);
	trace_shelf_free(shelf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_keeps_what_it_has),
		cmocka_unit_test(a_shelf_that_is_empty_is_filled_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
