/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/profile_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/base/gunzip.h"
#include "collector/base/macros.h"
#include "collector/profile_foreign.h"
#include "collector/profile_parser.h"

#define BLOCK_BYTES    ((size_t)1 << 20)
#define HEAD_BYTES     ((size_t)64 << 10)
#define PROGRESS_BYTES ((uint64_t)64 << 20)

/* The most particular first: nearly any text could be collapsed stacks. */
static const struct profile_format *const formats[] = {
	&profile_v8,        &profile_speedscope, &profile_perf_script,
	&profile_collapsed, &profile_otlp,       &profile_pprof,
};

/* Where bytes come from: a descriptor or memory, unpacked when they are gzip. */
struct source {
	int fd; /* -1: memory */
	struct str memory, left;
	uint64_t size, done, unpacked;
	struct gunzip *gunzip; /* owned; NULL: plain */
	char *raw;             /* owned; packed bytes */
	struct str packed;     /* not yet unpacked */
	bool shows_progress, is_cut;
};

void profile_file_formats(struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		buf_printf(out, "%s%s", i ? ", " : "", formats[i]->name);
}

/* ---- bytes ---- */

static ssize_t read_raw(struct source *source, char *room, size_t room_bytes)
{
	ssize_t got;

	if (source->fd < 0) {
		got = (ssize_t)MIN(room_bytes, source->left.len);
		if (got)
			memcpy(room, source->left.data, (size_t)got);
		source->left.data += got;
		source->left.len -= (size_t)got;
	} else {
		do
			got = read(source->fd, room, room_bytes);
		while (got < 0 && errno == EINTR);
		if (got < 0)
			return -errno;
	}
	if (source->shows_progress &&
	    source->done / PROGRESS_BYTES != (source->done + (uint64_t)got) / PROGRESS_BYTES)
		fprintf(stderr, "\r%3.0f %%",
			100.0 * (double)source->done / (double)MAX(source->size, 1u));
	source->done += (uint64_t)got;
	return got;
}

static ssize_t read_unpacked(struct source *source, char *room, size_t room_bytes)
{
	for (;;) {
		long got;

		if (source->packed.len == 0) {
			ssize_t raw = read_raw(source, source->raw, BLOCK_BYTES);

			if (raw < 0)
				return raw;
			if (raw == 0) {
				source->is_cut |= !gunzip_is_done(source->gunzip);
				return 0;
			}
			source->packed = (struct str){ source->raw, (size_t)raw };
		}
		got = gunzip_read(source->gunzip, &source->packed, room, room_bytes);
		if (got == -EBADMSG && source->unpacked) { /* what came before it is good */
			source->is_cut = true;
			return 0;
		}
		if (got != 0)
			return got;
	}
}

static ssize_t read_source(struct source *source, char *room, size_t room_bytes)
{
	ssize_t got = source->gunzip ? read_unpacked(source, room, room_bytes)
				     : read_raw(source, room, room_bytes);

	if (got > 0)
		source->unpacked += (uint64_t)got;
	return source->unpacked > PROFILE_MAX_UNPACKED_BYTES ? -EMSGSIZE : got;
}

/* Back to the first byte. */
static int rewind_source(struct source *source)
{
	char magic[2] = { 0 };
	ssize_t got;

	gunzip_free(source->gunzip);
	source->gunzip = NULL;
	source->done = source->unpacked = 0;
	source->packed = (struct str){ 0 };
	source->left = source->memory;
	if (source->fd >= 0 && lseek(source->fd, 0, SEEK_SET) < 0)
		return -errno;
	got = source->fd >= 0 ? pread(source->fd, magic, 2, 0)
			      : (ssize_t)MIN(source->left.len, (size_t)2);
	if (source->fd < 0 && got)
		memcpy(magic, source->left.data, (size_t)got);
	if (got == 2 && (uint8_t)magic[0] == 0x1f && (uint8_t)magic[1] == 0x8b) {
		if (!source->raw)
			source->raw = malloc(BLOCK_BYTES);
		source->gunzip = source->raw ? gunzip_new() : NULL;
		if (!source->gunzip)
			return -ENOMEM;
	}
	return 0;
}

/* As much as there is, up to the room. */
static ssize_t read_full(struct source *source, char *room, size_t room_bytes)
{
	size_t len = 0;

	while (len < room_bytes) {
		ssize_t got = read_source(source, room + len, room_bytes - len);

		if (got < 0)
			return got;
		if (got == 0)
			break;
		len += (size_t)got;
	}
	return (ssize_t)len;
}

/* ---- the format ---- */

static const struct profile_format *find_format(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	}
	return NULL;
}

static int choose(struct source *source, const char *name, char *block,
		  const struct profile_format **out, struct buf *message)
{
	const char *advice;
	struct str head;
	ssize_t got;
	int rc;

	if (name && (*out = find_format(name)))
		return 0;
	if (name) {
		buf_printf(message, "there is no format %s; there are ", name);
		profile_file_formats(message);
		return -EINVAL;
	}
	rc = rewind_source(source);
	got = rc < 0 ? rc : read_full(source, block, HEAD_BYTES);
	if (got < 0)
		return (int)got;
	head = (struct str){ block, (size_t)got };
	advice = profile_foreign_advice(head);
	if (advice) {
		buf_printf(message, "it is %s", advice);
		return -EBADMSG;
	}
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		if (formats[i]->looks_like(head)) {
			*out = formats[i];
			return 0;
		}
	}
	buf_printf(message, got == 0 ? "it is empty: take it again"
				     : "its format is not known; name it with --format: ");
	if (got)
		profile_file_formats(message);
	return -EBADMSG;
}

/* ---- reading ---- */

static int feed_blocks(struct source *source, const struct profile_format *format,
		       struct profile_parser *parser, char *block)
{
	ssize_t got = 0;
	int rc = 0;

	while (rc == 0 && (got = read_source(source, block, BLOCK_BYTES)) > 0)
		rc = format->feed(parser, (struct str){ block, (size_t)got });
	return rc < 0 ? rc : (int)MIN(got, 0);
}

static int feed_whole(struct source *source, const struct profile_format *format,
		      struct profile_parser *parser, char *block)
{
	struct buf whole;
	ssize_t got = 0;
	int rc;

	buf_init(&whole, PROFILE_MAX_WHOLE_BYTES);
	while (!buf_error(&whole) && (got = read_source(source, block, BLOCK_BYTES)) > 0)
		buf_append(&whole, block, (size_t)got);
	rc = buf_error(&whole) ? buf_error(&whole) : (int)MIN(got, 0);
	if (rc == 0)
		rc = format->feed(parser, buf_str(&whole));
	buf_fini(&whole);
	return rc;
}

static int parse(struct source *source, const struct profile_format *format,
		 struct profile_parser *parser, char *block)
{
	int rc = format->begin(parser);

	do {
		if (rc >= 0)
			rc = rewind_source(source);
		if (rc == 0)
			rc = format->is_whole ? feed_whole(source, format, parser, block)
					      : feed_blocks(source, format, parser, block);
		if (rc == 0 && format->end)
			rc = format->end(parser);
	} while (rc == 1);
	parser->profile->notes.is_truncated |= source->is_cut;
	format->free(parser);
	if (source->shows_progress && source->size >= PROGRESS_BYTES)
		fprintf(stderr, "\r     \r");
	return rc;
}

static void explain(int rc, struct buf *message)
{
	if (message->len)
		return;
	if (rc == -EMSGSIZE)
		buf_printf(
			message,
			"it is larger than spanwise reads (%zu MiB of distinct stacks, %zu MiB for "
			"speedscope and OTLP): cut it in time",
			PROFILE_MAX_BYTES >> 20, PROFILE_MAX_WHOLE_BYTES >> 20);
	else if (rc == -EBADMSG)
		buf_printf(message, "it is damaged");
	else
		buf_printf(message, "%s", strerror(-rc));
}

static int read_profile(struct source *source, const struct profile_file_options *options,
			size_t limit_bytes, struct profile *out_profile, const char **out_format,
			struct buf *message)
{
	struct profile_parser parser = { .profile = out_profile, .message = message };
	const struct profile_format *format = NULL;
	char *block = malloc(BLOCK_BYTES);
	int rc = block ? choose(source, options->format, block, &format, message) : -ENOMEM;

	if (rc == 0)
		rc = profile_init(out_profile, limit_bytes);
	if (rc == 0) {
		rc = parse(source, format, &parser, block);
		if (rc == 0)
			rc = profile_seal(out_profile);
		if (rc < 0)
			profile_fini(out_profile);
	}
	if (rc < 0)
		explain(rc, message);
	else if (out_format)
		*out_format = format->name;
	gunzip_free(source->gunzip);
	free(source->raw);
	free(block);
	return rc;
}

int profile_file_read(const char *path, const struct profile_file_options *options,
		      struct profile *out_profile, const char **out_format, struct buf *message)
{
	struct source source = { .fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) };
	struct stat stat;
	int rc;

	if (source.fd < 0) {
		rc = -errno;
		explain(rc, message);
		return rc;
	}
	if (fstat(source.fd, &stat) < 0 || !S_ISREG(stat.st_mode)) {
		close(source.fd);
		buf_printf(message, "it is no regular file; save the profile to one");
		return -EINVAL;
	}
	source.size = (uint64_t)stat.st_size;
	source.shows_progress = options->shows_progress;
	rc = read_profile(&source, options, 0, out_profile, out_format, message);
	close(source.fd);
	return rc;
}

int profile_file_parse(struct str text, const struct profile_file_options *options,
		       size_t limit_bytes, struct profile *out_profile, const char **out_format,
		       struct buf *message)
{
	struct source source = { .fd = -1, .memory = text, .size = text.len };

	return read_profile(&source, options, limit_bytes, out_profile, out_format, message);
}
