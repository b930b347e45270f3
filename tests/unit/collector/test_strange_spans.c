/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/correlate/world_builder.h"

#include "collector/strange_spans.h"
#include "correlate/ledger.h"

#define NOW       (1100 * MS)
#define REAL_NOW  (BUILDER_EPOCH_NS + NOW)
#define TICKS     (25 * MS)
#define WATCH     (2000 * MS)
#define SPANS     10000 /* that are missed before a resource is called strange */
#define MAX_SPANS 8

struct fixture {
	struct builder builder;
	struct strange_spans spans;
	struct strangers *strangers;
	struct ticket ticket;
	struct span_batch batch;
	struct span sent[MAX_SPANS];
	struct span_resource resources[2];
	unsigned correlated, settled, done;
	uint8_t first_correlated; /* the first byte of its span id */
};

static void on_spans(const struct span_batch *batch, void *arg)
{
	struct fixture *f = arg;

	if (!f->correlated)
		f->first_correlated = batch->spans[0].span_id[0];
	f->correlated += batch->span_count;
	assert_int_equal(correlator_spans(f->builder.correlator, batch), 0);
}

static void on_settled(const struct span_batch *batch, const uint8_t *none_causes, void *arg)
{
	struct fixture *f = arg;

	for (uint32_t i = 0; i < batch->span_count; i++)
		assert_int_equal(none_causes[batch->spans[i].resource], NONE_NO_PROCESS);
	f->settled += batch->span_count;
}

static void on_done(struct ticket *ticket, void *arg)
{
	struct fixture *f = arg;

	assert_ptr_equal(ticket, &f->ticket);
	f->done++;
}

/* A process publishes, and its thread shows span 1 of trace 1 from 1002 ms on. */
static int set_up(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct event_process process = { .pid = BUILDER_PID,
					 .ns_pid = BUILDER_PID,
					 .publish = PUBLISH_TAGS };

	builder_init(&f->builder);
	builder_clock(&f->builder, 100 * MS);
	builder_slice(&f->builder, &t, 0, 1000 * MS, 1002 * MS, 1, 0, 202);
	builder_slice(&f->builder, &t, 0, 1005 * MS, 1006 * MS, 0, 0, 202);
	assert_int_equal(strangers_new(&f->strangers), 0);
	strangers_on_hello(f->strangers);
	strangers_on_look(f->strangers, 1);
	strangers_on_look(f->strangers, 1);
	strangers_on_process(f->strangers, &process, NOW);
	f->spans = (struct strange_spans){ .strangers = f->strangers,
					   .correlator = f->builder.correlator,
					   .on_spans = on_spans,
					   .on_settled = on_settled,
					   .on_done = on_done,
					   .arg = f };
	f->resources[0].bytes = STR("a stranger");
	f->resources[1].bytes = STR("another one");
	f->batch = (struct span_batch){ .spans = f->sent,
					.resources = f->resources,
					.resource_count = 2 };
	arena_init(&f->batch.arena, 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	arena_fini(&f->batch.arena);
	strangers_free(f->strangers);
	correlator_free(f->builder.correlator);
	test_free(f);
	return 0;
}

static void add(struct fixture *f, uint64_t trace, uint8_t id, uint32_t resource, uint64_t end)
{
	struct span *span = &f->sent[f->batch.span_count++];

	*span = (struct span){ .resource = resource, .kind = SPAN_KIND_INTERNAL };
	memcpy(span->trace_id, &trace, sizeof(trace));
	span->span_id[0] = id;
	span->start_unix_ns = BUILDER_EPOCH_NS + 1001 * MS;
	span->end_unix_ns = BUILDER_EPOCH_NS + end;
}

static void take_watched(struct fixture *f)
{
	f->ticket = (struct ticket){ .batch = &f->batch };
	f->ticket.none_causes = strangers_judge(f->strangers, &f->batch, NOW);
	assert_non_null(f->ticket.none_causes);
	strange_spans_take(&f->spans, &f->ticket, NOW, REAL_NOW);
}

/* Both resources have been watched, and nobody was seen with their spans. */
static void make_strange(struct fixture *f)
{
	struct span span = { .span_id = { 200 } };
	struct span_batch before = f->batch;

	before.spans = &span;
	before.span_count = 1;
	assert_non_null(strangers_judge(f->strangers, &before, 0));
	f->batch.arena = before.arena;
	for (int i = 0; i < 2; i++)
		strangers_miss(f->strangers, &f->resources[i], SPANS, WATCH);
}

static void take(struct fixture *f)
{
	make_strange(f);
	take_watched(f);
}

static void strangers_are_only_counted_when_the_kernel_has_told_of_their_time(void **state)
{
	struct fixture *f = *state;

	add(f, 7, 1, 0, 1099 * MS);
	add(f, 7, 2, 0, 1098 * MS);
	take(f);
	strange_spans_release(&f->spans, 1099 * MS + TICKS - 1);
	assert_int_equal(f->done, 0);
	strange_spans_release(&f->spans, 1099 * MS + TICKS);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->settled, 2);
	assert_int_equal(f->correlated, 0);
}

static void a_clock_that_is_ahead_does_not_hold_a_batch_for_ever(void **state)
{
	struct fixture *f = *state;

	add(f, 7, 1, 0, NOW + 3600000 * MS);
	take(f);
	strange_spans_release(&f->spans, NOW + TICKS);
	assert_int_equal(f->done, 1);
}

static void a_trace_that_was_seen_on_a_thread_is_correlated(void **state)
{
	struct fixture *f = *state;

	add(f, 7, 9, 1, 1006 * MS);
	add(f, 1, 5, 0, 1006 * MS); /* of a trace that was seen, but not this span */
	take(f);
	strange_spans_release(&f->spans, NOW);
	assert_int_equal(f->done, 1);
	assert_int_equal(f->correlated, 1);
	assert_int_equal(f->first_correlated, 5);
	assert_int_equal(f->settled, 1);
}

static void a_span_that_was_seen_takes_all_of_its_resource_along(void **state)
{
	struct fixture *f = *state;

	add(f, 7, 9, 0, 1006 * MS);
	add(f, 8, 3, 1, 1006 * MS);
	add(f, 1, 1, 0, 1006 * MS);
	take(f);
	strange_spans_release(&f->spans, UINT64_MAX);
	assert_int_equal(f->correlated, 2);
	assert_int_equal(f->settled, 1);
	f->sent[0].span_id[0] = 77; /* another batch */
	assert_int_equal(strangers_judge(f->strangers, &f->batch, NOW)[0], 0);
}

static void what_is_watched_is_correlated_at_once(void **state)
{
	struct fixture *f = *state;

	add(f, 7, 9, 0, 1006 * MS);
	take_watched(f);
	assert_int_equal(f->correlated, 1);
	assert_int_equal(f->done, 0);
	strange_spans_release(&f->spans, NOW); /* too soon to call it strange */
	assert_int_equal(f->done, 1);
	assert_int_equal(f->settled, 0);
	assert_true(strangers_watch(f->strangers, &f->resources[0]));
}

static void a_watched_resource_is_strange_once_it_was_looked_for_long_enough(void **state)
{
	struct fixture *f = *state;

	add(f, 7, 9, 0, 1006 * MS);
	take_watched(f);
	strangers_miss(f->strangers, &f->resources[0], SPANS - 1, NOW);
	strange_spans_release(&f->spans, NOW + WATCH);
	assert_false(strangers_watch(f->strangers, &f->resources[0]));
	f->sent[0].span_id[0] = 77; /* another batch */
	assert_int_equal(strangers_judge(f->strangers, &f->batch, NOW)[0], NONE_NO_PROCESS);
}

static void a_watched_resource_of_a_span_that_was_seen_is_owned(void **state)
{
	struct fixture *f = *state;

	add(f, 7, 9, 0, 1006 * MS);
	add(f, 1, 1, 0, 1006 * MS);
	take_watched(f);
	strange_spans_release(&f->spans, NOW + WATCH);
	assert_int_equal(f->correlated, 2);
	assert_false(strangers_watch(f->strangers, &f->resources[0]));
	f->sent[0].span_id[0] = 77;
	assert_int_equal(strangers_judge(f->strangers, &f->batch, NOW)[0], 0);
}

static void a_process_that_is_met_meanwhile_gets_its_spans(void **state)
{
	struct fixture *f = *state;
	struct event_process process = { .pid = 30, .ns_pid = 30, .publish = PUBLISH_TAGS };

	f->resources[0].process_pid = 30;
	make_strange(f);
	add(f, 7, 9, 0, 1099 * MS);
	f->ticket = (struct ticket){ .batch = &f->batch };
	f->ticket.none_causes = strangers_judge(f->strangers, &f->batch, NOW);
	assert_non_null(f->ticket.none_causes);
	strangers_on_process(f->strangers, &process, NOW);
	strange_spans_take(&f->spans, &f->ticket, NOW, REAL_NOW);
	assert_int_equal(f->correlated, 1);
	assert_int_equal(f->done, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(strangers_are_only_counted_when_the_kernel_has_told_of_their_time),
		TEST(a_clock_that_is_ahead_does_not_hold_a_batch_for_ever),
		TEST(a_trace_that_was_seen_on_a_thread_is_correlated),
		TEST(a_span_that_was_seen_takes_all_of_its_resource_along),
		TEST(what_is_watched_is_correlated_at_once),
		TEST(a_watched_resource_is_strange_once_it_was_looked_for_long_enough),
		TEST(a_watched_resource_of_a_span_that_was_seen_is_owned),
		TEST(a_process_that_is_met_meanwhile_gets_its_spans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
