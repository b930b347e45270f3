/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/worker_why.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/event.h"

static const char *why(int status, unsigned cpus, bool loaded)
{
	static char text[400];
	const struct worker_failure failure = { status, cpus, loaded, false,
						"program is too large" };

	worker_why(&failure, text, sizeof(text));
	return text;
}

static void assert_says(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("%s: no \"%s\"", text, part);
}

static void more_cpus_than_have_a_place_are_counted(void **state)
{
	(void)state;
	assert_says(why(-E2BIG, EVENT_MAX_CPUS + 1, false), "513 CPUs");
}

/* The verifier gives up on a program with the same error. */
static void a_program_that_is_too_large_is_no_matter_of_cpus(void **state)
{
	(void)state;
	const char *text = why(-E2BIG, EVENT_MAX_CPUS, false);

	assert_says(text, "too large");
	assert_says(text, "(program is too large)");
	assert_null(strstr(text, "CPU"));
}

static void each_cause_says_what_to_do(void **state)
{
	(void)state;
	assert_says(why(-EPERM, 2, false), "CAP_BPF");
	assert_says(why(-ENOMEM, 2, false), "RLIMIT_MEMLOCK");
	assert_says(why(-EINVAL, 2, false), "cannot load");
	assert_says(why(-EINVAL, 2, true), "cannot attach");
}

/* A verifier that does not know a helper says EINVAL. */
static void a_kernel_that_is_locked_down_is_named_whatever_it_refuses(void **state)
{
	const struct worker_failure failure = { -EINVAL, 2, false, true, "unknown func" };
	char text[400];

	(void)state;
	worker_why(&failure, text, sizeof(text));
	assert_says(text, "lockdown=integrity");
	assert_says(text, "(unknown func)");
}

/* For the caller to remove. */
static void write_file(char *path, const char *text)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static bool is_locked(const char *line)
{
	char path[] = "/tmp/spanwise-lockdown-XXXXXX";

	write_file(path, line);
	bool answer = worker_why_locked(path);

	unlink(path);
	return answer;
}

static void only_confidentiality_keeps_memory_from_bpf(void **state)
{
	(void)state;
	assert_true(is_locked("none integrity [confidentiality]\n"));
	assert_false(is_locked("none [integrity] confidentiality\n"));
	assert_false(is_locked(""));
	assert_false(worker_why_locked("/nowhere/lockdown"));
}

static const char *why_ahead(const char *offsets)
{
	static char text[400];
	char path[] = "/tmp/spanwise-offsets-XXXXXX";

	write_file(path, offsets);
	bool is_ahead = worker_why_ahead(path, text, sizeof(text));

	unlink(path);
	return is_ahead ? text : NULL;
}

static void a_clock_that_is_not_the_machines_is_named(void **state)
{
	char text[8];

	(void)state;
	assert_says(why_ahead("monotonic        1000         0\nboottime            0         0\n"),
		    "1000 s off");
	assert_non_null(
		why_ahead("monotonic           0         5\nboottime            0         0\n"));
	assert_null(
		why_ahead("monotonic           0         0\nboottime            7         0\n"));
	assert_null(why_ahead(""));
	assert_false(worker_why_ahead("/nowhere/offsets", text, sizeof(text)));
}

static void a_sentence_is_cut_to_fit(void **state)
{
	char text[8];
	const struct worker_failure failure = { -E2BIG, 600, false, false, "" };

	(void)state;
	worker_why(&failure, text, sizeof(text));
	assert_int_equal(strlen(text), sizeof(text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_cpus_than_have_a_place_are_counted),
		cmocka_unit_test(a_program_that_is_too_large_is_no_matter_of_cpus),
		cmocka_unit_test(each_cause_says_what_to_do),
		cmocka_unit_test(a_kernel_that_is_locked_down_is_named_whatever_it_refuses),
		cmocka_unit_test(only_confidentiality_keeps_memory_from_bpf),
		cmocka_unit_test(a_clock_that_is_not_the_machines_is_named),
		cmocka_unit_test(a_sentence_is_cut_to_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
