/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/engine.h"
#include "collector/intake.h"
#include "collector/metrics.h"
#include "collector/ticket.h"
#include "collector/writer.h"
#include "otlp/otlp_decode.h"

#define LIMIT ((size_t)10000)

static uv_loop_t loop;
static uv_timer_t alive; /* as the listeners keep the real loop */
static struct intake *intake;
static struct intake_pool pool;
static struct metrics metrics;
static struct queue at_writer, at_engine;
static unsigned answers, freed;
static int last_error;
static bool is_held;

/* In place of the writer, the engine and the decoder: tickets wait here until a test moves them. */
void writer_batch(struct writer *writer, struct ticket *ticket)
{
	(void)writer;
	queue_push(&at_writer, &ticket->link);
}

void engine_spans(struct engine *engine, struct queue tickets)
{
	(void)engine;
	queue_append(&at_engine, tickets);
}

void otlp_batch_free(struct span_batch *batch)
{
	freed++;
	free(batch);
}

static void on_pressure(bool hold, void *arg)
{
	(void)arg;
	is_held = hold;
}

static void on_result(const struct intake_result *result, int32_t stream_id, void *arg)
{
	(void)arg;
	assert_int_equal(stream_id, 7);
	answers++;
	last_error = result->error;
}

static void on_alive(uv_timer_t *timer)
{
	(void)timer;
}

static int set_up(void **state)
{
	struct intake_options options = {
		.loop = &loop, .metrics = &metrics, .pool = &pool, .on_pressure = on_pressure
	};

	(void)state;
	answers = freed = 0;
	pool = (struct intake_pool){ .limit_bytes = LIMIT };
	last_error = 0;
	is_held = false;
	assert_int_equal(uv_loop_init(&loop), 0);
	uv_timer_init(&loop, &alive);
	uv_timer_start(&alive, on_alive, 3600000, 0);
	return intake_new(&options, &intake);
}

static int tear_down(void **state)
{
	(void)state;
	intake_free(intake);
	uv_close((uv_handle_t *)&alive, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	return 0;
}

static void submit(size_t bytes)
{
	struct span_batch *batch = calloc(1, sizeof(*batch));
	struct intake_reply reply = { .on_result = on_result, .stream_id = 7 };

	assert_non_null(batch);
	batch->body.len = bytes - sizeof(struct ticket);
	intake_submit(intake, batch, &reply);
}

static void write_all(int result)
{
	struct queue_link *link;

	while ((link = queue_pop(&at_writer))) {
		struct ticket *ticket = CONTAINER_OF(link, struct ticket, link);

		ticket->result = result;
		intake_on_written(ticket);
	}
	intake_on_group(intake);
	uv_run(&loop, UV_RUN_NOWAIT);
}

static void feed_all(void)
{
	struct queue_link *link;

	while ((link = queue_pop(&at_engine)))
		intake_on_fed(CONTAINER_OF(link, struct ticket, link));
	intake_on_group(intake);
	uv_run(&loop, UV_RUN_NOWAIT);
}

static void an_answer_comes_after_the_commit_and_not_before(void **state)
{
	(void)state;
	submit(1000);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(answers, 0);
	write_all(0);
	assert_int_equal(answers, 1);
	assert_int_equal(last_error, 0);
	assert_int_equal(freed, 0);
	assert_int_equal(atomic_load(&pool.in_flight_bytes), 1000);
	feed_all();
	assert_int_equal(freed, 1);
	assert_int_equal(atomic_load(&pool.in_flight_bytes), 0);
}

static void what_is_not_stored_does_not_reach_the_engine(void **state)
{
	(void)state;
	submit(1000);
	write_all(-ENOSPC);
	assert_int_equal(last_error, -ENOSPC);
	assert_int_equal(at_engine.count, 0);
	assert_int_equal(freed, 1);
	assert_int_equal(atomic_load(&pool.in_flight_bytes), 0);
}

static void peers_are_held_first_and_refused_at_the_limit(void **state)
{
	(void)state;
	submit(7000);
	assert_false(is_held);
	submit(2000);
	assert_true(is_held);
	assert_int_equal(answers, 0);
	submit(2000);
	assert_int_equal(answers, 1);
	assert_int_equal(last_error, -EBUSY);
	write_all(0);
	assert_true(is_held); /* the engine has them still */
	feed_all();
	assert_false(is_held);
	assert_int_equal(freed, 3);
}

static void one_large_batch_alone_is_let_in(void **state)
{
	(void)state;
	submit(5 * LIMIT);
	assert_int_equal(answers, 0);
	submit(500);
	assert_int_equal(last_error, -EBUSY);
	write_all(0);
	feed_all();
	assert_false(is_held);
	assert_int_equal(atomic_load(&pool.in_flight_bytes), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_comes_after_the_commit_and_not_before),
		TEST(what_is_not_stored_does_not_reach_the_engine),
		TEST(peers_are_held_first_and_refused_at_the_limit),
		TEST(one_large_batch_alone_is_let_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
