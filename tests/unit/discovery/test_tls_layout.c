/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "bpf/tls_layout.h"

#include <errno.h>

static struct elf_tls library(uint64_t variable_offset)
{
	return (struct elf_tls){ .has_variable = true,
				 .variable_offset = variable_offset,
				 .tls = { .memory_bytes = 0x1000, .align = 16 } };
}

static int64_t program_offset(uint64_t vaddr, uint64_t bytes, uint64_t align, uint64_t symbol)
{
	struct elf_tls tls = { .variable_offset = symbol,
			       .tls = { .vaddr = vaddr, .memory_bytes = bytes, .align = align } };
	struct tag_variable variable = { 0 };

	if (tls_layout_program(&tls, &variable) < 0)
		return 0;
	assert_int_equal(variable.access, TAG_STATIC);
	return variable.offset;
}

static void program_block_ends_at_the_thread_pointer(void **state)
{
	(void)state;
	assert_int_equal(program_offset(0x3dc8, 0x10, 8, 8), -8);
	assert_int_equal(program_offset(0x3dc0, 0x58, 0x20, 0x20), -0x40);
	assert_int_equal(program_offset(0x1000, 8, 1, 0), -8);
	assert_int_equal(program_offset(0x1000, 12, 64, 0), -64);
	assert_int_equal(program_offset(0x1010, 12, 64, 0), -0x30); /* starts 16 past a boundary */
}

static void impossible_program_is_refused(void **state)
{
	(void)state;
	assert_int_equal(program_offset(0x1000, 8, 24, 0), 0);
	assert_int_equal(program_offset(0x1000, 8, (uint64_t)1 << 40, 0), 0);
	assert_int_equal(program_offset(0x1000, (uint64_t)1 << 40, 8, 0), 0);
	assert_int_equal(program_offset(0x1000, UINT64_MAX, 8, 0), 0);
	assert_int_equal(program_offset(0x1000, 8, 8, 16), 0); /* above TP */
}

static void initial_exec_slot_holds_the_offset(void **state)
{
	const struct elf_slot slot = { .kind = ELF_SLOT_OFFSET, .block_offset = 0x18 };
	struct tls_words words = { .slot = { (uint64_t)-152 } };
	struct elf_tls tls = library(0x10);
	struct tag_variable variable;

	(void)state;
	assert_int_equal(tls_layout_slot(&tls, &slot, ELF_LIBC_GLIBC, &words, &variable), 0);
	assert_int_equal(variable.access, TAG_STATIC);
	assert_int_equal(variable.offset, -160); /* the slot is that of its neighbour */
	words.slot[0] = 0;
	assert_int_equal(tls_layout_slot(&tls, &slot, ELF_LIBC_GLIBC, &words, &variable), -EAGAIN);
	words.slot[0] = 0x7fff00001234;
	assert_int_equal(tls_layout_slot(&tls, &slot, ELF_LIBC_GLIBC, &words, &variable), -EAGAIN);
}

static void general_dynamic_slot_holds_the_module(void **state)
{
	const struct elf_slot slot = { .kind = ELF_SLOT_MODULE,
				       .block_offset = 0x18,
				       .has_offset = true };
	struct tls_words words = { .slot = { 2, 0x18 } };
	struct elf_tls tls = library(0x18);
	struct tag_variable variable;

	(void)state;
	assert_int_equal(tls_layout_slot(&tls, &slot, ELF_LIBC_GLIBC, &words, &variable), 0);
	assert_int_equal(variable.access, TAG_DTV_GLIBC);
	assert_int_equal(variable.module, 2);
	assert_int_equal(variable.offset, 0x18);
	assert_int_equal(variable.generation, 0);
	assert_int_equal(tls_layout_slot(&tls, &slot, ELF_LIBC_MUSL, &words, &variable), 0);
	assert_int_equal(variable.access, TAG_DTV_MUSL);
	assert_int_equal(tls_layout_slot(&tls, &slot, ELF_LIBC_NONE, &words, &variable), -ENOTSUP);
}

static void slot_bound_to_another_library_does_not_count(void **state)
{
	const struct elf_slot slot = { .kind = ELF_SLOT_MODULE,
				       .block_offset = 0x18,
				       .has_offset = true };
	struct tls_words words = { .slot = { 2, 0x20 } };
	struct elf_tls tls = library(0x18);
	struct tag_variable variable;

	(void)state;
	assert_int_equal(tls_layout_slot(&tls, &slot, ELF_LIBC_GLIBC, &words, &variable), -EAGAIN);
	words.slot[0] = 0; /* not relocated */
	words.slot[1] = 0x18;
	assert_int_equal(tls_layout_slot(&tls, &slot, ELF_LIBC_GLIBC, &words, &variable), -EAGAIN);
	words.slot[0] = TLS_LAYOUT_MAX_MODULE + 1;
	assert_int_equal(tls_layout_slot(&tls, &slot, ELF_LIBC_GLIBC, &words, &variable), -EAGAIN);
}

static const struct elf_slot descriptor_slot = { .kind = ELF_SLOT_DESCRIPTOR,
						 .block_offset = 0x10 };

static void static_descriptor_holds_the_offset(void **state)
{
	struct tls_words words = { .slot = { 0x7f0000001000, (uint64_t)-152 } };
	struct elf_tls tls = library(0x10);
	struct tag_variable variable;

	(void)state;
	assert_int_equal(tls_layout_slot(&tls, &descriptor_slot, ELF_LIBC_MUSL, &words, &variable),
			 0);
	assert_int_equal(variable.access, TAG_STATIC);
	assert_int_equal(variable.offset, -152);
}

static void dynamic_descriptor_points_to_the_module(void **state)
{
	struct tls_words words = { .slot = { 0x7f0000001000, 0x7f0000002000 },
				   .has_pointed = true,
				   .pointed = { 2, 0x10, 5 } };
	struct elf_tls tls = library(0x10);
	struct tag_variable variable;

	(void)state;
	assert_int_equal(tls_layout_slot(&tls, &descriptor_slot, ELF_LIBC_GLIBC, &words, &variable),
			 0);
	assert_int_equal(variable.access, TAG_DTV_GLIBC);
	assert_int_equal(variable.module, 2);
	assert_int_equal(variable.generation, 5);
	assert_int_equal(tls_layout_slot(&tls, &descriptor_slot, ELF_LIBC_MUSL, &words, &variable),
			 0);
	assert_int_equal(variable.generation, 0); /* musl has none; the third word is foreign */
}

/* Bound on first use: {trampoline, address of the relocation}. An undefined weak symbol: the
 * argument is its addend. */
static void descriptor_that_is_not_bound_waits(void **state)
{
	struct tls_words words = { .slot = { 0x7f0000001000, 0x7f0000002000 },
				   .has_pointed = true,
				   .pointed = { 0x3fd8, 0x700000024, 0 } };
	struct elf_tls tls = library(0x10);
	struct tag_variable variable;

	(void)state;
	assert_int_equal(tls_layout_slot(&tls, &descriptor_slot, ELF_LIBC_GLIBC, &words, &variable),
			 -EAGAIN);
	words = (struct tls_words){ .slot = { 0x7f0000001000, 8 } };
	assert_int_equal(tls_layout_slot(&tls, &descriptor_slot, ELF_LIBC_GLIBC, &words, &variable),
			 -EAGAIN);
	words = (struct tls_words){ 0 };
	assert_int_equal(tls_layout_slot(&tls, &descriptor_slot, ELF_LIBC_GLIBC, &words, &variable),
			 -EAGAIN);
}

static void go_keeps_its_word_right_below_the_thread_pointer(void **state)
{
	struct elf_tls tls = { 0 };
	struct tag_variable variable;

	(void)state;
	assert_int_equal(tls_layout_go(&tls, &variable), 0);
	assert_int_equal(variable.access, TAG_STATIC);
	assert_int_equal(variable.offset, -8);
	/* Linked with others' thread-local storage, only its symbol tells. */
	tls.tls = (struct elf_segment){ .memory_bytes = 0x50, .align = 8 };
	assert_int_equal(tls_layout_go(&tls, &variable), -ENOTSUP);
	tls.has_go_tls = true;
	assert_int_equal(tls_layout_go(&tls, &variable), 0);
	assert_int_equal(variable.offset, -0x50);
	tls.go_tls_offset = 0x50;
	assert_int_equal(tls_layout_go(&tls, &variable), -EBADMSG);
}

static void go_layout_follows_its_version(void **state)
{
	struct tag_go layout;

	(void)state;
	assert_int_equal(elf_go_layout("go1.19.8", &layout), 0);
	assert_int_equal(layout.g_labels, 360);
	assert_int_equal(layout.is_map, 1);
	assert_int_equal(elf_go_layout("go1.24", &layout), 0);
	assert_int_equal(layout.m_curg, 192);
	assert_int_equal(layout.is_map, 0);
	assert_int_equal(elf_go_layout("go1.26rc1", &layout), 0);
	assert_int_equal(layout.m_curg, 184);
	assert_int_equal(elf_go_layout("go1.17.13", &layout), -ENOTSUP);
	assert_int_equal(elf_go_layout("go1.99", &layout), -ENOTSUP);
	assert_int_equal(elf_go_layout("devel +1234", &layout), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(program_block_ends_at_the_thread_pointer),
		cmocka_unit_test(impossible_program_is_refused),
		cmocka_unit_test(initial_exec_slot_holds_the_offset),
		cmocka_unit_test(general_dynamic_slot_holds_the_module),
		cmocka_unit_test(slot_bound_to_another_library_does_not_count),
		cmocka_unit_test(static_descriptor_holds_the_offset),
		cmocka_unit_test(dynamic_descriptor_points_to_the_module),
		cmocka_unit_test(descriptor_that_is_not_bound_waits),
		cmocka_unit_test(go_keeps_its_word_right_below_the_thread_pointer),
		cmocka_unit_test(go_layout_follows_its_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
