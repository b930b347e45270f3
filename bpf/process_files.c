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

/* Turns an O_PATH descriptor, which it takes, into one for reading. */
static int reopen(int path_fd, uint64_t inode)
{
	char name[32];
	struct stat status;
	int fd = -ENOEXEC;

	if (fstat(path_fd, &status) < 0) {
		fd = -errno;
	} else if (S_ISREG(status.st_mode)) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", path_fd);
		fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	close(path_fd);
	if (fd >= 0 && inode && status.st_ino != inode) {
		close(fd);
		fd = -ESTALE;
	}
	return fd;
}

static int open_mapped(int directory_fd, const struct maps_segment *segment)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, segment->start,
		 segment->end);
	fd = openat(directory_fd, name, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : reopen(fd, 0);
}

/* Symbolic links are followed inside the process's own root: they are the process's to make. */
static int open_path(int directory_fd, const char *path, uint64_t inode)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int root_fd = openat(directory_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC), fd, error;

	if (root_fd < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	error = errno;
	close(root_fd);
	return fd < 0 ? -error : reopen(fd, inode);
}

int process_files_open(int directory_fd, const struct process_maps *maps,
		       const struct maps_module *module, bool *no_map_files)
{
	int fd;

	if (!*no_map_files) {
		fd = open_mapped(directory_fd, &maps->segments[module->first_segment]);
		if (fd != -EPERM && fd != -EACCES)
			return fd;
		*no_map_files = true;
	}
	if (module->is_deleted)
		return -ENOENT;
	return open_path(directory_fd, process_maps_path(maps, module), module->inode);
}
