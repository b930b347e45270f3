/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_debug.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lzma.h>

#include "collector/base/macros.h"

#define MAX_PATH         4096
#define DEBUG_FOLDER     "/usr/lib/debug"
#define UNPACKED_MAX     ((uint64_t)64 << 20)
#define UNPACKING_MEMORY ((uint64_t)128 << 20)
#define UNPACK_PIECE     65536
#define READ_PIECE       ((size_t)256 << 10)
#define CHECKED_MAX      ((off_t)1 << 30)

/* Symbolic links are followed inside the root that was given. Only regular files are read. */
static int open_in(int root_fd, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = root_fd >= 0 ? (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how))
			      : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? -errno : fd;
}

/* Does the whole file have this checksum? */
static bool has_checksum(int fd, uint32_t checksum)
{
	uint8_t *piece = malloc(READ_PIECE);
	uint32_t found = 0;
	off_t at = 0;
	ssize_t n = 0;

	while (piece && at < CHECKED_MAX && (n = pread(fd, piece, READ_PIECE, at)) > 0) {
		found = lzma_crc32(piece, (size_t)n, found);
		at += n;
	}
	free(piece);
	return piece && n == 0 && found == checksum;
}

/* A debug file of another build would name everything wrong. `checksum`: what tells of a file
 * without a build id; NULL: nothing does. */
static int add_file(struct symbol_table *table, const struct sections *of, int root_fd,
		    const char *path, const uint32_t *checksum)
{
	struct sections sections;
	int fd = open_in(root_fd, path), rc;

	if (fd < 0)
		return -ENOENT;
	rc = sections_open(&sections, fd);
	if (rc == 0) {
		bool is_same = sections.build_id_bytes == of->build_id_bytes &&
			       memcmp(sections.build_id, of->build_id, of->build_id_bytes) == 0;

		if (is_same && of->build_id_bytes == 0)
			is_same = checksum && has_checksum(fd, *checksum);
		rc = is_same ? symbol_table_add(table, &sections, SHT_SYMTAB) : -ENOENT;
		sections_close(&sections);
	}
	close(fd);
	return rc == -ENOMEM || rc == 0 ? rc : -ENOENT;
}

static int add_by_build_id(struct symbol_table *table, const struct sections *sections, int root_fd)
{
	char path[sizeof(DEBUG_FOLDER) + 32 + 2 * SECTIONS_ID_BYTES];
	int at = snprintf(path, sizeof(path), DEBUG_FOLDER "/.build-id/%02x/",
			  sections->build_id[0]);

	if (sections->build_id_bytes < 2)
		return -ENOENT;
	for (unsigned i = 1; i < sections->build_id_bytes; i++)
		at += snprintf(path + at, sizeof(path) - (size_t)at, "%02x", sections->build_id[i]);
	snprintf(path + at, sizeof(path) - (size_t)at, ".debug");
	return add_file(table, sections, root_fd, path, NULL);
}

/* The section holds a file name, NUL, padding to four bytes, and a checksum. */
static int add_by_link(struct symbol_table *table, const struct sections *sections, int root_fd,
		       const char *path)
{
	static const char *const forms[] = { "%.*s/%s", "%.*s/.debug/%s", DEBUG_FOLDER "%.*s/%s" };
	const Elf64_Shdr *header = sections_find(sections, ".gnu_debuglink");
	const char *slash = strrchr(path, '/');
	char *name, candidate[MAX_PATH];
	uint32_t checksum;
	int rc = -ENOENT;

	if (!header || !slash || header->sh_size > MAX_PATH || header->sh_size < sizeof(checksum) ||
	    sections_read(sections, header, &name) < 0)
		return -ENOENT;
	memcpy(&checksum, name + header->sh_size - sizeof(checksum), sizeof(checksum));
	for (size_t i = 0; i < ARRAY_LEN(forms) && rc == -ENOENT && !strchr(name, '/'); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(candidate, sizeof(candidate), forms[i], (int)(slash - path), path, name);
#pragma GCC diagnostic pop
		rc = add_file(table, sections, root_fd, candidate, &checksum);
	}
	free(name);
	return rc;
}

/* xz into a file in memory, no more than UNPACKED_MAX. */
static int unpack(const char *packed, size_t bytes, int fd)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	uint8_t *piece = malloc(UNPACK_PIECE);
	uint64_t total = 0;
	lzma_ret status = lzma_stream_decoder(&stream, UNPACKING_MEMORY, 0);

	stream.next_in = (const uint8_t *)packed;
	stream.avail_in = bytes;
	while (piece && status == LZMA_OK && total < UNPACKED_MAX) {
		ssize_t written;

		stream.next_out = piece;
		stream.avail_out = UNPACK_PIECE;
		status = lzma_code(&stream, LZMA_FINISH);
		written = write(fd, piece, UNPACK_PIECE - stream.avail_out);
		if (written != (ssize_t)(UNPACK_PIECE - stream.avail_out))
			status = LZMA_MEM_ERROR;
		total += UNPACK_PIECE - stream.avail_out;
	}
	lzma_end(&stream);
	free(piece);
	return status == LZMA_STREAM_END ? 0 : -EBADMSG;
}

static int add_packed(struct symbol_table *table, const struct sections *sections)
{
	const Elf64_Shdr *header = sections_find(sections, ".gnu_debugdata");
	struct sections inner;
	char *packed;
	int fd, rc;

	if (!header || sections_read(sections, header, &packed) < 0)
		return -ENOENT;
	fd = memfd_create("debugdata", MFD_CLOEXEC);
	rc = fd < 0 ? -errno : unpack(packed, header->sh_size, fd);
	free(packed);
	if (rc == 0)
		rc = sections_open(&inner, fd);
	if (rc == 0) {
		rc = symbol_table_add(table, &inner, SHT_SYMTAB);
		sections_close(&inner);
	}
	if (fd >= 0)
		close(fd);
	return rc == -ENOMEM || rc == 0 ? rc : -ENOENT;
}

int symbol_debug_add(struct symbol_table *table, const struct sections *sections, int root_fd,
		     const char *path)
{
	int rc = -ENOENT;

	if (root_fd >= 0) {
		rc = add_by_build_id(table, sections, root_fd);
		if (rc == -ENOENT)
			rc = add_by_link(table, sections, root_fd, path);
	}
	if (rc == -ENOENT)
		rc = add_by_build_id(table, sections, -1);
	if (rc == -ENOENT && root_fd < 0) /* of a process that is gone and had our root */
		rc = add_by_link(table, sections, -1, path);
	if (rc == -ENOENT)
		rc = add_packed(table, sections);
	return rc;
}
