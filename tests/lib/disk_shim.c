/* SPDX-License-Identifier: Apache-2.0 */
/* To be preloaded: a disk that is slow, fails, or loses what was not synced, databases that are
 * small, a clock that jumps or is slow to read, and memory that leaks.
 *
 *   DISK_SHIM_ROOT     only files below this folder are concerned
 *   DISK_SHIM_CONTROL  a file of lines `key value`, read again when it has changed:
 *                      sync_ms N, sync_errno N, write_errno N, clock_s N and clock_us N (added to
 *                      CLOCK_REALTIME), clock_ms N (which reading it takes), map_kib N (of
 *                      databases opened from then on), leak_mib N
 *   DISK_SHIM_JOURNAL  a folder: before a write, what it overwrites is noted there, and forgotten
 * when the file is synced. After kill -9, undoing what is noted gives the state after a power cut.
 *
 * LMDB writes with pwrite, and with writev after lseek; its last page of a commit goes through an
 * O_DSYNC descriptor and is durable at once. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long sync_ms, sync_errno, write_errno, clock_s, clock_us, clock_ms, map_kib,
	leak_mib; /* under `lock`, as the next */
static size_t leaked;
static void *leak;
static struct timespec control_time;
static ino_t control_inode;
static _Thread_local bool is_inside;

#define REAL(type, name, ...)                                                                      \
	static type (*real)(__VA_ARGS__);                                                          \
	if (!real)                                                                                 \
	*(void **)&real = dlsym(RTLD_NEXT, name)

static int real_clock(clockid_t clock, struct timespec *now)
{
	REAL(int, "clock_gettime", clockid_t, struct timespec *);

	return real(clock, now);
}

static ssize_t real_pwrite(int fd, const void *data, size_t len, off_t offset)
{
	REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);

	return real(fd, data, len, offset);
}

static void leak_so_much(size_t bytes)
{
	if (leaked)
		munmap(leak, leaked);
	leaked = bytes;
	leak = bytes ? mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)
		     : NULL;
}

static void read_control(void)
{
	const char *path = getenv("DISK_SHIM_CONTROL");
	struct stat now;
	char key[32];
	long value;
	FILE *file;

	if (!path || stat(path, &now) < 0 ||
	    (now.st_ino == control_inode &&
	     memcmp(&now.st_mtim, &control_time, sizeof(control_time)) == 0))
		return;
	control_time = now.st_mtim;
	control_inode = now.st_ino;
	file = fopen(path, "re");
	if (!file)
		return;
	sync_ms = sync_errno = write_errno = clock_s = clock_us = clock_ms = map_kib = leak_mib = 0;
	while (fscanf(file, "%31s %ld", key, &value) == 2) {
		sync_ms = strcmp(key, "sync_ms") == 0 ? value : sync_ms;
		sync_errno = strcmp(key, "sync_errno") == 0 ? value : sync_errno;
		write_errno = strcmp(key, "write_errno") == 0 ? value : write_errno;
		clock_s = strcmp(key, "clock_s") == 0 ? value : clock_s;
		clock_us = strcmp(key, "clock_us") == 0 ? value : clock_us;
		clock_ms = strcmp(key, "clock_ms") == 0 ? value : clock_ms;
		map_kib = strcmp(key, "map_kib") == 0 ? value : map_kib;
		leak_mib = strcmp(key, "leak_mib") == 0 ? value : leak_mib;
	}
	fclose(file);
	if ((size_t)leak_mib << 20 != leaked)
		leak_so_much((size_t)leak_mib << 20);
}

/* One of them, as the control file has it now. */
static long setting(const long *which)
{
	bool was_inside = is_inside;
	long value;

	is_inside = true;
	pthread_mutex_lock(&lock);
	read_control();
	value = *which;
	pthread_mutex_unlock(&lock);
	is_inside = was_inside;
	return value;
}

static bool is_ours(int fd, char path[PATH_MAX])
{
	const char *root = getenv("DISK_SHIM_ROOT");
	char link[64];
	ssize_t len;

	if (!root || is_inside)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, PATH_MAX - 1);
	if (len < 0)
		return false;
	path[len] = '\0';
	return strncmp(path, root, strlen(root)) == 0;
}

static int open_journal(int fd, int flags)
{
	const char *folder = getenv("DISK_SHIM_JOURNAL");
	char path[PATH_MAX];
	struct stat status;

	if (!folder || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
		return -1;
	snprintf(path, sizeof(path), "%s/%lu", folder, (unsigned long)status.st_ino);
	return open(path, flags | O_CLOEXEC, 0600);
}

/* Record: path length, old bytes, offset, old size; the path; the old bytes. One write, so that a
 * record is whole or not there. */
static void note(int fd, const char *path, size_t len, off_t offset)
{
	uint64_t head[4] = { strlen(path), 0, (uint64_t)offset, 0 };
	int journal;
	struct stat status;
	char *record;
	ssize_t old = 0;
	int readable;

	if (fcntl(fd, F_GETFL) & O_DSYNC || fstat(fd, &status) < 0)
		return;
	journal = open_journal(fd, O_WRONLY | O_CREAT | O_APPEND);
	if (journal < 0)
		return;
	record = malloc(sizeof(head) + head[0] + len);
	readable = open(path, O_RDONLY | O_CLOEXEC);
	if (record && readable >= 0)
		old = pread(readable, record + sizeof(head) + head[0], len, offset);
	head[1] = old > 0 ? (uint64_t)old : 0;
	head[3] = (uint64_t)status.st_size;
	if (record) {
		memcpy(record, head, sizeof(head));
		memcpy(record + sizeof(head), path, head[0]);
		if (write(journal, record, sizeof(head) + head[0] + head[1]) < 0)
			abort();
	}
	free(record);
	close(readable);
	close(journal);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset)
{
	char path[PATH_MAX];

	if (is_ours(fd, path)) {
		long error = setting(&write_errno);

		if (error) {
			errno = (int)error;
			return -1;
		}
		is_inside = true;
		note(fd, path, len, offset);
		is_inside = false;
	}
	return real_pwrite(fd, data, len, offset);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
	return pwrite64(fd, data, len, offset);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
	REAL(ssize_t, "writev", int, const struct iovec *, int);
	char path[PATH_MAX];

	if (is_ours(fd, path)) {
		long error = setting(&write_errno);
		size_t len = 0;

		if (error) {
			errno = (int)error;
			return -1;
		}
		for (int i = 0; i < count; i++)
			len += pieces[i].iov_len;
		is_inside = true;
		note(fd, path, len, lseek(fd, 0, SEEK_CUR));
		is_inside = false;
	}
	return real(fd, pieces, count);
}

static int before_sync(int fd)
{
	char path[PATH_MAX];
	long ms, error;

	if (!is_ours(fd, path))
		return 0;
	ms = setting(&sync_ms);
	error = setting(&sync_errno);
	if (ms)
		usleep((useconds_t)ms * 1000);
	errno = (int)error;
	return error ? -1 : 0;
}

static int after_sync(int fd, int rc)
{
	char path[PATH_MAX];

	if (rc == 0 && is_ours(fd, path)) {
		int journal = open_journal(fd, O_WRONLY | O_TRUNC);

		if (journal >= 0)
			close(journal);
	}
	return rc;
}

int fdatasync(int fd)
{
	REAL(int, "fdatasync", int);

	return before_sync(fd) < 0 ? -1 : after_sync(fd, real(fd));
}

int fsync(int fd)
{
	REAL(int, "fsync", int);

	return before_sync(fd) < 0 ? -1 : after_sync(fd, real(fd));
}

static void add_us(struct timespec *time, long us)
{
	time->tv_sec += us / 1000000;
	time->tv_nsec += us % 1000000 * 1000;
	if (time->tv_nsec < 0) {
		time->tv_sec--;
		time->tv_nsec += 1000000000;
	} else if (time->tv_nsec >= 1000000000) {
		time->tv_sec++;
		time->tv_nsec -= 1000000000;
	}
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int rc = real_clock(clock, now);
	long slow_ms;

	if (rc != 0 || clock != CLOCK_REALTIME || is_inside || !getenv("DISK_SHIM_CONTROL"))
		return rc;
	add_us(now, setting(&clock_s) * 1000000 + setting(&clock_us));
	slow_ms = setting(&clock_ms);
	if (slow_ms)
		usleep((useconds_t)slow_ms * 1000);
	return rc;
}

int mdb_env_set_mapsize(void *env, size_t bytes);

int mdb_env_set_mapsize(void *env, size_t bytes)
{
	REAL(int, "mdb_env_set_mapsize", void *, size_t);
	long kib = getenv("DISK_SHIM_CONTROL") ? setting(&map_kib) : 0;

	return real(env, kib ? (size_t)kib << 10 : bytes);
}
