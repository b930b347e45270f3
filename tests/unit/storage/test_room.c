/* SPDX-License-Identifier: Apache-2.0 */
/* Parts go by age and by bytes, and nothing is lost or torn where there is no room. */
#include "tests/unit/storage/store_context.h"

#include <inttypes.h>

static void parts_go_by_age(void **state)
{
	struct context *context = *state;
	static struct seen seen;
	struct store_stats stats;

	context->options.max_age_ns = 3 * HOUR_NS;
	reopen(context);
	for (uint64_t i = 0; i < 6; i++) {
		struct fixture_span span = span_of(i, 1);

		assert_int_equal(
			fixture_commit_spans(context->store, &span, 1, FIXTURE_T0 + i * HOUR_NS),
			0);
	}
	fixture_pack(context->store, FIXTURE_T0 + 6 * HOUR_NS);
	store_stats(context->store, &stats);
	assert_int_equal(stats.parts, 3);
	assert_int_equal(stats.parts_dropped, 3);
	assert_int_equal(stats.spans_dropped, 3);
	reopen(context);
	for (uint64_t i = 0; i < 6; i++)
		assert_int_equal(look(context->store, i, &seen), i < 3 ? -ENOENT : 0);
	buf_fini(&seen.bytes);
}

static void parts_go_by_bytes(void **state)
{
	struct context *context = *state;
	struct store_stats stats;

	context->options.max_bytes = 2 << 20;
	reopen(context);
	for (int i = 0; i < 20; i++) {
		commit_many(context, 500, FIXTURE_T0);
		fixture_pack(context->store, FIXTURE_T0);
		store_stats(context->store, &stats);
		assert_true(stats.bytes <= context->options.max_bytes);
	}
	assert_true(stats.parts_dropped > 0);
	assert_int_equal(stats.spans + stats.spans_dropped, 10000);
}

static void a_full_map_begins_a_new_part(void **state)
{
	struct context *context = *state;
	struct store_stats stats;

	context->options.map_bytes = 1 << 20;
	reopen(context);
	commit_many(context, 5000, FIXTURE_T0);
	store_stats(context->store, &stats);
	assert_true(stats.parts > 1);
	expect_many(context, 5000);
	reopen(context);
	expect_many(context, 5000);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void without_room_nothing_is_half_written(void **state)
{
	struct context *context = *state;
	static struct seen seen;
	uint64_t number = 0;
	int rc = 0;

	signal(SIGXFSZ, SIG_IGN);
	limit_files(1 << 20);
	while (rc == 0) {
		struct fixture_span spans[50];

		for (size_t i = 0; i < 50; i++)
			spans[i] = span_of(number, i + 1);
		rc = fixture_commit_spans(context->store, spans, 50, FIXTURE_T0);
		number += rc == 0;
		assert_true(number < 10000);
	}
	assert_true(rc == -ENOSPC || rc == -EIO);
	limit_files(RLIM_INFINITY);
	assert_int_equal(look(context->store, number, &seen), -ENOENT);
	for (uint64_t i = 0; i < number; i++) {
		assert_int_equal(look(context->store, i, &seen), 0);
		assert_int_equal(seen.count, 50);
	}
	commit_many(context, 100, FIXTURE_T0 + 1);
	reopen(context);
	assert_int_equal(look(context->store, number - 1, &seen), 0);
	buf_fini(&seen.bytes);
}

/* A disk that fills up, and has room again: in a child, whose mounts end with it. 77: not allowed.
 */
static int fill_a_small_disk(const char *path)
{
	struct store_options options = fixture_options(path);
	static struct seen seen;
	struct fixture_span last;
	struct store *store;
	char *ballast;
	uint64_t number = 0;
	FILE *file;
	int rc = 0;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", path, "tmpfs", 0, "size=4m") < 0)
		return 77;
	store = fixture_open(&options);
	assert_true(asprintf(&ballast, "%s/parts/ballast", path) > 0);
	file = fopen(ballast, "w");
	for (int i = 0; i < 1 << 20; i++)
		fputc(i, file);
	fclose(file);
	while (rc == 0 && number < 10000) {
		struct fixture_span spans[50];

		for (size_t i = 0; i < 50; i++)
			spans[i] = span_of(number, i + 1);
		rc = fixture_commit_spans(store, spans, 50, FIXTURE_T0);
		number += rc == 0;
	}
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(look(store, number, &seen), -ENOENT);
	unlink(ballast);
	free(ballast);
	last = span_of(number, 1);
	assert_int_equal(fixture_commit_spans(store, &last, 1, FIXTURE_T0), 0);
	store_close(store);
	store = fixture_open(&options);
	for (uint64_t i = 0; i <= number; i++) {
		assert_int_equal(look(store, i, &seen), 0);
		assert_int_equal(seen.count, i < number ? 50 : 1);
	}
	store_close(store);
	buf_fini(&seen.bytes);
	return 0;
}

static void a_disk_that_has_room_again_is_used_again(void **state)
{
	char *path = fixture_folder();
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(fill_a_small_disk(path));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	fixture_remove(path);
	free(path);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("not allowed to mount\n");
		skip();
	}
	assert_int_equal(status, 0);
}

static uint64_t resident_file_bytes(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	uint64_t kib = 0;
	char line[128];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "RssFile: %" SCNu64, &kib);
	fclose(file);
	return kib << 10;
}

/* Some are of the programs and libraries, and the databases' lists are read again. */
static void forget_what_was_read(struct context *context)
{
	struct store_stats stats;
	uint64_t before;

	expect_many(context, 3000);
	store_stats(context->store, &stats);
	before = resident_file_bytes();
	assert_int_equal(store_forget_pages(context->store), 0);
	assert_true(resident_file_bytes() < before - stats.bytes / 2);
	expect_many(context, 3000);
}

static void pages_that_were_read_can_be_given_back(void **state)
{
	struct context *context = *state;

	commit_many(context, 3000, FIXTURE_T0);
	forget_what_was_read(context);
	fixture_pack(context->store, FIXTURE_T0 + 2 * HOUR_NS);
	forget_what_was_read(context);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(parts_go_by_age),
		TEST(parts_go_by_bytes),
		TEST(a_full_map_begins_a_new_part),
		TEST(without_room_nothing_is_half_written),
		TEST(pages_that_were_read_can_be_given_back),
		TEST(a_disk_that_has_room_again_is_used_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
