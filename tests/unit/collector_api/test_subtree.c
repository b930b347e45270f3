/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/query/subtree.h"

/* Ids are numbers; 0 is none. */
static struct ledger add(struct subtrees *subtrees, uint8_t id, uint8_t parent, const char *name,
			 uint64_t running_ns)
{
	struct span span = { .name = str_of(name),
			     .span_id = { id },
			     .parent_span_id = { parent } };
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .pid = 7,
				 .span_id = { id },
				 .all = { .running_ns = running_ns } };

	subtrees_add(subtrees, &span, &ledger);
	return ledger;
}

static void assert_main(struct subtrees *subtrees, const struct ledger *ledger, const char *name)
{
	struct str found = subtrees_main(ledger, subtrees);

	assert_int_equal(found.len, strlen(name));
	if (found.len)
		assert_memory_equal(found.data, name, found.len);
}

static void the_deepest_that_has_more_than_half_is_named(void **unused)
{
	struct subtrees subtrees;
	struct ledger root;

	(void)unused;
	subtrees_init(&subtrees);
	add(&subtrees, 4, 3, "serialize", 51); /* in any order */
	root = add(&subtrees, 1, 0, "GET /report", 100);
	add(&subtrees, 2, 1, "query", 10);
	add(&subtrees, 3, 1, "render", 80);
	add(&subtrees, 5, 4, "escape", 50); /* half of it, no more */
	assert_false(subtrees.is_wanted);
	assert_main(&subtrees, &root, "");
	assert_true(subtrees.is_wanted);
	subtrees_seal(&subtrees);
	assert_main(&subtrees, &root, "serialize");
	subtrees_fini(&subtrees);
}

static void many_of_one_name_are_one(void **unused)
{
	struct subtrees subtrees;
	struct ledger root;

	(void)unused;
	subtrees_init(&subtrees);
	root = add(&subtrees, 1, 0, "GET /report", 100);
	for (uint8_t i = 0; i < 20; i++) {
		add(&subtrees, (uint8_t)(10 + 2 * i), 1, "row", 3);
		add(&subtrees, (uint8_t)(11 + 2 * i), 1, i % 2 ? "head" : "foot", 2);
	}
	add(&subtrees, 100, 10, "cell", 3); /* only of one of them */
	subtrees_seal(&subtrees);
	assert_main(&subtrees, &root, "row");
	subtrees_fini(&subtrees);
}

static void nobody_is_named_for_half_of_it(void **unused)
{
	struct subtrees subtrees;
	struct ledger root, other, lone, none = { .span_id = { 99 }, .all = { .running_ns = 1 } };
	struct span span = { .name = STR("elsewhere"), .span_id = { 6 }, .parent_span_id = { 5 } };
	struct ledger ledger = { .grade = GRADE_EXACT, .pid = 8, .all = { .running_ns = 90 } };

	(void)unused;
	subtrees_init(&subtrees);
	root = add(&subtrees, 1, 0, "GET /report", 101);
	add(&subtrees, 2, 1, "a", 50);
	add(&subtrees, 3, 1, "b", 50);
	lone = add(&subtrees, 4, 4, "its own parent", 100);
	other = add(&subtrees, 5, 0, "calls", 100);
	subtrees_add(&subtrees, &span, &ledger); /* another process */
	subtrees_seal(&subtrees);
	assert_main(&subtrees, &root, "");
	assert_main(&subtrees, &lone, "");
	assert_main(&subtrees, &other, "");
	assert_main(&subtrees, &none, "");
	subtrees_fini(&subtrees);
}

static void parents_in_a_ring_end(void **unused)
{
	struct subtrees subtrees;
	struct ledger one;

	(void)unused;
	subtrees_init(&subtrees);
	one = add(&subtrees, 1, 2, "one", 100);
	add(&subtrees, 2, 1, "two", 100);
	subtrees_seal(&subtrees);
	assert_true(subtrees_main(&one, &subtrees).len == 3);
	subtrees_fini(&subtrees);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_deepest_that_has_more_than_half_is_named),
		cmocka_unit_test(many_of_one_name_are_one),
		cmocka_unit_test(nobody_is_named_for_half_of_it),
		cmocka_unit_test(parents_in_a_ring_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
