/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/process_maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "collector/base/map.h"

#define PAGE_BYTES 4096ull
#define READ_BYTES 65536

struct line {
	struct maps_segment segment;
	uint64_t device, inode;
	bool is_executable;
	const char *path; /* may be empty */
	size_t path_bytes;
};

void process_maps_init(struct process_maps *maps)
{
	*maps = (struct process_maps){ 0 };
}

void process_maps_fini(struct process_maps *maps)
{
	free(maps->modules);
	free(maps->segments);
	free(maps->texts);
	process_maps_init(maps);
}

/* Room for `more` beyond `count` things of `size`; grows by doubling up to `limit`. */
static bool make_room(struct process_maps *maps, void **array, size_t *cap, size_t count,
		      size_t more, size_t size, size_t limit)
{
	size_t want = *cap ? *cap : 64;
	void *grown;

	if (count + more <= *cap)
		return true;
	if (count + more > limit) {
		maps->truncated = true;
		return false;
	}
	while (want < count + more)
		want *= 2;
	grown = realloc(*array, want * size);
	if (!grown) {
		maps->error = -ENOMEM;
		return false;
	}
	*array = grown;
	*cap = want;
	return true;
}

static bool take_hex(const char **at, const char *end, uint64_t *out_value)
{
	uint64_t value = 0;
	const char *start = *at;

	for (; *at < end && *at - start < 16; (*at)++) {
		unsigned digit = (unsigned char)**at;

		if (digit - '0' < 10)
			digit -= '0';
		else if (digit - 'a' < 6)
			digit -= 'a' - 10;
		else
			break;
		value = value << 4 | digit;
	}
	*out_value = value;
	return *at > start;
}

static bool take_decimal(const char **at, const char *end, uint64_t *out_value)
{
	uint64_t value = 0;
	const char *start = *at;

	for (; *at < end && **at >= '0' && **at <= '9' && *at - start < 19; (*at)++)
		value = value * 10 + (uint64_t)(**at - '0');
	*out_value = value;
	return *at > start;
}

static bool take_char(const char **at, const char *end, char expected)
{
	if (*at == end || **at != expected)
		return false;
	(*at)++;
	return true;
}

/* "7f12-7f13 r-xp 00001000 fe:00 1234      /usr/lib/libx.so" */
static bool parse_line(const char *at, const char *end, struct line *out_line)
{
	uint64_t major_number, minor_number;
	struct line line = { 0 };

	if (!take_hex(&at, end, &line.segment.start) || !take_char(&at, end, '-') ||
	    !take_hex(&at, end, &line.segment.end) || !take_char(&at, end, ' ') || end - at < 5)
		return false;
	line.is_executable = at[2] == 'x';
	at += 4;
	if (!take_char(&at, end, ' ') || !take_hex(&at, end, &line.segment.offset) ||
	    !take_char(&at, end, ' ') || !take_hex(&at, end, &major_number) ||
	    !take_char(&at, end, ':') || !take_hex(&at, end, &minor_number) ||
	    !take_char(&at, end, ' ') || !take_decimal(&at, end, &line.inode))
		return false;
	while (at < end && *at == ' ')
		at++;
	line.device = makedev((unsigned)major_number, (unsigned)minor_number);
	line.path = at;
	line.path_bytes = (size_t)(end - at);
	*out_line = line;
	return true;
}

static bool starts_with(const struct line *line, const char *prefix)
{
	size_t bytes = strlen(prefix);

	return line->path_bytes >= bytes && memcmp(line->path, prefix, bytes) == 0;
}

static bool is_context(const struct line *line)
{
	return starts_with(line, "[anon_shmem:OTEL_CTX]") || starts_with(line, "[anon:OTEL_CTX]") ||
	       starts_with(line, "/memfd:OTEL_CTX");
}

/* A module without an executable segment is data: forgotten again. */
static void close_module(struct process_maps *maps)
{
	struct maps_module *last;

	if (maps->module_count == 0)
		return;
	last = &maps->modules[maps->module_count - 1];
	if (last->is_executable)
		return;
	maps->segment_count = last->first_segment;
	maps->text_bytes = last->path;
	maps->module_count--;
}

static struct maps_module *open_module(struct process_maps *maps, const struct line *line)
{
	static const char deleted[] = " (deleted)";
	const size_t mark = sizeof(deleted) - 1;
	size_t bytes = line->path_bytes;
	bool is_deleted = bytes > mark && memcmp(line->path + bytes - mark, deleted, mark) == 0;
	struct maps_module *module;

	if (!make_room(maps, (void **)&maps->modules, &maps->module_cap, maps->module_count, 1,
		       sizeof(*maps->modules), MAPS_MAX_MODULES) ||
	    !make_room(maps, (void **)&maps->texts, &maps->text_cap, maps->text_bytes, bytes + 1, 1,
		       MAPS_MAX_TEXT))
		return NULL;
	bytes -= is_deleted ? mark : 0;
	module = &maps->modules[maps->module_count++];
	*module = (struct maps_module){
		.device = line->device,
		.inode = line->inode,
		.first_segment = (uint32_t)maps->segment_count,
		.path = (uint32_t)maps->text_bytes,
		.is_deleted = is_deleted,
	};
	memcpy(maps->texts + maps->text_bytes, line->path, bytes);
	maps->texts[maps->text_bytes + bytes] = '\0';
	maps->text_bytes += bytes + 1;
	return module;
}

static struct maps_module *module_of(struct process_maps *maps, const struct line *line)
{
	struct maps_module *last =
		maps->module_count ? &maps->modules[maps->module_count - 1] : NULL;

	if (last && last->device == line->device && last->inode == line->inode)
		return last;
	close_module(maps);
	return open_module(maps, line);
}

static void take_line(struct process_maps *maps, const char *text, size_t bytes)
{
	struct maps_module *module;
	struct line line;

	if (++maps->lines > MAPS_MAX_LINES) {
		maps->truncated = true;
		return;
	}
	if (!parse_line(text, text + bytes, &line))
		return;
	if (is_context(&line) && maps->context_count < MAPS_MAX_CONTEXTS)
		maps->contexts[maps->context_count++] = line.segment.start;
	if (line.inode == 0 || line.path_bytes == 0 || line.path[0] != '/')
		return;
	module = module_of(maps, &line);
	if (!module ||
	    !make_room(maps, (void **)&maps->segments, &maps->segment_cap, maps->segment_count, 1,
		       sizeof(*maps->segments), MAPS_MAX_SEGMENTS))
		return;
	maps->segments[maps->segment_count++] = line.segment;
	module->segment_count++;
	module->is_executable |= line.is_executable;
}

void process_maps_start(struct process_maps *maps)
{
	maps->module_count = maps->segment_count = maps->text_bytes = 0;
	maps->context_count = maps->lines = 0;
	maps->truncated = false;
	maps->error = 0;
	maps->partial_bytes = 0;
	maps->signature = 0;
}

/* Joins what the piece before left over with the start of this one. */
static const char *finish_partial(struct process_maps *maps, const char *data, const char *end)
{
	const char *newline = memchr(data, '\n', (size_t)(end - data));
	const char *stop = newline ? newline : end;
	size_t room = sizeof(maps->partial) - maps->partial_bytes;
	size_t bytes = MIN((size_t)(stop - data), room);

	memcpy(maps->partial + maps->partial_bytes, data, bytes);
	maps->partial_bytes += bytes;
	if (!newline)
		return end;
	take_line(maps, maps->partial, maps->partial_bytes);
	maps->partial_bytes = 0;
	return newline + 1;
}

void process_maps_feed(struct process_maps *maps, const char *data, size_t bytes)
{
	const char *end = data + bytes, *newline;

	if (maps->partial_bytes > 0)
		data = finish_partial(maps, data, end);
	while (data < end && (newline = memchr(data, '\n', (size_t)(end - data)))) {
		take_line(maps, data, (size_t)(newline - data));
		data = newline + 1;
	}
	if (data < end)
		finish_partial(maps, data, end);
}

int process_maps_finish(struct process_maps *maps)
{
	uint64_t hash = maps->truncated;

	if (maps->partial_bytes > 0)
		take_line(maps, maps->partial, maps->partial_bytes);
	maps->partial_bytes = 0;
	close_module(maps);
	for (size_t i = 0; i < maps->module_count; i++) {
		const struct maps_module *module = &maps->modules[i];
		const uint64_t words[] = { module->device, module->inode, module->is_deleted,
					   maps->segments[module->first_segment].start };

		hash = map_hash(words, sizeof(words), hash);
	}
	maps->signature = hash;
	return maps->error;
}

int process_maps_read(struct process_maps *maps, int fd)
{
	static char piece[READ_BYTES]; /* one thread, as bpf/discovery.h says */

	process_maps_start(maps);
	while (maps->lines <= MAPS_MAX_LINES) {
		ssize_t n = read(fd, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		process_maps_feed(maps, piece, (size_t)n);
	}
	return process_maps_finish(maps);
}

/* Whether the file's byte at `offset` is mapped at `address`. */
static bool is_mapped(const struct process_maps *maps, const struct maps_module *module,
		      uint64_t address, uint64_t offset)
{
	for (uint32_t i = 0; i < module->segment_count; i++) {
		const struct maps_segment *segment = &maps->segments[module->first_segment + i];

		if (address >= segment->start && address < segment->end &&
		    address - segment->start == offset - segment->offset)
			return true;
	}
	return false;
}

int process_maps_bias(const struct process_maps *maps, const struct maps_module *module,
		      uint64_t load_vaddr, uint64_t load_offset, uint64_t dynamic_vaddr,
		      uint64_t dynamic_offset, uint64_t *out_bias)
{
	for (uint32_t i = 0; i < module->segment_count; i++) {
		const struct maps_segment *segment = &maps->segments[module->first_segment + i];
		uint64_t bias = segment->start - (load_vaddr & ~(PAGE_BYTES - 1));

		if (segment->offset != (load_offset & ~(PAGE_BYTES - 1)))
			continue;
		if (dynamic_vaddr && !is_mapped(maps, module, bias + dynamic_vaddr, dynamic_offset))
			continue;
		*out_bias = bias;
		return 0;
	}
	return -ENOENT;
}
