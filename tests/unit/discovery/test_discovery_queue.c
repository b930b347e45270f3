/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "bpf/discovery_queue.h"

#include <stdlib.h>

#include "collector/base/macros.h"

#define ITEMS 200

static void check_heap(const struct discovery_queue *queue)
{
	for (size_t place = 1; place <= queue->count; place++) {
		assert_int_equal(queue->items[place - 1]->place, place);
		if (place > 1)
			assert_true(queue->items[place / 2 - 1]->due_ns <=
				    queue->items[place - 1]->due_ns);
	}
}

/* Against a slow and obviously right search. */
static void first_is_always_the_earliest(void **state)
{
	struct discovery_queue queue = { 0 };
	struct discovery_item items[ITEMS] = { 0 };

	(void)state;
	srandom(1);
	for (int step = 0; step < 20000; step++) {
		struct discovery_item *item = &items[random() % ITEMS];
		uint64_t least = UINT64_MAX;

		if (random() % 3 == 0)
			discovery_queue_remove(&queue, item);
		else
			assert_int_equal(
				discovery_queue_put(&queue, item, (uint64_t)(random() % 1000)), 0);
		for (size_t i = 0; i < ITEMS; i++)
			if (items[i].place)
				least = MIN(least, items[i].due_ns);
		if (discovery_queue_first(&queue))
			assert_int_equal(discovery_queue_first(&queue)->due_ns, least);
		else
			assert_int_equal(least, UINT64_MAX);
		check_heap(&queue);
	}
	discovery_queue_fini(&queue);
}

static void what_is_not_queued_can_be_removed(void **state)
{
	struct discovery_queue queue = { 0 };
	struct discovery_item item = { 0 };

	(void)state;
	discovery_queue_remove(&queue, &item);
	assert_null(discovery_queue_first(&queue));
	discovery_queue_fini(&queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_is_always_the_earliest),
		cmocka_unit_test(what_is_not_queued_can_be_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
