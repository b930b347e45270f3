/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/strangers.h"
#include "correlate/ledger.h"

#define NOW   (1000 * NS_PER_SEC)
#define LONG  (121 * NS_PER_SEC) /* after the end of one that published */
#define WATCH (2 * NS_PER_SEC)
#define SPANS 10000

static struct strangers *strangers;
static uint8_t spans_sent;

static int set_up(void **state)
{
	(void)state;
	return strangers_new(&strangers);
}

static int tear_down(void **state)
{
	(void)state;
	strangers_free(strangers);
	return 0;
}

static struct str bytes_of(const int64_t *pid)
{
	return (struct str){ (const char *)pid, sizeof(*pid) };
}

/* Of a process with this pid (0: it does not say), sent as span number `id`; 0: not settled. */
static uint8_t judge_span(uint8_t id, int64_t pid, uint64_t now_ns)
{
	struct span_resource resource = { .process_pid = pid, .bytes = bytes_of(&pid) };
	struct span span = { .trace_id = { 1 }, .span_id = { id } };
	struct span_batch batch = {
		.spans = &span, .resources = &resource, .span_count = 1, .resource_count = 1
	};
	const uint8_t *causes;
	uint8_t cause;

	arena_init(&batch.arena, 0);
	causes = strangers_judge(strangers, &batch, now_ns);
	cause = causes ? causes[0] : 0;
	arena_fini(&batch.arena);
	return cause;
}

static uint8_t judge(int64_t pid, uint64_t now_ns)
{
	return judge_span(++spans_sent, pid, now_ns);
}

static void meet(uint32_t pid, uint32_t publish, uint8_t gone, uint64_t now_ns)
{
	struct event_process process = {
		.pid = pid, .ns_pid = pid, .publish = publish, .gone = gone
	};

	strangers_on_process(strangers, &process, now_ns);
}

static void look_around(uint32_t publishing)
{
	strangers_on_hello(strangers);
	strangers_on_look(strangers, publishing);
	strangers_on_look(strangers, publishing);
}

/* No thread was seen with its spans, so long. */
static void miss(int64_t pid, uint64_t now_ns)
{
	struct span_resource resource = { .process_pid = pid, .bytes = bytes_of(&pid) };

	assert_int_equal(judge(pid, now_ns - WATCH), 0);
	strangers_miss(strangers, &resource, SPANS, now_ns);
}

static void nothing_is_known_before_all_processes_were_looked_at(void **state)
{
	(void)state;
	assert_int_equal(judge(0, NOW), 0);
	strangers_on_hello(strangers);
	assert_int_equal(judge(0, NOW), 0);
	strangers_on_look(strangers, 0);
	assert_int_equal(judge(0, NOW), 0);
	strangers_on_look(strangers, 0);
	assert_int_equal(judge(0, NOW), NONE_NO_PROCESS);
	strangers_on_death(strangers);
	assert_int_equal(judge(0, NOW), 0);
	assert_false(strangers_remain(strangers, NOW));
}

static void without_a_kernel_nobody_has_figures(void **state)
{
	(void)state;
	strangers_without_kernel(strangers);
	assert_int_equal(judge(1, NOW), NONE_NO_KERNEL);
}

static void a_process_that_is_known_and_publishes_nothing_is_named_as_the_cause(void **state)
{
	(void)state;
	look_around(0);
	meet(12, PUBLISH_NOTHING, 0, NOW);
	assert_int_equal(judge(12, NOW), NONE_NO_TAGS);
	assert_int_equal(judge(13, NOW), NONE_NO_PROCESS);
	meet(12, PUBLISH_NOTHING, 1, NOW);
	assert_int_equal(judge(12, NOW), NONE_NO_TAGS); /* what it sent last may still come */
	meet(14, PUBLISH_NOTHING, 0, NOW + LONG);
	assert_int_equal(judge(12, NOW + LONG), NONE_NO_PROCESS);
}

static void one_that_publishes_ends_it_for_its_own_until_long_after_its_end(void **state)
{
	(void)state;
	look_around(0);
	meet(12, PUBLISH_TAGS, 0, NOW);
	meet(12, PUBLISH_TAGS, 0, NOW);
	assert_int_equal(judge(12, NOW), 0);
	miss(13, NOW);
	assert_int_equal(judge(13, NOW), NONE_NO_PROCESS);
	assert_false(strangers_remain(strangers, NOW));
	meet(12, PUBLISH_TAGS, 1, NOW);
	meet(12, PUBLISH_TAGS, 1, NOW);
	assert_int_equal(judge(12, NOW + NS_PER_SEC), 0);
	assert_false(strangers_remain(strangers, NOW + NS_PER_SEC));
	meet(14, PUBLISH_NOTHING, 0, NOW + 61 * NS_PER_SEC); /* 12 is forgotten, its claim is not */
	assert_int_equal(judge(12, NOW + 61 * NS_PER_SEC), 0);
	assert_int_equal(judge(12, NOW + LONG), NONE_NO_PROCESS);
	assert_true(strangers_remain(strangers, NOW + LONG));
}

static uint8_t judge_resource(struct span_resource *resource, struct span *span)
{
	struct span_batch batch = {
		.spans = span, .resources = resource, .span_count = 1, .resource_count = 1
	};
	const uint8_t *causes;
	uint8_t cause;

	span->span_id[0] = ++spans_sent;
	arena_init(&batch.arena, 0);
	causes = strangers_judge(strangers, &batch, NOW);
	cause = causes ? causes[0] : 0;
	arena_fini(&batch.arena);
	return cause;
}

static void a_publisher_is_known_by_the_name_it_announces(void **state)
{
	struct event_process process = {
		.pid = 12, .ns_pid = 1, .publish = PUBLISH_TAGS, .service_instance_id = "one"
	};
	struct span_resource resource = { .service_instance_id = STR("one") };
	struct span span = { .trace_id = { 1 } };

	(void)state;
	look_around(0);
	strangers_on_process(strangers, &process, NOW);
	assert_int_equal(judge_resource(&resource, &span), 0);
	resource = (struct span_resource){ .runtime_id = STR("one") };
	assert_int_equal(judge_resource(&resource, &span), 0);
	resource = (struct span_resource){ .service_instance_id = STR("two"), .process_pid = 12 };
	assert_int_equal(judge_resource(&resource, &span), 0);
	strangers_miss(strangers, &resource, SPANS, NOW + WATCH);
	assert_int_equal(judge_resource(&resource, &span), NONE_NO_PROCESS);
	span.process_id = 1;
	assert_int_equal(judge_resource(&resource, &span), 0);
}

static void a_resource_that_was_seen_on_a_thread_takes_the_long_way(void **state)
{
	struct span_resource resource = { .bytes = STR("a resource") };
	struct span span = { .trace_id = { 1 } };

	(void)state;
	look_around(0);
	meet(12, PUBLISH_TAGS, 0, NOW);
	assert_int_equal(judge_resource(&resource, &span), 0);
	strangers_own(strangers, &resource);
	strangers_miss(strangers, &resource, SPANS, NOW + WATCH);
	assert_int_equal(judge_resource(&resource, &span), 0);
	assert_false(strangers_watch(strangers, &resource));
}

static void a_resource_is_watched_before_it_is_called_strange(void **state)
{
	int64_t pid = 13;
	struct span_resource resource = { .process_pid = pid, .bytes = bytes_of(&pid) };

	(void)state;
	look_around(0);
	meet(12, PUBLISH_TAGS, 0, NOW);
	assert_int_equal(judge(13, NOW), 0);
	assert_true(strangers_watch(strangers, &resource));
	strangers_miss(strangers, &resource, SPANS - 1, NOW + WATCH);
	assert_int_equal(judge(13, NOW), 0);
	strangers_miss(strangers, &resource, SPANS, NOW + WATCH - 1);
	assert_int_equal(judge(13, NOW), 0);
	strangers_miss(strangers, &resource, SPANS, NOW + WATCH);
	assert_int_equal(judge(13, NOW), NONE_NO_PROCESS);
	assert_false(strangers_watch(strangers, &resource));
}

static void whoever_begins_to_publish_may_own_what_was_strange(void **state)
{
	(void)state;
	look_around(0);
	meet(12, PUBLISH_TAGS, 0, NOW);
	miss(13, NOW);
	meet(12, PUBLISH_TAGS, 0, NOW);
	assert_int_equal(judge(13, NOW), NONE_NO_PROCESS);
	meet(14, PUBLISH_TAGS, 0, NOW);
	assert_int_equal(judge(13, NOW), 0);
	assert_int_equal(judge(13, NOW), 0);
}

static void more_resources_than_can_be_remembered_are_watched_anew(void **state)
{
	(void)state;
	look_around(0);
	meet(12, PUBLISH_TAGS, 0, NOW);
	miss(13, NOW);
	for (int64_t pid = 1000; pid < 1000 + 16384; pid++)
		judge(pid, NOW);
	assert_int_equal(judge(13, NOW), 0);
}

static void of_a_batch_each_resource_is_judged_alone(void **state)
{
	struct span_resource resources[] = { { .process_pid = 12 },
					     { .process_pid = 13 },
					     { .process_pid = 14 } };
	struct span span = { .trace_id = { 1 }, .span_id = { 222 } };
	struct span_batch batch = {
		.spans = &span, .resources = resources, .span_count = 1, .resource_count = 3
	};
	uint8_t *causes;

	(void)state;
	look_around(1);
	meet(12, PUBLISH_TAGS, 0, NOW);
	meet(13, PUBLISH_NOTHING, 0, NOW);
	arena_init(&batch.arena, 0);
	causes = strangers_judge(strangers, &batch, NOW);
	assert_non_null(causes);
	assert_int_equal(causes[0], 0);
	assert_int_equal(causes[1], NONE_NO_TAGS);
	assert_int_equal(causes[2], 0);
	meet(13, PUBLISH_TAGS, 0, NOW);
	assert_true(strangers_confirm(strangers, &batch, causes, NOW)); /* 14 is watched */
	assert_int_equal(causes[1], 0);
	arena_fini(&batch.arena);
}

/* exec(2) */
static void one_that_publishes_no_more_is_as_one_that_is_gone(void **state)
{
	(void)state;
	look_around(0);
	meet(12, PUBLISH_TAGS, 0, NOW);
	meet(12, PUBLISH_NOTHING, 0, NOW);
	assert_int_equal(judge(12, NOW), 0);
	assert_int_equal(judge(12, NOW + LONG), NONE_NO_TAGS);
}

static void what_the_worker_counts_is_believed(void **state)
{
	(void)state;
	look_around(1);
	assert_int_equal(judge(0, NOW), 0);
	strangers_on_look(strangers, 0);
	assert_int_equal(judge(0, NOW), NONE_NO_PROCESS);
}

static void what_is_sent_again_takes_the_long_way(void **state)
{
	(void)state;
	look_around(0);
	assert_int_equal(judge_span(200, 0, NOW), NONE_NO_PROCESS);
	assert_int_equal(judge_span(201, 0, NOW), NONE_NO_PROCESS);
	assert_int_equal(judge_span(200, 0, NOW), 0);
}

static void many_processes_come_and_go(void **state)
{
	(void)state;
	look_around(0);
	for (uint32_t i = 1; i <= 1000; i++) {
		meet(i, i % 2 ? PUBLISH_TAGS : PUBLISH_NOTHING, 0, NOW);
		meet(i, 0, 1, NOW);
	}
	for (uint64_t s = 0; s < 20; s++) /* a few each second are forgotten */
		meet(5000, PUBLISH_NOTHING, 0, NOW + LONG + s * NS_PER_SEC);
	assert_int_equal(judge(5, NOW + 2 * LONG), NONE_NO_PROCESS);
	assert_int_equal(judge(5000, NOW + 2 * LONG), NONE_NO_TAGS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_known_before_all_processes_were_looked_at),
		TEST(without_a_kernel_nobody_has_figures),
		TEST(a_process_that_is_known_and_publishes_nothing_is_named_as_the_cause),
		TEST(one_that_publishes_ends_it_for_its_own_until_long_after_its_end),
		TEST(a_publisher_is_known_by_the_name_it_announces),
		TEST(a_resource_that_was_seen_on_a_thread_takes_the_long_way),
		TEST(a_resource_is_watched_before_it_is_called_strange),
		TEST(whoever_begins_to_publish_may_own_what_was_strange),
		TEST(more_resources_than_can_be_remembered_are_watched_anew),
		TEST(of_a_batch_each_resource_is_judged_alone),
		TEST(one_that_publishes_no_more_is_as_one_that_is_gone),
		TEST(what_the_worker_counts_is_believed),
		TEST(what_is_sent_again_takes_the_long_way),
		TEST(many_processes_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
