/* SPDX-License-Identifier: Apache-2.0 */
/* Reads back what the C writer publishes, the way a reader finds it: by the exported name. */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/tag.h"
#include "deploy/instrument/c/spanwise_context.h"

struct ids {
	uint8_t trace_id[16];
	uint8_t span_id[8];
};

static const struct ids A = { { 0xa0, 1, 2, 3, [15] = 0xaf }, { 0xa1, [7] = 0xa8 } };
static const struct ids B = { { 0xb0, 1, 2, 3, [15] = 0xbf }, { 0xb1, [7] = 0xb8 } };

/* dlsym gives the calling thread's own instance of a TLS symbol. */
static const struct tag_record *published(void)
{
	const struct tag_record **variable = dlsym(RTLD_DEFAULT, "otel_thread_ctx_v1");

	assert_non_null(variable);
	return *variable;
}

static int shows(const struct ids *ids)
{
	const struct tag_record *record = published();

	return record && record->valid == 1 && record->attrs_bytes == 0 &&
	       memcmp(record->trace_id, ids->trace_id, 16) == 0 &&
	       memcmp(record->span_id, ids->span_id, 8) == 0;
}

/* For sure: it is not half written. */
static int shows_nothing(void)
{
	static const struct ids none;
	const struct tag_record *record = published();

	return !record || (record->valid != 1 && record->trace_flags & TAG_SHOWS_NONE &&
			   memcmp(record->trace_id, none.trace_id, 16) == 0 &&
			   memcmp(record->span_id, none.span_id, 8) == 0);
}

static void attach(const struct ids *ids, struct spanwise_token *out_previous)
{
	spanwise_attach(ids->trace_id, ids->span_id, 1, out_previous);
}

static void nested_spans_come_back_in_order(void **state)
{
	struct spanwise_token outer, inner;

	(void)state;
	assert_true(shows_nothing());
	attach(&A, &outer);
	assert_true(shows(&A));
	assert_int_equal(published()->trace_flags, 1);
	attach(&B, &inner);
	assert_true(shows(&B));
	spanwise_detach(&inner);
	assert_true(shows(&A));
	spanwise_detach(&outer);
	assert_true(shows_nothing());
}

static void no_span_inside_a_span_publishes_none(void **state)
{
	struct spanwise_token outer, inner;

	(void)state;
	attach(&A, &outer);
	spanwise_attach(NULL, NULL, 0, &inner);
	assert_true(shows_nothing());
	spanwise_detach(&inner);
	assert_true(shows(&A));
	spanwise_publish(B.trace_id, B.span_id, 0);
	assert_true(shows(&B));
	spanwise_detach(&outer);
	assert_true(shows_nothing());
}

static void *other_thread(void *arg)
{
	struct spanwise_token token;
	int *out_good = arg;

	*out_good = shows_nothing();
	attach(&B, &token);
	*out_good &= shows(&B);
	return NULL; /* still attached: the record dies with its thread */
}

static void each_thread_has_its_own(void **state)
{
	struct spanwise_token token;
	pthread_t thread;
	int good = 0;

	(void)state;
	attach(&A, &token);
	assert_int_equal(pthread_create(&thread, NULL, other_thread, &good), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(good);
	assert_true(shows(&A));
	spanwise_detach(&token);
}

static void a_forked_child_works_for_its_parents_span(void **state)
{
	struct spanwise_token token;
	int status;
	pid_t child;

	(void)state;
	attach(&A, &token);
	child = fork();
	if (child == 0)
		_exit(shows(&A) ? 0 : 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	spanwise_detach(&token);
}

static volatile sig_atomic_t signals_seen;

static void on_signal(int number)
{
	struct spanwise_token token;

	(void)number;
	attach(&B, &token);
	signals_seen++;
	spanwise_detach(&token);
}

/* Whatever a handler interrupts, the record is whole or hidden whenever it is looked at. */
static void a_signal_handler_leaves_the_span_as_it_was(void **state)
{
	struct spanwise_token token;

	(void)state;
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 1000; i++) {
		attach(&A, &token);
		if (i % 10 == 0)
			raise(SIGUSR1);
		assert_true(shows(&A));
		spanwise_detach(&token);
		assert_true(shows_nothing());
	}
	signal(SIGUSR1, SIG_DFL);
	assert_int_equal(signals_seen, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nested_spans_come_back_in_order),
		cmocka_unit_test(no_span_inside_a_span_publishes_none),
		cmocka_unit_test(each_thread_has_its_own),
		cmocka_unit_test(a_forked_child_works_for_its_parents_span),
		cmocka_unit_test(a_signal_handler_leaves_the_span_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
