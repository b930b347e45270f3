/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/base/macros.h"

#define LINE_BYTES 4352 /* PATH_MAX and the columns before it */

void symbol_maps_fini(struct symbol_maps *maps)
{
	for (uint32_t i = 0; i < maps->count; i++)
		free(maps->mappings[i].path);
	free(maps->mappings);
	*maps = (struct symbol_maps){ 0 };
}

static struct symbol_mapping *new_mapping(struct symbol_maps *maps)
{
	if (maps->count == maps->cap) {
		uint32_t cap = MAX(64u, maps->cap * 2);
		void *grown = realloc(maps->mappings, cap * sizeof(*maps->mappings));

		if (!grown)
			return NULL;
		maps->mappings = grown;
		maps->cap = cap;
	}
	return &maps->mappings[maps->count];
}

/* The path starts after five columns. */
static const char *path_of(const char *line)
{
	for (int column = 0; column < 5 && *line; column++) {
		line += strcspn(line, " ");
		line += strspn(line, " ");
	}
	return line;
}

int symbol_maps_take(struct symbol_maps *maps, char *line)
{
	struct symbol_mapping mapping = { 0 }, *place;
	unsigned long start, end, offset, inode;
	char rights[5];

	if (sscanf(line, "%lx-%lx %4s %lx %*x:%*x %lu", &start, &end, rights, &offset, &inode) !=
		    5 ||
	    rights[2] != 'x' || start >= end || maps->count >= SYMBOL_MAPS_MAX)
		return 0;
	place = new_mapping(maps);
	if (!place)
		return -ENOMEM;
	mapping.start = start;
	mapping.end = end;
	mapping.offset = offset;
	mapping.inode = inode;
	mapping.path = strdup(path_of(line));
	if (!mapping.path)
		return -ENOMEM;
	*place = mapping;
	maps->path_bytes += strlen(mapping.path) + 1;
	maps->count++;
	return 0;
}

int symbol_maps_read(struct symbol_maps *maps, int directory_fd)
{
	struct symbol_maps found = { 0 };
	int fd = openat(directory_fd, "maps", O_RDONLY | O_CLOEXEC), rc = 0;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char line[LINE_BYTES];

	if (!file) {
		if (fd >= 0)
			close(fd);
		return -ESRCH;
	}
	for (uint32_t lines = 0;
	     rc == 0 && lines < SYMBOL_MAPS_MAX_LINES && fgets(line, sizeof(line), file); lines++) {
		line[strcspn(line, "\n")] = '\0';
		rc = symbol_maps_take(&found, line);
	}
	fclose(file);
	if (rc == 0 && found.count == 0)
		rc = -ESRCH;
	if (rc < 0) {
		symbol_maps_fini(&found);
		return rc;
	}
	symbol_maps_fini(maps);
	*maps = found;
	return 0;
}

size_t symbol_maps_bytes(const struct symbol_maps *maps)
{
	return maps->cap * sizeof(*maps->mappings) + maps->path_bytes;
}

struct symbol_mapping *symbol_maps_find(const struct symbol_maps *maps, uint64_t address)
{
	uint32_t low = 0, high = maps->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (maps->mappings[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low && address < maps->mappings[low - 1].end ? &maps->mappings[low - 1] : NULL;
}
