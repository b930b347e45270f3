/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/unwind_table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/unwind_code.h"
#include "collector/base/macros.h"

#define MAX_PADDING 16 /* bytes between functions that are none */

/* ---- rows */

static int put(struct unwind_table *table, uint64_t address, struct unwind_row row)
{
	if (table->count >= UNWIND_TABLE_MAX_ROWS)
		return -E2BIG;
	if (table->count == table->cap) {
		uint32_t cap = MAX(1024u, table->cap + table->cap / 2);
		void *grown = reallocarray(table->places, cap, sizeof(*table->places));

		if (!grown)
			return -ENOMEM;
		table->places = grown;
		table->cap = cap;
	}
	row.pc_low = (uint16_t)address;
	table->places[table->count++] = (struct unwind_place){ address, row };
	return 0;
}

static int on_row(uint64_t address, struct unwind_row row, void *arg)
{
	return put(arg, address, row);
}

/* At one address the end of a function comes before the beginning of the next. */
static int by_address(const void *a, const void *b)
{
	const struct unwind_place *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return (x->row.cfa != UNWIND_CHAIN) - (y->row.cfa != UNWIND_CHAIN);
}

static bool says_the_same(const struct unwind_row *a, const struct unwind_row *b)
{
	return a->cfa == b->cfa && a->fp == b->fp && a->offset == b->offset &&
	       a->fp_offset == b->fp_offset;
}

/* No call stands in what pads functions: what "returns" to behind it was put on the stack by
 * makecontext and its like, for a stack that begins there. */
static void stop_in_padding(struct unwind_table *table)
{
	for (uint32_t i = 0; i + 1 < table->count; i++) {
		struct unwind_place *place = &table->places[i];

		if (place->row.cfa == UNWIND_CHAIN &&
		    place[1].address - place->address < MAX_PADDING)
			place->row = (struct unwind_row){ .pc_low = place->row.pc_low,
							  .cfa = UNWIND_STOP };
	}
}

/* Of several at one address the last one holds; neighbours that agree become one, unless a page
 * begins between them. */
static void finish(struct unwind_table *table)
{
	uint32_t kept = 0;

	if (table->count)
		qsort(table->places, table->count, sizeof(*table->places), by_address);
	for (uint32_t i = 0; i < table->count; i++) {
		const struct unwind_place *place = &table->places[i];

		if (i + 1 < table->count && table->places[i + 1].address == place->address)
			continue;
		if (kept && says_the_same(&table->places[kept - 1].row, &place->row))
			continue;
		table->places[kept++] = *place;
	}
	table->count = kept;
	stop_in_padding(table);
}

/* ---- records */

static bool read_augmentation(struct unwind_reader *reader, const char *letters,
			      struct unwind_common *common)
{
	uint64_t bytes = unwind_read_uleb(reader);
	const uint8_t *end;

	if (!reader->at || bytes > (uint64_t)(reader->end - reader->at))
		return false;
	end = reader->at + bytes;
	for (; *letters; letters++) {
		switch (*letters) {
		case 'R':
			common->encoding = (uint8_t)unwind_read_fixed(reader, 1);
			break;
		case 'P':
			unwind_read_encoded(reader, unwind_read_fixed(reader, 1) & 0x0f);
			break;
		case 'L':
			unwind_read_fixed(reader, 1);
			break;
		case 'S':
			common->is_signal = true;
			break;
		case 'B':
			break;
		default:
			return false;
		}
	}
	reader->at = end;
	return true;
}

/* After the length and the zero that says what it is. */
static bool read_common(struct unwind_reader reader, struct unwind_common *out_common)
{
	struct unwind_common common = { .encoding = 0 };
	uint64_t version = unwind_read_fixed(&reader, 1);
	const char *letters = (const char *)reader.at;
	size_t length = letters ? strnlen(letters, (size_t)(reader.end - reader.at)) : 0;

	if (!letters || (version != 1 && version != 3) ||
	    length == (size_t)(reader.end - reader.at) || length > 8)
		return false;
	reader.at += length + 1;
	common.code_align = unwind_read_uleb(&reader);
	common.data_align = unwind_read_sleb(&reader);
	if ((version == 1 ? unwind_read_fixed(&reader, 1) : unwind_read_uleb(&reader)) != 16)
		return false;
	common.has_data = letters[0] == 'z';
	if (letters[0] && !common.has_data)
		return false;
	if (common.has_data && !read_augmentation(&reader, letters + 1, &common))
		return false;
	common.code = reader.at;
	common.code_end = reader.end;
	*out_common = common;
	return reader.at != NULL;
}

static int take_function(struct unwind_table *table, struct unwind_reader reader,
			 const struct unwind_common *common)
{
	uint64_t start = unwind_read_encoded(&reader, common->encoding);
	uint64_t bytes = unwind_read_encoded(&reader, common->encoding & 0x0f);
	int rc;

	if (common->has_data) {
		uint64_t skipped = unwind_read_uleb(&reader);

		if (!reader.at || skipped > (uint64_t)(reader.end - reader.at))
			return -EBADMSG;
		reader.at += skipped;
	}
	if (!reader.at || bytes == 0 || start > INT64_MAX || bytes > UINT32_MAX)
		return -EBADMSG;
	table->functions++;
	rc = unwind_code_run(common, reader, start, start + bytes, on_row, table);
	if (rc == -EBADMSG) { /* up to its end nothing is known */
		table->unsupported++;
		rc = put(table, start, (struct unwind_row){ .cfa = UNWIND_END });
	}
	/* what nobody describes mostly was made by other means, and keeps frame pointers: an
	 * interpreter's built-in functions, for one */
	return rc < 0 ? rc : put(table, start + bytes, (struct unwind_row){ .cfa = UNWIND_CHAIN });
}

/* The records of a file mostly name the same few CIEs one after the other. */
struct commons {
	size_t offset; /* of the one that was read last */
	struct unwind_common common;
	bool is_known;
};

static bool find_common(struct commons *commons, struct unwind_reader whole, size_t offset)
{
	uint64_t bytes;

	if (commons->is_known && commons->offset == offset)
		return true;
	commons->is_known = false;
	commons->offset = offset;
	whole.at = whole.base + offset;
	bytes = unwind_read_fixed(&whole, 4);
	if (!whole.at || bytes < 4 || bytes > (uint64_t)(whole.end - whole.at))
		return false;
	whole.end = whole.at + bytes;
	if (unwind_read_fixed(&whole, 4) != 0)
		return false;
	commons->is_known = read_common(whole, &commons->common);
	return commons->is_known;
}

int unwind_table_parse(struct unwind_table *table, const uint8_t *bytes, size_t size,
		       uint64_t vaddr)
{
	struct unwind_reader whole = {
		.at = bytes, .end = bytes + size, .base = bytes, .vaddr = vaddr
	};
	struct commons commons = { .is_known = false };
	int rc = 0;

	while (rc == 0 && whole.end - whole.at >= 8) {
		struct unwind_reader record = whole;
		uint64_t length = unwind_read_fixed(&record, 4), back;
		size_t at;

		if (length == 0)
			break;
		if (length < 4 || length > (uint64_t)(record.end - record.at))
			return -EBADMSG; /* 64-bit records too: nobody writes them */
		record.end = record.at + length;
		whole.at = record.end;
		at = (size_t)(record.at - record.base);
		back = unwind_read_fixed(&record, 4);
		if (back == 0 || back > at)
			continue;
		if (find_common(&commons, whole, at - back))
			rc = take_function(table, record, &commons.common);
		rc = rc == -EBADMSG ? 0 : rc;
	}
	finish(table);
	return rc;
}

int unwind_table_read(struct unwind_table *table, const struct sections *sections)
{
	const Elf64_Shdr *header = sections_find(sections, ".eh_frame");
	char *bytes;
	int rc;

	if (!header)
		return -ENOENT;
	rc = sections_read(sections, header, &bytes);
	if (rc < 0)
		return rc;
	rc = unwind_table_parse(table, (const uint8_t *)bytes, header->sh_size, header->sh_addr);
	free(bytes);
	if (rc < 0)
		unwind_table_fini(table);
	return rc;
}

void unwind_table_fini(struct unwind_table *table)
{
	free(table->places);
	*table = (struct unwind_table){ 0 };
}

const struct unwind_row *unwind_table_find(const struct unwind_table *table, uint64_t address)
{
	uint32_t low = 0, high = table->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (table->places[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &table->places[low - 1].row : NULL;
}
