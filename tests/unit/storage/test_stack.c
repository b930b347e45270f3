/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks by their ids: in an open part, in packed ones, and where they are not. */
#include "tests/unit/storage/store_context.h"

#include "collector/base/frame.h"

#define STACKS    500
#define FUNCTIONS 90
#define FIRST_ID  1000

static uint64_t id_of(unsigned number)
{
	return FIRST_ID + number * 0x9e3779b97f4a7c15ull;
}

/* Those of some dozens have no name. */
static bool is_named(unsigned number)
{
	return number % 20 != 7;
}

static bool find(uint64_t id, struct buf *out_frames, void *arg)
{
	unsigned number = 0;

	(void)arg;
	while (number < STACKS && id_of(number) != id)
		number++;
	if (number == STACKS || !is_named(number))
		return false;
	for (unsigned i = 0; i < number % 40; i++) {
		unsigned function = (number * 7 + i * i) % FUNCTIONS;
		char name[32];

		snprintf(name, sizeof(name), "function %u", function);
		frame_put(out_frames, &(struct frame){ FRAME_PYTHON, function, str_of(name),
						       STR("/a/module.py") });
	}
	return true;
}

/* A span each, that waited there. */
static void commit(struct store *store, unsigned from, unsigned to, uint64_t now_ns)
{
	for (unsigned i = from; i < to; i++) {
		struct fixture_span span = { .trace = i + 1,
					     .span = i + 1,
					     .service = "shop",
					     .name = "GET /",
					     .start_ns = now_ns,
					     .wall_ns = 1000 };
		struct ledger_wait wait = { .stack = id_of(i), .ns = 10, .count = 1 };
		struct ledger ledger = fixture_ledger(&span, 1, i);
		struct store_ledger_rows rows = { &ledger, 1 };
		struct store_group group = { .rows = &rows, .row_count = 1, .find_stack = find };

		ledger.waits = &wait;
		ledger.wait_count = 1;
		assert_int_equal(fixture_commit_spans(store, &span, 1, now_ns), 0);
		assert_int_equal(store_commit(store, &group, now_ns), 0);
	}
}

static void expect_all(struct store *store, uint64_t near_ns)
{
	struct store_stacks stacks = { .store = store, .near_unix_ns = near_ns };

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < STACKS; i++) {
			struct buf found = { 0 }, wanted = { 0 };
			bool is_known = find(id_of(i), &wanted, NULL);

			assert_int_equal(store_stack(&stacks, id_of(i), &found),
					 is_known ? 0 : -ENOENT);
			assert_int_equal(found.len, wanted.len);
			if (found.len)
				assert_memory_equal(found.data, wanted.data, found.len);
			buf_fini(&found);
			buf_fini(&wanted);
		}
	}
	store_stacks_fini(&stacks);
}

static void stacks_are_found_wherever_they_are(void **state)
{
	struct context *context = *state;
	struct buf none = { 0 };
	struct store_stacks stacks = { .store = context->store };

	/* Two parts: one will be packed, one stays open. */
	commit(context->store, 0, STACKS / 2, FIXTURE_T0);
	commit(context->store, STACKS / 2, STACKS, FIXTURE_T0 + 2 * HOUR_NS);
	expect_all(context->store, FIXTURE_T0);
	fixture_pack(context->store, FIXTURE_T0 + 2 * HOUR_NS);
	expect_all(context->store, FIXTURE_T0);
	expect_all(context->store, FIXTURE_T0 + 5 * HOUR_NS);
	fixture_pack(context->store, FIXTURE_T0 + 4 * HOUR_NS);
	expect_all(context->store, FIXTURE_T0);
	/* Before the first, and behind the last. */
	assert_int_equal(store_stack(&stacks, STACK_FIRST_ID, &none), -ENOENT);
	assert_int_equal(store_stack(&stacks, UINT64_MAX, &none), -ENOENT);
	store_stacks_fini(&stacks);
	buf_fini(&none);
}

/* What was looked for in vain is there once somebody has told its names. */
static void names_that_come_late_are_found(void **state)
{
	struct context *context = *state;
	struct store_stacks stacks = { .store = context->store };
	struct buf frames = { 0 }, found = { 0 };
	struct store_stack late;
	struct store_group group = { .stacks = &late, .stack_count = 1 };

	commit(context->store, 7, 8, FIXTURE_T0);
	assert_int_equal(store_stack(&stacks, id_of(7), &found), -ENOENT);
	store_stacks_fini(&stacks);
	frame_put(&frames, &(struct frame){ FRAME_NATIVE, 1, STR("main"), STR("a.out") });
	late = (struct store_stack){ id_of(7), buf_str(&frames) };
	assert_int_equal(store_commit(context->store, &group, FIXTURE_T0 + 1), 0);
	stacks = (struct store_stacks){ .store = context->store };
	assert_int_equal(store_stack(&stacks, id_of(7), &found), 0);
	assert_int_equal(found.len, frames.len);
	store_stacks_fini(&stacks);
	buf_fini(&frames);
	buf_fini(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(stacks_are_found_wherever_they_are, setup,
						teardown),
		cmocka_unit_test_setup_teardown(names_that_come_late_are_found, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
