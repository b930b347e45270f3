/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/python_code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/process_memory.h"
#include "collector/base/frame.h"
#include "collector/base/macros.h"

#define MAX_KNOWN   65536
#define MAX_BYTES   ((size_t)16 << 20)
#define MAX_LETTERS 512   /* of a name or path; of a longer one its end */
#define MAX_TABLE   65536 /* bytes of lines */
#define CODE_BYTES  256   /* of a code object, as far as we read it */

struct known_key {
	uint32_t pid;
	uint32_t pad;
	uint64_t word;
};

struct known {
	uint64_t print; /* of the code object's members: another one may take its place */
	char *frame;    /* owned, encoded */
	uint32_t bytes;
};

void python_codes_init(struct python_codes *codes)
{
	map_init(&codes->known, sizeof(struct known_key), sizeof(struct known), 0);
	codes->bytes = 0;
}

void python_codes_clear(struct python_codes *codes)
{
	struct known *known;
	size_t cursor = 0;
	const void *key;

	while ((known = map_next(&codes->known, &cursor, &key)))
		free(known->frame);
	map_clear(&codes->known);
	codes->bytes = 0;
}

void python_codes_fini(struct python_codes *codes)
{
	python_codes_clear(codes);
	map_fini(&codes->known);
}

size_t python_codes_bytes(const struct python_codes *codes)
{
	return codes->bytes + map_bytes(&codes->known);
}

/* ---- lines */

struct lines {
	const uint8_t *at, *end;
};

static uint32_t next_byte(struct lines *lines)
{
	return lines->at < lines->end ? *lines->at++ : 0;
}

/* Six bits a byte, the lowest first. */
static uint32_t next_varint(struct lines *lines)
{
	uint32_t byte = next_byte(lines), value = byte & 63;

	for (unsigned shift = 6; byte & 64; shift += 6) {
		byte = next_byte(lines);
		value |= shift < 32 ? (byte & 63) << shift : 0;
	}
	return value;
}

static int32_t next_signed(struct lines *lines)
{
	uint32_t value = next_varint(lines);

	return value & 1 ? -(int32_t)(value >> 1) : (int32_t)(value >> 1);
}

/* PEP 657: entries of 1 to 8 instructions. */
static uint32_t line_by_locations(struct lines lines, uint32_t line, uint32_t place)
{
	uint32_t end = 0;

	while (lines.at < lines.end) {
		uint32_t first = next_byte(&lines), code = first >> 3 & 15;

		end += (first & 7) + 1;
		if (code == 14 || code == 13)
			line += (uint32_t)next_signed(&lines);
		else if (code >= 10 && code <= 12)
			line += code - 10;
		if (code == 14) {
			next_varint(&lines);
			next_varint(&lines);
			next_varint(&lines);
		}
		if (place < end)
			return code == 15 ? 0 : line;
		/* columns: of no interest */
		if (code < 13)
			lines.at += MIN((ptrdiff_t)(code < 10 ? 1 : 2), lines.end - lines.at);
	}
	return 0;
}

static uint32_t line_by_ranges(struct lines lines, uint32_t line, uint32_t place)
{
	uint32_t end = 0;

	while (lines.at < lines.end) {
		int8_t delta;

		end += next_byte(&lines);
		delta = (int8_t)next_byte(&lines);
		if (delta != INT8_MIN)
			line += (uint32_t)delta;
		if (place * 2 < end)
			return delta == INT8_MIN ? 0 : line;
	}
	return 0;
}

static uint32_t line_by_deltas(struct lines lines, uint32_t line, uint32_t place)
{
	uint32_t start = 0;

	while (lines.at < lines.end) {
		start += next_byte(&lines);
		if (start > place * 2)
			break;
		line += (uint32_t)(int8_t)next_byte(&lines);
	}
	return line;
}

uint32_t python_line(enum python_lines form, const uint8_t *table, size_t bytes,
		     uint32_t first_line, uint32_t place)
{
	struct lines lines = { table, table + bytes };
	uint32_t line;

	if (place >= PYTHON_PLACE_MASK)
		return first_line;
	switch (form) {
	case PYTHON_LINES_LNOTAB:
		line = line_by_deltas(lines, first_line, place);
		break;
	case PYTHON_LINES_RANGES:
		line = line_by_ranges(lines, first_line, place);
		break;
	default:
		line = line_by_locations(lines, first_line, place);
	}
	return line ? line : first_line;
}

/* ---- one code object */

struct code {
	uint64_t filename, name, lines;
	uint32_t first_line;
};

static int read_code(int memory_fd, const struct python_layout *layout, uint64_t address,
		     struct code *out_code)
{
	uint16_t name = layout->code_qualname ? layout->code_qualname : layout->code_name;
	const uint16_t offsets[] = { layout->code_filename, name, layout->code_lines,
				     layout->code_first_line };
	char bytes[CODE_BYTES];
	int rc = process_memory_read(memory_fd, address, bytes, sizeof(bytes));

	for (size_t i = 0; i < ARRAY_LEN(offsets) && rc == 0; i++) {
		if (offsets[i] > sizeof(bytes) - 8)
			rc = -ENOTSUP;
	}
	if (rc < 0)
		return rc;
	*out_code = (struct code){ 0 };
	memcpy(&out_code->filename, bytes + layout->code_filename, 8);
	memcpy(&out_code->name, bytes + name, 8);
	memcpy(&out_code->lines, bytes + layout->code_lines, 8);
	memcpy(&out_code->first_line, bytes + layout->code_first_line, 4);
	return 0;
}

static void put_character(struct buf *out, uint32_t code)
{
	if (code < 0x80) {
		buf_append_byte(out, (uint8_t)code);
	} else if (code < 0x800) {
		buf_append_byte(out, (uint8_t)(0xc0 | code >> 6));
		buf_append_byte(out, (uint8_t)(0x80 | (code & 63)));
	} else if (code < 0x10000) {
		buf_append_byte(out, (uint8_t)(0xe0 | code >> 12));
		buf_append_byte(out, (uint8_t)(0x80 | (code >> 6 & 63)));
		buf_append_byte(out, (uint8_t)(0x80 | (code & 63)));
	} else {
		buf_append_byte(out, (uint8_t)(0xf0 | (code >> 18 & 7)));
		buf_append_byte(out, (uint8_t)(0x80 | (code >> 12 & 63)));
		buf_append_byte(out, (uint8_t)(0x80 | (code >> 6 & 63)));
		buf_append_byte(out, (uint8_t)(0x80 | (code & 63)));
	}
}

/* "interned" takes two bits, or, as some builds from 3.13 on have it, 8 or 16; then come the kind
 * in three bits, whether it is compact, whether it is ASCII. 0: not a compact text. */
static unsigned text_kind(uint32_t state, bool *out_is_ascii)
{
	static const unsigned shifts[] = { 2, 8, 16 };

	for (size_t i = 0; i < ARRAY_LEN(shifts); i++) {
		uint32_t interned = state & ((1u << shifts[i]) - 1), rest = state >> shifts[i];
		unsigned kind = rest & 7;

		if (interned > 3 || !(rest >> 3 & 1) || (kind != 1 && kind != 2 && kind != 4))
			continue;
		*out_is_ascii = rest >> 4 & 1;
		return kind;
	}
	return 0;
}

/* A str object: characters of 1, 2 or 4 bytes, right behind its head. Mended into `out`. */
static int read_text(int memory_fd, const struct python_layout *layout, uint64_t address, char *out,
		     size_t cap)
{
	uint8_t letters[MAX_LETTERS * 4];
	uint64_t length, skipped;
	uint32_t state = 0, code;
	struct buf text;
	unsigned kind;
	bool is_ascii = false;
	int rc = process_memory_read(memory_fd, address + layout->text_length, &length,
				     sizeof(length));

	if (rc == 0)
		rc = process_memory_read(memory_fd, address + layout->text_state, &state,
					 sizeof(state));
	if (rc < 0)
		return rc;
	kind = text_kind(state, &is_ascii);
	if (!kind || length > 1u << 24)
		return -EBADMSG;
	skipped = length > MAX_LETTERS ? length - MAX_LETTERS : 0;
	length -= skipped;
	address += (is_ascii ? layout->text_ascii : layout->text_compact) + skipped * kind;
	rc = process_memory_read(memory_fd, address, letters, length * kind);
	if (rc < 0)
		return rc;
	buf_init(&text, 0);
	for (uint64_t i = 0; i < length; i++) {
		code = 0;
		memcpy(&code, letters + i * kind, kind);
		put_character(&text, code);
	}
	process_memory_text(out, cap, buf_str(&text));
	rc = buf_error(&text);
	buf_fini(&text);
	return rc;
}

static uint32_t read_line(int memory_fd, const struct python_layout *layout,
			  const struct code *code, uint32_t place)
{
	uint64_t length = 0;
	uint8_t *table = NULL;
	uint32_t line = code->first_line;

	if (process_memory_read(memory_fd, code->lines + layout->bytes_length, &length,
				sizeof(length)) == 0 &&
	    length <= MAX_TABLE)
		table = malloc(length + 1);
	if (table &&
	    process_memory_read(memory_fd, code->lines + layout->bytes_value, table, length) == 0)
		line = python_line(layout->lines, table, length, code->first_line, place);
	free(table);
	return line;
}

static int read_frame(int memory_fd, const struct python_layout *layout, uint64_t word,
		      const struct code *code, struct buf *out)
{
	char name[FRAME_NAME_BYTES], file[FRAME_NAME_BYTES];
	struct frame frame = { .kind = FRAME_PYTHON };
	int rc = read_text(memory_fd, layout, code->name, name, sizeof(name));

	if (rc == 0)
		rc = read_text(memory_fd, layout, code->filename, file, sizeof(file));
	if (rc < 0)
		return rc;
	frame.name = str_of(name);
	frame.module = str_of(file);
	frame.address = read_line(memory_fd, layout, code, (uint32_t)PYTHON_PLACE_OF(word));
	frame_put(out, &frame);
	return buf_error(out);
}

/* ---- what is known */

static void keep(struct python_codes *codes, const struct known_key *key, uint64_t print,
		 struct str frame)
{
	struct known *known;

	if (codes->known.count >= MAX_KNOWN || codes->bytes + frame.len > MAX_BYTES)
		python_codes_clear(codes);
	known = map_put(&codes->known, key);
	if (!known)
		return;
	codes->bytes -= known->bytes;
	free(known->frame);
	*known = (struct known){ .print = print, .frame = malloc(frame.len) };
	if (!known->frame)
		return;
	memcpy(known->frame, frame.data, frame.len);
	known->bytes = (uint32_t)frame.len;
	codes->bytes += frame.len;
}

static void put_unknown(uint64_t word, struct buf *out)
{
	const struct frame frame = {
		.kind = FRAME_UNKNOWN,
		.address = PYTHON_CODE_OF(word),
		.module = STR("python"),
	};

	frame_put(out, &frame);
}

bool python_codes_put(struct python_codes *codes, uint32_t pid, int memory_fd,
		      const struct python_layout *layout, uint64_t word, struct buf *out)
{
	struct known_key key = { .pid = pid, .word = word & ~PYTHON_ENTRY };
	struct known *known = map_get(&codes->known, &key);
	size_t before = out->len;
	struct code code;
	uint64_t print;
	int rc = memory_fd < 0 ? -ESRCH : read_code(memory_fd, layout, PYTHON_CODE_OF(word), &code);

	print = rc == 0 ? map_hash(&code, sizeof(code), 0) : 0;
	if (known && known->frame && (rc < 0 || known->print == print)) {
		buf_append(out, known->frame, known->bytes);
		return true;
	}
	if (rc == 0)
		rc = read_frame(memory_fd, layout, word, &code, out);
	if (rc < 0) {
		put_unknown(word, out);
		return false;
	}
	keep(codes, &key, print, (struct str){ out->data + before, out->len - before });
	return true;
}
