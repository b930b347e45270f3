/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "collector/base/macros.h"

#define SEEDS  200
#define SLICES 400

static const struct event_tag tags[] = { { { 0 }, { 0 } }, { { 1 }, { 1 } }, { { 1 }, { 2 } } };
static const struct event_target targets[] = { { 0 }, { .kind = TARGET_FUTEX, .id = 64 } };
static const struct event_waker wakers[] = { { 0 }, { .tid = 7, .tag = { { 1 }, { 9 } } } };
static const struct behind behinds[] = { { .from_ns = 1, .is_own = 1 }, { .who = { .tid = 8 } } };

static uint64_t draw(uint64_t *state, uint64_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % below;
}

/* Small mostly, and anything now and then. */
static uint64_t draw_time(uint64_t *state)
{
	return draw(state, 10) ? draw(state, 5000) : draw(state, 1ull << draw(state, 50));
}

static struct slice draw_slice(uint64_t *state, const struct slice *before)
{
	struct slice slice = *before;

	slice.prev_out_ns = before->out_ns + (draw(state, 8) ? 0 : draw_time(state));
	slice.waking_ns = draw(state, 2) ? slice.prev_out_ns + draw_time(state) : 0;
	slice.in_ns = MAX(slice.prev_out_ns, slice.waking_ns) + draw_time(state);
	slice.out_ns = slice.in_ns + draw_time(state);
	slice.booked_ns = slice.out_ns - slice.in_ns + draw(state, 100);
	slice.hidden_ns = draw(state, 8) ? 0 : draw_time(state);
	slice.raw_lag_in = before->raw_lag_out + (int64_t)draw(state, 100) - 50;
	slice.raw_lag_out = slice.raw_lag_in - (int64_t)draw_time(state);
	slice.stolen_in_ns = before->stolen_out_ns + (draw(state, 4) ? 0 : draw_time(state));
	slice.stolen_out_ns = slice.stolen_in_ns + (draw(state, 4) ? 0 : draw_time(state));
	slice.gap = !draw(state, 8);
	slice.is_alike = false;
	if (draw(state, 3) == 0)
		slice.flags = (uint32_t)draw(state, 1 << 22);
	if (draw(state, 3) == 0)
		slice.cpu = (uint32_t)draw(state, 4);
	slice.tag_in = &tags[draw(state, ARRAY_LEN(tags))];
	slice.tag_out = &tags[draw(state, ARRAY_LEN(tags))];
	slice.target = &targets[draw(state, ARRAY_LEN(targets))];
	slice.waker = &wakers[draw(state, ARRAY_LEN(wakers))];
	slice.stack = draw(state, 2) ? slice.stack : draw_time(state);
	slice.flags &= ~SLICE_READY;
	slice.ready = &targets[0];
	if (draw(state, 4) == 0) {
		slice.flags |= SLICE_READY;
		slice.ready = &targets[1];
	}
	slice.behind = &slice_none.behind;
	if (draw(state, 4) == 0) {
		slice.flags |= SLICE_BEHIND;
		slice.behind = &behinds[draw(state, ARRAY_LEN(behinds))];
	}
	return slice;
}

/* Of 16 bits: of each length alike, and those where one more bit is needed. */
static uint16_t draw_word(uint64_t *state)
{
	uint64_t power = 1ull << draw(state, 17), number = draw(state, power);

	switch (draw(state, 4)) {
	case 0:
		return (uint16_t)(power - 1);
	case 1:
		return (uint16_t)-number;
	default:
		return (uint16_t)number;
	}
}

static struct timeline_short draw_short(uint64_t *state)
{
	return (struct timeline_short){ .waking = draw_word(state),
					.in = draw_word(state),
					.length = draw_word(state),
					.booked = (int16_t)draw_word(state),
					.lag_in = (int16_t)draw_word(state),
					.is_woken = draw(state, 2) };
}

/* As again.c does it; `slice` becomes what follows. false: it was not appended. */
static bool append_alike(struct timeline *timeline, const struct timeline_short *by,
			 struct slice *slice)
{
	if (!timeline_append_short(timeline, by))
		return false;
	slice->prev_out_ns = slice->out_ns;
	slice->waking_ns = by->is_woken ? slice->out_ns + by->waking : 0;
	slice->in_ns = slice->out_ns + by->waking + by->in;
	slice->out_ns = slice->in_ns + by->length;
	slice->booked_ns = (uint64_t)(by->length + by->booked);
	slice->hidden_ns = 0;
	slice->raw_lag_in = slice->raw_lag_out + by->lag_in;
	slice->raw_lag_out = slice->raw_lag_in - by->booked;
	slice->stolen_in_ns = slice->stolen_out_ns;
	slice->gap = false;
	slice->is_alike = true;
	slice->tag_in = slice->tag_out;
	return true;
}

static void check_slice(const struct slice *slice, const struct slice *expected)
{
	assert_int_equal(slice->prev_out_ns, expected->prev_out_ns);
	assert_int_equal(slice->waking_ns, expected->waking_ns);
	assert_int_equal(slice->in_ns, expected->in_ns);
	assert_int_equal(slice->out_ns, expected->out_ns);
	assert_int_equal(slice->booked_ns, expected->booked_ns);
	assert_int_equal(slice->hidden_ns, expected->hidden_ns);
	assert_int_equal(slice->raw_lag_in, expected->raw_lag_in);
	assert_int_equal(slice->raw_lag_out, expected->raw_lag_out);
	assert_int_equal(slice->stolen_in_ns, expected->stolen_in_ns);
	assert_int_equal(slice->stolen_out_ns, expected->stolen_out_ns);
	assert_int_equal(slice->flags, expected->flags);
	assert_int_equal(slice->cpu, expected->cpu);
	assert_int_equal(slice->gap, expected->gap);
	assert_int_equal(slice->is_alike, expected->is_alike);
	assert_int_equal(slice->stack, expected->stack);
	assert_true(tag_eq(slice->tag_in, expected->tag_in));
	assert_true(tag_eq(slice->tag_out, expected->tag_out));
	assert_true(target_eq(slice->target, expected->target));
	assert_memory_equal(slice->waker, expected->waker, sizeof(*slice->waker));
	assert_true(target_eq(slice->ready, expected->ready));
	assert_memory_equal(slice->behind, expected->behind, sizeof(*slice->behind));
}

static size_t fill(uint64_t *state, struct timeline *timeline, struct slice *slices, uint64_t every)
{
	struct slice slice = slice_empty();
	size_t bytes = 0;

	for (size_t i = 0; i < SLICES; i++) {
		struct timeline_short by = draw_short(state);

		if (draw(state, every) == 0 || slice.flags & SLICE_READY ||
		    !append_alike(timeline, &by, &slice)) {
			slice = draw_slice(state, &slice);
			assert_int_equal(timeline_append(timeline, &slice, &bytes), 0);
		}
		slices[i] = slice;
	}
	return bytes;
}

static void what_was_appended_is_read_again(void **state)
{
	static struct slice slices[SLICES];

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		uint64_t random = seed * 0x9e3779b97f4a7c15ull | 1;
		struct timeline timeline = { 0 };
		struct timeline_cursor cursor;
		const struct slice *slice;
		size_t count = 0;

		fill(&random, &timeline, slices, 1 + seed % 30);
		timeline_seek(&timeline, 0, &cursor);
		while ((slice = timeline_next(&cursor)))
			check_slice(slice, &slices[count++]);
		assert_int_equal(count, SLICES);
		for (const struct timeline_chunk *c = timeline.oldest; c; c = c->newer)
			assert_true(c->used <= c->room);
		timeline_fini(&timeline);
	}
}

/* ... and one by one they are the same. */
static void alike_ones_are_read_together(void **state)
{
	static struct slice slices[SLICES];

	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		uint64_t random = seed * 0x9e3779b97f4a7c15ull | 1;
		struct timeline timeline = { 0 };
		struct timeline_cursor cursor;
		const struct slice *slice;
		size_t count = 0;

		fill(&random, &timeline, slices, 1 + seed % 30);
		timeline_seek(&timeline, 0, &cursor);
		while ((slice = timeline_next(&cursor))) {
			struct slice alike[16];
			struct timeline_run run;
			uint64_t ran_ns = 0;
			bool has_empty = false;

			check_slice(slice, &slices[count++]);
			assert_int_equal(slice->run, 0);
			run = timeline_next_alike(&cursor, slices[SLICES / 2].out_ns, alike,
						  ARRAY_LEN(alike), 7);
			for (uint32_t i = 0; i < run.count; i++) {
				assert_int_equal(alike[i].run, 7);
				assert_true(alike[i].out_ns <= slices[SLICES / 2].out_ns);
				ran_ns += alike[i].out_ns - alike[i].in_ns;
				has_empty |= alike[i].out_ns == alike[i].in_ns;
				check_slice(&alike[i], &slices[count++]);
			}
			assert_int_equal(run.ran_ns, ran_ns);
			assert_int_equal(run.has_empty, has_empty);
			assert_int_equal(cursor.last.run, 0); /* a mark keeps it, for any lane */
			if (draw(&random, 4) == 0)
				count += timeline_skip_alike(&cursor, slices[SLICES - 1].out_ns);
			assert_int_equal(cursor.last.out_ns, slices[count - 1].out_ns);
		}
		assert_int_equal(count, SLICES);
		timeline_fini(&timeline);
	}
}

/* Of `count` that are like the one before but for `by`. */
static size_t bytes_of_alike(const struct timeline_short *by, size_t count)
{
	struct timeline timeline = { 0 };
	struct slice slice = slice_empty();
	size_t bytes = 0;

	slice.flags = EVENT_TAG_OUT | EVENT_TARGET | EVENT_WAKER;
	slice.tag_in = slice.tag_out = &tags[1];
	slice.target = &targets[1];
	slice.waker = &wakers[1];
	for (size_t i = 0; i < count; i++) {
		if (!append_alike(&timeline, by, &slice))
			assert_int_equal(timeline_append(&timeline, &slice, &bytes), 0);
	}
	timeline_fini(&timeline);
	return bytes;
}

/* What a service that is busy for long takes. */
static void a_cycle_that_is_like_the_one_before_takes_ten_bytes(void **state)
{
	const struct timeline_short by = { 8191, 8191, 8191, -2048, -4096, true };
	const size_t count = 100000;

	(void)state;
	assert_in_range(bytes_of_alike(&by, count), 9 * count, 10 * count);
}

static void times_of_one_more_bit_take_two_bytes_more(void **state)
{
	static const struct timeline_short by[] = {
		{ .waking = 8192 },  { .in = 8192 },
		{ .length = 8192 },  { .booked = 2048 },
		{ .booked = -2049 }, { .lag_in = 4096 },
		{ .lag_in = -4097 }, { 65535, 65535, 65535, INT16_MIN, INT16_MAX, true },
	};
	const size_t count = 100000;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(by); i++)
		assert_in_range(bytes_of_alike(&by[i], count), 11 * count, 12 * count);
}

/* A lock that many want: who waits, and for whom, comes and goes. */
static void what_is_gone_takes_no_room(void **state)
{
	struct timeline timeline = { 0 };
	struct slice slice = slice_empty();
	size_t bytes = 0;
	const size_t count = 10000;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		slice.prev_out_ns = slice.out_ns;
		slice.in_ns = slice.out_ns += 100;
		slice.tag_in = slice.tag_out;
		slice.tag_out = &tags[i % 2];
		slice.target = &targets[i % 2];
		slice.waker = &wakers[i % 2];
		assert_int_equal(timeline_append(&timeline, &slice, &bytes), 0);
	}
	assert_in_range(bytes, 120 * count / 2, 145 * count / 2); /* 112 of tails for two slices */
	timeline_fini(&timeline);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_appended_is_read_again),
		cmocka_unit_test(alike_ones_are_read_together),
		cmocka_unit_test(a_cycle_that_is_like_the_one_before_takes_ten_bytes),
		cmocka_unit_test(times_of_one_more_bit_take_two_bytes_more),
		cmocka_unit_test(what_is_gone_takes_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
