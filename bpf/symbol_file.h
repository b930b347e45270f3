/* SPDX-License-Identifier: Apache-2.0 */
/* Files that processes execute, with their functions: each read once, kept while there is room.
 *
 * A file is known by device, inode, time of change and size; copies of one, as containers have
 * them, share what was read. Beyond the limit of bytes the one that was not asked for the longest
 * goes. One thread. Errors as in symbol_sections.h; a file that could not be read is remembered as
 * such. */
#pragma once

#include <stdbool.h>

#include "bpf/symbol_table.h"

struct symbol_file {
	struct sections_load loads[SECTIONS_MAX_LOADS];
	uint32_t load_count;
	struct symbol_table functions;
	uint8_t build_id[SECTIONS_ID_BYTES];
	uint8_t build_id_bytes;
};

struct symbol_files;

struct symbol_file_key {
	uint64_t device, inode, changed_ns, size;
};

int symbol_files_new(size_t limit_bytes, struct symbol_files **out_files);
void symbol_files_free(struct symbol_files *files);

/* `root_fd`: the root directory of a process that has it mapped, or -1; separate debug files are
 * looked for there first, then in our own /usr/lib/debug. Borrowed until the next call. */
int symbol_files_get(struct symbol_files *files, int fd, int root_fd, const char *path,
		     const struct symbol_file **out_file, struct symbol_file_key *out_key);

/* The same without the file, as long as it is remembered; NULL: it is not, or had an error. */
const struct symbol_file *symbol_files_recall(struct symbol_files *files,
					      const struct symbol_file_key *key);

/* The file's own address of what lies at `offset` in it. -ENOENT: not code. */
int symbol_file_vaddr(const struct symbol_file *file, uint64_t offset, uint64_t *out_vaddr);
/* The one that was not asked for the longest; false: there is none. */
bool symbol_files_drop(struct symbol_files *files);
size_t symbol_files_bytes(const struct symbol_files *files);

/* Reads the functions of a file, for the cache and for tests. */
int symbol_file_read(struct symbol_file *file, int fd, int root_fd, const char *path);
void symbol_file_fini(struct symbol_file *file);
