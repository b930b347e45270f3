/* SPDX-License-Identifier: Apache-2.0 */
/* A program whose writer's library is closed for a while, so that a look finds nothing, and opened
 * again: what its threads carried since the close is told to be unknown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <time.h>
#include <unistd.h>

#include "bpf/discovery.h"
#include "collector/base/macros.h"
#include "collector/clock.h"

#define RESCAN_MS  50
#define PATIENCE_S 300

static struct event_process told; /* of this program, last */

static void on_process(const struct event_process *process, const struct tag_descriptor *descriptor,
		       void *arg)
{
	(void)descriptor;
	(void)arg;
	if (process->pid == (uint32_t)getpid())
		told = *process;
}

static void run_until(struct discovery *discovery, enum event_publish publish)
{
	const struct timespec pause = { 0, 5 * NS_PER_MS };
	uint64_t until_ns = clock_mono_ns() + PATIENCE_S * NS_PER_SEC;

	while (told.publish != publish) {
		assert_true(clock_mono_ns() < until_ns);
		discovery_run(discovery, clock_mono_ns(), 50 * NS_PER_MS);
		nanosleep(&pause, NULL);
	}
}

static void *open_writer(const char *name)
{
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	assert_non_null(library);
	return library;
}

static void close_and_open(const char *first, const char *second)
{
	const struct discovery_options options = { .max_processes = 4096,
						   .rescan_ms = RESCAN_MS,
						   .on_process = on_process };
	struct discovery *discovery;
	void *library = open_writer(first);
	uint64_t closed_ns;

	told = (struct event_process){ .publish = PUBLISH_NOTHING };
	assert_int_equal(discovery_new(&options, &discovery), 0);
	run_until(discovery, PUBLISH_TAGS);
	assert_int_equal(told.moved_ms, 0);
	closed_ns = clock_mono_ns();
	assert_int_equal(dlclose(library), 0);
	run_until(discovery, PUBLISH_NOTHING);
	library = open_writer(second);
	run_until(discovery, PUBLISH_TAGS);
	assert_true(told.seen_ns - told.moved_ms * NS_PER_MS <= closed_ns);
	discovery_free(discovery);
	assert_int_equal(dlclose(library), 0);
}

static void what_was_carried_while_it_was_closed_is_unknown(void **state)
{
	(void)state;
	close_and_open(CONTEXT_SUBJECTS "/glibc/libdynamic.so",
		       CONTEXT_SUBJECTS "/glibc/libdynamic_big.so");
}

static void also_if_it_is_where_it_was(void **state)
{
	(void)state;
	close_and_open(CONTEXT_SUBJECTS "/glibc/libdynamic.so",
		       CONTEXT_SUBJECTS "/glibc/libdynamic.so");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_carried_while_it_was_closed_is_unknown),
		cmocka_unit_test(also_if_it_is_where_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
