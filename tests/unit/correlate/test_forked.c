/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that came out of another one: whose their spans are, and what they burn. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX 202
#define WAIT4 61

static void warm_up(struct builder *b, struct builder_thread *t)
{
	builder_clock(b, 100 * MS);
	builder_warm_up(b, t);
}

static void finish(struct builder *b, uint64_t at)
{
	builder_clock(b, at);
	correlator_advance(b->correlator, at);
}

static void what_a_forked_child_burns_is_told_apart(void **state)
{
	const struct event_life fork = {
		.header = { .kind = EVENT_FORK, .bytes = sizeof(fork) },
		.pid = BUILDER_PID,
		.tid = 11,
		.other_pid = 20,
		.time_ns = 1003 * MS,
	};
	struct builder b;
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 },
			      child = { .pid = 20, .tid = 20, .span = 1 },
			      helper = { .pid = 20, .tid = 21 };
	const struct ledger *l;

	(void)state;
	builder_init(&b);
	warm_up(&b, &t);
	builder_slice(&b, &t, 0, 1000 * MS, 1004 * MS, 1, 0, WAIT4);
	assert_int_equal(correlator_record(b.correlator, &fork.header), 0);
	builder_slice(&b, &helper, 0, 1004 * MS, 1005 * MS, 0, 0, FUTEX);
	builder_slice(&b, &child, 0, 1004 * MS, 1024 * MS, 1, EVENT_DEAD, -1);
	builder_slice(&b, &t, 1024 * MS, 1024 * MS, 1026 * MS, 0, 0, FUTEX);
	builder_span(&b, 1, 0, 1001 * MS, 1025 * MS);
	finish(&b, 1100 * MS);
	l = builder_ledger(&b, 1);
	assert_int_equal(l->pid, BUILDER_PID);
	assert_int_equal(l->forked_cpu_ns, 20 * MS);
	assert_int_equal(l->cpu_ns, 4 * MS);
	assert_int_equal(l->all.blocked_ns[REASON_CHILD], 20 * MS);
	correlator_free(b.correlator);
}

/* A leak checker, at exit: a clone that shares the memory, and so all that it publishes. It may be
 * gone after its parent, which waits for its end and not for its last switch. */
static void check_clone(bool is_last_to_go)
{
	const struct event_life fork = { .header = { EVENT_FORK, sizeof(fork), 0 },
					 .pid = BUILDER_PID,
					 .other_pid = 20,
					 .time_ns = 1020 * MS };
	const struct event_life exit = { .header = { EVENT_EXIT, sizeof(exit), 0 },
					 .pid = BUILDER_PID,
					 .tid = 11,
					 .time_ns = 1023 * MS };
	struct event_process news = { .pid = BUILDER_PID,
				      .ns_pid = BUILDER_PID,
				      .publish = PUBLISH_TAGS,
				      .service_instance_id = "one" };
	struct span_resource resource = { .bytes = STR("resource"),
					  .service_instance_id = STR("one") };
	struct span span = { .start_unix_ns = BUILDER_EPOCH_NS + 1001 * MS,
			     .end_unix_ns = BUILDER_EPOCH_NS + 1002 * MS,
			     .trace_id = { 1 },
			     .span_id = { 1 } };
	struct span_batch batch = {
		.spans = &span, .resources = &resource, .span_count = 1, .resource_count = 1
	};
	struct builder_thread t = { .pid = BUILDER_PID, .tid = 11 };
	struct builder_thread clone = { .pid = 20, .tid = 20 };
	struct builder b;

	builder_init(&b);
	correlator_process(b.correlator, &news);
	warm_up(&b, &t);
	builder_slice(&b, &t, 0, 1000 * MS, 1010 * MS, 0, 0, FUTEX);
	assert_int_equal(correlator_record(b.correlator, &fork.header), 0);
	news.pid = news.ns_pid = 20;
	correlator_process(b.correlator, &news);
	builder_slice(&b, &clone, 0, 1021 * MS, 1022 * MS, 0, 0, FUTEX);
	if (is_last_to_go)
		assert_int_equal(correlator_record(b.correlator, &exit.header), 0);
	correlator_spans(b.correlator, &batch);
	finish(&b, 1100 * MS);
	assert_int_equal(builder_ledger(&b, 1)->pid, BUILDER_PID);
	assert_int_equal(builder_ledger(&b, 1)->all.running_ns, 1 * MS);
	correlator_free(b.correlator);
}

static void a_clone_does_not_take_its_parents_spans(void **state)
{
	(void)state;
	check_clone(false);
}

static void a_clone_that_is_gone_later_does_not_either(void **state)
{
	(void)state;
	check_clone(true);
}

/* Its resource was made before the fork, and names its master. */
static void what_a_worker_was_not_seen_with_is_its_own_all_the_same(void **state)
{
	struct builder_thread master = { .pid = BUILDER_PID, .tid = BUILDER_PID };
	struct builder_thread worker = { .pid = 20, .tid = 20 };
	struct builder b;

	(void)state;
	builder_init(&b);
	warm_up(&b, &master);
	builder_slice(&b, &worker, 0, 1000 * MS, 1002 * MS, 1, 0, FUTEX);
	builder_slice(&b, &worker, 1004 * MS, 1004 * MS, 1009 * MS, 0, 0, FUTEX);
	builder_span(&b, 2, 1, 1005 * MS, 1006 * MS);
	builder_span(&b, 1, 0, 1001 * MS, 1008 * MS);
	finish(&b, 1100 * MS);
	assert_int_equal(builder_ledger(&b, 2)->pid, 20);
	assert_int_equal(builder_ledger(&b, 2)->cpu_ns, 1 * MS);
	assert_int_equal(builder_ledger(&b, 1)->cpu_self_ns, 4 * MS);
	correlator_free(b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_forked_child_burns_is_told_apart),
		cmocka_unit_test(a_clone_does_not_take_its_parents_spans),
		cmocka_unit_test(a_clone_that_is_gone_later_does_not_either),
		cmocka_unit_test(what_a_worker_was_not_seen_with_is_its_own_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
