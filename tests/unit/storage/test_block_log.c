/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a part: commits are there whole or not at all, and what is missing is told from what
 * was never acknowledged. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "storage/block.h"
#include "storage/block_log.h"
#include "storage/store_errno.h"
#include "tests/lib/storage_fixture.h"

#define MAP_BYTES ((uint64_t)64 << 20)

struct context {
	char *folder, *path;
	struct block_log log;
};

static int setup(void **state)
{
	struct context *context = calloc(1, sizeof(*context));

	context->folder = fixture_folder();
	assert_true(asprintf(&context->path, "%s/open.log", context->folder) > 0);
	block_log_init(&context->log);
	assert_int_equal(
		block_log_open(&context->log, context->path, BLOCK_LOG_CREATE, MAP_BYTES, NULL), 0);
	*state = context;
	return 0;
}

static int teardown(void **state)
{
	struct context *context = *state;

	block_log_fini(&context->log);
	fixture_remove(context->folder);
	free(context->folder);
	free(context->path);
	free(context);
	return 0;
}

static int reopen(struct context *context, enum block_log_mode mode,
		  const struct block_log_mark *mark)
{
	block_log_fini(&context->log);
	block_log_init(&context->log);
	return block_log_open(&context->log, context->path, mode, MAP_BYTES, mark);
}

/* A block whose heap is `len` times the same byte. */
static int put(struct block_log *log, char byte, size_t len)
{
	struct block_draft draft = { .header = { .kind = BLOCK_ROLLUPS } };
	char *bytes = malloc(len + 1);
	struct str heap = { memset(bytes, byte, len), len }, value;
	int rc;

	buf_append(&draft.index, &draft.header, sizeof(draft.header));
	draft.heap = &heap;
	draft.heap_count = 1;
	block_draft_seal(&draft);
	rc = block_log_put(log, &draft, &value);
	buf_fini(&draft.index);
	free(bytes);
	return rc;
}

static void commit(struct block_log *log, char byte, unsigned blocks)
{
	for (unsigned i = 0; i < blocks; i++)
		assert_int_equal(put(log, byte, 3000 + 3000 * i), 0);
	assert_int_equal(block_log_commit(log), 0);
}

/* The blocks of commits a, b, c ..., `blocks` each. */
static void expect(struct context *context, unsigned commits, unsigned blocks)
{
	struct block block;
	struct str value;

	for (unsigned i = 0; i < commits * blocks; i++) {
		assert_int_equal(block_log_get(&context->log, i + 1, &value), 0);
		assert_int_equal(block_open(value, false, &block), 0);
		assert_int_equal(block.header->seq, i + 1);
		assert_int_equal(block.header->commit, i / blocks + 1);
		assert_int_equal(block_load(&block), 0);
		assert_int_equal(block.heap.len, 3000 + 3000 * (i % blocks));
		for (size_t at = 0; at < block.heap.len; at++)
			assert_int_equal(block.heap.data[at], 'a' + (int)(i / blocks));
		block_close(&block);
	}
	assert_int_equal(block_log_get(&context->log, commits * blocks + 1, &value), -ENOENT);
}

static off_t file_bytes(const struct context *context)
{
	struct stat status;

	assert_int_equal(stat(context->path, &status), 0);
	return status.st_size;
}

static void overwrite(const struct context *context, off_t at, char byte)
{
	int fd = open(context->path, O_RDWR);

	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void what_is_committed_is_there_again(void **state)
{
	struct context *context = *state;

	commit(&context->log, 'a', 3);
	commit(&context->log, 'b', 3);
	expect(context, 2, 3);
	assert_int_equal(reopen(context, BLOCK_LOG_WRITE, NULL), 0);
	expect(context, 2, 3);
	commit(&context->log, 'c', 3);
	expect(context, 3, 3);
	assert_int_equal(reopen(context, BLOCK_LOG_READ, NULL), 0);
	expect(context, 3, 3);
}

static void what_is_pending_only_the_writer_sees(void **state)
{
	struct context *context = *state;
	struct str value;

	commit(&context->log, 'a', 1);
	assert_int_equal(put(&context->log, 'b', 3000), 0);
	assert_int_equal(block_log_get(&context->log, 2, &value), -ENOENT);
	assert_int_equal(block_log_get_pending(&context->log, 2, &value), 0);
	assert_int_equal(value.data[value.len - 1], 'b');
	assert_int_equal(block_log_get_pending(&context->log, 1, &value), 0);
	assert_int_equal(value.data[value.len - 1], 'a');
	assert_int_equal(block_log_get_pending(&context->log, 3, &value), -ENOENT);
	block_log_abort(&context->log);
	assert_int_equal(block_log_get_pending(&context->log, 2, &value), -ENOENT);
	assert_int_equal(block_log_next(&context->log), 2);
	commit(&context->log, 'b', 1);
	expect(context, 2, 1);
}

static void a_commit_larger_than_the_buffer_is_one_commit(void **state)
{
	struct context *context = *state;
	struct str value;
	off_t begin;

	commit(&context->log, 'a', 1);
	begin = file_bytes(context);
	for (int i = 0; i < 40; i++)
		assert_int_equal(put(&context->log, 'b', 100000 * (size_t)(1 + i % 20)), 0);
	assert_true(file_bytes(context) > begin);
	assert_int_equal(block_log_get_pending(&context->log, 2, &value), 0);
	assert_int_equal(value.data[value.len - 1], 'b');
	assert_int_equal(block_log_get(&context->log, 2, &value), -ENOENT);
	assert_int_equal(block_log_abort(&context->log), 0);
	assert_int_equal(file_bytes(context), begin);
	commit(&context->log, 'b', 1);
	expect(context, 2, 1);
}

static void a_commit_cut_short_is_not_there(void **state)
{
	struct context *context = *state;
	off_t first, all;

	commit(&context->log, 'a', 4);
	first = file_bytes(context);
	commit(&context->log, 'b', 4);
	all = file_bytes(context);
	for (off_t at = all - 200; at >= first; at -= 1111) { /* behind it, only zeros */
		assert_int_equal(truncate(context->path, at), 0);
		assert_int_equal(reopen(context, BLOCK_LOG_READ, NULL), 0);
		expect(context, 1, 4);
	}
	assert_int_equal(reopen(context, BLOCK_LOG_WRITE, NULL), 0);
	assert_int_equal(file_bytes(context), first);
	commit(&context->log, 'b', 4);
	expect(context, 2, 4);
}

static void a_torn_last_commit_is_not_there(void **state)
{
	struct context *context = *state;
	off_t first, all;

	commit(&context->log, 'a', 4);
	first = file_bytes(context);
	commit(&context->log, 'b', 4);
	all = file_bytes(context);
	for (off_t at = first; at < all; at += 4096) { /* each block's first bytes, or its heap */
		char byte;
		int fd = open(context->path, O_RDONLY);

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		close(fd);
		overwrite(context, at, (char)~byte);
		assert_int_equal(reopen(context, BLOCK_LOG_READ, NULL), 0);
		expect(context, 1, 4);
		overwrite(context, at, byte);
	}
	assert_int_equal(reopen(context, BLOCK_LOG_READ, NULL), 0);
	expect(context, 2, 4);
}

static void a_torn_commit_before_others_is_damage(void **state)
{
	struct context *context = *state;
	off_t first;

	commit(&context->log, 'a', 2);
	first = file_bytes(context);
	commit(&context->log, 'b', 2);
	commit(&context->log, 'c', 2);
	overwrite(context, first + 5, 'x');
	assert_int_equal(reopen(context, BLOCK_LOG_READ, NULL), -EBADMSG);
}

static void less_than_its_mark_is_damage(void **state)
{
	struct context *context = *state;
	struct block_log_mark mark;

	commit(&context->log, 'a', 2);
	commit(&context->log, 'b', 2);
	mark = block_log_mark(&context->log);
	assert_int_equal(reopen(context, BLOCK_LOG_READ, &mark), 0);
	overwrite(context, file_bytes(context) - 5000, 'x');
	assert_int_equal(reopen(context, BLOCK_LOG_READ, &mark), -EBADMSG);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void without_room_nothing_of_a_commit_stays(void **state)
{
	struct context *context = *state;
	off_t begin;

	signal(SIGXFSZ, SIG_IGN);
	commit(&context->log, 'a', 1);
	begin = file_bytes(context);
	limit_files(3 << 20);
	for (int i = 0; i < 6; i++)
		put(&context->log, 'b', 900000);
	assert_int_equal(block_log_commit(&context->log), -ENOSPC);
	limit_files(RLIM_INFINITY);
	assert_int_equal(file_bytes(context), begin);
	commit(&context->log, 'b', 1);
	assert_int_equal(reopen(context, BLOCK_LOG_WRITE, NULL), 0);
	expect(context, 2, 1);
}

static void a_full_log_says_so(void **state)
{
	struct context *context = *state;
	int rc;

	while ((rc = put(&context->log, 'a', 1000000)) == 0)
		;
	assert_int_equal(rc, STORE_MAP_FULL);
	assert_int_equal(block_log_commit(&context->log), STORE_MAP_FULL);
	commit(&context->log, 'a', 1);
	expect(context, 1, 1);
}

/* Of the log's map, in our memory. */
static size_t mapped_kib(const struct block_log *log)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	char line[512], *map_at;
	size_t kib = 0;
	bool is_ours = false;

	assert_non_null(file);
	assert_true(asprintf(&map_at, "%lx-", (unsigned long)(uintptr_t)log->map) > 0);
	while (fgets(line, sizeof(line), file)) {
		if (strchr(line, '-') && strchr(line, '-') < strchr(line, ' '))
			is_ours = strncmp(line, map_at, strlen(map_at)) == 0;
		else if (is_ours && sscanf(line, "Rss: %zu", &kib) == 1)
			break;
	}
	fclose(file);
	free(map_at);
	return kib;
}

static void what_is_forgotten_takes_no_memory_and_is_still_read(void **state)
{
	struct context *context = *state;

	for (char byte = 'a'; byte < 'd'; byte++)
		commit(&context->log, byte, 2);
	expect(context, 3, 2);
	assert_true(mapped_kib(&context->log) > 0);
	block_log_forget(&context->log);
	assert_int_equal(mapped_kib(&context->log), 0);
	expect(context, 3, 2);
	commit(&context->log, 'd', 2);
	expect(context, 4, 2);
}

/* Of the newest commits up to `number`; whether the last one comes from the buffer. */
static void expect_pending(const struct context *context, unsigned number)
{
	const struct block_log *log = &context->log;

	for (unsigned i = number > 40 ? number - 40 : 1; i <= number; i++) {
		struct block block;
		struct str value;

		assert_int_equal(block_log_get_pending(log, i, &value), 0);
		assert_int_equal(block_open(value, false, &block), 0);
		assert_int_equal(block.header->seq, i);
		assert_int_equal(block_load(&block), 0);
		assert_int_equal(block.heap.len, 60000 + i % 7 * 10000);
		assert_int_equal(block.heap.data[0], 'a' + (int)(i % 26));
		assert_int_equal(block.heap.data[block.heap.len - 1], 'a' + (int)(i % 26));
		block_close(&block);
		if (i == number)
			assert_true(value.data >= log->buffer &&
				    value.data < log->buffer + log->buffer_room);
	}
}

static void put_numbered(struct context *context, unsigned number)
{
	assert_int_equal(put(&context->log, (char)('a' + number % 26), 60000 + number % 7 * 10000),
			 0);
}

/* Through several buffers' worth: of what has been written, too, and after a commit that failed. */
static void the_writer_has_the_newest_without_the_disk(void **state)
{
	struct context *context = *state;
	unsigned number = 0;

	for (unsigned commits = 0; commits < 40; commits++) {
		for (unsigned blocks = 0; blocks < 1 + commits % 3; blocks++) {
			put_numbered(context, ++number);
			expect_pending(context, number);
		}
		assert_int_equal(block_log_commit(&context->log), 0);
		expect_pending(context, number);
		if (commits % 5)
			continue;
		put_numbered(context, number + 2);
		assert_int_equal(block_log_abort(&context->log), 0);
		put_numbered(context, ++number);
		assert_int_equal(block_log_commit(&context->log), 0);
		expect_pending(context, number);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_committed_is_there_again),
		TEST(what_is_pending_only_the_writer_sees),
		TEST(a_commit_larger_than_the_buffer_is_one_commit),
		TEST(the_writer_has_the_newest_without_the_disk),
		TEST(a_commit_cut_short_is_not_there),
		TEST(a_torn_last_commit_is_not_there),
		TEST(a_torn_commit_before_others_is_damage),
		TEST(less_than_its_mark_is_damage),
		TEST(without_room_nothing_of_a_commit_stays),
		TEST(a_full_log_says_so),
		TEST(what_is_forgotten_takes_no_memory_and_is_still_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
