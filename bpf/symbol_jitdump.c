/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_jitdump.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/base/frame.h"
#include "collector/base/macros.h"

#define MAGIC        0x4a695444 /* of a machine with our byte order */
#define EM_OF_X86_64 62
#define MAX_NAME     1024

struct head {
	uint32_t magic, version, bytes, machine, pad, pid;
	uint64_t time, flags;
};

struct record {
	uint32_t id, bytes;
	uint64_t time;
};

struct load {
	uint32_t pid, tid;
	uint64_t address, code, code_bytes, index;
	char name[MAX_NAME];
};

struct move {
	uint32_t pid, tid;
	uint64_t address, old_code, new_code, code_bytes, index;
};

#define LOAD_BYTES offsetof(struct load, name)

bool symbol_jitdump_is(const char *path)
{
	struct str name = frame_base_name(str_of(path));

	return name.len > 9 && memcmp(name.data, "jit-", 4) == 0 &&
	       memmem(name.data, name.len, ".dump", 5);
}

/* Less where the file ends. */
static ssize_t read_some(int fd, uint64_t at, void *out, size_t bytes)
{
	ssize_t n;

	do
		n = pread(fd, out, bytes, (off_t)at);
	while (n < 0 && errno == EINTR);
	return n;
}

static int take_load(struct symbol_perf_map *map, int fd, uint64_t at, size_t bytes)
{
	struct load load = { 0 };
	size_t want = MIN(bytes, sizeof(load));
	ssize_t n = read_some(fd, at, &load, want);

	if (n < (ssize_t)LOAD_BYTES)
		return -EBADMSG;
	if (load.code_bytes == 0)
		return 0;
	return symbol_table_put(&map->table, load.code, load.code_bytes, 0, load.name,
				strnlen(load.name, (size_t)n - LOAD_BYTES));
}

static int take_move(struct symbol_perf_map *map, int fd, uint64_t at, size_t bytes)
{
	struct move move;
	const char *name;
	char copy[MAX_NAME + 1];

	if (bytes < sizeof(move) || read_some(fd, at, &move, sizeof(move)) != sizeof(move))
		return -EBADMSG;
	if (map->moves++ >= JITDUMP_MAX_MOVES)
		return 0;
	name = symbol_perf_map_scan(map, move.old_code);
	if (!name || move.code_bytes == 0)
		return 0;
	/* the names may move while one is put */
	strncpy(copy, name, MAX_NAME);
	copy[MAX_NAME] = '\0';
	return symbol_table_put(&map->table, move.new_code, move.code_bytes, 0, copy, strlen(copy));
}

/* 1: a record was taken; 0: none is there whole. */
static int take_record(struct symbol_perf_map *map, int fd, uint64_t file_bytes)
{
	uint64_t at = map->read_bytes;
	struct record record;
	int rc = 0;

	if (file_bytes - at < sizeof(record) ||
	    read_some(fd, at, &record, sizeof(record)) != sizeof(record))
		return 0;
	if (record.bytes < sizeof(record))
		return -EBADMSG;
	if (record.bytes > file_bytes - at)
		return 0;
	if (record.id == 0)
		rc = take_load(map, fd, at + sizeof(record), record.bytes - sizeof(record));
	else if (record.id == 1)
		rc = take_move(map, fd, at + sizeof(record), record.bytes - sizeof(record));
	map->read_bytes += record.bytes;
	return rc < 0 ? rc : 1;
}

static int take_head(struct symbol_perf_map *map, int fd, uint64_t file_bytes)
{
	struct head head;

	if (read_some(fd, 0, &head, sizeof(head)) != sizeof(head))
		return 0;
	if (head.magic != MAGIC || head.machine != EM_OF_X86_64 || head.bytes < sizeof(head) ||
	    head.bytes > file_bytes)
		return -EBADMSG;
	map->read_bytes = head.bytes;
	return 1;
}

int symbol_jitdump_read(struct symbol_perf_map *map, int fd)
{
	struct stat status;
	uint64_t bytes;
	int rc = 1, found = 0;

	if (fstat(fd, &status) < 0)
		return -errno;
	bytes = MIN((uint64_t)status.st_size, JITDUMP_MAX_BYTES);
	if (status.st_ino != map->inode || bytes < map->read_bytes) {
		symbol_perf_map_fini(map);
		map->inode = status.st_ino;
	}
	if (map->read_bytes == 0)
		rc = take_head(map, fd, bytes);
	while (rc == 1 && !symbol_perf_map_is_full(map) && map->read_bytes < bytes) {
		rc = take_record(map, fd, bytes);
		found |= rc == 1;
	}
	return rc < 0 ? rc : found;
}
