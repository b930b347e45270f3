/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "bpf/elf_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/discovery/elf_builder.h"

static int new_file(uint64_t variable_offset)
{
	struct elf_builder elf;
	int fd;

	elf_builder_init(&elf);
	elf.symbols[1].st_value = variable_offset;
	fd = elf_builder_file(&elf, sizeof(elf));
	assert_true(fd >= 0);
	return fd;
}

static void file_is_read_once(void **state)
{
	const struct elf_tls *first, *second;
	struct elf_cache *cache;
	int fd = new_file(8);

	(void)state;
	assert_int_equal(elf_cache_new(4, &cache), 0);
	assert_int_equal(elf_cache_get(cache, fd, &first), 0);
	assert_non_null(first);
	assert_int_equal(first->variable_offset, 8);
	assert_int_equal(elf_cache_get(cache, fd, &second), 0);
	assert_ptr_equal(first, second);
	elf_cache_free(cache);
	close(fd);
}

/* It need not be opened for reading again. */
static void file_that_was_read_is_known_by_what_it_is(void **state)
{
	int fd = new_file(8), path_fd, rc = 1;
	const struct elf_tls *first, *second;
	struct elf_cache *cache;
	char path[32];

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	path_fd = open(path, O_PATH | O_CLOEXEC);
	assert_true(path_fd >= 0);
	assert_int_equal(elf_cache_new(4, &cache), 0);
	assert_false(elf_cache_knows(cache, path_fd, &rc, &second));
	assert_int_equal(elf_cache_get(cache, fd, &first), 0);
	assert_true(elf_cache_knows(cache, path_fd, &rc, &second));
	assert_int_equal(rc, 0);
	assert_ptr_equal(first, second);
	assert_int_equal(ftruncate(fd, 10), 0);
	assert_false(elf_cache_knows(cache, path_fd, &rc, &second));
	assert_int_equal(elf_cache_get(cache, fd, &first), -ENOEXEC);
	assert_true(elf_cache_knows(cache, path_fd, &rc, &second));
	assert_int_equal(rc, -ENOEXEC);
	elf_cache_free(cache);
	close(path_fd);
	close(fd);
}

static void changed_file_is_read_again(void **state)
{
	const struct elf_tls *tls;
	struct elf_cache *cache;
	int fd = new_file(8);

	(void)state;
	assert_int_equal(elf_cache_new(4, &cache), 0);
	assert_int_equal(elf_cache_get(cache, fd, &tls), 0);
	assert_non_null(tls);
	assert_int_equal(ftruncate(fd, 10), 0);
	assert_int_equal(elf_cache_get(cache, fd, &tls), -ENOEXEC);
	elf_cache_free(cache);
	close(fd);
}

static void errors_are_remembered_and_damage_is_counted(void **state)
{
	const struct elf_tls *tls;
	struct elf_cache *cache;
	int fd = new_file(0x100); /* outside its block */

	(void)state;
	assert_int_equal(elf_cache_new(4, &cache), 0);
	assert_int_equal(elf_cache_get(cache, fd, &tls), -EBADMSG);
	assert_int_equal(elf_cache_get(cache, fd, &tls), -EBADMSG);
	assert_int_equal(elf_cache_refused(cache), 1);
	elf_cache_free(cache);
	close(fd);
}

static void cache_stays_small_and_keeps_what_is_used(void **state)
{
	const struct elf_tls *tls, *kept;
	struct elf_cache *cache;
	int often = new_file(8), fds[20];
	size_t bytes = 0;

	(void)state;
	assert_int_equal(elf_cache_new(4, &cache), 0);
	assert_int_equal(elf_cache_get(cache, often, &kept), 0);
	for (int i = 0; i < 20; i++) {
		fds[i] = new_file((uint64_t)i % 16);
		assert_int_equal(elf_cache_get(cache, fds[i], &tls), 0);
		assert_int_equal(tls->variable_offset, i % 16);
		assert_int_equal(elf_cache_get(cache, often, &tls), 0);
		assert_ptr_equal(tls, kept);
		if (i == 4)
			bytes = elf_cache_bytes(cache);
	}
	assert_int_equal(elf_cache_bytes(cache), bytes);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
	elf_cache_free(cache);
	close(often);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_is_read_once),
		cmocka_unit_test(file_that_was_read_is_known_by_what_it_is),
		cmocka_unit_test(changed_file_is_read_again),
		cmocka_unit_test(errors_are_remembered_and_damage_is_counted),
		cmocka_unit_test(cache_stays_small_and_keeps_what_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
