/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/export/forward_cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FORMAT "spanwise forward 1 %" PRIu64 " %" PRIu64 "\n"

static int make_path(const char *data_path, const char *suffix, char out_path[PATH_MAX])
{
	int len = snprintf(out_path, PATH_MAX, "%s/state/forward.cursor%s", data_path, suffix);

	return len < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int forward_cursor_read(const char *data_path, struct store_place *out_place)
{
	struct store_place place;
	char path[PATH_MAX], end;
	FILE *file;
	int rc = make_path(data_path, "", path);

	if (rc < 0)
		return rc;
	file = fopen(path, "re");
	if (!file)
		return -errno;
	if (fscanf(file, "spanwise forward 1 %" SCNu64 " %" SCNu64 "%c", &place.part_unix_ns,
		   &place.row, &end) != 3 ||
	    end != '\n')
		rc = -EBADMSG;
	fclose(file);
	if (rc == 0)
		*out_place = place;
	return rc;
}

static int write_whole(const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t written;
	int rc = 0;

	if (fd < 0)
		return -errno;
	written = write(fd, text, len);
	if (written < 0 || fsync(fd) < 0)
		rc = -errno;
	else if ((size_t)written != len)
		rc = -ENOSPC;
	close(fd);
	return rc;
}

/* The rename need not be durable: an older cursor sends some spans twice, and loses none. */
int forward_cursor_write(const char *data_path, const struct store_place *place)
{
	char path[PATH_MAX], fresh[PATH_MAX], text[96];
	int rc = make_path(data_path, "", path);

	if (rc == 0)
		rc = make_path(data_path, ".new", fresh);
	if (rc < 0)
		return rc;
	snprintf(text, sizeof(text), FORMAT, place->part_unix_ns, place->row);
	rc = write_whole(fresh, text);
	if (rc == 0 && rename(fresh, path) < 0)
		rc = -errno;
	return rc;
}
