/* SPDX-License-Identifier: Apache-2.0 */
/* The files that a process executes, from /proc/PID/maps, and its OTEP 4719 process contexts.
 *
 * The text is parsed as it streams by and only modules are kept: files with an executable mapping.
 * A hostile process can make it long, so lines, modules, segments and texts are capped; what lies
 * beyond is left out and `truncated` says so. One object is meant to be used again and again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAPS_MAX_LINES    131072u
#define MAPS_MAX_MODULES  2048u
#define MAPS_MAX_SEGMENTS 16384u
#define MAPS_MAX_TEXT     ((size_t)1 << 20)
#define MAPS_MAX_CONTEXTS 4
#define MAPS_LINE_BYTES   4352 /* PATH_MAX and the columns before it */

struct maps_segment {
	uint64_t start;
	uint64_t end;
	uint64_t offset; /* in the file */
};

struct maps_module {
	uint64_t device; /* as stat(2) packs it */
	uint64_t inode;
	uint32_t first_segment;
	uint32_t segment_count;
	uint32_t path; /* offset in `texts` */
	bool is_executable;
	bool is_deleted;
};

struct process_maps {
	struct maps_module *modules; /* owned, as the next two */
	struct maps_segment *segments;
	char *texts;
	size_t module_count, module_cap;
	size_t segment_count, segment_cap;
	size_t text_bytes, text_cap;
	uint64_t contexts[MAPS_MAX_CONTEXTS]; /* addresses of OTEL_CTX mappings */
	uint32_t context_count;
	uint32_t lines;
	uint64_t signature; /* equal: the modules are where they were */
	bool truncated;
	int error; /* -ENOMEM */
	size_t partial_bytes;
	char partial[MAPS_LINE_BYTES]; /* the line that the last piece cut */
};

void process_maps_init(struct process_maps *maps);
void process_maps_fini(struct process_maps *maps);

/* Reads a /proc/PID/maps that was opened. An empty one (a kernel thread, a zombie) is no error. */
int process_maps_read(struct process_maps *maps, int fd);

/* The same by hand: start, any number of pieces, finish. */
void process_maps_start(struct process_maps *maps);
void process_maps_feed(struct process_maps *maps, const char *data, size_t bytes);
int process_maps_finish(struct process_maps *maps);

static inline const char *process_maps_path(const struct process_maps *maps,
					    const struct maps_module *module)
{
	return maps->texts + module->path;
}

/* What must be added to a file's vaddr. `load` is its first PT_LOAD, `dynamic_` PT_DYNAMIC (or
 * 0, 0): both have to lie where they would. -ENOENT: this file is not mapped in that way. */
int process_maps_bias(const struct process_maps *maps, const struct maps_module *module,
		      uint64_t load_vaddr, uint64_t load_offset, uint64_t dynamic_vaddr,
		      uint64_t dynamic_offset, uint64_t *out_bias);
