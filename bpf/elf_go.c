/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/elf_go.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/elf_sections.h"
#include "collector/base/macros.h"

#define BUILD_INFO_MAGIC "\xff Go buildinf:"
#define BUILD_INFO_HEAD  32 /* magic, size of pointers, flags; then two texts with their lengths */
#define BUILD_INFO_FLAGS 15
#define FLAG_INLINE      2 /* the texts follow: Go 1.18 on */
#define MAX_INFO_BYTES   (256u << 10)
#define MAX_NAMES_BYTES  (32u << 20) /* of function names */
#define PIECE_BYTES      (64u << 10)
#define LABEL_SETTER     "runtime/pprof.runtime_setProfLabel"

/* Modules that make spans. */
static const char *const span_modules[] = {
	"go.opentelemetry.io/otel/sdk",
	"dd-trace-go",
	"grafana/otel-profiling-go",
	"grafana/dskit",
};

/* First minor version of each layout; the last one of the table knows no newer. */
static const struct {
	int minor;
	struct tag_go layout;
} layouts[] = {
	{ 18, { 48, 192, 360, true } },  { 21, { 48, 192, 344, true } },
	{ 23, { 48, 192, 352, true } },  { 24, { 48, 192, 352, false } },
	{ 25, { 48, 184, 344, false } }, { 26, { 48, 184, 352, false } },
};
#define NEWEST_MINOR 27

int elf_go_layout(const char *version, struct tag_go *out_layout)
{
	int minor = 0;

	if (sscanf(version, "go1.%d", &minor) != 1 || minor < layouts[0].minor ||
	    minor > NEWEST_MINOR)
		return -ENOTSUP;
	for (size_t i = 0; i < ARRAY_LEN(layouts) && layouts[i].minor <= minor; i++)
		*out_layout = layouts[i].layout;
	return 0;
}

/* A length of 7 bits a byte, then so many bytes. false: it does not fit. */
static bool take_text(const char **at, const char *end, const char **out_text, size_t *out_bytes)
{
	size_t bytes = 0;

	for (unsigned shift = 0; shift < 28; shift += 7) {
		if (*at == end)
			return false;
		unsigned char byte = (unsigned char)*(*at)++;

		bytes |= (size_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			break;
	}
	if (bytes > (size_t)(end - *at))
		return false;
	*out_text = *at;
	*out_bytes = bytes;
	*at += bytes;
	return true;
}

static void read_modules(const char *modules, size_t bytes, struct elf_go *go)
{
	for (size_t i = 0; i < ARRAY_LEN(span_modules); i++)
		go->makes_spans |=
			memmem(modules, bytes, span_modules[i], strlen(span_modules[i])) != NULL;
}

static void decode_build_info(const char *info, size_t bytes, struct elf_go *go)
{
	const char *at = info + BUILD_INFO_HEAD, *end = info + bytes, *text;
	size_t length;

	if (bytes < BUILD_INFO_HEAD ||
	    memcmp(info, BUILD_INFO_MAGIC, sizeof(BUILD_INFO_MAGIC) - 1) != 0 ||
	    !(info[BUILD_INFO_FLAGS] & FLAG_INLINE) || !take_text(&at, end, &text, &length))
		return;
	snprintf(go->version, sizeof(go->version), "%.*s", (int)MIN(length, (size_t)64), text);
	if (take_text(&at, end, &text, &length))
		read_modules(text, length, go);
}

static int read_build_info(struct elf_file *file, struct elf_go *go)
{
	struct elf_section section;
	int rc = elf_sections_find(file, ".go.buildinfo", &section);

	if (rc < 0)
		return rc;
	size_t bytes = (size_t)MIN(section.bytes, (uint64_t)MAX_INFO_BYTES);
	char *info = malloc(bytes + 1);

	if (!info)
		return -ENOMEM;
	rc = elf_file_read_raw(file, section.offset, info, bytes);
	if (rc == 0)
		decode_build_info(info, bytes, go);
	free(info);
	return rc;
}

/* 1: `text` stands in that part of the file; 0: it does not. */
static int search(struct elf_file *file, uint64_t offset, uint64_t bytes, const char *text)
{
	size_t overlap = strlen(text) - 1;
	char *piece = malloc(PIECE_BYTES);
	int rc = piece ? 0 : -ENOMEM;

	while (rc == 0 && bytes > overlap) {
		size_t n = (size_t)MIN(bytes, (uint64_t)PIECE_BYTES);

		rc = elf_file_read_raw(file, offset, piece, n);
		if (rc == 0)
			rc = memmem(piece, n, text, strlen(text)) != NULL;
		offset += n - overlap;
		bytes -= n - overlap;
	}
	free(piece);
	return rc;
}

/* The table of functions begins with {magic, sizes}, counts, the address of the code, and then the
 * offsets of its parts: the names come first. A function that is never called is not linked in. */
static int has_function(struct elf_file *file, const char *name)
{
	struct elf_section table;
	uint64_t head[6]; /* magic; functions, files; code; names, what follows them */
	int rc = elf_sections_find(file, ".gopclntab", &table);

	if (rc == -ENOENT)
		rc = elf_sections_find(file, ".data.rel.ro.gopclntab", &table);
	if (rc == 0)
		rc = elf_file_read_raw(file, table.offset, head, sizeof(head));
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	if (head[4] > head[5] || head[5] > table.bytes || head[5] - head[4] > MAX_NAMES_BYTES)
		return 0;
	return search(file, table.offset + head[4], head[5] - head[4], name);
}

int elf_go_read(struct elf_file *file, struct elf_go *out_go)
{
	struct elf_go go = { 0 };
	int rc = read_build_info(file, &go);

	if (rc == 0 && go.version[0])
		rc = has_function(file, LABEL_SETTER);
	if (rc == -ENOMEM || rc == -EIO)
		return rc;
	go.can_label = rc == 1; /* sections that are damaged are nobody's business here */
	*out_go = go;
	return 0;
}
