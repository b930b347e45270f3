/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/data_folder.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "storage/folder.h"

/* What is in it is no more durable than its name; who may not read the folder above cannot see to
 * that. */
static int make(char *path)
{
	char *slash = strrchr(path, '/');
	int rc = mkdir(path, 0700) < 0 ? -errno : 0;

	if (rc < 0)
		return rc == -EEXIST ? 0 : rc;
	if (slash)
		*slash = '\0';
	rc = folder_sync(!slash ? "." : slash == path ? "/" : path);
	if (slash)
		*slash = '/';
	return rc == -EACCES ? 0 : rc;
}

int data_folder_make(const char *path)
{
	char above[PATH_MAX];
	size_t len = strlen(path);
	struct stat status;
	int rc;

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
		rc = make(above);
		if (rc < 0)
			return rc;
	}
	memcpy(above, path, len + 1);
	return make(above);
}
