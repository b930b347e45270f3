/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/unwind_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/mono_clock.h"
#include "bpf/symbol_go.h"
#include "bpf/symbol_open.h"
#include "bpf/unwind.h"
#include "bpf/unwind_extents.h"
#include "bpf/unwind_rows.h"
#include "bpf/unwind_table.h"
#include "collector/base/macros.h"
#include "collector/base/map.h"

#define MAX_FILES  4096
#define PAGE_BYTES 4096ull

struct unwind_files {
	struct unwind_rows rows;
	struct unwind_page *pages; /* mapped */
	struct unwind_extents page_extents;
	struct map by_key; /* symbol_file_key -> struct unwind_file *; copies have the same one */
	uint64_t left;     /* how often a file lost its last process */
	struct unwind_files_stats stats;
};

void *unwind_map_array(int fd, size_t bytes)
{
	void *array;

	if (fd < 0)
		return NULL;
	array = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return array == MAP_FAILED ? NULL : array;
}

int unwind_files_new(int rows_fd, int pages_fd, struct unwind_files **out_files)
{
	struct unwind_files *files = calloc(1, sizeof(*files));
	int rc;

	if (!files)
		return -ENOMEM;
	rc = unwind_rows_init(&files->rows, rows_fd);
	files->pages = unwind_map_array(pages_fd, UNWIND_PAGES * sizeof(*files->pages));
	unwind_extents_init(&files->page_extents, UNWIND_PAGES);
	map_init(&files->by_key, sizeof(struct symbol_file_key), sizeof(struct unwind_file *), 0);
	if (rc == 0 && !files->pages)
		rc = -ENODEV;
	if (rc < 0) {
		unwind_files_free(files);
		return rc;
	}
	*out_files = files;
	return 0;
}

void unwind_files_free(struct unwind_files *files)
{
	struct unwind_file **slot;
	size_t cursor = 0;
	const void *key;

	if (!files)
		return;
	while ((slot = map_next(&files->by_key, &cursor, &key)))
		if (--(*slot)->keys == 0)
			free(*slot);
	map_fini(&files->by_key);
	unwind_rows_fini(&files->rows);
	unwind_extents_fini(&files->page_extents);
	if (files->pages)
		munmap(files->pages, UNWIND_PAGES * sizeof(*files->pages));
	free(files);
}

static void free_file(struct unwind_files *files, struct unwind_file *file)
{
	if (file->row_count)
		unwind_rows_give(&files->rows, file->first_row);
	if (file->page_count)
		unwind_extents_give(&files->page_extents, file->first_page);
	free(file);
}

/* Files that nobody maps any more. */
static void drop_unused(struct unwind_files *files)
{
	struct symbol_file_key unused[64];
	size_t cursor = 0, count = 0;
	struct unwind_file **slot;
	const void *key;

	while (count < ARRAY_LEN(unused) && (slot = map_next(&files->by_key, &cursor, &key))) {
		if ((*slot)->users == 0)
			memcpy(&unused[count++], key, sizeof(unused[0]));
	}
	while (count) {
		struct unwind_file *file =
			*(struct unwind_file **)map_get(&files->by_key, &unused[--count]);

		map_delete(&files->by_key, &unused[count]);
		if (--file->keys == 0)
			free_file(files, file);
	}
}

static int take_rows(struct unwind_files *files, uint32_t count, uint32_t *out_first)
{
	int rc = unwind_rows_take(&files->rows, count, out_first);

	if (rc != -ENOSPC)
		return rc;
	drop_unused(files);
	return unwind_rows_take(&files->rows, count, out_first);
}

static int take_pages(struct unwind_files *files, uint32_t count, uint32_t *out_first)
{
	int rc = unwind_extents_take(&files->page_extents, count, out_first);

	if (rc != -ENOSPC)
		return rc;
	drop_unused(files);
	return unwind_extents_take(&files->page_extents, count, out_first);
}

/* The first row is for what lies before all others. */
static void write_rows(struct unwind_files *files, const struct unwind_file *file,
		       const struct unwind_table *table)
{
	uint32_t row = file->first_row, at = 0;

	files->rows.all[row++] = (struct unwind_row){ .cfa = UNWIND_CHAIN };
	for (uint32_t page = 0; page < file->page_count; page++) {
		uint64_t end = (uint64_t)(file->base_page + page + 1) << UNWIND_PAGE_BITS;
		struct unwind_page *place = &files->pages[file->first_page + page];

		place->first_row = row;
		for (; at < table->count && table->places[at].address < end; at++)
			files->rows.all[row++] = table->places[at].row;
		place->row_count = row - place->first_row;
	}
}

static int place_table(struct unwind_files *files, struct unwind_file *file,
		       const struct unwind_table *table)
{
	uint64_t first = table->places[0].address >> UNWIND_PAGE_BITS;
	uint64_t last = table->places[table->count - 1].address >> UNWIND_PAGE_BITS;
	int rc;

	if (last - first >= UINT16_MAX || last > UINT32_MAX)
		return -E2BIG;
	file->base_page = (uint32_t)first;
	rc = take_rows(files, table->count + 1, &file->first_row);
	if (rc < 0)
		return rc;
	file->row_count = table->count + 1;
	rc = take_pages(files, (uint32_t)(last - first + 1), &file->first_page);
	if (rc < 0) {
		unwind_rows_give(&files->rows, file->first_row);
		file->row_count = 0;
		return rc;
	}
	file->page_count = (uint32_t)(last - first + 1);
	write_rows(files, file, table);
	return 0;
}

static int read_file(struct unwind_files *files, struct unwind_file *file, int fd)
{
	struct unwind_table table = { 0 };
	struct sections sections;
	int rc = sections_open(&sections, fd);

	file->left = files->left;
	if (rc < 0)
		return rc;
	memcpy(file->loads, sections.loads, sizeof(file->loads));
	file->load_count = sections.load_count;
	python_symbols_find(&sections, &file->python);
	file->moves_stacks = symbol_go_has_table(&sections);
	rc = unwind_table_read(&table, &sections);
	if (rc == 0 && table.count)
		rc = place_table(files, file, &table);
	file->wanted_rows = rc == -ENOSPC ? table.count + 1 : 0;
	if (rc == -ENOENT) /* such a file keeps frame pointers */
		rc = 0;
	sections_close(&sections);
	unwind_table_fini(&table);
	return rc;
}

/* The same code at the same places, under the same rules: as they were read, whatever the file says
 * that it is. */
static bool is_copy(const struct unwind_files *files, const struct unwind_file *a,
		    const struct unwind_file *b)
{
	return a->row_count && a->row_count == b->row_count && a->page_count == b->page_count &&
	       a->base_page == b->base_page && a->moves_stacks == b->moves_stacks &&
	       a->load_count == b->load_count &&
	       memcmp(a->loads, b->loads, sizeof(a->loads)) == 0 &&
	       memcmp(&a->python, &b->python, sizeof(a->python)) == 0 &&
	       memcmp(&files->rows.all[a->first_row], &files->rows.all[b->first_row],
		      a->row_count * sizeof(*files->rows.all)) == 0;
}

/* `file`, or, if there is one like it, that one; the other is freed. */
static struct unwind_file *unite(struct unwind_files *files, struct unwind_file *file)
{
	struct unwind_file **slot;
	size_t cursor = 0;
	const void *key;

	while ((slot = map_next(&files->by_key, &cursor, &key))) {
		if (!is_copy(files, *slot, file))
			continue;
		free_file(files, file);
		return *slot;
	}
	return file;
}

static struct unwind_file *add_file(struct unwind_files *files, const struct symbol_file_key *key,
				    int fd)
{
	struct unwind_file *file = calloc(1, sizeof(*file)), **slot;
	uint64_t started_ns = mono_ns();

	if (files->by_key.count >= MAX_FILES)
		drop_unused(files);
	if (!file || files->by_key.count >= MAX_FILES) {
		free(file);
		return NULL;
	}
	if (read_file(files, file, fd) < 0)
		files->stats.refused++;
	file = unite(files, file);
	slot = map_put(&files->by_key, key);
	if (slot) {
		*slot = file;
		file->keys++;
	} else if (file->keys == 0) {
		free_file(files, file);
		file = NULL;
	}
	files->stats.build_ns += mono_ns() - started_ns;
	return file;
}

/* Others may have left room for what found none. Who maps it already walks by it once its mappings
 * are written again. */
static void try_again(struct unwind_files *files, struct unwind_file *file, int fd)
{
	if (file->wanted_rows && file->left != files->left && read_file(files, file, fd) == 0)
		files->stats.refused--;
}

struct unwind_file *unwind_files_get(struct unwind_files *files, int fd)
{
	struct symbol_file_key key;
	struct stat status;
	struct unwind_file **slot;

	if (fstat(fd, &status) < 0)
		return NULL;
	key = (struct symbol_file_key){
		.device = status.st_dev,
		.inode = status.st_ino,
		.changed_ns = (uint64_t)status.st_mtim.tv_sec * NS_PER_SEC +
			      (uint64_t)status.st_mtim.tv_nsec,
		.size = (uint64_t)status.st_size,
	};
	slot = map_get(&files->by_key, &key);
	if (!slot)
		return add_file(files, &key, fd);
	try_again(files, *slot, fd);
	return *slot;
}

/* The vDSO's file in memory has another inode each time: its size and time stand for it. */
struct unwind_file *unwind_files_vdso(struct unwind_files *files)
{
	static const struct symbol_file_key key = { .size = 1 };
	struct unwind_file **slot = map_get(&files->by_key, &key), *file;
	int fd;

	if (slot)
		return *slot;
	fd = symbol_open_vdso();
	file = fd >= 0 ? add_file(files, &key, fd) : NULL;
	if (fd >= 0)
		close(fd);
	return file;
}

void unwind_files_use(struct unwind_file *file)
{
	file->users++;
}

void unwind_files_leave(struct unwind_files *files, struct unwind_file *file)
{
	files->left += --file->users == 0;
}

bool unwind_file_bias(const struct unwind_file *file, const struct symbol_mapping *mapping,
		      uint64_t *out_bias)
{
	for (uint32_t i = 0; i < file->load_count; i++) {
		const struct sections_load *load = &file->loads[i];
		uint64_t first = load->offset & ~(PAGE_BYTES - 1);

		if (!(load->flags & PF_X) || mapping->offset < first ||
		    mapping->offset >= load->offset + load->file_bytes)
			continue;
		*out_bias = mapping->start - mapping->offset - (load->vaddr - load->offset);
		return true;
	}
	return false;
}

void unwind_files_stats(const struct unwind_files *files, struct unwind_files_stats *out_stats)
{
	*out_stats = files->stats;
	out_stats->files = (uint32_t)files->by_key.count;
	out_stats->rows = files->rows.extents.taken;
}
