/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/unwind_load.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/mono_clock.h"
#include "bpf/symbol_go.h"
#include "bpf/symbol_open.h"
#include "bpf/symbol_sections.h"
#include "bpf/unwind_extents.h"
#include "bpf/unwind_table.h"
#include "collector/base/macros.h"
#include "collector/base/map.h"

#define MAX_FILES  4096
#define PAGE_BYTES 4096ull

/* A file's place in the tables; without pages, its code is walked by frame pointers. */
struct file {
	uint32_t keys; /* that lead to it; with the last one it goes */
	struct sections_load loads[SECTIONS_MAX_LOADS];
	uint32_t load_count;
	uint32_t first_row, row_count;
	uint32_t first_page, page_count, base_page;
	uint32_t wanted_rows; /* for which there was no room; 0: none */
	uint64_t left;        /* as unwind_load.left when it was read */
	uint32_t users;       /* processes */
	bool moves_stacks;    /* UNWIND_MOVES_STACKS */
	struct python_symbols python;
};

struct process {
	struct unwind_process place; /* count 0: none */
	struct file **files;         /* owned array: those that it uses, each as often as mapped */
	uint32_t file_count;
	struct python_place *python; /* owned; NULL: it runs none */
};

struct unwind_load {
	int processes_fd;        /* the caller's */
	uint32_t row_places;     /* that the map of rows has */
	struct unwind_row *rows; /* mapped, as the next two */
	struct unwind_page *pages;
	struct unwind_mapping *mappings;
	struct unwind_extents row_extents, page_extents, mapping_extents;
	struct map files;     /* symbol_file_key -> struct file *; copies have the same one */
	struct map processes; /* pid -> struct process */
	uint64_t left;        /* how often a file lost its last process */
	uint32_t last_owner;  /* given to a process's mappings; never 0 */
	struct unwind_load_stats stats;
};

static void *map_array(int fd, size_t bytes)
{
	void *array;

	if (fd < 0)
		return NULL;
	array = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return array == MAP_FAILED ? NULL : array;
}

static uint32_t entries_of(int map_fd)
{
	struct bpf_map_info info = { 0 };
	uint32_t bytes = sizeof(info);

	return map_fd >= 0 && bpf_obj_get_info_by_fd(map_fd, &info, &bytes) == 0 ? info.max_entries
										 : 0;
}

int unwind_load_new(const struct unwind_load_fds *fds, struct unwind_load **out_load)
{
	struct unwind_load *load = calloc(1, sizeof(*load));

	if (!load)
		return -ENOMEM;
	load->processes_fd = fds->processes;
	load->row_places = entries_of(fds->rows);
	load->rows = map_array(fds->rows, load->row_places * sizeof(*load->rows));
	load->pages = map_array(fds->pages, UNWIND_PAGES * sizeof(*load->pages));
	load->mappings = map_array(fds->mappings, UNWIND_MAPPINGS * sizeof(*load->mappings));
	unwind_extents_init(&load->row_extents, load->row_places);
	unwind_extents_init(&load->page_extents, UNWIND_PAGES);
	unwind_extents_init(&load->mapping_extents, UNWIND_MAPPINGS);
	map_init(&load->files, sizeof(struct symbol_file_key), sizeof(struct file *), 0);
	map_init(&load->processes, sizeof(uint32_t), sizeof(struct process), 0);
	if (!load->rows || !load->pages || !load->mappings || fds->processes < 0) {
		unwind_load_free(load);
		return -ENODEV;
	}
	*out_load = load;
	return 0;
}

void unwind_load_free(struct unwind_load *load)
{
	struct process *process;
	struct file **file;
	size_t cursor = 0;
	const void *key;

	if (!load)
		return;
	while ((process = map_next(&load->processes, &cursor, &key))) {
		free(process->files);
		free(process->python);
	}
	cursor = 0;
	while ((file = map_next(&load->files, &cursor, &key)))
		if (--(*file)->keys == 0)
			free(*file);
	map_fini(&load->files);
	map_fini(&load->processes);
	unwind_extents_fini(&load->row_extents);
	unwind_extents_fini(&load->page_extents);
	unwind_extents_fini(&load->mapping_extents);
	if (load->rows)
		munmap(load->rows, load->row_places * sizeof(*load->rows));
	if (load->pages)
		munmap(load->pages, UNWIND_PAGES * sizeof(*load->pages));
	if (load->mappings)
		munmap(load->mappings, UNWIND_MAPPINGS * sizeof(*load->mappings));
	free(load);
}

/* ---- files */

static void free_file(struct unwind_load *load, struct file *file)
{
	if (file->row_count)
		unwind_extents_give(&load->row_extents, file->first_row);
	if (file->page_count)
		unwind_extents_give(&load->page_extents, file->first_page);
	free(file);
}

/* Files that nobody maps any more. */
static void drop_unused(struct unwind_load *load)
{
	struct symbol_file_key unused[64];
	size_t cursor = 0, count = 0;
	struct file **slot;
	const void *key;

	while (count < ARRAY_LEN(unused) && (slot = map_next(&load->files, &cursor, &key))) {
		if ((*slot)->users == 0)
			memcpy(&unused[count++], key, sizeof(unused[0]));
	}
	while (count) {
		struct file *file = *(struct file **)map_get(&load->files, &unused[--count]);

		map_delete(&load->files, &unused[count]);
		if (--file->keys == 0)
			free_file(load, file);
	}
}

static int take(struct unwind_load *load, struct unwind_extents *extents, uint32_t count,
		uint32_t *out_first)
{
	int rc = unwind_extents_take(extents, count, out_first);

	if (rc != -ENOSPC)
		return rc;
	drop_unused(load);
	return unwind_extents_take(extents, count, out_first);
}

/* The first row is for what lies before all others. */
static void write_rows(struct unwind_load *load, const struct file *file,
		       const struct unwind_table *table)
{
	uint32_t row = file->first_row, at = 0;

	load->rows[row++] = (struct unwind_row){ .cfa = UNWIND_CHAIN };
	for (uint32_t page = 0; page < file->page_count; page++) {
		uint64_t end = (uint64_t)(file->base_page + page + 1) << UNWIND_PAGE_BITS;
		struct unwind_page *place = &load->pages[file->first_page + page];

		place->first_row = row;
		for (; at < table->count && table->places[at].address < end; at++)
			load->rows[row++] = table->places[at].row;
		place->row_count = row - place->first_row;
	}
}

static int place_table(struct unwind_load *load, struct file *file,
		       const struct unwind_table *table)
{
	uint64_t first = table->places[0].address >> UNWIND_PAGE_BITS;
	uint64_t last = table->places[table->count - 1].address >> UNWIND_PAGE_BITS;
	int rc;

	if (last - first >= UINT16_MAX || last > UINT32_MAX)
		return -E2BIG;
	file->base_page = (uint32_t)first;
	rc = take(load, &load->row_extents, table->count + 1, &file->first_row);
	if (rc < 0)
		return rc;
	file->row_count = table->count + 1;
	rc = take(load, &load->page_extents, (uint32_t)(last - first + 1), &file->first_page);
	if (rc < 0) {
		unwind_extents_give(&load->row_extents, file->first_row);
		file->row_count = 0;
		return rc;
	}
	file->page_count = (uint32_t)(last - first + 1);
	write_rows(load, file, table);
	return 0;
}

static int read_file(struct unwind_load *load, struct file *file, int fd)
{
	struct unwind_table table = { 0 };
	struct sections sections;
	int rc = sections_open(&sections, fd);

	file->left = load->left;
	if (rc < 0)
		return rc;
	memcpy(file->loads, sections.loads, sizeof(file->loads));
	file->load_count = sections.load_count;
	python_symbols_find(&sections, &file->python);
	file->moves_stacks = symbol_go_has_table(&sections);
	rc = unwind_table_read(&table, &sections);
	if (rc == 0 && table.count)
		rc = place_table(load, file, &table);
	file->wanted_rows = rc == -ENOSPC ? table.count + 1 : 0;
	if (rc == -ENOENT) /* such a file keeps frame pointers */
		rc = 0;
	sections_close(&sections);
	unwind_table_fini(&table);
	return rc;
}

/* The same code at the same places, under the same rules: as they were read, whatever the file says
 * that it is. */
static bool is_copy(const struct unwind_load *load, const struct file *a, const struct file *b)
{
	return a->row_count && a->row_count == b->row_count && a->page_count == b->page_count &&
	       a->base_page == b->base_page && a->moves_stacks == b->moves_stacks &&
	       a->load_count == b->load_count &&
	       memcmp(a->loads, b->loads, sizeof(a->loads)) == 0 &&
	       memcmp(&a->python, &b->python, sizeof(a->python)) == 0 &&
	       memcmp(&load->rows[a->first_row], &load->rows[b->first_row],
		      a->row_count * sizeof(*load->rows)) == 0;
}

/* `file`, or, if there is one like it, that one; the other is freed. */
static struct file *unite(struct unwind_load *load, struct file *file)
{
	struct file **slot;
	size_t cursor = 0;
	const void *key;

	while ((slot = map_next(&load->files, &cursor, &key))) {
		if (!is_copy(load, *slot, file))
			continue;
		free_file(load, file);
		return *slot;
	}
	return file;
}

static struct file *add_file(struct unwind_load *load, const struct symbol_file_key *key, int fd)
{
	struct file *file = calloc(1, sizeof(*file)), **slot;
	uint64_t started_ns = mono_ns();

	if (load->files.count >= MAX_FILES)
		drop_unused(load);
	if (!file || load->files.count >= MAX_FILES) {
		free(file);
		return NULL;
	}
	if (read_file(load, file, fd) < 0)
		load->stats.files_refused++;
	file = unite(load, file);
	slot = map_put(&load->files, key);
	if (slot) {
		*slot = file;
		file->keys++;
	} else if (file->keys == 0) {
		free_file(load, file);
		file = NULL;
	}
	load->stats.build_ns += mono_ns() - started_ns;
	return file;
}

/* Others may have left room for what found none. Who maps it already walks by it once its mappings
 * are written again. */
static void try_again(struct unwind_load *load, struct file *file, int fd)
{
	if (file->wanted_rows && file->left != load->left && read_file(load, file, fd) == 0)
		load->stats.files_refused--;
}

static struct file *file_of(struct unwind_load *load, int fd)
{
	struct symbol_file_key key;
	struct stat status;
	struct file **slot;

	if (fstat(fd, &status) < 0)
		return NULL;
	key = (struct symbol_file_key){
		.device = status.st_dev,
		.inode = status.st_ino,
		.changed_ns = (uint64_t)status.st_mtim.tv_sec * NS_PER_SEC +
			      (uint64_t)status.st_mtim.tv_nsec,
		.size = (uint64_t)status.st_size,
	};
	slot = map_get(&load->files, &key);
	if (!slot)
		return add_file(load, &key, fd);
	try_again(load, *slot, fd);
	return *slot;
}

/* ---- processes */

/* The vDSO's file in memory has another inode each time: its size and time stand for it. */
static struct file *vdso_of(struct unwind_load *load)
{
	static const struct symbol_file_key key = { .size = 1 };
	struct file **slot = map_get(&load->files, &key), *file;
	int fd;

	if (slot)
		return *slot;
	fd = symbol_open_vdso();
	file = fd >= 0 ? add_file(load, &key, fd) : NULL;
	if (fd >= 0)
		close(fd);
	return file;
}

static bool bias_of(const struct file *file, const struct symbol_mapping *mapping,
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

/* What one mapping becomes; without a file, or a file without a table, by frame pointers. */
static struct unwind_mapping place_of(const struct symbol_mapping *mapping, const struct file *file)
{
	struct unwind_mapping place = { .start = mapping->start, .end = mapping->end };
	uint64_t bias;

	if (!file)
		return place;
	if (file->moves_stacks)
		place.flags = UNWIND_MOVES_STACKS;
	if (file->wanted_rows)
		place.flags |= UNWIND_WITHOUT_ROOM;
	if (file->page_count == 0 || !bias_of(file, mapping, &bias))
		return place;
	place.bias = bias;
	place.first_page = file->first_page;
	place.base_page = file->base_page;
	place.page_count = (uint16_t)file->page_count;
	return place;
}

/* The kernel half may be reading what this place held before: it looks at the owner last, and so
 * that is away while all else changes. */
static void write_mapping(struct unwind_load *load, uint32_t index, struct unwind_mapping place,
			  uint32_t owner)
{
	struct unwind_mapping *shared = &load->mappings[index];

	__atomic_store_n(&shared->owner, 0, __ATOMIC_SEQ_CST);
	shared->start = place.start;
	shared->end = place.end;
	shared->bias = place.bias;
	shared->first_page = place.first_page;
	shared->base_page = place.base_page;
	shared->page_count = place.page_count;
	shared->flags = place.flags;
	__atomic_store_n(&shared->owner, owner, __ATOMIC_SEQ_CST);
}

static struct file *open_and_find(struct unwind_load *load, int directory_fd, int root_fd,
				  const struct symbol_mapping *mapping)
{
	struct file *file = NULL;
	int fd;

	if (strcmp(mapping->path, "[vdso]") == 0)
		return vdso_of(load);
	if (mapping->inode == 0)
		return NULL;
	fd = symbol_open_file(directory_fd, root_fd, mapping);
	if (fd >= 0) {
		file = file_of(load, fd);
		close(fd);
	}
	return file;
}

static void release(struct unwind_load *load, struct process *process)
{
	for (uint32_t i = 0; i < process->file_count; i++)
		load->left += --process->files[i]->users == 0;
	free(process->files);
	free(process->python);
	if (process->place.mapping_count)
		unwind_extents_give(&load->mapping_extents, process->place.first_mapping);
	*process = (struct process){ 0 };
}

/* The first interpreter that a process has mapped; another one beside it goes unseen. */
static void note_python(struct process *process, const struct file *file,
			const struct symbol_mapping *mapping)
{
	uint64_t bias;

	if (!file->python.runtime || process->python || !bias_of(file, mapping, &bias))
		return;
	process->python = calloc(1, sizeof(*process->python));
	if (!process->python)
		return;
	process->python->runtime = bias + file->python.runtime;
	process->python->version = file->python.version ? bias + file->python.version : 0;
	snprintf(process->python->module, sizeof(process->python->module), "%s", mapping->path);
}

static int fill(struct unwind_load *load, uint32_t pid, const struct symbol_maps *maps,
		struct process *process)
{
	int directory_fd = symbol_open_process(pid);
	int root_fd = directory_fd >= 0 ? symbol_open_root(directory_fd) : -1;

	for (uint32_t i = 0; i < maps->count && directory_fd >= 0; i++) {
		struct file *file = open_and_find(load, directory_fd, root_fd, &maps->mappings[i]);

		if (file) {
			file->users++;
			process->files[process->file_count++] = file;
			note_python(process, file, &maps->mappings[i]);
		}
		write_mapping(load, process->place.first_mapping + i,
			      place_of(&maps->mappings[i], file), process->place.owner);
	}
	if (root_fd >= 0)
		close(root_fd);
	if (directory_fd >= 0)
		close(directory_fd);
	return directory_fd < 0 ? -ESRCH : 0;
}

int unwind_load_process(struct unwind_load *load, uint32_t pid, const struct symbol_maps *maps)
{
	struct process fresh = { .place = { .mapping_count = maps->count } }, *known;
	int rc;

	fresh.files = calloc(maps->count + 1, sizeof(struct file *));
	if (!fresh.files)
		return -ENOMEM;
	rc = unwind_extents_take(&load->mapping_extents, maps->count, &fresh.place.first_mapping);
	if (rc < 0) {
		free(fresh.files);
		return rc;
	}
	load->last_owner += 1 + (load->last_owner == UINT32_MAX);
	fresh.place.owner = load->last_owner;
	rc = fill(load, pid, maps, &fresh);
	known = rc == 0 ? map_put(&load->processes, &pid) : NULL;
	if (rc == 0 && !known)
		rc = -ENOMEM;
	if (rc == 0 && bpf_map_update_elem(load->processes_fd, &pid, &fresh.place, BPF_ANY) < 0)
		rc = -errno;
	if (rc < 0) {
		release(load, &fresh);
		return rc;
	}
	release(load, known);
	*known = fresh;
	return 0;
}

const struct python_place *unwind_load_python(const struct unwind_load *load, uint32_t pid)
{
	const struct process *process = map_get(&load->processes, &pid);

	return process ? process->python : NULL;
}

void unwind_load_forget(struct unwind_load *load, uint32_t pid)
{
	struct process *process = map_get(&load->processes, &pid);

	bpf_map_delete_elem(load->processes_fd, &pid); /* what it had from its parent, too */
	if (!process)
		return;
	release(load, process);
	map_delete(&load->processes, &pid);
}

void unwind_load_stats(const struct unwind_load *load, struct unwind_load_stats *out_stats)
{
	*out_stats = load->stats;
	out_stats->files = (uint32_t)load->files.count;
	out_stats->processes = (uint32_t)load->processes.count;
	out_stats->rows = load->row_extents.taken;
}
