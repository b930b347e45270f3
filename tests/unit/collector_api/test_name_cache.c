/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/query/name_cache.h"

#define HOUR_NS (3600 * NS_PER_SEC)
#define ROOM    ((size_t)1 << 20)

static struct name_cache *new_cache(size_t bytes)
{
	struct name_cache *cache;

	assert_int_equal(name_cache_new(bytes, 1, &cache), 0);
	return cache;
}

/* Two frames: one of its own, and one that all have. */
static void put_stack(struct buf *out, enum frame_kind kind, const char *name)
{
	buf_init(out, 0);
	frame_put(out, &(struct frame){ kind, 7, str_of(name), STR("/app/shop.py") });
	frame_put(out, &(struct frame){ FRAME_NATIVE, 9, STR("_start"), STR("/bin/shop") });
}

static const struct stack_names *put(struct name_hold *hold, uint64_t id, enum frame_kind kind,
				     const char *name)
{
	const struct stack_names *names;
	struct buf frames;

	put_stack(&frames, kind, name);
	names = name_cache_put(hold, id, 0, buf_str(&frames));
	buf_fini(&frames); /* nothing is borrowed from it */
	assert_non_null(names);
	return names;
}

static void check(const struct stack_names *names, const char *name)
{
	char text[64], quoted[80];

	snprintf(text, sizeof(text), "shop.py: %s", name);
	snprintf(quoted, sizeof(quoted), "\"%s\"", text);
	assert_non_null(names);
	assert_int_equal(names->count, 2);
	assert_true(str_eq(names->frames[0]->frame.name, str_of(name)));
	assert_true(str_eq(names->frames[0]->text, str_of(text)));
	assert_true(str_eq(names->frames[0]->quoted, str_of(quoted)));
	assert_false(names->frames[0]->is_plumbing);
	assert_true(names->frames[1]->is_plumbing);
}

static void the_next_answer_finds_what_one_was_given(void **state)
{
	struct name_cache *cache = new_cache(ROOM);
	struct name_hold first, second;

	(void)state;
	name_hold_init(&first, cache);
	assert_null(name_cache_find(&first, 1, 0));
	put(&first, 1, FRAME_PYTHON, "order");
	put(&first, 2, FRAME_PYTHON, "report");
	name_hold_fini(&first);
	name_hold_init(&second, cache);
	check(name_cache_find(&second, 1, 0), "order");
	check(name_cache_find(&second, 2, 5 * HOUR_NS), "report");
	assert_ptr_equal(name_cache_find(&second, 1, 0)->frames[1],
			 name_cache_find(&second, 2, 0)->frames[1]);
	name_hold_fini(&second);
	name_cache_free(cache);
}

static void code_compiled_at_run_time_is_the_same_for_an_hour(void **state)
{
	struct name_cache *cache = new_cache(ROOM);
	struct name_hold hold;

	(void)state;
	name_hold_init(&hold, cache);
	put(&hold, 1, FRAME_JIT, "order");
	assert_non_null(name_cache_find(&hold, 1, HOUR_NS - 1));
	assert_null(name_cache_find(&hold, 1, HOUR_NS));
	name_hold_fini(&hold);
	name_cache_free(cache);
}

static void what_nobody_asks_for_makes_way(void **state)
{
	struct name_cache *cache = new_cache(ROOM);
	struct name_hold hold;
	char name[32];

	(void)state;
	name_hold_init(&hold, cache);
	put(&hold, 1, FRAME_PYTHON, "asked_for");
	put(&hold, 2, FRAME_PYTHON, "forgotten");
	name_hold_fini(&hold);
	for (uint64_t id = 3; id < 20000; id++) {
		name_hold_init(&hold, cache);
		snprintf(name, sizeof(name), "function_%u", (unsigned)id);
		put(&hold, id, FRAME_PYTHON, name);
		check(name_cache_find(&hold, 1, 0), "asked_for");
		name_hold_fini(&hold);
	}
	name_hold_init(&hold, cache);
	assert_null(name_cache_find(&hold, 2, 0));
	assert_null(name_cache_find(&hold, 3, 0));
	assert_non_null(name_cache_find(&hold, 19999, 0));
	name_hold_fini(&hold);
	name_cache_free(cache);
}

/* An answer may hold more than the cache has room for, though not without end. */
static void what_an_answer_was_given_stays_until_it_is_done(void **state)
{
	struct name_cache *cache = new_cache(ROOM / 2);
	struct name_hold hold, other;
	const struct stack_names *first;
	bool is_refused = false;
	char name[32];

	(void)state;
	name_hold_init(&hold, cache);
	first = put(&hold, 1, FRAME_PYTHON, "first");
	name_hold_init(&other, cache);
	for (uint64_t id = 2; id < 5000; id++) {
		snprintf(name, sizeof(name), "function_%u", (unsigned)id);
		put(&other, id, FRAME_PYTHON, name);
		if (id % 100 == 0) {
			name_hold_fini(&other);
			name_hold_init(&other, cache);
		}
	}
	assert_null(name_cache_find(&other, 1, 0));
	name_hold_fini(&other);
	check(first, "first");
	for (uint64_t id = 10000; id < 100000 && !is_refused; id++) {
		struct buf frames;

		snprintf(name, sizeof(name), "function_%u", (unsigned)id);
		put_stack(&frames, FRAME_PYTHON, name);
		is_refused = !name_cache_put(&hold, id, 0, buf_str(&frames));
		buf_fini(&frames);
	}
	assert_true(is_refused);
	check(first, "first");
	name_hold_fini(&hold);
	name_cache_free(cache);
}

static void damaged_frames_end_a_stack(void **state)
{
	struct name_cache *cache = new_cache(ROOM);
	const struct stack_names *names;
	struct name_hold hold;
	struct buf frames;

	(void)state;
	name_hold_init(&hold, cache);
	put_stack(&frames, FRAME_PYTHON, "order");
	names = name_cache_put(&hold, 1, 0, (struct str){ frames.data, frames.len - 1 });
	assert_int_equal(names->count, 1);
	assert_int_equal(name_cache_put(&hold, 2, 0, (struct str){ 0 })->count, 0);
	buf_fini(&frames);
	name_hold_fini(&hold);
	name_cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_answer_finds_what_one_was_given),
		cmocka_unit_test(code_compiled_at_run_time_is_the_same_for_an_hour),
		cmocka_unit_test(what_nobody_asks_for_makes_way),
		cmocka_unit_test(what_an_answer_was_given_stays_until_it_is_done),
		cmocka_unit_test(damaged_frames_end_a_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
