/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_open.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int symbol_open_process(uint32_t pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%u", pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int symbol_open_root(int directory_fd)
{
	int fd = openat(directory_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The program itself, which needs no path: it may be deleted. */
static int open_executable(int directory_fd, const struct symbol_mapping *mapping)
{
	struct stat status;
	int fd = openat(directory_fd, "exe", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0 && (fstat(fd, &status) < 0 || status.st_ino != mapping->inode)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* By map_files, else by its path within the process's root. */
int symbol_open_file(int directory_fd, int root_fd, const struct symbol_mapping *mapping)
{
	struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	struct stat status;
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, mapping->start,
		 mapping->end);
	fd = openat(directory_fd, name, (int)how.flags);
	if (fd < 0 && mapping->path[0] == '/' && root_fd >= 0)
		fd = (int)syscall(SYS_openat2, root_fd, mapping->path, &how, sizeof(how));
	if (fd < 0)
		fd = open_executable(directory_fd, mapping);
	if (fd >= 0 && (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Its section headers come last. */
int symbol_open_vdso(void)
{
	const Elf64_Ehdr *image = (const void *)getauxval(AT_SYSINFO_EHDR);
	size_t bytes = image ? image->e_shoff + (size_t)image->e_shnum * image->e_shentsize : 0;
	int fd = image ? memfd_create("vdso", MFD_CLOEXEC) : -1;

	if (fd >= 0 && write(fd, image, bytes) != (ssize_t)bytes) {
		close(fd);
		return -EIO;
	}
	return fd < 0 ? -ENOENT : fd;
}
