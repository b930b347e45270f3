/* SPDX-License-Identifier: Apache-2.0 */
/* Time on no thread, by the call that covers it; and the links to those who answered. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX    202
#define RECVFROM 45
#define REQUEST  1
#define TASK     2
#define QUERY    3
#define ANSWER   4

/* An asynchronous request: it runs 1000..1002 and 1010..1012, and awaits in between. The thread is
 * known before and after. */
static void play_request(struct builder *b)
{
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };

	builder_init(b);
	builder_clock(b, 100 * MS);
	builder_warm_up(b, &t);
	builder_slice(b, &t, 0, 999 * MS, 1001 * MS, REQUEST, 0, FUTEX);
	builder_slice(b, &t, 1001 * MS, 1001 * MS, 1002 * MS, 0, 0, FUTEX);
	builder_slice(b, &t, 1010 * MS, 1010 * MS, 1011 * MS, REQUEST, 0, FUTEX);
	builder_slice(b, &t, 1011 * MS, 1011 * MS, 1012 * MS, 0, 0, FUTEX);
}

static void finish(struct builder *b)
{
	builder_clock(b, 1100 * MS);
	correlator_advance(b->correlator, 1100 * MS);
	correlator_settle_all(b->correlator);
}

static void an_await_is_named_by_the_call_that_covers_it(void **state)
{
	static const struct builder_call task = {
		TASK, REQUEST, 1002 * MS, 1010 * MS, SPAN_KIND_INTERNAL, "load", "", BUILDER_PID
	};
	static const struct builder_call query = {
		QUERY,    TASK,      1003 * MS,  1009 * MS, SPAN_KIND_CLIENT,
		"SELECT", "db:5432", BUILDER_PID
	};
	struct builder b;

	(void)state;
	play_request(&b);
	builder_span(&b, REQUEST, 0, 1000 * MS, 1011500 * US);
	builder_add(&b, &task);
	builder_add(&b, &query);
	finish(&b);
	assert_int_equal(builder_ledger(&b, REQUEST)->all.elsewhere_ns, 8 * MS);
	assert_int_equal(builder_ledger(&b, REQUEST)->self.elsewhere_ns, 0); /* the task's */
	assert_int_equal(builder_ledger(&b, REQUEST)->item_count, 2);
	assert_int_equal(builder_item(&b, REQUEST, 0)->kind, ITEM_UNCOVERED);
	assert_int_equal(builder_item(&b, REQUEST, 0)->ns, 2 * MS);
	assert_int_equal(builder_item(&b, REQUEST, 1)->kind, ITEM_CHILD);
	assert_int_equal(builder_item(&b, REQUEST, 1)->ns, 6 * MS);
	assert_string_equal(builder_item(&b, REQUEST, 1)->name, "SELECT");
	assert_string_equal(builder_item(&b, REQUEST, 1)->peer, "db:5432");
	correlator_free(b.correlator);
}

static bool is_of(const uint8_t *id, uint64_t span)
{
	return memcmp(id, &span, sizeof(span)) == 0;
}

/* The request awaits a call. The server span comes from another node: nobody here knows its
 * process. */
static void play_call(struct builder *b)
{
	static const struct builder_call query = { QUERY,     REQUEST,          1002 * MS,
						   1010 * MS, SPAN_KIND_CLIENT, "GET",
						   "far:80",  BUILDER_PID };
	static const struct builder_call answer = { ANSWER,           QUERY,   1003 * MS, 1008 * MS,
						    SPAN_KIND_SERVER, "GET /", "",        0 };

	play_request(b);
	builder_add(b, &answer);
	builder_add(b, &query);
	builder_span(b, REQUEST, 0, 1000 * MS, 1011500 * US);
	finish(b);
}

/* In its own ledger. */
static void a_call_awaits_its_answer(void **state)
{
	struct builder b;

	(void)state;
	play_call(&b);
	assert_int_equal(builder_ledger(&b, QUERY)->all.elsewhere_ns, 8 * MS);
	assert_int_equal(builder_ledger(&b, QUERY)->item_count, 1);
	assert_true(ledger_item_is_own(builder_ledger(&b, QUERY), builder_item(&b, QUERY, 0)));
	assert_int_equal(builder_item(&b, QUERY, 0)->ns, 8 * MS);
	assert_string_equal(builder_item(&b, QUERY, 0)->peer, "far:80");
	assert_true(is_of(builder_item(&b, QUERY, 0)->server_span_id, ANSWER));
	assert_false(ledger_item_is_own(builder_ledger(&b, REQUEST), builder_item(&b, REQUEST, 0)));
	correlator_free(b.correlator);
}

/* More of them than a ledger has items. */
static void no_awaited_call_is_left_out(void **state)
{
	struct builder b;
	uint64_t sum = 0, queries = 0;
	const struct ledger *ledger;

	(void)state;
	play_request(&b);
	builder_span(&b, REQUEST, 0, 995 * MS, 1011500 * US);
	for (uint64_t i = 0; i < 55; i++) {
		struct builder_call call = { 100 + i,
					     REQUEST,
					     1002 * MS + i * 100 * US,
					     1002 * MS + i * 100 * US + 90 * US,
					     SPAN_KIND_CLIENT,
					     i < 10   ? "SELECT"
					     : i % 2  ? "SELECT"
					     : i < 40 ? "GET"
						      : "PUT",
					     i < 40 ? "here" : "there",
					     BUILDER_PID };

		builder_add(&b, &call);
	}
	finish(&b);
	ledger = builder_ledger(&b, REQUEST);
	assert_int_equal(ledger->item_count, LEDGER_MAX_ITEMS);
	for (unsigned i = 0; i < ledger->item_count; i++) {
		const struct ledger_item *item = builder_item(&b, REQUEST, i);

		sum += item->ns;
		if (item->kind == ITEM_CHILD && strcmp(item->name, "SELECT") == 0)
			queries += item->ns;
		if (strcmp(item->name, "other calls") == 0)
			assert_int_equal(item->ns, 15 * 90 * US); /* there */
	}
	assert_int_equal(sum, ledger->all.elsewhere_ns);
	assert_int_equal(queries, 25 * 90 * US); /* here */
	correlator_free(b.correlator);
}

static void time_before_any_thread_took_it_up_is_queued(void **state)
{
	struct builder b;

	(void)state;
	play_request(&b);
	builder_span(&b, REQUEST, 0, 995 * MS, 1011500 * US);
	finish(&b);
	assert_int_equal(builder_item(&b, REQUEST, 0)->kind, ITEM_QUEUED);
	assert_int_equal(builder_item(&b, REQUEST, 0)->ns, 4 * MS);
	assert_int_equal(builder_item(&b, REQUEST, 1)->kind, ITEM_UNCOVERED);
	assert_int_equal(builder_item(&b, REQUEST, 1)->ns, 8 * MS);
	correlator_free(b.correlator);
}

static void a_span_of_another_node_has_no_figures_and_is_linked(void **state)
{
	struct builder b;

	(void)state;
	play_call(&b);
	assert_int_equal(builder_ledger(&b, ANSWER)->grade, GRADE_NONE);
	assert_int_equal(builder_ledger(&b, REQUEST)->grade, GRADE_BOUNDED);
	assert_int_equal(builder_ledger(&b, REQUEST)->all.elsewhere_ns, 8 * MS);
	assert_true(is_of(builder_item(&b, REQUEST, 0)->server_span_id, ANSWER));
	assert_int_equal(builder_ledger(&b, QUERY)->link_count, 1);
	assert_int_equal(builder_link(&b, QUERY, 0)->via, 1);
	assert_int_equal(builder_link(&b, QUERY, 0)->ns, 5 * MS);
	assert_true(is_of(builder_link(&b, QUERY, 0)->to.span_id, ANSWER));
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_await_is_named_by_the_call_that_covers_it),
		cmocka_unit_test(a_call_awaits_its_answer),
		cmocka_unit_test(no_awaited_call_is_left_out),
		cmocka_unit_test(time_before_any_thread_took_it_up_is_queued),
		cmocka_unit_test(a_span_of_another_node_has_no_figures_and_is_linked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
