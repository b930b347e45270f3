/* SPDX-License-Identifier: Apache-2.0 */
/* A trace with all that there may be, put to rest and woken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "correlate/trace_rest.h"
#include "tests/lib/nth_alloc.h"

#define MS 1000000ull

#define FEW  3
#define MANY 100 /* more than a look shows */

struct scene {
	struct model model;
	struct process processes[2];
	struct thread threads[3];
};

static void begin_scene(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	traces_init(&scene->model);
	observations_init(&scene->model);
	for (unsigned i = 0; i < 3; i++)
		scene->threads[i].process = &scene->processes[i % 2];
	for (unsigned i = 0; i < 2; i++)
		scene->processes[i].concern = (uint16_t)(2u << i);
}

static void end_scene(struct scene *scene)
{
	traces_fini(&scene->model);
	observations_fini(&scene->model);
	assert_int_equal(scene->model.stats.trace_bytes, 0);
	assert_int_equal(scene->model.stats.fold_bytes, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(scene->threads[i].refs, 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(scene->processes[i].refs, 0);
}

static void add_observation(struct scene *scene, struct trace *trace, uint8_t number)
{
	struct observation *o = calloc(1, sizeof(*o));

	assert_non_null(o);
	o->thread = &scene->threads[number % 3];
	o->span_id[number % SPAN_ID_BYTES] = (uint8_t)(1 + number);
	o->inherited = number % 5 == 1;
	o->first_ns = 1000 * MS + number * 12345ull;
	o->last_ns = o->first_ns + (number % 2 ? 0 : 5 * MS);
	if (number % 7 == 3) {
		o->fold = calloc(1, sizeof(*o->fold));
		scene->model.stats.fold_bytes += sizeof(*o->fold);
	}
	assert_true(observation_add(&scene->model, trace, o));
}

static void add_span(struct scene *scene, struct trace *trace, uint8_t number)
{
	struct trace_span span = { .start_unix_ns =
					   1700000000000000123ull + 1000 * MS + number * MS,
				   .resource_key = 0x123456789abcdefull * (1 + number % 2),
				   .process_pid = number % 3 ? 4242 : -1,
				   .thread_id = number % 4 ? 4243 + number : 0,
				   .flags = number % 2 ? 0x301 : 0,
				   .kind = number % 6,
				   .settled = number % 8 };

	span.end_unix_ns = span.start_unix_ns + number * 777ull;
	span.backward_ns = number % 9 == 4 ? 33 : 0;
	span.is_disputed = number % 7 == 3;
	span.span_id[number % SPAN_ID_BYTES] = (uint8_t)(1 + number);
	if (number)
		span.parent_id[(number - 1) % SPAN_ID_BYTES] = number;
	if (number % 3) {
		span.process = &scene->processes[number % 2];
		span.process->refs++;
	}
	if (number % 6 == 3)
		span.label = calloc(1, 8);
	assert_int_equal(trace_spans_append(&scene->model, trace, &span), 0);
}

static void add_mark(struct scene *scene, struct trace *trace, uint8_t number)
{
	struct mark *mark = calloc(1, sizeof(*mark));

	assert_non_null(mark);
	mark->thread = &scene->threads[number % 3];
	mark->span_id[number % SPAN_ID_BYTES] = (uint8_t)(1 + number);
	mark->is_within = number % 2;
	mark->within_id[0] = number;
	mark->time_ns = 1000 * MS + number * 999ull;
	mark->left_ns = number % 3 ? mark->time_ns - 55 : 0;
	mark->shown_ns = number % 4 ? mark->time_ns + 66 : 0;
	mark->since_left = number % 4;
	mark->until_shown = (uint8_t)(number + 1) % 4;
	mark->turn = number * 1000u;
	mark_link(&scene->model, trace, mark);
}

static void add_lesson(struct scene *scene, struct trace *trace)
{
	struct lesson *lesson = calloc(1, sizeof(*lesson));

	assert_non_null(lesson);
	lesson->process = &scene->processes[0];
	lesson->kind = LESSON_LENT;
	lesson->when = (struct turns_period){ 1000 * MS, 1001 * MS };
	lesson->process->refs++;
	scene->model.stats.trace_bytes += sizeof(*lesson);
	trace->lessons = lesson;
}

static struct trace *full_trace(struct scene *scene, uint8_t number, uint8_t each)
{
	const uint8_t id[TRACE_ID_BYTES] = { 7, 7, 7, number };
	struct trace *trace;

	scene->model.now_ns = 1000 * MS;
	trace = trace_find_or_make(&scene->model, id);
	assert_non_null(trace);
	for (uint8_t i = 0; i < each; i++) {
		add_observation(scene, trace, i);
		add_span(scene, trace, i);
		add_mark(scene, trace, i);
	}
	add_lesson(scene, trace);
	trace->observed_ns = 1100 * MS;
	trace->news_ns = 1200 * MS;
	trace->to_ns = 1150 * MS;
	trace->revision = 3;
	trace->taken_back = 2;
	trace->lesson = 77;
	trace->is_guessed = trace->over_limit = true;
	return trace;
}

static void assert_same_observations(const struct trace *one, const struct trace *other)
{
	const struct observation *y = other->observations;

	assert_int_equal(one->observation_count, other->observation_count);
	for (const struct observation *x = one->observations; x; x = x->next, y = y->next) {
		assert_non_null(y);
		assert_ptr_equal(x->thread, y->thread);
		assert_memory_equal(x->span_id, y->span_id, SPAN_ID_BYTES);
		assert_int_equal(x->inherited, y->inherited);
		assert_int_equal(x->first_ns, y->first_ns);
		assert_int_equal(x->last_ns, y->last_ns);
		assert_int_equal(x->fold != NULL, y->fold != NULL);
	}
	assert_null(y);
}

static void assert_same_spans(const struct trace *one, const struct trace *other)
{
	assert_int_equal(one->span_count, other->span_count);
	for (uint32_t i = 0; i < one->span_count; i++) {
		struct trace_span x = one->spans[i], y = other->spans[i];

		assert_int_equal(x.label != NULL, y.label != NULL);
		x.label = y.label = NULL;
		assert_memory_equal(x.span_id, y.span_id, SPAN_ID_BYTES);
		assert_memory_equal(x.parent_id, y.parent_id, SPAN_ID_BYTES);
		assert_int_equal(x.start_unix_ns, y.start_unix_ns);
		assert_int_equal(x.end_unix_ns, y.end_unix_ns);
		assert_int_equal(x.backward_ns, y.backward_ns);
		assert_int_equal(x.is_disputed, y.is_disputed);
		assert_int_equal(x.resource_key, y.resource_key);
		assert_int_equal(x.process_pid, y.process_pid);
		assert_int_equal(x.thread_id, y.thread_id);
		assert_ptr_equal(x.process, y.process);
		assert_int_equal(x.flags, y.flags);
		assert_int_equal(x.kind, y.kind);
		assert_int_equal(x.settled, y.settled);
	}
}

static void assert_same_marks(const struct trace *one, const struct trace *other)
{
	const struct mark *y = other->marks;

	for (const struct mark *x = one->marks; x; x = x->next, y = y->next) {
		assert_non_null(y);
		assert_ptr_equal(y->trace, other);
		assert_ptr_equal(x->thread, y->thread);
		assert_memory_equal(x->span_id, y->span_id, SPAN_ID_BYTES);
		assert_memory_equal(x->within_id, y->within_id, SPAN_ID_BYTES);
		assert_int_equal(x->time_ns, y->time_ns);
		assert_int_equal(x->left_ns, y->left_ns);
		assert_int_equal(x->shown_ns, y->shown_ns);
		assert_int_equal(x->since_left, y->since_left);
		assert_int_equal(x->until_shown, y->until_shown);
		assert_int_equal(x->is_within, y->is_within);
		assert_int_equal(x->turn, y->turn);
	}
	assert_null(y);
}

static void assert_same(const struct trace *one, const struct trace *other)
{
	assert_int_equal(one->lesson, other->lesson);
	assert_int_equal(one->revision, other->revision);
	assert_int_equal(one->taken_back, other->taken_back);
	assert_int_equal(one->made_ns, other->made_ns);
	assert_int_equal(one->news_ns, other->news_ns);
	assert_int_equal(one->observed_ns, other->observed_ns);
	assert_int_equal(one->to_ns, other->to_ns);
	assert_int_equal(one->is_guessed, other->is_guessed);
	assert_int_equal(one->over_limit, other->over_limit);
	assert_non_null(other->lessons);
	assert_int_equal(one->lessons->when.to_ns, other->lessons->when.to_ns);
	assert_same_observations(one, other);
	assert_same_spans(one, other);
	assert_same_marks(one, other);
}

/* Two that are made alike, of which the second one rests. */
static struct trace *begin_two(struct scene *scene, uint8_t each)
{
	struct trace *awake;
	size_t bytes;

	begin_scene(scene);
	awake = full_trace(scene, 1, each);
	trace_list(&scene->model, awake, LIST_PENDING);
	bytes = scene->model.stats.trace_bytes;
	full_trace(scene, 2, each);
	bytes = scene->model.stats.trace_bytes - bytes;
	scene->model.now_ns = 10000 * MS;
	traces_rest(&scene->model);
	assert_int_equal(scene->model.stats.traces_resting, 1);
	assert_true(scene->model.stats.trace_bytes < awake->bytes + bytes / 2 + 100);
	return awake;
}

static struct trace_place *place_of(struct scene *scene)
{
	const uint8_t id[TRACE_ID_BYTES] = { 7, 7, 7, 2 };

	return trace_set_find(&scene->model.traces, id);
}

static void end_two(struct scene *scene, struct trace *awake)
{
	trace_unlist(&scene->model, awake);
	end_scene(scene);
}

static void a_look_shows_all_and_wakes_nobody(void **state)
{
	struct scene scene;
	struct trace *awake = begin_two(&scene, FEW);

	(void)state;
	assert_same(awake, trace_look_at(&scene.model, place_of(&scene)));
	assert_same(awake, trace_look_at(&scene.model, place_of(&scene)));
	assert_int_equal(scene.model.stats.traces_resting, 1);
	end_two(&scene, awake);
}

static void check_woken(uint8_t each)
{
	struct scene scene;
	struct trace *awake = begin_two(&scene, each);
	const uint8_t id[TRACE_ID_BYTES] = { 7, 7, 7, 2 };
	struct trace *woken;
	size_t bytes = awake->bytes;

	woken = trace_find(&scene.model, id);
	assert_non_null(woken);
	assert_int_equal(scene.model.stats.traces_resting, 0);
	assert_same(awake, woken);
	assert_int_equal(woken->bytes, bytes);
	for (uint8_t i = 0; i < each; i++)
		assert_int_equal(trace_span_index(&scene.model, woken, awake->spans[i].span_id), i);
	for (const struct observation *o = awake->observations; o; o = o->next)
		assert_non_null(trace_observation(&scene.model, woken, o->thread, o->span_id));
	end_two(&scene, awake);
}

static void who_wakes_is_as_before(void **state)
{
	(void)state;
	check_woken(FEW);
	check_woken(MANY);
}

static void what_a_look_has_no_room_for_wakes(void **state)
{
	struct scene scene;
	struct trace *awake = begin_two(&scene, MANY);

	(void)state;
	assert_same(awake, trace_look_at(&scene.model, place_of(&scene)));
	assert_int_equal(scene.model.stats.traces_resting, 0);
	end_two(&scene, awake);
}

/* It rests still, with all that it holds, and wakes when there is memory. */
static void who_cannot_wake_rests_on(void **state)
{
	const uint8_t id[TRACE_ID_BYTES] = { 7, 7, 7, 2 };
	struct scene scene;
	struct trace *awake = begin_two(&scene, MANY), *woken = NULL;
	size_t bytes = scene.model.stats.trace_bytes;
	unsigned failures = 0;

	(void)state;
	for (unsigned n = 1; !woken; n++) {
		nth_alloc_arm(n);
		woken = trace_find(&scene.model, id);
		nth_alloc_disarm();
		if (woken)
			break;
		failures++;
		assert_int_equal(scene.model.stats.traces_resting, 1);
		assert_int_equal(scene.model.stats.trace_bytes, bytes);
	}
	assert_true(failures > 2 * MANY);
	assert_same(awake, woken);
	end_two(&scene, awake);
}

static void who_cannot_be_put_to_rest_stays_awake(void **state)
{
	const uint8_t id[TRACE_ID_BYTES] = { 7, 7, 7, 1 };
	struct scene scene;
	struct trace *trace;

	(void)state;
	begin_scene(&scene);
	trace = full_trace(&scene, 1, MANY);
	scene.model.now_ns = 10000 * MS;
	for (unsigned n = 1; n <= 2; n++) {
		nth_alloc_arm(n);
		traces_rest(&scene.model);
		assert_true(nth_alloc_disarm());
		assert_ptr_equal(trace_find(&scene.model, id), trace);
	}
	traces_rest(&scene.model);
	assert_int_equal(scene.model.stats.traces_resting, 1);
	end_scene(&scene);
}

/* Those who go over all ask these alone of most. */
static void its_place_tells_whom_it_concerns(void **state)
{
	struct scene scene;
	struct trace *awake = begin_two(&scene, FEW);
	const struct trace_place *place = place_of(&scene);

	(void)state;
	assert_true(place->is_resting && place->is_settled && place->has_taught);
	assert_int_equal(place->concerns,
			 CONCERN_ANY | scene.processes[0].concern | scene.processes[1].concern);
	end_two(&scene, awake);
}

static void what_it_taught_stays_when_it_goes(void **state)
{
	struct scene scene;
	struct trace *awake = begin_two(&scene, FEW);

	(void)state;
	assert_int_equal(scene.processes[0].sure.lent.to_ns, 0);
	trace_drop_resting(&scene.model, place_of(&scene));
	assert_int_equal(scene.processes[0].sure.lent.to_ns, 1001 * MS);
	assert_null(place_of(&scene));
	end_two(&scene, awake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_look_shows_all_and_wakes_nobody),
		cmocka_unit_test(who_wakes_is_as_before),
		cmocka_unit_test(what_a_look_has_no_room_for_wakes),
		cmocka_unit_test(who_cannot_wake_rests_on),
		cmocka_unit_test(who_cannot_be_put_to_rest_stays_awake),
		cmocka_unit_test(its_place_tells_whom_it_concerns),
		cmocka_unit_test(what_it_taught_stays_when_it_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
