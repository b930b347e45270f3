/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bpf/symbol_debug.h"
#include "bpf/symbol_go.h"
#include "bpf/symbol_plt.h"
#include "collector/base/macros.h"
#include "collector/base/map.h"

#define MAX_FILES 4096

struct node {
	struct symbol_file file;
	uint64_t used; /* when it was last asked for, in calls */
	uint32_t keys; /* that lead to it; with the last one it goes */
	size_t bytes;
	int error;
};

struct symbol_files {
	struct map by_key; /* symbol_file_key -> struct node *; copies have the same one */
	size_t limit_bytes, bytes;
	uint64_t calls;
};

int symbol_files_new(size_t limit_bytes, struct symbol_files **out_files)
{
	struct symbol_files *files = calloc(1, sizeof(*files));

	if (!files)
		return -ENOMEM;
	map_init(&files->by_key, sizeof(struct symbol_file_key), sizeof(struct node *), 0);
	files->limit_bytes = limit_bytes;
	*out_files = files;
	return 0;
}

static void free_node(struct node *node)
{
	symbol_file_fini(&node->file);
	free(node);
}

/* True: it is gone. */
static bool leave_node(struct node *node)
{
	if (--node->keys)
		return false;
	free_node(node);
	return true;
}

void symbol_files_free(struct symbol_files *files)
{
	size_t cursor = 0;
	const void *key;
	struct node **slot;

	if (!files)
		return;
	while ((slot = map_next(&files->by_key, &cursor, &key)))
		leave_node(*slot);
	map_fini(&files->by_key);
	free(files);
}

/* ---- one file */

int symbol_file_read(struct symbol_file *file, int fd, int root_fd, const char *path)
{
	struct sections sections;
	int rc = sections_open(&sections, fd);

	*file = (struct symbol_file){ 0 };
	if (rc < 0)
		return rc;
	memcpy(file->loads, sections.loads, sizeof(file->loads));
	file->load_count = sections.load_count;
	memcpy(file->build_id, sections.build_id, sizeof(file->build_id));
	file->build_id_bytes = sections.build_id_bytes;
	rc = symbol_table_add(&file->functions, &sections, SHT_SYMTAB);
	if (rc == -ENOENT)
		rc = symbol_debug_add(&file->functions, &sections, root_fd, path);
	if (rc == -ENOENT)
		rc = symbol_go_add(&file->functions, &sections);
	if (rc == -ENOTSUP || rc == -EBADMSG) /* of Go's table: others may do */
		rc = -ENOENT;
	if (rc == 0 || rc == -ENOENT)
		rc = symbol_table_add(&file->functions, &sections, SHT_DYNSYM);
	if ((rc == 0 || rc == -ENOENT) &&
	    symbol_plt_add(&file->functions, &sections) == -ENOMEM) /* of others: do without */
		rc = -ENOMEM;
	sections_close(&sections);
	if (rc < 0 && rc != -ENOENT) {
		symbol_file_fini(file);
		return rc;
	}
	symbol_table_sort(&file->functions);
	symbol_table_pack(&file->functions);
	return 0;
}

void symbol_file_fini(struct symbol_file *file)
{
	symbol_table_fini(&file->functions);
}

int symbol_file_vaddr(const struct symbol_file *file, uint64_t offset, uint64_t *out_vaddr)
{
	for (uint32_t i = 0; i < file->load_count; i++) {
		const struct sections_load *load = &file->loads[i];

		if (!(load->flags & PF_X) || offset < load->offset ||
		    offset - load->offset >= load->file_bytes)
			continue;
		*out_vaddr = load->vaddr + (offset - load->offset);
		return 0;
	}
	return -ENOENT;
}

/* ---- all of them */

bool symbol_files_drop(struct symbol_files *files)
{
	struct node *oldest = NULL, **slot;
	struct symbol_file_key copy;
	size_t cursor = 0, bytes;
	const void *key; /* as it lies in the map: not aligned */

	while ((slot = map_next(&files->by_key, &cursor, &key))) {
		if (oldest && (*slot)->used >= oldest->used)
			continue;
		oldest = *slot;
		memcpy(&copy, key, sizeof(copy));
	}
	if (!oldest)
		return false;
	bytes = oldest->bytes;
	map_delete(&files->by_key, &copy);
	if (leave_node(oldest))
		files->bytes -= bytes;
	return true;
}

static int key_of(int fd, struct symbol_file_key *out_key)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	*out_key = (struct symbol_file_key){
		.device = status.st_dev,
		.inode = status.st_ino,
		.changed_ns = (uint64_t)status.st_mtim.tv_sec * NS_PER_SEC +
			      (uint64_t)status.st_mtim.tv_nsec,
		.size = (uint64_t)status.st_size,
	};
	return 0;
}

/* The same code under the same names; who says so is the files' contents, not what they claim to
 * be. */
static bool is_copy(const struct node *a, const struct node *b)
{
	const struct symbol_file *x = &a->file, *y = &b->file;

	return a->error == b->error && x->load_count == y->load_count &&
	       memcmp(x->loads, y->loads, sizeof(x->loads)) == 0 &&
	       x->build_id_bytes == y->build_id_bytes &&
	       memcmp(x->build_id, y->build_id, sizeof(x->build_id)) == 0 &&
	       symbol_table_equals(&x->functions, &y->functions);
}

/* `node`, or, if there is one like it, that one; the other is freed. */
static struct node *unite(struct symbol_files *files, struct node *node)
{
	struct node **slot;
	size_t cursor = 0;
	const void *key;

	while ((slot = map_next(&files->by_key, &cursor, &key))) {
		if (!is_copy(*slot, node))
			continue;
		free_node(node);
		return *slot;
	}
	return node;
}

static struct node *add(struct symbol_files *files, const struct symbol_file_key *key, int fd,
			int root_fd, const char *path)
{
	struct node *node = calloc(1, sizeof(*node)), *known, **slot;

	if (!node)
		return NULL;
	node->error = symbol_file_read(&node->file, fd, root_fd, path);
	node->bytes = sizeof(*node) + symbol_table_bytes(&node->file.functions);
	known = unite(files, node);
	known->used = files->calls + 1; /* so that it is not the one that goes */
	while (files->by_key.count > (known == node ? 0u : 1u) &&
	       (files->by_key.count >= MAX_FILES ||
		(known == node && files->bytes + node->bytes > files->limit_bytes)))
		symbol_files_drop(files);
	slot = map_put(&files->by_key, key);
	if (!slot) {
		if (known == node)
			free_node(node);
		return NULL;
	}
	*slot = known;
	if (known->keys++ == 0)
		files->bytes += known->bytes;
	return known;
}

int symbol_files_get(struct symbol_files *files, int fd, int root_fd, const char *path,
		     const struct symbol_file **out_file, struct symbol_file_key *out_key)
{
	struct symbol_file_key key;
	struct node **slot, *node;
	int rc = key_of(fd, &key);

	if (rc < 0)
		return rc;
	slot = map_get(&files->by_key, &key);
	node = slot ? *slot : add(files, &key, fd, root_fd, path);
	if (!node)
		return -ENOMEM;
	node->used = ++files->calls;
	if (node->error)
		return node->error;
	*out_file = &node->file;
	*out_key = key;
	return 0;
}

const struct symbol_file *symbol_files_recall(struct symbol_files *files,
					      const struct symbol_file_key *key)
{
	struct node **slot = map_get(&files->by_key, key);

	if (!slot || (*slot)->error)
		return NULL;
	(*slot)->used = ++files->calls;
	return &(*slot)->file;
}

size_t symbol_files_bytes(const struct symbol_files *files)
{
	return files->bytes + map_bytes(&files->by_key);
}
