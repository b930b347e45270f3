/* SPDX-License-Identifier: Apache-2.0 */
/* The log of changes that the C writer keeps in exact mode, read the way its README says. */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/event.h"
#include "bpf/tag.h"
#include "deploy/instrument/c/spanwise_context.h"

#define THREADS 200

static const uint8_t trace_id[16] = { 0xa0, [15] = 0xaf };

static const struct tag_changes *log_of_this_thread(void)
{
	char **variable = dlsym(RTLD_DEFAULT, "otel_thread_ctx_v1");

	assert_non_null(variable);
	return *variable ? (const void *)(*variable + TAG_CHANGES_OFFSET) : NULL;
}

static const struct event_change *change(uint64_t number)
{
	const struct tag_changes *log = log_of_this_thread();

	return (const struct event_change *)(uintptr_t)log->ring + number % log->capacity;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void attach(uint8_t span, struct spanwise_token *out_previous)
{
	const uint8_t span_id[8] = { span };

	spanwise_attach(trace_id, span_id, 1, out_previous);
}

/* The change says that this span came; 0: none. */
static int tells(uint64_t number, uint8_t span)
{
	static const uint8_t no_trace[16];
	const struct event_tag *tag = &change(number)->tag;
	const uint8_t span_id[8] = { span };

	return memcmp(tag->trace_id, span ? trace_id : no_trace, 16) == 0 &&
	       memcmp(tag->span_id, span_id, 8) == 0;
}

static void each_change_is_logged_with_its_time(void **state)
{
	struct spanwise_token outer, inner;
	uint64_t before = now_ns(), first;

	(void)state;
	attach(1, &outer);
	assert_int_equal(log_of_this_thread()->signature, TAG_CHANGES_SIGNATURE);
	first = log_of_this_thread()->written - 1;
	attach(2, &inner);
	spanwise_detach(&inner);
	spanwise_publish(NULL, NULL, 0);
	assert_int_equal(log_of_this_thread()->written, first + 4);
	assert_true(tells(first, 1) && tells(first + 1, 2));
	assert_true(tells(first + 2, 1) && tells(first + 3, 0));
	for (uint64_t i = first; i < first + 4; i++) {
		assert_true(change(i)->time_ns >= before && change(i)->time_ns <= now_ns());
		before = change(i)->time_ns;
	}
}

static void what_changes_nothing_is_not_logged(void **state)
{
	struct spanwise_token outer, inner;
	uint64_t written;

	(void)state;
	attach(1, &outer);
	written = log_of_this_thread()->written;
	attach(1, &inner);
	spanwise_detach(&inner);
	assert_int_equal(log_of_this_thread()->written, written);
	spanwise_detach(&outer);
	assert_int_equal(log_of_this_thread()->written, written + 1);
	spanwise_attach(NULL, NULL, 0, &outer);
	spanwise_detach(&outer);
	assert_int_equal(log_of_this_thread()->written, written + 1);
}

/* In pairs: what the thread shows stands behind each. */
static void marks_stand_in_the_log(void **state)
{
	const uint8_t span_id[8] = { 7 };
	struct spanwise_token outer;
	uint64_t first;

	(void)state;
	attach(1, &outer);
	first = log_of_this_thread()->written;
	spanwise_mark(trace_id, span_id);
	assert_int_equal(log_of_this_thread()->written, first + 2);
	assert_true(tells(first, 7) && tells(first + 1, 1));
	assert_int_equal(change(first)->time_ns, change(first + 1)->time_ns | EVENT_MARK);
	assert_true(change(first + 1)->time_ns <= now_ns());
	spanwise_detach(&outer);
	assert_true(tells(first + 2, 0));
}

/* ... but of a thread that marks spans: once after each of its changes and marks. */
static void turns_of_a_thread_that_marks_are_logged(void **state)
{
	const uint8_t span_id[8] = { 7 };
	uint64_t written;

	(void)state;
	spanwise_mark(trace_id, span_id);
	written = log_of_this_thread()->written;
	spanwise_publish(NULL, NULL, 0);
	spanwise_publish(NULL, NULL, 0);
	assert_int_equal(log_of_this_thread()->written, written + 1);
	assert_true(tells(written, 0));
}

static void *show_nothing(void *unused)
{
	struct spanwise_token token;

	spanwise_attach(NULL, NULL, 0, &token);
	spanwise_publish(NULL, NULL, 0);
	spanwise_detach(&token);
	assert_null(log_of_this_thread());
	attach(2, &token);
	assert_int_equal(token.valid, 0);
	assert_int_equal(log_of_this_thread()->written, 1);
	spanwise_detach(&token);
	return unused;
}

/* ... nor is its log opened: readers know that it has shown nothing yet. */
static void a_thread_without_a_span_stays_unseen(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, show_nothing, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void the_ring_goes_round(void **state)
{
	uint32_t capacity = log_of_this_thread()->capacity;
	uint64_t first = log_of_this_thread()->written;
	struct spanwise_token token;

	(void)state;
	assert_true(capacity && !(capacity & (capacity - 1)));
	for (uint32_t i = 0; i < capacity + 10; i++) {
		attach(3, &token);
		spanwise_detach(&token);
	}
	assert_int_equal(log_of_this_thread()->written, first + 2 * (capacity + 10));
	assert_true(tells(first + 2 * (capacity + 10) - 2, 3));
}

static void *attach_once(void *rings)
{
	struct spanwise_token token;

	attach(4, &token);
	spanwise_detach(&token);
	assert_int_equal(log_of_this_thread()->written, 2);
	*(uint64_t *)rings = log_of_this_thread()->ring;
	return NULL;
}

/* One after the other; the ring of a thread that is gone is taken over. */
static void threads_take_over_the_rings_of_the_dead(void **state)
{
	uint64_t rings[THREADS], different = 0;
	pthread_t thread;

	(void)state;
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&thread, NULL, attach_once, &rings[i]), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_true(rings[i] != log_of_this_thread()->ring);
	}
	for (int i = 0; i < THREADS; i++) {
		int is_new = 1;

		for (int k = 0; k < i; k++)
			is_new &= rings[k] != rings[i];
		different += (uint64_t)is_new;
	}
	assert_true(different < THREADS / 4);
}

static int in_the_child(void)
{
	uint64_t written = log_of_this_thread()->written, ring = 0;
	struct spanwise_token token;
	pthread_t thread;

	attach(6, &token);
	if (!tells(written, 6) || log_of_this_thread()->written != written + 1)
		return 1;
	if (pthread_create(&thread, NULL, attach_once, &ring) || pthread_join(thread, NULL))
		return 2;
	return ring == log_of_this_thread()->ring ? 3 : 0;
}

static void a_forked_child_goes_on_with_a_log_of_its_own(void **state)
{
	struct spanwise_token token;
	uint64_t written;
	int status;
	pid_t child;

	(void)state;
	attach(5, &token);
	written = log_of_this_thread()->written;
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(in_the_child());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(log_of_this_thread()->written, written);
	spanwise_detach(&token);
}

static volatile sig_atomic_t handled;

static void on_signal(int number)
{
	struct spanwise_token token;

	(void)number;
	attach(7, &token);
	spanwise_detach(&token);
	handled++;
}

/* Attaches that a signal interrupts, with a handler that attaches: the log ends as the record says,
 * and its times never go back. */
static void signals_in_the_middle_do_not_harm_it(void **state)
{
	const struct itimerspec often = { { 0, 50000 }, { 0, 50000 } },
				never = { { 0, 0 }, { 0, 0 } };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct spanwise_token token;
	uint64_t last;
	timer_t timer;

	(void)state;
	signal(SIGUSR1, on_signal);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &often, NULL), 0);
	for (int i = 0; i < 20000000 && handled < 500; i++) {
		attach(8, &token);
		last = log_of_this_thread()->written;
		spanwise_detach(&token);
		assert_true(log_of_this_thread()->written > last);
	}
	timer_settime(timer, 0, &never, NULL);
	timer_delete(timer);
	assert_true(handled > 0);
	attach(9, &token);
	last = log_of_this_thread()->written - 1;
	assert_true(tells(last, 9));
	for (uint64_t i = last - log_of_this_thread()->capacity + 2; i <= last; i++)
		assert_true(change(i)->time_ns >= change(i - 1)->time_ns);
	spanwise_detach(&token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_change_is_logged_with_its_time),
		cmocka_unit_test(what_changes_nothing_is_not_logged),
		cmocka_unit_test(a_thread_without_a_span_stays_unseen),
		cmocka_unit_test(the_ring_goes_round),
		cmocka_unit_test(marks_stand_in_the_log),
		cmocka_unit_test(turns_of_a_thread_that_marks_are_logged),
		cmocka_unit_test(threads_take_over_the_rings_of_the_dead),
		cmocka_unit_test(a_forked_child_goes_on_with_a_log_of_its_own),
		cmocka_unit_test(signals_in_the_middle_do_not_harm_it),
	};

	setenv("SPANWISE_EXACT_MODE", "1", 1);
	if (spanwise_process_init("test", NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
