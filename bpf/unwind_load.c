/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/unwind_load.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/symbol_open.h"
#include "bpf/unwind.h"
#include "bpf/unwind_extents.h"
#include "bpf/unwind_files.h"
#include "collector/base/map.h"

struct process {
	struct unwind_process place; /* count 0: none */
	struct unwind_file **files;  /* owned array: those that it uses, each as often as mapped */
	uint32_t file_count;
	struct python_place *python; /* owned; NULL: it runs none */
};

struct unwind_load {
	int processes_fd; /* the caller's */
	struct unwind_files *files;
	struct unwind_mapping *mappings; /* mapped */
	struct unwind_extents mapping_extents;
	struct map processes; /* pid -> struct process */
	uint32_t last_owner;  /* given to a process's mappings; never 0 */
};

int unwind_load_new(const struct unwind_load_fds *fds, struct unwind_load **out_load)
{
	struct unwind_load *load = calloc(1, sizeof(*load));
	int rc;

	if (!load)
		return -ENOMEM;
	load->processes_fd = fds->processes;
	load->mappings = unwind_map_array(fds->mappings, UNWIND_MAPPINGS * sizeof(*load->mappings));
	unwind_extents_init(&load->mapping_extents, UNWIND_MAPPINGS);
	map_init(&load->processes, sizeof(uint32_t), sizeof(struct process), 0);
	rc = unwind_files_new(fds->rows, fds->pages, &load->files);
	if (rc == 0 && (!load->mappings || fds->processes < 0))
		rc = -ENODEV;
	if (rc < 0) {
		unwind_load_free(load);
		return rc;
	}
	*out_load = load;
	return 0;
}

void unwind_load_free(struct unwind_load *load)
{
	struct process *process;
	size_t cursor = 0;
	const void *key;

	if (!load)
		return;
	while ((process = map_next(&load->processes, &cursor, &key))) {
		free(process->files);
		free(process->python);
	}
	map_fini(&load->processes);
	unwind_files_free(load->files);
	unwind_extents_fini(&load->mapping_extents);
	if (load->mappings)
		munmap(load->mappings, UNWIND_MAPPINGS * sizeof(*load->mappings));
	free(load);
}

/* What one mapping becomes; without a file, or a file without a table, by frame pointers. */
static struct unwind_mapping place_of(const struct symbol_mapping *mapping,
				      const struct unwind_file *file)
{
	struct unwind_mapping place = { .start = mapping->start, .end = mapping->end };
	uint64_t bias;

	if (!file)
		return place;
	if (file->moves_stacks)
		place.flags = UNWIND_MOVES_STACKS;
	if (file->wanted_rows)
		place.flags |= UNWIND_WITHOUT_ROOM;
	if (file->page_count == 0 || !unwind_file_bias(file, mapping, &bias))
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

static struct unwind_file *open_and_find(struct unwind_load *load, int directory_fd, int root_fd,
					 const struct symbol_mapping *mapping)
{
	struct unwind_file *file = NULL;
	int fd;

	if (strcmp(mapping->path, "[vdso]") == 0)
		return unwind_files_vdso(load->files);
	if (mapping->inode == 0)
		return NULL;
	fd = symbol_open_file(directory_fd, root_fd, mapping);
	if (fd >= 0) {
		file = unwind_files_get(load->files, fd);
		close(fd);
	}
	return file;
}

static void release(struct unwind_load *load, struct process *process)
{
	for (uint32_t i = 0; i < process->file_count; i++)
		unwind_files_leave(load->files, process->files[i]);
	free(process->files);
	free(process->python);
	if (process->place.mapping_count)
		unwind_extents_give(&load->mapping_extents, process->place.first_mapping);
	*process = (struct process){ 0 };
}

/* The first interpreter that a process has mapped; another one beside it goes unseen. */
static void note_python(struct process *process, const struct unwind_file *file,
			const struct symbol_mapping *mapping)
{
	uint64_t bias;

	if (!file->python.runtime || process->python || !unwind_file_bias(file, mapping, &bias))
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
		struct unwind_file *file =
			open_and_find(load, directory_fd, root_fd, &maps->mappings[i]);

		if (file) {
			unwind_files_use(file);
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

	fresh.files = calloc(maps->count + 1, sizeof(struct unwind_file *));
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
	unwind_files_stats(load->files, &out_stats->files);
	out_stats->processes = (uint32_t)load->processes.count;
}
