/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/process_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int process_files_reopen(int path_fd)
{
	char name[32];
	struct stat status;
	int fd;

	if (fstat(path_fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -ENOEXEC;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", path_fd);
	fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int find_mapped(int directory_fd, const struct maps_segment *segment)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, segment->start,
		 segment->end);
	fd = openat(directory_fd, name, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Symbolic links are followed inside the process's own root: they are the process's to make. */
static int find_path(int directory_fd, const char *path, uint64_t inode)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int root_fd = openat(directory_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC), fd, error;
	struct stat status;

	if (root_fd < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	error = errno;
	close(root_fd);
	if (fd < 0)
		return -error;
	if (fstat(fd, &status) < 0)
		error = errno;
	else if (!S_ISREG(status.st_mode))
		error = ENOEXEC;
	else if (status.st_ino != inode)
		error = ESTALE;
	else
		return fd;
	close(fd);
	return -error;
}

int process_files_find(int directory_fd, const struct process_maps *maps,
		       const struct maps_module *module, bool *no_map_files)
{
	int fd;

	if (!*no_map_files) {
		fd = find_mapped(directory_fd, &maps->segments[module->first_segment]);
		if (fd != -EPERM && fd != -EACCES)
			return fd;
		*no_map_files = true;
	}
	if (module->is_deleted)
		return -ENOENT;
	return find_path(directory_fd, process_maps_path(maps, module), module->inode);
}
