/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/data_folder.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static int make(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int data_folder_make(const char *path)
{
	char above[PATH_MAX];
	size_t len = strlen(path);
	struct stat status;

	if (len >= sizeof(above))
		return -ENAMETOOLONG;
	if (stat(path, &status) == 0)
		return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
	for (size_t i = 1; i < len; i++) {
		if (path[i] != '/')
			continue;
		memcpy(above, path, i);
		above[i] = '\0';
		if (stat(above, &status) == 0)
			continue;
		if (make(above) < 0)
			return -errno;
	}
	return make(path);
}
