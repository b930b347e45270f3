/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/cli/story_served.h"

/* A call of 100 ms; who answers begins `start` ms after it, and took 60 ms of it. */
#define TRACE(start, figures)                                                                      \
	"{\"spans\":[{\"span_id\":\"aa\",\"name\":\"GET\",\"service\":\"shop\","                   \
	"\"start_unix_ns\":\"1000000000\",\"wall_ns\":100000000,\"ledger\":{\"cpu_ns\":1},"        \
	"\"links\":[{\"span_id\":\"bb\",\"via\":\"parent\",\"ns\":60000000}]},"                    \
	"{\"span_id\":\"bb\",\"parent_span_id\":\"aa\",\"name\":\"serve\",\"service\":\"store\","  \
	"\"start_unix_ns\":\"10" start                                                             \
	"000000\",\"wall_ns\":60000000,\"ledger\":{\"cpu_ns\":" figures                            \
	"},\"verdict\":{\"text\":\"60 % waiting\"}}]}"

static void assert_served(const char *trace, const char *expected)
{
	const struct term term = { .width = 120 };
	struct json_value *root;
	struct span_tree tree;
	struct buf out;

	assert_int_equal(json_read(str_of(trace), &root, NULL), 0);
	assert_int_equal(span_tree_init(&tree, root), 0);
	buf_init(&out, 0);
	story_put_served(&term, &tree, &tree.rows[0], NULL, &out);
	buf_append_byte(&out, '\0');
	assert_string_equal(out.data, expected);
	buf_fini(&out);
	span_tree_fini(&tree);
	json_read_free(root);
}

static void who_took_a_call_up_late_says_so(void **state)
{
	(void)state;
	assert_served(TRACE("40", "1"), "  answered   60.0 ms   60 %  by serve in store, taken up "
					"40.0 ms after the call began: 60 % waiting\n");
	assert_served(TRACE("04", "1"), "  answered   60.0 ms   60 %  by serve in store: "
					"60 % waiting\n");
}

/* Without figures it may be of another node, and its clock another one. */
static void of_another_clock_nothing_is_said(void **state)
{
	(void)state;
	assert_served(TRACE("40", "null"), "  answered   60.0 ms   60 %  by serve in store: "
					   "60 % waiting\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_took_a_call_up_late_says_so),
		cmocka_unit_test(of_another_clock_nothing_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
