/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bpf/elf_symbols.h"
#include "bpf/elf_tls.h"
#include "tests/unit/discovery/elf_builder.h"

static int read_fd(int fd, struct elf_tls *out_tls)
{
	struct elf_file file;
	int rc = elf_file_open(&file, fd);

	if (rc == 0)
		rc = elf_tls_read(&file, out_tls);
	return rc;
}

static int read_bytes(const void *bytes, size_t count, struct elf_tls *out_tls)
{
	int fd = elf_builder_file(bytes, count), rc;

	assert_true(fd >= 0);
	rc = read_fd(fd, out_tls);
	close(fd);
	return rc;
}

static int read_elf(const struct elf_builder *elf, struct elf_tls *out_tls)
{
	return read_bytes(elf, sizeof(*elf), out_tls);
}

static void check_slots(const struct elf_tls *tls)
{
	assert_true(tls->has_variable);
	assert_int_equal(tls->form, TAG_FORM_RECORD);
	assert_int_equal(tls->variable_offset, 0x10);
	assert_int_equal(tls->slot_count, 3);
	assert_int_equal(tls->slots[0].kind, ELF_SLOT_DESCRIPTOR);
	assert_int_equal(tls->slots[0].vaddr, BUILDER_AT(slots) + 16);
	assert_int_equal(tls->slots[0].block_offset, 0x10);
	assert_int_equal(tls->slots[1].rank, 2);
}

static void variable_and_its_slots_are_found_best_first(void **state)
{
	struct elf_builder elf;
	struct elf_tls tls;

	(void)state;
	elf_builder_init(&elf);
	assert_int_equal(read_elf(&elf, &tls), 0);
	check_slots(&tls);
	assert_false(tls.is_program);
	assert_int_equal(tls.slots[1].kind, ELF_SLOT_OFFSET);
	assert_int_equal(tls.slots[1].block_offset, 0x18);
	assert_int_equal(tls.slots[2].kind, ELF_SLOT_MODULE);
}

static void old_hash_table_serves_as_well(void **state)
{
	struct elf_builder elf;
	struct elf_tls tls;

	(void)state;
	elf_builder_init(&elf);
	elf.dynamic[3].d_tag = DT_NEEDED;
	assert_int_equal(read_elf(&elf, &tls), 0);
	check_slots(&tls);
}

static void relocation_by_offset_outranks_another_variable(void **state)
{
	struct elf_builder elf;
	struct elf_tls tls;

	(void)state;
	elf_builder_init(&elf);
	elf.relocations[2].r_info = R_X86_64_TLSDESC;
	elf.relocations[2].r_addend = 0x10;
	assert_int_equal(read_elf(&elf, &tls), 0);
	check_slots(&tls);
	assert_int_equal(tls.slots[0].rank, 1);
}

static void relocations_of_the_plt_are_read(void **state)
{
	struct elf_builder elf;
	struct elf_tls tls;

	(void)state;
	elf_builder_init(&elf);
	elf.dynamic[5].d_tag = DT_JMPREL;
	elf.dynamic[6].d_tag = DT_PLTRELSZ;
	assert_int_equal(read_elf(&elf, &tls), 0);
	check_slots(&tls);
	elf.dynamic[7].d_un.d_val = DT_REL; /* entries of another size */
	assert_int_equal(read_elf(&elf, &tls), 0);
	assert_int_equal(tls.slot_count, 0);
}

static void library_without_the_variable_says_nothing(void **state)
{
	struct elf_builder elf;
	struct elf_tls tls;

	(void)state;
	elf_builder_init(&elf);
	elf.symbols[1].st_shndx = SHN_UNDEF; /* it only uses another one's */
	assert_int_equal(read_elf(&elf, &tls), 0);
	assert_false(tls.has_variable);
	assert_int_equal(tls.slot_count, 0);
}

static void symbol_that_is_not_thread_local_does_not_count(void **state)
{
	struct elf_builder elf;
	struct elf_tls tls;

	(void)state;
	elf_builder_init(&elf);
	elf.symbols[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
	assert_int_equal(read_elf(&elf, &tls), 0);
	assert_false(tls.has_variable);
}

static void position_independent_program_is_one(void **state)
{
	struct elf_builder elf;
	struct elf_tls tls;

	(void)state;
	elf_builder_init(&elf);
	elf.dynamic[8] = (Elf64_Dyn){ DT_FLAGS_1, { DF_1_PIE } };
	assert_int_equal(read_elf(&elf, &tls), 0);
	assert_true(tls.is_program);
	assert_int_equal(tls.tls.vaddr, 0x3dc8);
	elf.dynamic[8] = (Elf64_Dyn){ DT_DEBUG, { 0 } }; /* linkers before 2015 */
	assert_int_equal(read_elf(&elf, &tls), 0);
	assert_true(tls.is_program);
}

static void other_machines_and_sizes_are_told(void **state)
{
	struct elf_builder elf;
	struct elf_tls tls;

	(void)state;
	elf_builder_init(&elf);
	elf.header.e_ident[EI_CLASS] = ELFCLASS32;
	assert_int_equal(read_elf(&elf, &tls), -ENOTSUP);
	elf.header.e_ident[EI_CLASS] = ELFCLASS64;
	elf.header.e_machine = EM_AARCH64;
	assert_int_equal(read_elf(&elf, &tls), -ENOEXEC);
	elf.header.e_ident[0] = '#';
	assert_int_equal(read_elf(&elf, &tls), -ENOEXEC);
}

static void chain_in_a_circle_ends(void **state)
{
	struct elf_builder elf;
	struct elf_tls tls;

	(void)state;
	elf_builder_init(&elf);
	elf.dynamic[3].d_tag = DT_NEEDED;
	elf.hash.bucket = 2;
	elf.hash.chain[2] = 3;
	elf.hash.chain[3] = 2;
	assert_int_equal(read_elf(&elf, &tls), -E2BIG);
	elf.hash.head[1] = UINT32_MAX;
	assert_int_equal(read_elf(&elf, &tls), -E2BIG);
}

static void chain_without_end_ends(void **state)
{
	struct elf_builder elf;
	struct elf_tls tls;
	char *file = calloc(1, (size_t)1 << 20);

	(void)state;
	elf_builder_init(&elf);
	elf.programs[0].p_filesz = elf.programs[0].p_memsz = (uint64_t)1 << 20;
	elf.dynamic[3].d_un.d_val = 4096; /* a table far away, all of whose hashes go on */
	memcpy(file, &elf, sizeof(elf));
	memcpy(file + 4096, &elf.gnu_hash, sizeof(elf.gnu_hash));
	memset(file + 4096 + 28, 0x42, ((size_t)1 << 20) - 4096 - 28);
	for (size_t at = 4096 + 28; at < (size_t)1 << 20; at += 4)
		file[at] = 0x42;
	assert_int_equal(read_bytes(file, (size_t)1 << 20, &tls), -E2BIG);
	free(file);
}

static void huge_counts_are_refused_without_reading_them(void **state)
{
	struct elf_builder elf;
	struct elf_tls tls;

	(void)state;
	elf_builder_init(&elf);
	elf.dynamic[6].d_un.d_val = UINT64_MAX;
	assert_int_equal(read_elf(&elf, &tls), -E2BIG);
	elf_builder_init(&elf);
	elf.header.e_phnum = UINT16_MAX;
	assert_int_equal(read_elf(&elf, &tls), -E2BIG);
	elf_builder_init(&elf);
	elf.gnu_hash.head[0] = elf.gnu_hash.head[2] = UINT32_MAX;
	assert_int_equal(read_elf(&elf, &tls), -EBADMSG);
	elf_builder_init(&elf);
	elf.programs[1].p_memsz = INT64_MAX / 2;
	elf.programs[1].p_filesz = 0;
	for (int i = 0; i < BUILDER_DYNAMIC; i++)
		elf.dynamic[i].d_tag = DT_NEEDED;
	assert_int_equal(read_elf(&elf, &tls), -EBADMSG);
}

/* As large as a disk, all zeros: the sum of what is read has a limit. */
static void sparse_file_is_not_read_whole(void **state)
{
	struct elf_builder elf;
	struct elf_file file;
	struct elf_tls tls;
	int fd;

	(void)state;
	elf_builder_init(&elf);
	elf.programs[0].p_filesz = elf.programs[0].p_memsz = (uint64_t)1 << 40;
	elf.dynamic[5].d_un.d_val = (uint64_t)1 << 30;
	elf.dynamic[6].d_un.d_val = 1990000 * sizeof(Elf64_Rela);
	fd = elf_builder_file(&elf, sizeof(elf));
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
	assert_int_equal(elf_file_open(&file, fd), 0);
	file.budget_bytes = 1 << 20;
	assert_int_equal(elf_tls_read(&file, &tls), -E2BIG);
	close(fd);
}

static void places_beyond_the_end_are_refused(void **state)
{
	static const size_t fields[] = {
		BUILDER_AT(header.e_phoff),       BUILDER_AT(dynamic[0].d_un),
		BUILDER_AT(dynamic[1].d_un),      BUILDER_AT(dynamic[3].d_un),
		BUILDER_AT(dynamic[5].d_un),      BUILDER_AT(programs[1].p_vaddr),
		BUILDER_AT(programs[0].p_offset),
	};
	static const uint64_t places[] = { sizeof(struct elf_builder) - 3, 1 << 20, INT64_MAX,
					   UINT64_MAX - 7, UINT64_MAX };
	struct elf_tls tls;

	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
			struct elf_builder elf;

			elf_builder_init(&elf);
			memcpy((char *)&elf + fields[i], &places[k], 8);
			assert_int_equal(read_elf(&elf, &tls), -EBADMSG);
		}
	}
}

static void variable_outside_its_block_is_refused(void **state)
{
	struct elf_builder elf;
	struct elf_tls tls;

	(void)state;
	elf_builder_init(&elf);
	elf.symbols[1].st_value = 0x29;
	assert_int_equal(read_elf(&elf, &tls), -EBADMSG);
	elf.symbols[1].st_value = UINT64_MAX;
	assert_int_equal(read_elf(&elf, &tls), -EBADMSG);
	elf.programs[2].p_type = PT_NOTE;
	assert_int_equal(read_elf(&elf, &tls), -EBADMSG);
}

static void file_cut_anywhere_is_refused_or_read(void **state)
{
	struct elf_builder elf;
	struct elf_tls tls;

	(void)state;
	elf_builder_init(&elf);
	for (size_t bytes = 0; bytes < sizeof(elf); bytes++)
		read_bytes(&elf, bytes, &tls);
	assert_int_equal(read_bytes(&elf, sizeof(elf) / 2, &tls), -EBADMSG);
}

/* Whatever byte lies: an answer, in bounded time, without touching what is not ours (ASan). */
static void no_single_byte_can_harm(void **state)
{
	static const unsigned char values[] = { 0, 1, 0x7f, 0x80, 0xff };
	struct elf_builder elf, damaged;
	struct elf_tls tls;
	int fd;

	(void)state;
	elf_builder_init(&elf);
	fd = elf_builder_file(&elf, sizeof(elf));
	for (size_t at = 0; at < BUILDER_AT(slots); at++) {
		for (size_t k = 0; k < sizeof(values); k++) {
			damaged = elf;
			((unsigned char *)&damaged)[at] = values[k];
			assert_int_equal(pwrite(fd, &damaged, sizeof(damaged), 0), sizeof(damaged));
			read_fd(fd, &tls);
		}
	}
	close(fd);
}

static void what_is_no_file_is_refused(void **state)
{
	char path[] = "/tmp/spanwise-elf-XXXXXX", name[64];
	struct elf_tls tls;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(path));
	fd = open(path, O_RDONLY);
	assert_int_equal(read_fd(fd, &tls), -ENOEXEC);
	close(fd);
	snprintf(name, sizeof(name), "%s/fifo", path);
	assert_int_equal(mkfifo(name, 0600), 0);
	fd = open(name, O_RDONLY | O_NONBLOCK);
	assert_int_equal(read_fd(fd, &tls), -ENOEXEC);
	close(fd);
	unlink(name);
	rmdir(path);
	fd = open("/dev/zero", O_RDONLY);
	assert_int_equal(read_fd(fd, &tls), -ENOEXEC);
	close(fd);
	assert_int_equal(read_bytes("", 0, &tls), -ENOEXEC);
}

static void our_own_c_library_is_recognised(void **state)
{
	static const char *const paths[] = { "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6",
					     "/lib/ld-musl-x86_64.so.1" };
	static const enum elf_libc kinds[] = { ELF_LIBC_GLIBC, ELF_LIBC_GLIBC, ELF_LIBC_MUSL };
	int found = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		int fd = open(paths[i], O_RDONLY);
		struct elf_tls tls;

		if (fd < 0)
			continue;
		assert_int_equal(read_fd(fd, &tls), 0);
		assert_int_equal(tls.libc, kinds[i]);
		found++;
		close(fd);
	}
	assert_true(found > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variable_and_its_slots_are_found_best_first),
		cmocka_unit_test(old_hash_table_serves_as_well),
		cmocka_unit_test(relocation_by_offset_outranks_another_variable),
		cmocka_unit_test(relocations_of_the_plt_are_read),
		cmocka_unit_test(library_without_the_variable_says_nothing),
		cmocka_unit_test(symbol_that_is_not_thread_local_does_not_count),
		cmocka_unit_test(position_independent_program_is_one),
		cmocka_unit_test(other_machines_and_sizes_are_told),
		cmocka_unit_test(chain_in_a_circle_ends),
		cmocka_unit_test(chain_without_end_ends),
		cmocka_unit_test(huge_counts_are_refused_without_reading_them),
		cmocka_unit_test(sparse_file_is_not_read_whole),
		cmocka_unit_test(places_beyond_the_end_are_refused),
		cmocka_unit_test(variable_outside_its_block_is_refused),
		cmocka_unit_test(file_cut_anywhere_is_refused_or_read),
		cmocka_unit_test(no_single_byte_can_harm),
		cmocka_unit_test(what_is_no_file_is_refused),
		cmocka_unit_test(our_own_c_library_is_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
