/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/block_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "storage/block.h"
#include "storage/store_errno.h"

#define BUFFER_BYTES ((size_t)1 << 20)   /* written when so much is there; kept from then on */
#define FORGET_BYTES ((uint64_t)8 << 20) /* written; what was read meanwhile leaves our memory */
#define FILE_MODE    0600

static uint64_t align_up(uint64_t bytes)
{
	return (bytes + BLOCK_LOG_ALIGN - 1) & ~(uint64_t)(BLOCK_LOG_ALIGN - 1);
}

void block_log_init(struct block_log *log)
{
	*log = (struct block_log){ .fd = -1 };
	pthread_rwlock_init(&log->lock, NULL);
}

void block_log_fini(struct block_log *log)
{
	if (log->map)
		munmap(log->map, log->map_bytes);
	if (log->fd >= 0)
		close(log->fd);
	free(log->pages);
	free(log->buffer);
	pthread_rwlock_destroy(&log->lock);
	*log = (struct block_log){ .fd = -1 };
}

/* Notes where a block begins; of the writer, or of a log that nobody else has yet. */
static int note_page(struct block_log *log, uint64_t at)
{
	size_t number = log->count + log->pending;

	if (number == log->page_room) {
		size_t room = MAX(2 * log->page_room, 64u);
		uint32_t *pages = reallocarray(NULL, room, sizeof(*pages));

		if (!pages)
			return -ENOMEM;
		if (number)
			memcpy(pages, log->pages, number * sizeof(*pages));
		pthread_rwlock_wrlock(&log->lock);
		free(log->pages);
		log->pages = pages;
		log->page_room = room;
		pthread_rwlock_unlock(&log->lock);
	}
	log->pages[number] = (uint32_t)(at / BLOCK_LOG_ALIGN);
	log->pending++;
	return 0;
}

/* With the commit's end the pending blocks are there for all. */
static void publish(struct block_log *log, uint64_t end)
{
	pthread_rwlock_wrlock(&log->lock);
	log->count += log->pending;
	pthread_rwlock_unlock(&log->lock);
	log->pending = 0;
	log->end = end;
	log->commits++;
}

/* The heap too: what follows a torn commit is not there, but the last one may be torn itself. */
static bool is_whole(const struct block_log *log, uint32_t first, uint64_t end)
{
	for (uint32_t i = first; i < log->count + log->pending; i++) {
		uint64_t at = log->pages[i] * (uint64_t)BLOCK_LOG_ALIGN, bytes;
		struct block_header header;
		struct block block;
		int rc = block_header_read((struct str){ log->map + at, (size_t)(end - at) },
					   &header, &bytes);

		if (rc == 0)
			rc = block_open((struct str){ log->map + at, (size_t)bytes }, false,
					&block);
		if (rc < 0)
			return false;
		rc = block_load(&block);
		block_close(&block);
		if (rc < 0)
			return false;
	}
	return true;
}

/* Walks from commit to commit, as far as they are whole. Leaves the last one pending. */
static int walk(struct block_log *log, uint64_t file_bytes)
{
	uint64_t at = 0;
	int rc = 0;

	while (rc == 0 && at < file_bytes) {
		struct block_header header;
		uint64_t bytes;

		if (block_header_read((struct str){ log->map + at, (size_t)(file_bytes - at) },
				      &header, &bytes) < 0 ||
		    header.seq != log->count + log->pending + 1 ||
		    header.commit != log->commits + 1)
			break;
		rc = note_page(log, at);
		at += align_up(bytes);
		if (rc == 0 && header.flags & BLOCK_ENDS_COMMIT)
			publish(log, at);
	}
	return rc;
}

/* A block of a later commit behind the end: the ones before were synced, and are not whole. */
static bool has_later(const struct block_log *log, uint64_t file_bytes)
{
	for (uint64_t at = log->end; at < file_bytes; at += BLOCK_LOG_ALIGN) {
		struct block_header header;
		uint64_t bytes;

		if (block_header_read((struct str){ log->map + at, (size_t)(file_bytes - at) },
				      &header, &bytes) == 0 &&
		    header.commit > log->commits + 1)
			return true;
	}
	return false;
}

/* The last commit was perhaps never synced: if it is torn, it goes. */
static void drop_torn_end(struct block_log *log)
{
	uint32_t first = log->count;
	struct block_header header;

	if (!first)
		return;
	do {
		memcpy(&header, log->map + log->pages[--first] * (uint64_t)BLOCK_LOG_ALIGN,
		       sizeof(header));
	} while (first && header.commit == log->commits);
	if (header.commit != log->commits)
		first++;
	if (is_whole(log, first, log->end))
		return;
	log->end = log->pages[first] * (uint64_t)BLOCK_LOG_ALIGN;
	log->count = first;
	log->commits--;
}

static int recover(struct block_log *log, uint64_t file_bytes, const struct block_log_mark *mark)
{
	int rc = walk(log, file_bytes);

	if (rc < 0)
		return rc;
	log->pending = 0;
	drop_torn_end(log);
	if ((mark && (log->end < mark->bytes || log->count < mark->blocks)) ||
	    has_later(log, file_bytes))
		return -EBADMSG;
	return 0;
}

static int open_file(const char *path, enum block_log_mode mode)
{
	int flags = O_CLOEXEC | (mode == BLOCK_LOG_READ ? O_RDONLY : O_RDWR) |
		    (mode == BLOCK_LOG_CREATE ? O_CREAT | O_EXCL : 0);
	int fd = -1;

	if (mode != BLOCK_LOG_READ)
		fd = open(path, flags | O_DIRECT, FILE_MODE);
	if (fd < 0 && (mode == BLOCK_LOG_READ || errno == EINVAL)) {
		if (mode == BLOCK_LOG_CREATE)
			unlink(path); /* some make the file before they refuse */
		fd = open(path, flags, FILE_MODE);
	}
	return fd < 0 ? -errno : fd;
}

int block_log_open(struct block_log *log, const char *path, enum block_log_mode mode,
		   uint64_t map_bytes, const struct block_log_mark *mark)
{
	struct stat status;
	int rc = open_file(path, mode);

	if (rc < 0)
		return rc;
	log->fd = rc;
	if (fstat(log->fd, &status) < 0)
		return -errno;
	log->map_bytes = (size_t)align_up(MAX(map_bytes, MAX((uint64_t)status.st_size, 1)));
	log->map = mmap(NULL, log->map_bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, log->fd, 0);
	if (log->map == MAP_FAILED) {
		log->map = NULL;
		return -errno;
	}
	rc = recover(log, (uint64_t)status.st_size, mark);
	if (rc == 0 && mode == BLOCK_LOG_WRITE && log->end < (uint64_t)status.st_size &&
	    ftruncate(log->fd, (off_t)log->end) < 0)
		rc = -errno;
	log->buffer_at = log->end;
	return rc;
}

static int write_all(int fd, const char *data, size_t len, uint64_t at)
{
	while (len) {
		ssize_t rc = pwrite(fd, data, len, (off_t)at);

		if (rc < 0 && errno == EINTR)
			continue;
		/* a disk that wants larger pieces than ours is not written past the cache */
		if (rc < 0 && errno == EINVAL && fcntl(fd, F_GETFL) & O_DIRECT &&
		    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_DIRECT) == 0)
			continue;
		if (rc <= 0)
			return rc < 0 ? store_errno(errno) : -ENOSPC;
		data += rc;
		at += (uint64_t)rc;
		len -= (size_t)rc;
	}
	return 0;
}

static int flush(struct block_log *log)
{
	int rc = write_all(log->fd, log->buffer + log->kept, log->buffered, log->buffer_at);

	log->buffer_at += log->buffered;
	log->kept += log->buffered;
	log->buffered = 0;
	return rc;
}

static void forget_written(struct block_log *log)
{
	if (log->kept && log->buffered)
		memmove(log->buffer, log->buffer + log->kept, log->buffered);
	log->kept = 0;
}

/* For so much that is not yet written. */
static bool make_room(struct block_log *log, size_t bytes)
{
	if (log->kept + bytes <= log->buffer_room)
		return true;
	forget_written(log);
	if (bytes <= log->buffer_room)
		return true;
	free(log->buffer);
	log->buffer = NULL;
	log->buffer_room = MAX(bytes, BUFFER_BYTES);
	if (posix_memalign((void **)&log->buffer, BLOCK_LOG_ALIGN, log->buffer_room) != 0) {
		log->buffer = NULL;
		log->buffer_room = 0;
	}
	return log->buffer;
}

static int prepare_room(struct block_log *log, uint64_t aligned)
{
	int rc = 0;

	if (log->buffer_at + log->buffered + aligned > log->map_bytes)
		return STORE_MAP_FULL;
	if (log->buffered && log->buffered + aligned > log->buffer_room)
		rc = flush(log);
	if (rc == 0 && !make_room(log, (size_t)(log->buffered + aligned)))
		rc = -ENOMEM;
	return rc < 0 ? rc : note_page(log, log->buffer_at + log->buffered);
}

int block_log_put(struct block_log *log, struct block_draft *draft, struct str *out_value)
{
	uint64_t bytes = block_draft_bytes(draft), aligned = align_up(bytes);
	char *room;

	draft->header.seq = (uint32_t)block_log_next(log);
	draft->header.commit = log->commits + 1;
	if (!log->error)
		log->error = prepare_room(log, aligned);
	if (log->error)
		return log->error;
	room = log->buffer + log->kept + log->buffered;
	block_draft_write(draft, room);
	memset(room + bytes, 0, (size_t)(aligned - bytes));
	log->last = room;
	log->buffered += (size_t)aligned;
	*out_value = (struct str){ room, (size_t)bytes };
	return 0;
}

uint64_t block_log_next(const struct block_log *log)
{
	return (uint64_t)log->count + log->pending + 1;
}

static void drop_buffer(struct block_log *log)
{
	free(log->buffer);
	log->buffer = NULL;
	log->buffer_room = log->kept = 0;
}

/* A buffer for one large batch is not kept. */
static void shrink(struct block_log *log)
{
	if (log->buffer_room > 4 * BUFFER_BYTES)
		drop_buffer(log);
}

void block_log_end(struct block_log *log)
{
	drop_buffer(log);
	block_log_forget(log);
}

int block_log_abort(struct block_log *log)
{
	int rc = 0;

	/* What a failed sync leaves behind nobody knows: all of it is written anew. */
	if (log->buffer_at > log->end && ftruncate(log->fd, (off_t)log->end) < 0)
		rc = STORE_PANIC;
	log->buffer_at = log->end;
	log->kept = log->buffered = 0;
	log->pending = 0;
	log->error = 0;
	shrink(log);
	return rc;
}

static void end_commit(struct block_log *log)
{
	struct block_header header;

	memcpy(&header, log->last, sizeof(header));
	header.flags |= BLOCK_ENDS_COMMIT;
	block_header_seal(&header);
	memcpy(log->last, &header, sizeof(header));
}

int block_log_commit(struct block_log *log)
{
	int rc = log->error, abort_rc;

	if (rc == 0 && !log->pending)
		return 0;
	if (rc == 0) {
		end_commit(log);
		rc = flush(log);
	}
	if (rc == 0 && fdatasync(log->fd) < 0)
		rc = store_errno(errno);
	if (rc < 0) {
		abort_rc = block_log_abort(log);
		return abort_rc < 0 ? abort_rc : rc;
	}
	if (log->end / FORGET_BYTES != log->buffer_at / FORGET_BYTES)
		block_log_forget(log);
	publish(log, log->buffer_at);
	shrink(log);
	return 0;
}

static int value_at(const char *at, uint64_t most, struct str *out_value)
{
	struct block_header header;
	uint64_t bytes;
	int rc = block_header_read((struct str){ at, (size_t)most }, &header, &bytes);

	if (rc == 0)
		*out_value = (struct str){ at, (size_t)bytes };
	return rc;
}

int block_log_get(struct block_log *log, uint64_t number, struct str *out_value)
{
	uint64_t at = 0;
	bool is_there;

	pthread_rwlock_rdlock(&log->lock);
	is_there = number && number <= log->count;
	if (is_there)
		at = log->pages[number - 1] * (uint64_t)BLOCK_LOG_ALIGN;
	pthread_rwlock_unlock(&log->lock);
	return is_there ? value_at(log->map + at, log->map_bytes - at, out_value) : -ENOENT;
}

int block_log_get_pending(const struct block_log *log, uint64_t number, struct str *out_value)
{
	uint64_t kept_at = log->buffer_at - log->kept, at;

	if (!number || number > (uint64_t)log->count + log->pending)
		return -ENOENT;
	at = log->pages[number - 1] * (uint64_t)BLOCK_LOG_ALIGN;
	if (at >= kept_at)
		return value_at(log->buffer + (at - kept_at), log->buffer_at + log->buffered - at,
				out_value);
	return value_at(log->map + at, log->map_bytes - at, out_value);
}

void block_log_forget(struct block_log *log)
{
	if (log->map)
		madvise(log->map, log->map_bytes, MADV_DONTNEED);
}

struct block_log_mark block_log_mark(const struct block_log *log)
{
	return (struct block_log_mark){ log->end, log->count };
}
