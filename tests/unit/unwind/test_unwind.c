/* SPDX-License-Identifier: Apache-2.0 */
/* Unwind tables against the compiler's own unwinder: both walk the same stacks of this program,
 * which keeps no frame pointers, through the C library and a signal's frame. */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/symbol_maps.h"
#include "bpf/symbol_open.h"
#include "bpf/unwind_extents.h"
#include "bpf/unwind_table.h"
#include "collector/base/macros.h"

#define MAX_FRAMES 64
#define MAX_FILES  32

static struct {
	struct symbol_maps maps;
	struct unwind_table tables[MAX_FILES]; /* of each mapping */
	uint64_t bias[MAX_FILES];
} self;

static struct {
	uint64_t ours[MAX_FRAMES];
	size_t our_count;
	void *theirs[MAX_FRAMES];
	int their_count;
} walked;

static void load_own_tables(void)
{
	int directory_fd = symbol_open_process((uint32_t)getpid());
	int root_fd = symbol_open_root(directory_fd);

	assert_int_equal(symbol_maps_read(&self.maps, directory_fd), 0);
	for (uint32_t i = 0; i < self.maps.count && i < MAX_FILES; i++) {
		const struct symbol_mapping *mapping = &self.maps.mappings[i];
		struct sections sections;
		uint64_t vaddr;
		int fd = strcmp(mapping->path, "[vdso]") == 0
				 ? symbol_open_vdso()
				 : symbol_open_file(directory_fd, root_fd, mapping);

		if (fd < 0 || sections_open(&sections, fd) < 0)
			continue;
		if (sections_vaddr(&sections, mapping->offset, &vaddr) == 0) {
			assert_int_equal(unwind_table_read(&self.tables[i], &sections), 0);
			self.bias[i] = mapping->start - vaddr;
		}
		sections_close(&sections);
		close(fd);
	}
	close(root_fd);
	close(directory_fd);
}

static const struct unwind_row *row_of(uint64_t pc)
{
	const struct symbol_mapping *mapping = symbol_maps_find(&self.maps, pc);
	size_t i = mapping ? (size_t)(mapping - self.maps.mappings) : MAX_FILES;

	return i < MAX_FILES ? unwind_table_find(&self.tables[i], pc - self.bias[i]) : NULL;
}

static uint64_t load(uint64_t address)
{
	return *(const uint64_t *)(uintptr_t)address;
}

struct state {
	uint64_t pc, sp, fp;
	bool is_return;
};

static uint64_t cfa_of(const struct unwind_row *row, const struct state *at)
{
	int64_t inner = (int8_t)row->offset, outer = (int8_t)(row->offset >> 8);

	switch (row->cfa) {
	case UNWIND_SP:
		return at->sp + 8ull * row->offset;
	case UNWIND_FP:
		return at->fp + 8ull * row->offset;
	case UNWIND_PLT:
		return at->sp + 8 + ((at->pc & 15) >= row->offset ? 8 : 0);
	case UNWIND_SP_DEREF:
		return load(at->sp + (uint64_t)(8 * inner)) + (uint64_t)(8 * outer);
	case UNWIND_FP_DEREF:
		return load(at->fp + (uint64_t)(8 * inner)) + (uint64_t)(8 * outer);
	}
	return 0;
}

/* As the kernel half does it. */
static bool go_up(struct state *at)
{
	const struct unwind_row *row = row_of(at->pc - at->is_return);
	uint64_t cfa, fp = at->fp;

	if (row && row->cfa == UNWIND_SIGNAL) {
		*at = (struct state){ .fp = load(at->sp + 40 + 10 * 8),
				      .sp = load(at->sp + 40 + 15 * 8),
				      .pc = load(at->sp + 40 + 16 * 8) };
		return true;
	}
	cfa = row ? cfa_of(row, at) : 0;
	if (cfa <= at->sp)
		return false;
	if (row->fp == UNWIND_FP_AT_CFA)
		fp = load(cfa + (uint64_t)(int64_t)row->fp_offset);
	else if (row->fp == UNWIND_FP_AT_FP)
		fp = load(at->fp + (uint64_t)(int64_t)row->fp_offset);
	*at = (struct state){ load(cfa - 8), cfa, fp, true };
	return at->pc != 0;
}

/* Both walks from here. */
static __attribute__((noinline)) void walk(void)
{
	ucontext_t context;
	struct state at;

	getcontext(&context);
	at = (struct state){ .pc = (uint64_t)context.uc_mcontext.gregs[REG_RIP],
			     .sp = (uint64_t)context.uc_mcontext.gregs[REG_RSP],
			     .fp = (uint64_t)context.uc_mcontext.gregs[REG_RBP],
			     .is_return = true };
	walked.their_count = backtrace(walked.theirs, MAX_FRAMES);
	walked.our_count = 0;
	do
		walked.ours[walked.our_count++] = at.pc;
	while (walked.our_count < MAX_FRAMES && go_up(&at));
}

/* Ours begin in walk() itself, where theirs have the call of backtrace(), and perhaps a wrapper's.
 */
static void check_walk(void)
{
	size_t ahead = (size_t)walked.their_count - walked.our_count;

	assert_true(walked.our_count > 5);
	assert_in_range(ahead, 0, 1);
	for (size_t i = 1; i < walked.our_count; i++)
		assert_int_equal(walked.ours[i], (uintptr_t)walked.theirs[ahead + i]);
}

static __attribute__((noinline)) int below(int depth)
{
	if (depth == 0)
		walk();
	else
		depth = below(depth - 1);
	__asm__ volatile("" : "+r"(depth));
	return depth;
}

static int compare(const void *a, const void *b)
{
	if (walked.our_count == 0)
		walk();
	return memcmp(a, b, 1);
}

/* A frame whose size is known only when it runs, and one that is aligned. */
static __attribute__((noinline)) void of_any_size(size_t bytes)
{
	volatile char *room = __builtin_alloca(bytes);
	volatile char aligned[64] __attribute__((aligned(64)));

	room[0] = 1;
	aligned[0] = room[0];
	walk();
	room[bytes - 1] = aligned[0];
}

static void on_signal(int number)
{
	(void)number;
	walk();
}

static void stacks_are_those_of_the_compilers_unwinder(void **state)
{
	char letters[] = "dcba";

	(void)state;
	below(20);
	check_walk();
	walked.our_count = 0;
	qsort(letters, 4, 1, compare);
	check_walk();
	for (size_t bytes = 16; bytes < 4096; bytes *= 3) {
		of_any_size(bytes);
		check_walk();
	}
}

static void a_signal_is_walked_through(void **state)
{
	struct sigaction action = { .sa_handler = on_signal };

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	raise(SIGUSR1);
	check_walk();
}

/* Every byte of a table changed once, and all its beginnings: no crash, and sorted rows. */
static void begin_here(void)
{
}

/* What it puts on the new stack as the return address is the first instruction of a function that
 * nobody calls: there the stack ends, whatever stands before that instruction. */
static void a_context_that_was_made_begins_its_own_stack(void **state)
{
	static char stack[16384];
	ucontext_t context;
	uint64_t returns_to;

	(void)state;
	assert_int_equal(getcontext(&context), 0);
	context.uc_stack.ss_sp = stack;
	context.uc_stack.ss_size = sizeof(stack);
	context.uc_link = NULL;
	makecontext(&context, begin_here, 0);
	returns_to = load((uint64_t)context.uc_mcontext.gregs[REG_RSP]);
	assert_non_null(row_of(returns_to - 1));
	assert_int_equal(row_of(returns_to - 1)->cfa, UNWIND_STOP);
}

static void damaged_tables_are_survived(void **state)
{
	struct sections sections;
	const Elf64_Shdr *header;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char *bytes;

	(void)state;
	assert_int_equal(sections_open(&sections, fd), 0);
	header = sections_find(&sections, ".eh_frame");
	assert_non_null(header);
	assert_int_equal(sections_read(&sections, header, &bytes), 0);
	srandom(1);
	for (int round = 0; round < 2000; round++) {
		struct unwind_table table = { 0 };
		size_t at = (size_t)random() % header->sh_size;
		size_t size = (size_t)random() % header->sh_size + 1;
		char saved = bytes[at];
		int rc;

		bytes[at] = (char)random();
		rc = unwind_table_parse(&table, (const uint8_t *)bytes,
					round % 2 ? size : header->sh_size, header->sh_addr);
		for (uint32_t i = 1; rc == 0 && i < table.count; i++)
			assert_true(table.places[i - 1].address < table.places[i].address);
		unwind_table_fini(&table);
		bytes[at] = saved;
	}
	free(bytes);
	sections_close(&sections);
	close(fd);
}

static void extents_are_given_out_once(void **state)
{
	struct unwind_extents extents;
	uint32_t a, b, c;

	(void)state;
	unwind_extents_init(&extents, 100);
	assert_int_equal(unwind_extents_take(&extents, 50, &a), 0);
	assert_int_equal(unwind_extents_take(&extents, 40, &b), 0);
	assert_int_equal(a, 1);
	assert_int_equal(b, 51);
	assert_int_equal(unwind_extents_take(&extents, 10, &c), -ENOSPC);
	unwind_extents_give(&extents, a);
	assert_int_equal(unwind_extents_take(&extents, 20, &c), 0);
	assert_int_equal(c, 1);
	assert_int_equal(unwind_extents_take(&extents, 30, &c), 0);
	assert_int_equal(c, 21);
	assert_int_equal(extents.taken, 90);
	unwind_extents_fini(&extents);
}

static int setup(void **state)
{
	(void)state;
	load_own_tables();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < MAX_FILES; i++)
		unwind_table_fini(&self.tables[i]);
	symbol_maps_fini(&self.maps);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_are_those_of_the_compilers_unwinder),
		cmocka_unit_test(a_signal_is_walked_through),
		cmocka_unit_test(a_context_that_was_made_begins_its_own_stack),
		cmocka_unit_test(damaged_tables_are_survived),
		cmocka_unit_test(extents_are_given_out_once),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
