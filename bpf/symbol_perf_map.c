/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_perf_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/base/macros.h"

#define READ_BYTES (256u << 10)
#define MAX_NAME   1024

void symbol_perf_map_fini(struct symbol_perf_map *map)
{
	symbol_table_fini(&map->table);
	*map = (struct symbol_perf_map){ 0 };
}

static void take_line(struct symbol_perf_map *map, const char *line, size_t bytes)
{
	char head[48] = { 0 };
	size_t head_bytes = MIN(bytes, sizeof(head) - 1);
	uint64_t start, size;
	char *end;

	memcpy(head, line, head_bytes);
	start = strtoull(head, &end, 16);
	if (end == head || *end != ' ')
		return;
	size = strtoull(end, &end, 16);
	if (*end != ' ' || size == 0)
		return;
	end++;
	bytes -= (size_t)(end - head);
	symbol_table_put(&map->table, start, size, 0, line + (end - head), MIN(bytes, MAX_NAME));
}

size_t symbol_perf_map_parse(struct symbol_perf_map *map, const char *text, size_t bytes)
{
	size_t at = 0;

	while (at < bytes) {
		const char *newline = memchr(text + at, '\n', bytes - at);

		if (!newline)
			break;
		take_line(map, text + at, (size_t)(newline - text) - at);
		at = (size_t)(newline - text) + 1;
	}
	return at;
}

/* Those that were put last come last: of all that cover an address, the last one is right. */
const char *symbol_perf_map_find(const struct symbol_perf_map *map, uint64_t address)
{
	for (uint32_t i = map->table.count; i > 0; i--) {
		const struct symbol_entry *entry = &map->table.entries[i - 1];

		if (address >= entry->start && address - entry->start < entry->size)
			return map->table.names + entry->name;
	}
	return NULL;
}

int symbol_perf_map_read(struct symbol_perf_map *map, int fd)
{
	struct stat status;
	char *piece;
	int found = 0;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -ENOEXEC;
	if (status.st_ino != map->inode || (uint64_t)status.st_size < map->read_bytes) {
		symbol_perf_map_fini(map);
		map->inode = status.st_ino;
	}
	piece = malloc(READ_BYTES);
	if (!piece)
		return -ENOMEM;
	while (map->read_bytes < PERF_MAP_MAX_BYTES) {
		ssize_t n = pread(fd, piece, READ_BYTES, (off_t)map->read_bytes);
		size_t used = n > 0 ? symbol_perf_map_parse(map, piece, (size_t)n) : 0;

		if (used == 0)
			break;
		map->read_bytes += used;
		found = 1;
	}
	free(piece);
	return found;
}
