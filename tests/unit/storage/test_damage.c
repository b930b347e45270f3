/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that are not ours, not now, or not whole: refused with a sentence, never believed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "storage/folder.h"
#include "tests/lib/storage_fixture.h"

#define HOUR_NS (3600 * NS_PER_SEC)
#define TRACES  100
#define FLIPS   100

static char *path_in(const char *folder, const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	return path;
}

/* Tries to open; checks that the message names the folder and says `word`. */
static void expect_refusal(const char *path, bool read_only, int wanted, const char *word)
{
	struct store_options options = fixture_options(path);
	struct buf message = { 0 };
	struct store *store = NULL;

	options.read_only = read_only;
	assert_int_equal(store_open(&options, FIXTURE_T0, &store, &message), wanted);
	buf_append_byte(&message, 0);
	assert_non_null(strstr(message.data, word));
	assert_non_null(strstr(message.data, path));
	buf_fini(&message);
}

static void write_file(const char *path, const void *data, size_t len)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	fclose(file);
}

static char *read_whole(const char *path, size_t *out_len)
{
	FILE *file = fopen(path, "r");
	struct stat stat;
	char *data;

	assert_non_null(file);
	fstat(fileno(file), &stat);
	data = malloc((size_t)stat.st_size);
	*out_len = fread(data, 1, (size_t)stat.st_size, file);
	fclose(file);
	return data;
}

static void somebody_elses_folder_is_left_alone(void **state)
{
	char *path = fixture_folder(), *file = path_in(path, "thesis.tex");

	(void)state;
	write_file(file, "x", 1);
	expect_refusal(path, false, -EEXIST, "not empty");
	unlink(file);
	expect_refusal(path, true, -EEXIST, "not a data folder");
	write_file(file, "x", 1);
	expect_refusal(file, false, -ENOTDIR, "not a folder");
	free(file);
	file = path_in(path, "a/b/c");
	expect_refusal(file, false, -ENOENT, "parent");
	fixture_remove(path);
	free(file);
	free(path);
}

static void a_second_daemon_is_refused(void **state)
{
	char *path = fixture_folder();
	struct store_options options = fixture_options(path);
	struct store *store = fixture_open(&options);

	(void)state;
	expect_refusal(path, false, -EBUSY, "another spanwise");
	expect_refusal(path, true, -EBUSY, "another spanwise");
	store_close(store);
	options.read_only = true;
	store = fixture_open(&options);
	expect_refusal(path, false, -EBUSY, "another spanwise");
	store_close(store);
	fixture_remove(path);
	free(path);
}

static void an_unwritable_folder_is_named(void **state)
{
	char *path = fixture_folder();
	int status;
	pid_t pid;

	(void)state;
	chmod(path, 0555);
	pid = fork();
	if (pid == 0) {
		if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(77);
		expect_refusal(path, false, -EACCES, "not writable");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	fixture_remove(path);
	free(path);
	assert_int_equal(status, 0);
}

/* A data folder with one packed part and one open one. */
static char *make_folder(void)
{
	char *path = fixture_folder();
	struct store_options options = fixture_options(path);
	struct store *store;

	options.index_bytes = 4096;
	store = fixture_open(&options);
	for (uint64_t part = 0; part < 2; part++) {
		for (uint64_t i = 0; i < TRACES; i += 20) {
			struct fixture_span spans[20];
			struct ledger ledgers[20];

			for (size_t j = 0; j < 20; j++) {
				spans[j] = (struct fixture_span){ .trace = i + j,
								  .span = 1 + part,
								  .service = "shop",
								  .name = "GET /",
								  .start_ns = FIXTURE_T0,
								  .wall_ns = 1000 };
				ledgers[j] = fixture_ledger(&spans[j], 1, 4);
			}
			assert_int_equal(
				fixture_commit_spans(store, spans, 20, FIXTURE_T0 + part * HOUR_NS),
				0);
			assert_int_equal(fixture_commit_ledgers(store, ledgers, 20,
								FIXTURE_T0 + part * HOUR_NS),
					 0);
		}
	}
	fixture_pack(store, FIXTURE_T0 + HOUR_NS);
	store_close(store);
	return path;
}

static int count_one(const struct store_span *span, void *arg)
{
	size_t *count = arg;

	/* What is shown is what was written: nothing else passes the checksums. */
	assert_true(str_eq(span->service, STR("shop")));
	assert_true(str_eq(span->span.name, STR("GET /")));
	++*count;
	return 0;
}

/* Reads all there is. The damage is told, or it lies where it does not matter: nothing may be
 * missing without a word. */
static void read_all(const char *path, int *told)
{
	struct store_query query = { .service = STR("shop"),
				     .max_ratio = -1,
				     .reason = -1,
				     .grade = -1,
				     .status = -1,
				     .kind = -1,
				     .sort = STORE_SORT_RATIO,
				     .limit = 10000 };
	struct store_options options = fixture_options(path);
	struct buf message = { 0 };
	struct store *store = NULL;
	size_t by_trace = 0, by_search = 0;
	int rc;

	options.read_only = true;
	rc = store_open(&options, FIXTURE_T0, &store, &message);
	buf_fini(&message);
	if (rc < 0) {
		assert_true(rc == -EBADMSG || rc == -EPROTO);
		++*told;
		return;
	}
	for (uint64_t i = 0; i < TRACES && rc == 0; i++) {
		uint8_t id[TRACE_ID_BYTES];

		fixture_trace_id(i, id);
		rc = store_each_of_trace(store, id, count_one, &by_trace);
	}
	if (rc == 0)
		rc = store_search(store, &query, count_one, &by_search, NULL);
	store_close(store);
	if (rc == 0) {
		assert_int_equal(by_trace, 2 * TRACES);
		assert_int_equal(by_search, 2 * TRACES);
		return;
	}
	assert_true(rc == -EBADMSG || rc == -EPROTO);
	++*told;
}

enum { OPEN_LOG, OPEN_MDB, CLOSED_MDB, FILES };

/* Those of the open part and of the packed one. */
static void find_files(const char *path, char *files[FILES])
{
	static const char *const names[FILES] = { "open.log", "open.mdb", "closed.mdb" };
	char *parts = path_in(path, "parts");
	DIR *dir = opendir(parts);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char *part = path_in(parts, entry->d_name);

		for (size_t i = 0; i < FILES; i++) {
			char *file = path_in(part, names[i]);

			if (*entry->d_name != '.' && access(file, F_OK) == 0)
				files[i] = strdup(file);
			free(file);
		}
		free(part);
	}
	closedir(dir);
	free(parts);
	for (size_t i = 0; i < FILES; i++)
		assert_non_null(files[i]);
}

static void damage_all(void (*damage)(const char *path, const char *file, int *told))
{
	char *path = make_folder(), *files[FILES] = { 0 };
	int told = 0;

	read_all(path, &told);
	assert_int_equal(told, 0);
	find_files(path, files);
	for (size_t i = 0; i < FILES; i++) {
		told = 0;
		damage(path, files[i], &told);
		assert_true(told > 0);
		free(files[i]);
	}
	fixture_remove(path);
	free(path);
}

static void flip(const char *path, const char *file, int *told)
{
	uint64_t random = 42;
	size_t len;
	char *whole = read_whole(file, &len);
	int fd = open(file, O_WRONLY);

	for (int i = 0; i < FLIPS; i++) {
		/* Half of them in the first pages, where the trees begin. */
		size_t at = fixture_random(&random) % (i % 2 ? len : MIN(len, (size_t)65536));
		char byte = (char)(whole[at] ^ 1 << fixture_random(&random) % 8);

		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
		read_all(path, told);
		assert_int_equal(pwrite(fd, &whole[at], 1, (off_t)at), 1);
	}
	close(fd);
	free(whole);
}

static void no_flipped_bit_is_believed(void **state)
{
	(void)state;
	damage_all(flip);
}

/* Its checksum is not looked at each time, but each time that its pages may come from the disk
 * anew. */
static void a_block_is_checked_again_when_its_pages_were_given_back(void **state)
{
	char *path = make_folder(), *files[FILES] = { 0 }, *whole, *found;
	struct store_options options = fixture_options(path);
	struct store *store = fixture_open(&options);
	uint8_t id[TRACE_ID_BYTES];
	size_t seen = 0, len;
	int fd;

	(void)state;
	fixture_trace_id(7, id);
	find_files(path, files);
	assert_int_equal(store_each_of_trace(store, id, count_one, &seen), 0);
	assert_int_equal(seen, 2);
	whole = read_whole(files[CLOSED_MDB], &len);
	found = memmem(whole, len, id, sizeof(id));
	assert_non_null(found);
	fd = open(files[CLOSED_MDB], O_WRONLY);
	assert_int_equal(pwrite(fd, "?", 1, found - whole), 1);
	close(fd);
	assert_int_equal(store_forget_pages(store), 0);
	assert_int_equal(store_each_of_trace(store, id, count_one, &seen), -EBADMSG);
	store_close(store);
	fixture_remove(path);
	for (size_t i = 0; i < FILES; i++)
		free(files[i]);
	free(whole);
	free(path);
}

static void cut(const char *path, const char *file, int *told)
{
	size_t len;
	char *whole = read_whole(file, &len);

	for (size_t i = 0; i < 40; i++) {
		size_t less = i < 20 ? len - len * i / 20 : (i - 19) * 4096;
		int before = *told;

		write_file(file, whole, len - MIN(len, less));
		read_all(path, told);
		if (i < 20 && !strstr(file, "open.mdb")) /* its last pages may be free ones */
			assert_int_equal(*told, before + 1);
	}
	write_file(file, whole, len);
	free(whole);
}

static void no_file_cut_short_is_believed(void **state)
{
	(void)state;
	damage_all(cut);
}

static void a_part_that_is_moved_away_lets_the_rest_open(void **state)
{
	char *path = make_folder(), *files[FILES] = { 0 };
	struct store_options options = fixture_options(path);
	struct store_stats stats;
	struct store *store;

	(void)state;
	find_files(path, files);
	write_file(files[OPEN_MDB], "torn", 4);
	expect_refusal(path, false, -EBADMSG, "move the folder away");
	strrchr(files[OPEN_MDB], '/')[0] = '\0';
	fixture_remove(files[OPEN_MDB]);
	store = fixture_open(&options);
	store_stats(store, &stats);
	assert_int_equal(stats.spans, TRACES);
	store_close(store);
	fixture_remove(path);
	for (size_t i = 0; i < FILES; i++)
		free(files[i]);
	free(path);
}

/* The version is the first number after the magic text. */
static void set_version(char *whole, size_t len, char version)
{
	for (size_t i = 0; i + 20 < len; i++) {
		if (memcmp(whole + i, "spanwise data", 14) == 0)
			whole[i + 16] = version;
	}
}

static void a_damaged_state_is_refused(void **state)
{
	char *path = make_folder(), *file = path_in(path, "state/state.mdb");
	size_t len;
	char *whole = read_whole(file, &len);

	(void)state;
	write_file(file, whole, 100);
	expect_refusal(path, false, -EBADMSG, "damaged");
	set_version(whole, len, FOLDER_VERSION + 1);
	write_file(file, whole, len);
	expect_refusal(path, false, -EPROTO, "newer version");
	set_version(whole, len, FOLDER_VERSION - 1);
	write_file(file, whole, len);
	expect_refusal(path, false, -EPROTOTYPE, "older version");
	free(whole);
	free(file);
	fixture_remove(path);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(somebody_elses_folder_is_left_alone),
		cmocka_unit_test(a_second_daemon_is_refused),
		cmocka_unit_test(an_unwritable_folder_is_named),
		cmocka_unit_test(no_flipped_bit_is_believed),
		cmocka_unit_test(a_block_is_checked_again_when_its_pages_were_given_back),
		cmocka_unit_test(no_file_cut_short_is_believed),
		cmocka_unit_test(a_part_that_is_moved_away_lets_the_rest_open),
		cmocka_unit_test(a_damaged_state_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
