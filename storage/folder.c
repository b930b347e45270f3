/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/folder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/part.h"
#include "storage/state.h"

#define FOLDER_MODE  0700
#define START_DIGITS 20

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int folder_sync(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	rc = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

int folder_make(const char *path)
{
	return mkdir(path, FOLDER_MODE) < 0 ? -errno : 0;
}

int folder_rename(const struct folder *folder, const char *from, const char *to)
{
	if (rename(from, to) < 0)
		return -errno;
	return folder_sync(folder->parts);
}

/* Files only: our folders hold no others. */
void folder_remove(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (!is_dots(entry->d_name))
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
	rmdir(path);
}

char *folder_part_path(const struct folder *folder, uint64_t start, const char *suffix)
{
	char *path;

	return asprintf(&path, "%s/%0*" PRIu64 "%s", folder->parts, START_DIGITS, start, suffix) < 0
		       ? NULL
		       : path;
}

static int say(struct buf *message, int rc, const char *path)
{
	switch (-rc) {
	case EBUSY:
		buf_printf(message,
			   "%s: another spanwise is using this data folder; stop it, or "
			   "choose another folder",
			   path);
		break;
	case EEXIST:
		buf_printf(message,
			   "%s: not empty, and not a data folder of spanwise; choose an "
			   "empty or a new folder",
			   path);
		break;
	case EPROTO:
		buf_printf(message,
			   "%s: written by a newer version of spanwise; use that version, "
			   "or choose another folder",
			   path);
		break;
	case EPROTOTYPE:
		buf_printf(message,
			   "%s: written by an older version of spanwise, whose data this one "
			   "does not read; move the folder away to start anew",
			   path);
		break;
	case EBADMSG:
		buf_printf(message,
			   "%s: its state is damaged; restore state/ from a backup, or move "
			   "the folder away to start anew",
			   path);
		break;
	case EACCES:
	case EPERM:
	case EROFS:
		buf_printf(message,
			   "%s: not writable (%s); give this user the folder, or choose "
			   "another",
			   path, strerror(-rc));
		break;
	case ENOENT:
		buf_printf(message, "%s: no such folder; create its parent, or choose another",
			   path);
		break;
	case ENOTDIR:
		buf_printf(message, "%s: not a folder; choose another", path);
		break;
	default:
		buf_printf(message, "%s: %s", path, strerror(-rc));
	}
	return rc;
}

/* What file systems and interrupted beginnings of ours leave does not count. */
static int is_empty(int fd, bool *out_empty)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	bool empty = true;

	if (!dir) {
		if (copy >= 0)
			close(copy);
		return -errno;
	}
	while ((entry = readdir(dir)))
		empty = empty && (is_dots(entry->d_name) || !strcmp(entry->d_name, "lost+found") ||
				  !strcmp(entry->d_name, "state.new"));
	closedir(dir);
	*out_empty = empty;
	return 0;
}

static int lock(struct folder *folder, bool read_only)
{
	folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder->fd < 0)
		return -errno;
	if (flock(folder->fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return 0;
}

/* Made under another name first: a folder that has a state/ is complete. */
static int make_state(struct folder *folder, const char *state_path)
{
	char *fresh = part_file_path(folder->path, "state.new");
	int rc = fresh ? 0 : -ENOMEM;

	if (rc == 0) {
		folder_remove(fresh);
		rc = folder_make(fresh);
	}
	if (rc == 0)
		rc = state_create(fresh);
	if (rc == 0)
		rc = folder_sync(fresh);
	if (rc == 0 && rename(fresh, state_path) < 0)
		rc = -errno;
	if (rc == 0)
		rc = folder_sync(folder->path);
	free(fresh);
	return rc;
}

static int open_state(struct folder *folder, bool read_only)
{
	char *path = part_file_path(folder->path, "state");
	bool is_new = path && access(path, F_OK) < 0 && errno == ENOENT, empty = false;
	int rc = path ? 0 : -ENOMEM;

	if (rc == 0 && is_new)
		rc = is_empty(folder->fd, &empty);
	if (rc == 0 && is_new && !empty)
		rc = -EEXIST;
	if (rc == 0 && is_new)
		rc = read_only ? -EEXIST : make_state(folder, path);
	if (rc == 0 && !read_only && access(folder->path, W_OK) < 0)
		rc = -errno;
	if (rc == 0)
		rc = state_read(path, &folder->seed);
	free(path);
	return rc;
}

static int prepare(struct folder *folder, bool read_only)
{
	int rc;

	if (!folder->path || !folder->parts)
		return -ENOMEM;
	rc = read_only ? 0 : folder_make(folder->path);
	if (rc < 0 && rc != -EEXIST)
		return rc;
	rc = lock(folder, read_only);
	if (rc == 0)
		rc = open_state(folder, read_only);
	if (rc < 0 || read_only)
		return rc;
	rc = folder_make(folder->parts);
	return rc == -EEXIST ? 0 : rc < 0 ? rc : folder_sync(folder->path);
}

int folder_open(const char *path, bool read_only, struct folder *out_folder,
		struct buf *out_message)
{
	struct folder folder = { .path = strdup(path),
				 .parts = part_file_path(path, "parts"),
				 .fd = -1 };
	int rc = prepare(&folder, read_only);

	if (rc < 0) {
		folder_close(&folder);
		return say(out_message, rc, path);
	}
	*out_folder = folder;
	return 0;
}

void folder_close(struct folder *folder)
{
	if (folder->fd >= 0)
		close(folder->fd);
	free(folder->path);
	free(folder->parts);
	*folder = (struct folder){ .fd = -1 };
}

static bool parse_start(const char *name, uint64_t *out_start, const char **out_suffix)
{
	char *end;

	for (int i = 0; i < START_DIGITS; i++) {
		if (!isdigit((unsigned char)name[i]))
			return false;
	}
	errno = 0;
	*out_start = strtoull(name, &end, 10);
	*out_suffix = name + START_DIGITS;
	return errno == 0 && end == *out_suffix;
}

static int compare_starts(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static void remove_leftover(const struct folder *folder, uint64_t start, const char *suffix)
{
	char *path = folder_part_path(folder, start, suffix);

	if (path)
		folder_remove(path);
	free(path);
}

int folder_list(const struct folder *folder, bool read_only, uint64_t **out_starts,
		size_t *out_count)
{
	DIR *dir = opendir(folder->parts);
	struct dirent *entry;
	struct buf starts;
	int rc;

	buf_init(&starts, 0);
	if (!dir && errno != ENOENT)
		return -errno;
	while (dir && (entry = readdir(dir))) {
		const char *suffix;
		uint64_t start;

		if (!parse_start(entry->d_name, &start, &suffix))
			continue;
		if (*suffix == '\0')
			buf_append(&starts, &start, sizeof(start));
		else if (!read_only && (!strcmp(suffix, ".new") || !strcmp(suffix, ".gone")))
			remove_leftover(folder, start, suffix);
	}
	if (dir)
		closedir(dir);
	rc = buf_error(&starts);
	if (rc < 0) {
		buf_fini(&starts);
		return rc;
	}
	*out_count = starts.len / sizeof(uint64_t);
	*out_starts = (void *)starts.data;
	if (starts.len)
		qsort(*out_starts, *out_count, sizeof(uint64_t), compare_starts);
	return 0;
}
