/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/process_news.h"

static void put(struct process_news_list *list, uint32_t pid, enum process_change change)
{
	process_news_put(list, (struct process_news){ pid, change });
}

/* A process that becomes another program is looked at again, although it was to be looked at
 * before; what happens to others in between does not matter. */
static void news_are_kept_in_order(void **state)
{
	static struct process_news_list list;

	(void)state;
	put(&list, 1, PROCESS_MAPPED);
	put(&list, 1, PROCESS_MAPPED);
	put(&list, 2, PROCESS_MAPPED);
	put(&list, 1, PROCESS_MAPPED);
	assert_int_equal(list.count, 2);
	put(&list, 1, PROCESS_OTHER_PROGRAM);
	put(&list, 1, PROCESS_MAPPED);
	assert_int_equal(list.count, 4);
	assert_int_equal(list.news[3].pid, 1);
	assert_int_equal(list.news[3].change, PROCESS_MAPPED);
}

static void there_is_a_last_place(void **state)
{
	static struct process_news_list list;

	(void)state;
	for (uint32_t pid = 1; pid <= 2 * PROCESS_NEWS_MAX; pid++)
		put(&list, pid, PROCESS_GONE);
	assert_int_equal(list.count, PROCESS_NEWS_MAX);
	assert_int_equal(list.news[PROCESS_NEWS_MAX - 1].pid, PROCESS_NEWS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(news_are_kept_in_order),
		cmocka_unit_test(there_is_a_last_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
