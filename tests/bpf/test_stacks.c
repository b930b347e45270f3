/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks as the kernel half walks them, against the compiler's unwinder in a program without frame
 * pointers. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "bpf/symbol_open.h"
#include "bpf/unwind.h"
#include "bpf/unwind_load.h"
#include "bpf/unwind_rows.h"
#include "harness.h"

#define MAX_STACKS 256
#define MAX_KNOWN  16

static struct harness harness;

static struct known {
	char name[16];
	uint32_t pid;
	uint64_t callers[EVENT_MAX_FRAMES]; /* return addresses */
	uint32_t count;
} known[MAX_KNOWN];
static size_t known_count;

static struct event_stack seen[MAX_STACKS];
static size_t seen_count;

static int on_stack(void *arg, void *data, size_t bytes)
{
	(void)arg;
	if (seen_count < MAX_STACKS && bytes <= sizeof(*seen))
		memcpy(&seen[seen_count++], data, bytes);
	return 0;
}

static void note(const char *line)
{
	struct known *place = &known[known_count];
	int used = 0, at;

	if (known_count == MAX_KNOWN ||
	    sscanf(line, "stack %15s %u%n", place->name, &place->pid, &used) != 2)
		return;
	while (place->count < EVENT_MAX_FRAMES &&
	       sscanf(line + used, "%lx%n", &place->callers[place->count], &at) == 1) {
		place->count++;
		used += at;
	}
	known_count++;
}

static struct unwind_load *load_tables(void)
{
	int directory_fd = symbol_open_process((uint32_t)harness.pid);
	struct symbol_maps maps = { 0 };
	struct unwind_load_fds fds;
	struct unwind_load *load;

	programs_tables(harness.programs, &fds);
	assert_int_equal(unwind_load_new(&fds, &load), 0);
	assert_int_equal(symbol_maps_read(&maps, directory_fd), 0);
	assert_int_equal(unwind_load_process(load, (uint32_t)harness.pid, &maps), 0);
	symbol_maps_fini(&maps);
	close(directory_fd);
	return load;
}

/* Plays it all, and keeps what was walked. */
static void play(bool with_tables)
{
	char line[65536];

	known_count = 0;
	seen_count = 0;
	memset(known, 0, sizeof(known));
	harness_open_stacks(&harness);
	struct ring_buffer *ring =
		ring_buffer__new(programs_stacks_fd(harness.programs), on_stack, NULL, NULL);

	harness_start(&harness, "", true);
	struct unwind_load *load = with_tables ? load_tables() : NULL;

	harness_cue(&harness);
	while (fgets(line, sizeof(line), harness.from_subject)) {
		note(line);
		harness_drain(&harness);
		ring_buffer__consume(ring);
	}
	harness_wait_for_end(&harness);
	ring_buffer__consume(ring);
	ring_buffer__free(ring);
	unwind_load_free(load);
	assert_int_equal(known_count, 8);
}

/* Of a caller the address lies in its call; of code that a signal came to, it is that of the next
 * instruction. */
static bool is_walked(const struct event_stack *stack, const struct known *place)
{
	uint32_t ahead = stack->count - place->count, exact = 0;

	if (stack->pid != place->pid || stack->count <= place->count ||
	    stack->header.flags != STACK_COMPLETE)
		return false;
	for (uint32_t i = 0; i < place->count; i++) {
		uint64_t address = stack->addresses[ahead + i] & ~STACK_SIGNAL;

		exact += address == place->callers[i];
		if (address != place->callers[i] && address != place->callers[i] - 1)
			return false;
	}
	/* what a signal interrupted, and what its handler returns to */
	return exact == (strstr("signal altstack", place->name) ? 2 : 0);
}

static void every_place_has_the_stack_that_it_knows(void **state)
{
	(void)state;
	play(true);
	for (size_t i = 0; i < known_count; i++) {
		size_t found = 0;

		for (size_t k = 0; k < seen_count; k++)
			found += is_walked(&seen[k], &known[i]);
		printf("  %-10s %3u callers: %zu of %zu stacks\n", known[i].name, known[i].count,
		       found, seen_count);
		if (found == 0)
			fail_msg("no stack of the place %s", known[i].name);
	}
	harness_close(&harness);
}

/* Where frame pointers are not kept, guesses are not made; nor is anything said to be complete. */
static void without_tables_a_stack_is_its_innermost_frame(void **state)
{
	size_t deep = 0;

	(void)state;
	play(false);
	assert_true(seen_count > 4);
	for (size_t i = 0; i < seen_count; i++) {
		assert_int_equal(seen[i].header.flags, STACK_WITHOUT_TABLES);
		assert_true(seen[i].count >= 1);
		deep += seen[i].count > 2 && !(seen[i].addresses[2] >> 63); /* the kernel's */
	}
	printf("  %zu of %zu stacks without tables are longer than 2\n", deep, seen_count);
	assert_int_equal(deep, 0);
	harness_close(&harness);
}

/* ---- room for tables */

#define FEW_PIECES 1 /* for the C library, and for little else */

static int make_map(enum bpf_map_type type, uint32_t value_bytes, uint32_t entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, options,
		    .map_flags = type == BPF_MAP_TYPE_ARRAY ? BPF_F_MMAPABLE : 0);
	int fd = bpf_map_create(type, NULL, sizeof(uint32_t), value_bytes, entries, &options);

	assert_true(fd >= 0);
	return fd;
}

/* A map of maps, which is empty. */
static int make_rows(uint32_t pieces)
{
	int like = make_map(BPF_MAP_TYPE_ARRAY, sizeof(struct unwind_row), UNWIND_PIECE_ROWS);
	LIBBPF_OPTS(bpf_map_create_opts, options, .inner_map_fd = (uint32_t)like);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, NULL, sizeof(uint32_t),
				sizeof(uint32_t), pieces, &options);

	assert_true(fd >= 0);
	close(like);
	return fd;
}

/* Of all mappings that of one file; borrowed. */
static struct symbol_maps only(const struct symbol_maps *all, const char *part)
{
	struct symbol_maps one = { 0 };

	for (uint32_t i = 0; i < all->count && !one.count; i++)
		if (strstr(all->mappings[i].path, part))
			one = (struct symbol_maps){ .mappings = &all->mappings[i], .count = 1 };
	assert_int_equal(one.count, 1);
	return one;
}

static uint32_t flags_of(const struct unwind_load_fds *fds, uint32_t pid)
{
	struct unwind_process place;
	struct unwind_mapping mapping;

	assert_int_equal(bpf_map_lookup_elem(fds->processes, &pid, &place), 0);
	assert_int_equal(bpf_map_lookup_elem(fds->mappings, &place.first_mapping, &mapping), 0);
	return mapping.flags;
}

/* Two processes with the same mappings, of which each is said to have one file alone. */
static void what_finds_no_room_says_so_and_has_it_once_others_left(void **state)
{
	struct unwind_load_fds fds = {
		.rows = make_rows(FEW_PIECES),
		.pages = make_map(BPF_MAP_TYPE_ARRAY, sizeof(struct unwind_page), UNWIND_PAGES),
		.mappings = make_map(BPF_MAP_TYPE_ARRAY, sizeof(struct unwind_mapping),
				     UNWIND_MAPPINGS),
		.processes = make_map(BPF_MAP_TYPE_HASH, sizeof(struct unwind_process), 16),
	};
	uint32_t first = (uint32_t)getpid(), second = (uint32_t)fork();
	int directory_fd = symbol_open_process(first);
	struct symbol_maps all = { 0 }, libc, own;
	struct unwind_load_stats stats;
	struct unwind_load *load;

	(void)state;
	if (second == 0) {
		pause();
		_exit(0);
	}
	assert_int_equal(symbol_maps_read(&all, directory_fd), 0);
	libc = only(&all, "libc.so");
	own = only(&all, "libbpf");
	assert_int_equal(unwind_load_new(&fds, &load), 0);
	assert_int_equal(unwind_load_process(load, first, &libc), 0);
	assert_int_equal(flags_of(&fds, first), 0);
	assert_int_equal(unwind_load_process(load, second, &own), 0);
	assert_int_equal(flags_of(&fds, second), UNWIND_WITHOUT_ROOM);
	unwind_load_stats(load, &stats);
	assert_int_equal(stats.files.refused, 1);

	unwind_load_forget(load, first);
	assert_int_equal(unwind_load_process(load, second, &own), 0);
	assert_int_equal(flags_of(&fds, second), 0);
	unwind_load_stats(load, &stats);
	assert_int_equal(stats.files.refused, 0);
	unwind_load_free(load);
	symbol_maps_fini(&all);
	close(directory_fd);
	kill((pid_t)second, SIGKILL);
	waitpid((pid_t)second, NULL, 0);
}

/* What the kernel half finds there; false: there is no such piece. */
static bool look_up(int rows_fd, uint32_t place, struct unwind_row *out_row)
{
	uint32_t piece = place / UNWIND_PIECE_ROWS, at = place % UNWIND_PIECE_ROWS, id;
	int fd, rc;

	if (bpf_map_lookup_elem(rows_fd, &piece, &id) < 0)
		return false;
	fd = bpf_map_get_fd_by_id(id);
	assert_true(fd >= 0);
	rc = bpf_map_lookup_elem(fd, &at, out_row);
	close(fd);
	return rc == 0;
}

static void rows_come_and_go_in_pieces(void **state)
{
	int fd = make_rows(4);
	uint32_t few, many, too_many;
	struct unwind_rows rows;
	struct unwind_row row;

	(void)state;
	assert_int_equal(unwind_rows_init(&rows, fd), 0);
	assert_int_equal(unwind_rows_take(&rows, 10, &few), 0);
	assert_true(look_up(fd, few, &row));
	assert_false(look_up(fd, few + UNWIND_PIECE_ROWS, &row));
	assert_int_equal(unwind_rows_take(&rows, 2 * UNWIND_PIECE_ROWS, &many), 0);
	for (uint32_t i = 0; i < 2 * UNWIND_PIECE_ROWS; i++)
		rows.all[many + i] = (struct unwind_row){ .pc_low = (uint16_t)(i / 2) };
	assert_true(look_up(fd, many + UNWIND_PIECE_ROWS + 2, &row));
	assert_int_equal(row.pc_low, UNWIND_PIECE_ROWS / 2 + 1);
	assert_int_equal(unwind_rows_take(&rows, 2 * UNWIND_PIECE_ROWS, &too_many), -ENOSPC);
	assert_false(look_up(fd, 3 * UNWIND_PIECE_ROWS, &row));

	unwind_rows_give(&rows, many); /* from the midst of the first one on */
	assert_true(look_up(fd, few, &row));
	assert_false(look_up(fd, few + UNWIND_PIECE_ROWS, &row));
	unwind_rows_give(&rows, few);
	assert_false(look_up(fd, few, &row));
	assert_int_equal(unwind_rows_take(&rows, 10, &few), 0);
	assert_true(look_up(fd, few, &row) && row.pc_low == 0);
	unwind_rows_fini(&rows);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_place_has_the_stack_that_it_knows),
		cmocka_unit_test(without_tables_a_stack_is_its_innermost_frame),
		cmocka_unit_test(what_finds_no_room_says_so_and_has_it_once_others_left),
		cmocka_unit_test(rows_come_and_go_in_pieces),
	};

	harness_init(&harness, argc, argv);
	return harness_verdict(&harness, cmocka_run_group_tests(tests, NULL, NULL), argv);
}
