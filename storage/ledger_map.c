/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ledger_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/part.h"

#define FILE_NAME "packing.tmp"
#define FILE_MODE 0600

/* Where there is no O_TMPFILE, it has a name for a moment. */
static int open_nameless(const char *folder)
{
	char *path = part_file_path(folder, FILE_NAME);
	int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE) : -1;
	int rc = path ? -errno : -ENOMEM;

	if (fd >= 0)
		unlink(path);
	free(path);
	return fd >= 0 ? fd : rc;
}

int ledger_map_open(struct ledger_map *map, const char *folder, uint64_t count)
{
	size_t bytes = (size_t)(count + 1) * sizeof(*map->places);
	int fd = open_nameless(folder), rc;
	void *places;

	if (fd < 0)
		return fd;
	rc = -posix_fallocate(fd, 0, (off_t)bytes);
	if (rc == 0) {
		places = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		rc = places == MAP_FAILED ? -errno : 0;
	}
	close(fd);
	if (rc == 0)
		*map = (struct ledger_map){ places, count };
	return rc;
}

void ledger_map_close(struct ledger_map *map)
{
	if (map->places)
		munmap(map->places, (size_t)(map->count + 1) * sizeof(*map->places));
	*map = (struct ledger_map){ 0 };
}
