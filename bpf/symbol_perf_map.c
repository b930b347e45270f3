/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_perf_map.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/base/macros.h"

#define READ_BYTES (256u << 10)
#define MAX_NAME   1024
#define MAX_STEPS  512 /* back from the last that begins before an address */

void symbol_perf_map_fini(struct symbol_perf_map *map)
{
	symbol_table_fini(&map->table);
	free(map->places);
	*map = (struct symbol_perf_map){ .most_bytes = map->most_bytes };
}

size_t symbol_perf_map_bytes(const struct symbol_perf_map *map)
{
	return symbol_table_bytes(&map->table) + map->places_cap * sizeof(*map->places);
}

bool symbol_perf_map_is_full(const struct symbol_perf_map *map)
{
	size_t most = map->most_bytes ? MIN(map->most_bytes, PERF_MAP_MEMORY_BYTES)
				      : PERF_MAP_MEMORY_BYTES;

	return symbol_perf_map_bytes(map) >= most;
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

static int by_start(const void *a, const void *b)
{
	const struct symbol_perf_place *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->entry < y->entry ? -1 : 1;
}

static bool sort(struct symbol_perf_map *map)
{
	const struct symbol_table *table = &map->table;
	uint64_t reach = 0;

	if (map->placed == table->count)
		return true;
	if (table->count > map->places_cap) {
		void *grown = reallocarray(map->places, table->cap, sizeof(*map->places));

		if (!grown)
			return false;
		map->places = grown;
		map->places_cap = table->cap;
	}
	for (uint32_t i = 0; i < table->count; i++)
		map->places[i] =
			(struct symbol_perf_place){ .start = table->entries[i].start, .entry = i };
	qsort(map->places, table->count, sizeof(*map->places), by_start);
	for (uint32_t i = 0; i < table->count; i++) {
		const struct symbol_entry *entry = &table->entries[map->places[i].entry];

		/* beyond the last address there is nothing */
		reach = MAX(reach, entry->start + MIN((uint64_t)entry->size, ~entry->start));
		map->places[i].reach = reach;
	}
	map->placed = table->count;
	return true;
}

static bool covers(const struct symbol_entry *entry, uint64_t address)
{
	return address >= entry->start && address - entry->start < entry->size;
}

/* Those that were put last come last: of all that cover an address, the last one is right. */
static const struct symbol_entry *find_newest(const struct symbol_table *table, uint64_t address)
{
	for (uint32_t i = table->count; i > 0; i--)
		if (covers(&table->entries[i - 1], address))
			return &table->entries[i - 1];
	return NULL;
}

const char *symbol_perf_map_scan(const struct symbol_perf_map *map, uint64_t address)
{
	const struct symbol_entry *entry = find_newest(&map->table, address);

	return entry ? map->table.names + entry->name : NULL;
}

static const struct symbol_entry *find_sorted(const struct symbol_perf_map *map, uint64_t address)
{
	const struct symbol_entry *entries = map->table.entries, *found = NULL;
	uint32_t low = 0, high = map->placed, steps = 0;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (map->places[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low > 0 && map->places[low - 1].reach > address; low--) {
		const struct symbol_entry *entry = &entries[map->places[low - 1].entry];

		if (++steps > MAX_STEPS) /* odd: one spans very many others */
			return find_newest(&map->table, address);
		if (covers(entry, address) && (!found || entry > found))
			found = entry;
	}
	return found;
}

const char *symbol_perf_map_find(struct symbol_perf_map *map, uint64_t address)
{
	const struct symbol_entry *entry =
		sort(map) ? find_sorted(map, address) : find_newest(&map->table, address);

	return entry ? map->table.names + entry->name : NULL;
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
	while (map->read_bytes < PERF_MAP_MAX_BYTES && !symbol_perf_map_is_full(map)) {
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
