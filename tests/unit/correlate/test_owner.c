/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that threads of several processes show, or of another one than their resource names. */
#include "tests/unit/correlate/world_builder.h"

#define FUTEX  202
#define OTHER  20 /* the other process */
#define SPAN   1
#define INNER  2
#define OTHERS 3
#define PART   4

struct scene {
	struct builder b;
	struct builder_thread own, other;
};

static void fork_other(struct builder *b)
{
	const struct event_life fork = { .header = { .kind = EVENT_FORK, .bytes = sizeof(fork) },
					 .pid = BUILDER_PID,
					 .tid = 11,
					 .other_pid = OTHER,
					 .time_ns = 890 * MS };

	assert_int_equal(correlator_record(b->correlator, &fork.header), 0);
}

/* Both are known, and neither has shown anything yet. */
static void begin(struct scene *scene, bool is_forked)
{
	const struct event_process other = { .pid = OTHER,
					     .ns_pid = OTHER,
					     .publish = PUBLISH_TAGS };
	struct builder *b = &scene->b;

	builder_init(b);
	builder_clock(b, 500 * MS);
	scene->own = (struct builder_thread){ .pid = BUILDER_PID, .tid = 11 };
	scene->other = (struct builder_thread){ .pid = OTHER, .tid = OTHER };
	if (is_forked)
		fork_other(b);
	assert_int_equal(correlator_process(b->correlator, &other), 0);
	builder_warm_up(b, &scene->own);
	builder_warm_up(b, &scene->other);
}

/* The span's own thread takes it up at 1001 ms, and is looked at 9 ms later, and at its end. */
static void own_works(struct scene *scene)
{
	struct builder *b = &scene->b;

	builder_slice(b, &scene->own, 1000 * MS, 1000 * MS, 1010 * MS, SPAN, 0, FUTEX);
	builder_slice(b, &scene->own, 1039 * MS, 1039 * MS, 1041 * MS, 0, 0, FUTEX);
}

/* ... or is at work all the time, and no look at it shows the span. */
static void own_is_unseen(struct scene *scene)
{
	struct builder *b = &scene->b;

	builder_slice(b, &scene->own, 999 * MS, 999 * MS, 1000 * MS, OTHERS, 0, FUTEX);
	builder_slice(b, &scene->own, 1000 * MS, 1000 * MS, 1041 * MS, 0, 0, FUTEX);
}

/* Meanwhile the other one shows it from 1003 to 1006 ms, in a slice that begins at that time. */
static void other_works(struct scene *scene, uint64_t from)
{
	struct builder *b = &scene->b;

	builder_slice(b, &scene->other, from, from, 1005 * MS, SPAN, 0, FUTEX);
	builder_slice(b, &scene->other, 1006 * MS, 1006 * MS, 1030 * MS, 0, 0, FUTEX);
}

/* From 1001 to 1040 ms; `pid`: what its resource claims. */
static void end(struct scene *scene, int64_t pid)
{
	const struct builder_call call = { .id = SPAN,
					   .start = 1001 * MS,
					   .end = 1040 * MS,
					   .kind = SPAN_KIND_INTERNAL,
					   .name = "ask",
					   .pid = pid };

	builder_add(&scene->b, &call);
	builder_settle(&scene->b);
}

static void assert_is_own(const struct scene *scene)
{
	const struct ledger *l = builder_ledger(&scene->b, SPAN);

	assert_int_equal(l->pid, BUILDER_PID);
	assert_int_equal(l->cpu_ns, 10 * MS);
	assert_true(l->grade == GRADE_EXACT || l->grade == GRADE_BOUNDED);
}

static void who_takes_over_a_context_is_not_its_maker(void **state)
{
	struct scene scene;

	(void)state;
	for (unsigned is_forked = 0; is_forked < 2; is_forked++) {
		begin(&scene, is_forked);
		other_works(&scene, 1003 * MS);
		own_works(&scene);
		end(&scene, BUILDER_PID);
		assert_is_own(&scene);
		correlator_free(scene.b.correlator);
	}
}

/* Both were on a CPU when it began: then what the resource says counts, unless the other process
 * may have its resource from this one. */
static void where_both_can_have_begun_it_its_resource_tells(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene, false);
	other_works(&scene, 1000 * MS);
	own_works(&scene);
	end(&scene, BUILDER_PID);
	assert_is_own(&scene);
	correlator_free(scene.b.correlator);
	begin(&scene, true);
	other_works(&scene, 1000 * MS);
	own_works(&scene);
	end(&scene, BUILDER_PID);
	assert_int_equal(builder_ledger(&scene.b, SPAN)->grade, GRADE_INFERRED);
	correlator_free(scene.b.correlator);
}

static void a_resource_that_contradicts_what_was_seen_is_in_doubt(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene, false);
	other_works(&scene, 1003 * MS);
	own_works(&scene);
	end(&scene, OTHER);
	assert_int_equal(builder_ledger(&scene.b, SPAN)->grade, GRADE_INFERRED);
	correlator_free(scene.b.correlator);
}

/* Its own thread had it between two looks. */
static void who_alone_shows_it_but_came_later_is_in_doubt(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene, false);
	own_is_unseen(&scene);
	other_works(&scene, 1003 * MS);
	end(&scene, BUILDER_PID);
	assert_int_equal(builder_ledger(b, SPAN)->grade, GRADE_INFERRED);
	correlator_free(b->correlator);
}

/* ... and was not at work when it began: what the resource claims is its master's. */
static void a_master_that_slept_has_nothing_of_it(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene, false);
	builder_slice(b, &scene.own, 980 * MS, 980 * MS, 981 * MS, OTHERS, 0, FUTEX);
	other_works(&scene, 1003 * MS);
	end(&scene, BUILDER_PID);
	assert_int_equal(builder_ledger(b, SPAN)->pid, OTHER);
	assert_int_not_equal(builder_ledger(b, SPAN)->grade, GRADE_INFERRED);
	correlator_free(b->correlator);
}

/* A span below it shows first. */
static void what_lies_below_it_leaves_open_who_began_it(void **state)
{
	const struct builder_call inner = { .id = INNER,
					    .parent = SPAN,
					    .start = 1002 * MS,
					    .end = 1008 * MS,
					    .kind = SPAN_KIND_INTERNAL,
					    .name = "inner",
					    .pid = BUILDER_PID };
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene, false);
	own_is_unseen(&scene);
	builder_slice(b, &scene.other, 1000 * MS, 1000 * MS, 1004 * MS, INNER, 0, FUTEX);
	builder_slice(b, &scene.other, 1005 * MS, 1005 * MS, 1009 * MS, SPAN, 0, FUTEX);
	builder_slice(b, &scene.other, 1039 * MS, 1039 * MS, 1041 * MS, 0, 0, FUTEX);
	builder_add(b, &inner);
	end(&scene, BUILDER_PID);
	assert_int_equal(builder_ledger(b, SPAN)->pid, OTHER);
	assert_int_not_equal(builder_ledger(b, SPAN)->grade, GRADE_INFERRED);
	correlator_free(b->correlator);
}

/* Another span of the resource, which claims nothing, is learned of a moment later. */
static void others_of_its_resource_tell(void **state)
{
	const struct builder_call known = { .id = OTHERS,
					    .start = 1051 * MS,
					    .end = 1069 * MS,
					    .kind = SPAN_KIND_INTERNAL,
					    .name = "known" };
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene, false);
	other_works(&scene, 1000 * MS);
	own_works(&scene);
	builder_slice(b, &scene.own, 1050 * MS, 1050 * MS, 1052 * MS, 0, 0, FUTEX);
	end(&scene, 0);
	assert_int_equal(builder_ledger(b, SPAN)->grade, GRADE_INFERRED);
	b->trace = 2;
	builder_slice(b, &scene.own, 1053 * MS, 1053 * MS, 1054 * MS, OTHERS, 0, FUTEX);
	builder_slice(b, &scene.own, 1068 * MS, 1068 * MS, 1070 * MS, 0, 0, FUTEX);
	builder_add(b, &known);
	builder_settle(b);
	correlator_advance(b->correlator, 5000 * MS);
	correlator_settle_all(b->correlator);
	assert_is_own(&scene);
	correlator_free(b->correlator);
}

static void add_of(struct builder *b, uint64_t id, uint64_t parent, uint8_t kind, int64_t pid,
		   const uint64_t from_to[2])
{
	const struct builder_call call = { .id = id,
					   .parent = parent,
					   .start = from_to[0],
					   .end = from_to[1],
					   .kind = kind,
					   .name = "work",
					   .pid = pid };

	builder_add(b, &call);
}

static void add_nameless(struct builder *b, uint64_t id, uint64_t parent, uint8_t kind,
			 const uint64_t from_to[2])
{
	add_of(b, id, parent, kind, 0, from_to);
}

/* A span of the same resource, in another trace: so it is known to send that. */
static void shows_before(struct scene *scene, struct builder_thread *thread)
{
	struct builder *b = &scene->b;

	b->trace = 2;
	builder_slice(b, thread, 990 * MS, 990 * MS, 995 * MS, OTHERS, 0, FUTEX);
	builder_slice(b, thread, 996 * MS, 996 * MS, 997 * MS, 0, 0, FUTEX);
	add_nameless(b, OTHERS, 0, SPAN_KIND_INTERNAL, (uint64_t[]){ 991 * MS, 996 * MS });
	builder_settle(b);
	b->trace = 1;
}

/* A service that runs twice says the same of both, and asks itself. The process that others of its
 * resource were of is not the one that has a part of what the other one was asked. */
static void a_part_that_is_not_seen_is_of_its_parents_process(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene, false);
	shows_before(&scene, &scene.own);
	own_works(&scene);
	builder_slice(b, &scene.other, 1003 * MS, 1003 * MS, 1005 * MS, INNER, 0, FUTEX);
	builder_slice(b, &scene.other, 1008 * MS, 1008 * MS, 1009 * MS, 0, INNER, FUTEX);
	add_nameless(b, SPAN, 0, SPAN_KIND_INTERNAL, (uint64_t[]){ 1001 * MS, 1040 * MS });
	add_nameless(b, INNER, SPAN, SPAN_KIND_SERVER, (uint64_t[]){ 1003 * MS, 1008 * MS });
	add_nameless(b, PART, INNER, SPAN_KIND_INTERNAL,
		     (uint64_t[]){ 1004 * MS, 1004 * MS + MS / 2 });
	builder_settle(b);
	assert_is_own(&scene);
	assert_int_equal(builder_ledger(b, INNER)->pid, OTHER);
	assert_int_equal(builder_ledger(b, PART)->pid, OTHER);
	assert_int_equal(builder_ledger(b, PART)->cpu_ns, MS / 2);
	correlator_free(b->correlator);
}

/* Both send that resource, so who was asked may be either. */
static void who_was_asked_is_not_who_asks_for_sure(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene, false);
	shows_before(&scene, &scene.other);
	own_works(&scene);
	builder_slice(b, &scene.other, 1000 * MS, 1000 * MS, 1030 * MS, 0, 0, FUTEX);
	add_nameless(b, SPAN, 0, SPAN_KIND_INTERNAL, (uint64_t[]){ 1001 * MS, 1040 * MS });
	add_nameless(b, INNER, SPAN, SPAN_KIND_SERVER, (uint64_t[]){ 1003 * MS, 1008 * MS });
	builder_settle(b);
	assert_int_equal(builder_ledger(b, SPAN)->pid, BUILDER_PID);
	assert_int_equal(builder_ledger(b, INNER)->grade, GRADE_INFERRED);
	assert_true(builder_ledger(b, SPAN)->grade == GRADE_INFERRED ||
		    builder_ledger(b, SPAN)->uncertain_ns >= 5 * MS);
	correlator_free(b->correlator);
}

/* Two containers whose first processes have the same number, which is another process's as well. */
static void nor_where_the_resource_is_another_ones(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene, false);
	own_works(&scene);
	add_of(b, SPAN, 0, SPAN_KIND_INTERNAL, OTHER, (uint64_t[]){ 1001 * MS, 1040 * MS });
	add_of(b, INNER, SPAN, SPAN_KIND_SERVER, OTHER, (uint64_t[]){ 1003 * MS, 1008 * MS });
	builder_settle(b);
	assert_is_own(&scene);
	assert_int_equal(builder_ledger(b, INNER)->grade, GRADE_INFERRED);
	correlator_free(b->correlator);
}

/* ... but where nobody of the trace asks: a process that was forked says what its master does, and
 * of a request that came in, a part is seen. */
static void what_came_in_is_of_the_process_of_its_parts(void **state)
{
	struct scene scene;
	struct builder *b = &scene.b;

	(void)state;
	begin(&scene, false);
	own_works(&scene);
	add_of(b, INNER, 0, SPAN_KIND_SERVER, OTHER,
	       (uint64_t[]){ 1000 * MS + US, 1040 * MS + US });
	add_of(b, SPAN, INNER, SPAN_KIND_SERVER, OTHER, (uint64_t[]){ 1001 * MS, 1040 * MS });
	builder_settle(b);
	assert_is_own(&scene);
	assert_int_equal(builder_ledger(b, INNER)->pid, BUILDER_PID);
	assert_int_not_equal(builder_ledger(b, INNER)->grade, GRADE_INFERRED);
	correlator_free(b->correlator);
}

static void add_part(struct scene *scene, uint8_t kind)
{
	own_works(scene);
	add_nameless(&scene->b, PART, SPAN, kind, (uint64_t[]){ 1002 * MS, 1008 * MS });
	end(scene, BUILDER_PID);
	assert_int_equal(builder_ledger(&scene->b, SPAN)->cpu_ns, 10 * MS);
}

/* A library with a resource of its own, of which nothing is known yet. */
static void an_unknown_part_is_of_its_parents_process_maybe(void **state)
{
	struct scene scene;
	const struct ledger *whole, *part;

	(void)state;
	begin(&scene, false);
	add_part(&scene, SPAN_KIND_INTERNAL);
	whole = builder_ledger(&scene.b, SPAN);
	part = builder_ledger(&scene.b, PART);
	assert_int_equal(part->pid, BUILDER_PID);
	assert_int_equal(part->grade, GRADE_INFERRED);
	assert_true(whole->grade == GRADE_INFERRED || whole->uncertain_ns >= 6 * MS);
	correlator_free(scene.b.correlator);
}

static void an_unknown_server_is_elsewhere(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene, false);
	add_part(&scene, SPAN_KIND_SERVER);
	assert_int_equal(builder_ledger(&scene.b, PART)->grade, GRADE_NONE);
	assert_is_own(&scene);
	correlator_free(scene.b.correlator);
}

/* Two that drew the same ids, and both arrive. */
static void two_spans_of_one_id_are_in_doubt(void **state)
{
	struct scene scene;

	(void)state;
	begin(&scene, false);
	own_works(&scene);
	end(&scene, BUILDER_PID);
	assert_is_own(&scene);
	end(&scene, BUILDER_PID); /* sent twice */
	assert_is_own(&scene);
	builder_span(&scene.b, SPAN, 0, 1003 * MS, 1030 * MS);
	builder_settle(&scene.b);
	assert_int_equal(builder_ledger(&scene.b, SPAN)->grade, GRADE_INFERRED);
	correlator_free(scene.b.correlator);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_takes_over_a_context_is_not_its_maker),
		cmocka_unit_test(where_both_can_have_begun_it_its_resource_tells),
		cmocka_unit_test(a_resource_that_contradicts_what_was_seen_is_in_doubt),
		cmocka_unit_test(who_alone_shows_it_but_came_later_is_in_doubt),
		cmocka_unit_test(a_master_that_slept_has_nothing_of_it),
		cmocka_unit_test(what_lies_below_it_leaves_open_who_began_it),
		cmocka_unit_test(others_of_its_resource_tell),
		cmocka_unit_test(a_part_that_is_not_seen_is_of_its_parents_process),
		cmocka_unit_test(who_was_asked_is_not_who_asks_for_sure),
		cmocka_unit_test(nor_where_the_resource_is_another_ones),
		cmocka_unit_test(what_came_in_is_of_the_process_of_its_parts),
		cmocka_unit_test(an_unknown_part_is_of_its_parents_process_maybe),
		cmocka_unit_test(an_unknown_server_is_elsewhere),
		cmocka_unit_test(two_spans_of_one_id_are_in_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
