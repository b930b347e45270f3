/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_jit.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/symbol_jitdump.h"
#include "bpf/symbol_open.h"

void symbol_jit_fini(struct symbol_jit *jit)
{
	symbol_perf_map_fini(&jit->perf_map);
	symbol_perf_map_fini(&jit->jitdump);
}

size_t symbol_jit_bytes(const struct symbol_jit *jit)
{
	return symbol_perf_map_bytes(&jit->perf_map) + symbol_perf_map_bytes(&jit->jitdump);
}

/* Anybody may put a file into /tmp: names of somebody's code are told by himself, or by root. */
static bool is_its_own(const struct symbol_jit_owner *owner, int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && (status.st_uid == owner->uid || status.st_uid == 0);
}

/* Opens it by the name that perf gave it, in the process's own pid and mount namespaces. */
static void read_perf_map(struct symbol_jit *jit, const struct symbol_jit_owner *owner)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "root/tmp/perf-%u.map", owner->ns_pid);
	fd = openat(owner->directory_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	if (is_its_own(owner, fd))
		symbol_perf_map_read(&jit->perf_map, fd);
	close(fd);
}

static void read_jitdump(struct symbol_jit *jit, const struct symbol_jit_owner *owner)
{
	int root_fd = symbol_open_root(owner->directory_fd), fd = -1;

	for (uint32_t i = 0; i < owner->maps->count && fd < 0; i++) {
		const struct symbol_mapping *mapping = &owner->maps->mappings[i];

		if (symbol_jitdump_is(mapping->path))
			fd = symbol_open_file(owner->directory_fd, root_fd, mapping);
	}
	if (fd >= 0) {
		symbol_jitdump_read(&jit->jitdump, fd);
		close(fd);
	}
	if (root_fd >= 0)
		close(root_fd);
}

void symbol_jit_read(struct symbol_jit *jit, const struct symbol_jit_owner *owner,
		     size_t most_bytes)
{
	jit->perf_map.most_bytes = jit->jitdump.most_bytes = most_bytes;
	read_perf_map(jit, owner);
	read_jitdump(jit, owner);
}

const char *symbol_jit_find(struct symbol_jit *jit, uint64_t address)
{
	const char *name = symbol_perf_map_find(&jit->perf_map, address);

	return name ? name : symbol_perf_map_find(&jit->jitdump, address);
}
