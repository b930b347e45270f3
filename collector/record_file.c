/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/record_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/event.h"
#include "collector/base/buf.h"
#include "collector/base/compress.h"
#include "collector/base/macros.h"
#include "collector/base/map.h"

#define CHUNK_BYTES ((size_t)256 << 10) /* of entries, before it is written */
#define CHUNK_MARK  0x4b4e4843u         /* "CHNK" */
#define ZSTD_LEVEL  1

struct head {
	char mark[8];
	uint32_t version;
	uint32_t event_version;
};

struct chunk_head {
	uint32_t mark;
	uint32_t packed_bytes;
	uint32_t plain_bytes;
	uint32_t check; /* of this head; zero in version 1 */
	uint64_t checksum;
};

struct entry_head {
	uint32_t kind;
	uint32_t bytes;
};

/* From there on they are read: what was added since, they do not hold. */
#define OLDEST_VERSION       1
#define OLDEST_EVENT_VERSION 5

static const struct head our_head = {
	.mark = { 'S', 'P', 'A', 'N', 'W', 'R', 'E', 'C' },
	.version = RECORD_VERSION,
	.event_version = EVENT_VERSION,
};

struct record_writer {
	int fd;
	int error;
	uint64_t written;
	struct buf plain;
	struct buf packed;
};

/* Without it, a length that was damaged would look like a file that ends in the middle. */
static uint32_t head_check(struct chunk_head head)
{
	head.check = 0;
	return (uint32_t)map_hash(&head, sizeof(head), 0);
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t put = write(fd, data, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		data += put;
		len -= (size_t)put;
	}
	return 0;
}

int record_writer_open(const char *path, struct record_writer **out_writer)
{
	struct record_writer *writer = calloc(1, sizeof(*writer));
	int rc;

	if (!writer)
		return -ENOMEM;
	writer->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (writer->fd < 0) {
		rc = -errno;
		free(writer);
		return rc;
	}
	buf_init(&writer->plain, RECORD_CHUNK_MAX_BYTES);
	buf_init(&writer->packed, RECORD_CHUNK_MAX_BYTES);
	writer->error = write_all(writer->fd, (const char *)&our_head, sizeof(our_head));
	writer->written = sizeof(our_head);
	*out_writer = writer;
	return 0;
}

int record_writer_close(struct record_writer *writer)
{
	int rc;

	if (!writer)
		return 0;
	record_flush(writer);
	rc = writer->error;
	if (close(writer->fd) < 0 && rc == 0)
		rc = -errno;
	buf_fini(&writer->plain);
	buf_fini(&writer->packed);
	free(writer);
	return rc;
}

void record_put(struct record_writer *writer, enum record_kind kind, const void *data, size_t bytes)
{
	struct entry_head head = { kind, (uint32_t)bytes };
	static const char zeros[8];

	if (writer->error)
		return;
	buf_append(&writer->plain, &head, sizeof(head));
	buf_append(&writer->plain, data, bytes);
	buf_append(&writer->plain, zeros, -bytes % 8);
	writer->error = buf_error(&writer->plain);
	if (writer->plain.len >= CHUNK_BYTES)
		record_flush(writer);
}

void record_flush(struct record_writer *writer)
{
	struct chunk_head head = { .mark = CHUNK_MARK };

	if (writer->error || writer->plain.len == 0)
		return;
	buf_clear(&writer->packed);
	buf_append(&writer->packed, &head, sizeof(head));
	writer->error = compress_zstd(buf_str(&writer->plain), ZSTD_LEVEL, &writer->packed);
	if (writer->error)
		return;
	head.packed_bytes = (uint32_t)(writer->packed.len - sizeof(head));
	head.plain_bytes = (uint32_t)writer->plain.len;
	head.checksum = map_hash(writer->packed.data + sizeof(head), head.packed_bytes, 0);
	head.check = head_check(head);
	memcpy(writer->packed.data, &head, sizeof(head));
	writer->error = write_all(writer->fd, writer->packed.data, writer->packed.len);
	writer->written += writer->packed.len;
	buf_clear(&writer->plain);
}

int record_error(const struct record_writer *writer)
{
	return writer->error;
}

uint64_t record_bytes(const struct record_writer *writer)
{
	return writer->written;
}

struct record_reader {
	FILE *file;
	uint32_t version;
	bool is_truncated;
	struct buf packed;
	struct buf plain;
	size_t at; /* in plain */
};

static int read_head(struct record_reader *reader)
{
	struct head head;

	if (fread(&head, sizeof(head), 1, reader->file) != 1)
		return ferror(reader->file) ? -EIO : -EBADMSG;
	if (memcmp(head.mark, our_head.mark, sizeof(head.mark)) != 0)
		return -EBADMSG;
	if (head.version > RECORD_VERSION || head.version < OLDEST_VERSION ||
	    head.event_version > EVENT_VERSION || head.event_version < OLDEST_EVENT_VERSION)
		return -EPROTO;
	reader->version = head.version;
	return 0;
}

int record_reader_open(const char *path, struct record_reader **out_reader)
{
	struct record_reader *reader = calloc(1, sizeof(*reader));
	int rc;

	if (!reader)
		return -ENOMEM;
	reader->file = fopen(path, "re");
	if (!reader->file) {
		rc = -errno;
		free(reader);
		return rc;
	}
	buf_init(&reader->packed, RECORD_CHUNK_MAX_BYTES);
	buf_init(&reader->plain, RECORD_CHUNK_MAX_BYTES);
	rc = read_head(reader);
	if (rc < 0) {
		record_reader_close(reader);
		return rc;
	}
	*out_reader = reader;
	return 0;
}

void record_reader_close(struct record_reader *reader)
{
	if (!reader)
		return;
	fclose(reader->file);
	buf_fini(&reader->packed);
	buf_fini(&reader->plain);
	free(reader);
}

/* Grows as bytes arrive: the announced length is not to be trusted. */
static int read_packed(struct record_reader *reader, size_t left)
{
	buf_clear(&reader->packed);
	while (left > 0) {
		size_t want = MIN(left, CHUNK_BYTES), got;
		char *room = buf_reserve(&reader->packed, want);

		if (!room)
			return buf_error(&reader->packed);
		got = fread(room, 1, want, reader->file);
		reader->packed.len += got;
		left -= got;
		if (got < want)
			return 0;
	}
	return 1;
}

static bool is_sound(const struct record_reader *reader, const struct chunk_head *head)
{
	return head->mark == CHUNK_MARK && head->plain_bytes <= RECORD_CHUNK_MAX_BYTES &&
	       head->packed_bytes <= RECORD_CHUNK_MAX_BYTES &&
	       head->check == (reader->version == 1 ? 0 : head_check(*head));
}

/* 1: there is a chunk; 0: the end. */
static int next_chunk(struct record_reader *reader)
{
	struct chunk_head head;
	size_t got = fread(&head, 1, sizeof(head), reader->file);
	int rc;

	if (got < sizeof(head)) {
		reader->is_truncated = got > 0;
		return 0;
	}
	if (!is_sound(reader, &head))
		return -EBADMSG;
	rc = read_packed(reader, head.packed_bytes);
	if (rc <= 0) {
		reader->is_truncated = rc == 0;
		return rc;
	}
	if (map_hash(reader->packed.data, reader->packed.len, 0) != head.checksum)
		return -EBADMSG;
	buf_clear(&reader->plain);
	reader->plain.limit_bytes = head.plain_bytes;
	rc = compress_unzstd(buf_str(&reader->packed), &reader->plain);
	reader->at = 0;
	if (rc == -ENOMEM)
		return rc;
	return rc < 0 || reader->plain.len != head.plain_bytes ? -EBADMSG : 1;
}

int record_next(struct record_reader *reader, struct record_entry *out_entry)
{
	struct entry_head head;
	size_t left, padded;

	while (reader->at == reader->plain.len) {
		int rc = next_chunk(reader);

		if (rc <= 0)
			return rc;
	}
	left = reader->plain.len - reader->at;
	if (left < sizeof(head))
		return -EBADMSG;
	memcpy(&head, reader->plain.data + reader->at, sizeof(head));
	padded = ((size_t)head.bytes + 7) & ~(size_t)7;
	if (padded > left - sizeof(head) || head.kind == 0 || head.kind >= RECORD_KINDS)
		return -EBADMSG;
	out_entry->kind = (enum record_kind)head.kind;
	out_entry->data =
		(struct str){ reader->plain.data + reader->at + sizeof(head), head.bytes };
	reader->at += sizeof(head) + padded;
	return 1;
}

bool record_is_truncated(const struct record_reader *reader)
{
	return reader->is_truncated;
}
