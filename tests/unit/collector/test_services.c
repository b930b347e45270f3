/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "collector/services.h"

static struct services *services;

static int set_up(void **state)
{
	(void)state;
	return services_new(2, &services);
}

static int tear_down(void **state)
{
	(void)state;
	services_free(services);
	return 0;
}

static void send(const char *name, uint8_t id)
{
	struct span_resource resource = { .service_name = str_of(name) };
	struct span span = { .trace_id = { id }, .span_id = { id }, .end_unix_ns = id };
	struct span_batch batch = {
		.spans = &span, .resources = &resource, .span_count = 1, .resource_count = 1
	};

	services_on_batch(services, &batch);
}

static void settle(uint8_t id, uint8_t grade, uint8_t cause, uint16_t revision)
{
	struct ledger ledger = { .trace_id = { id },
				 .span_id = { id },
				 .grade = grade,
				 .none_cause = cause,
				 .revision = revision };

	services_on_ledger(services, &ledger);
}

struct found {
	unsigned count;
	struct service_count counts[SERVICES_MAX + 1];
};

static int collect(const struct service_count *service, void *arg)
{
	struct found *found = arg;

	found->counts[found->count++] = *service;
	return 0;
}

static void a_ledger_counts_for_the_service_of_its_span(void **state)
{
	struct found found = { 0 };

	(void)state;
	send("shop", 1);
	send("bank", 2);
	send("shop", 3);
	settle(3, GRADE_NONE, NONE_NO_TAGS, 1);
	settle(1, GRADE_EXACT, 0, 1);
	settle(1, GRADE_NONE, NONE_NO_TAGS, 2);
	services_each(services, collect, &found);
	assert_int_equal(found.count, 2);
	assert_string_equal(found.counts[0].name, "bank");
	assert_int_equal(found.counts[0].spans, 1);
	assert_string_equal(found.counts[1].name, "shop");
	assert_int_equal(found.counts[1].spans, 2);
	assert_int_equal(found.counts[1].graded[GRADE_EXACT], 1);
	assert_int_equal(found.counts[1].graded[GRADE_NONE], 1);
	assert_int_equal(found.counts[1].none_by_cause[NONE_NO_TAGS], 1);
	assert_int_equal(found.counts[1].last_unix_ns, 3);
}

static void what_is_settled_by_being_stored_counts_at_once(void **state)
{
	struct span_resource resources[] = { { .service_name = str_of("shop") },
					     { .service_name = str_of("bank") } };
	struct span spans[] = { { .span_id = { 1 }, .end_unix_ns = 5 },
				{ .span_id = { 2 }, .end_unix_ns = 4 },
				{ .span_id = { 3 }, .resource = 1 } };
	struct span_batch batch = {
		.spans = spans, .resources = resources, .span_count = 3, .resource_count = 2
	};
	const uint8_t causes[] = { NONE_NO_TAGS, NONE_NO_PROCESS };
	struct found found = { 0 };

	(void)state;
	services_on_settled(services, &batch, causes);
	services_each(services, collect, &found);
	assert_int_equal(found.count, 2);
	assert_int_equal(found.counts[0].none_by_cause[NONE_NO_PROCESS], 1);
	assert_int_equal(found.counts[1].spans, 2);
	assert_int_equal(found.counts[1].graded[GRADE_NONE], 2);
	assert_int_equal(found.counts[1].none_by_cause[NONE_NO_TAGS], 2);
	assert_int_equal(found.counts[1].last_unix_ns, 5);
}

static void a_service_without_a_name_is_unknown_service(void **state)
{
	struct found found = { 0 };

	(void)state;
	send("", 1);
	services_each(services, collect, &found);
	assert_string_equal(found.counts[0].name, "unknown_service");
}

static void further_names_are_counted_together(void **state)
{
	static struct found found;
	char name[80];

	(void)state;
	for (int i = 0; i < SERVICES_MAX + 50; i++) {
		snprintf(name, sizeof(name), "service-%d", i);
		send(name, (uint8_t)i);
	}
	found.count = 0;
	services_each(services, collect, &found);
	assert_int_equal(found.count, SERVICES_MAX + 1);
	assert_string_equal(found.counts[0].name, "(others)");
	assert_int_equal(found.counts[0].spans, 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_ledger_counts_for_the_service_of_its_span),
		TEST(what_is_settled_by_being_stored_counts_at_once),
		TEST(a_service_without_a_name_is_unknown_service),
		TEST(further_names_are_counted_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
