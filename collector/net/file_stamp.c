/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/net/file_stamp.h"

#include <sys/stat.h>

struct file_stamp file_stamp_of(const char *path)
{
	struct stat stat_now;

	if (!*path || stat(path, &stat_now) < 0)
		return (struct file_stamp){ 0 };
	return (struct file_stamp){
		.device = stat_now.st_dev,
		.inode = stat_now.st_ino,
		.size = (uint64_t)stat_now.st_size,
		.changed_s = stat_now.st_ctim.tv_sec,
		.changed_ns = stat_now.st_ctim.tv_nsec,
	};
}

bool file_stamp_eq(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->changed_s == b->changed_s && a->changed_ns == b->changed_ns;
}
