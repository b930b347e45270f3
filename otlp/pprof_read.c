/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over the top level, and the samples; the tables are pprof_tables.c's. */
#include "otlp/pprof_read.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/base/buf.h"
#include "collector/base/macros.h"
#include "collector/base/wire.h"
#include "otlp/pprof_fields.h"
#include "otlp/pprof_tables.h"

#define HEAD_BYTES    20 /* the longest tag and length */
#define MAX_LOCATIONS (1u << 20)

struct pprof_reader {
	pprof_on_sample *on_sample;
	void *arg; /* borrowed */
	struct pprof_tables tables;
	struct buf pending; /* a field that has not arrived whole */
	uint64_t skip;      /* bytes of a field that this pass does not want */
	bool is_second;
	uint32_t *locations; /* owned; of the sample at hand */
	size_t location_cap;
};

struct pprof_reader *pprof_reader_new(pprof_on_sample *on_sample, void *arg)
{
	struct pprof_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return NULL;
	reader->on_sample = on_sample;
	reader->arg = arg;
	buf_init(&reader->pending, PPROF_MAX_FIELD_BYTES + HEAD_BYTES);
	pprof_tables_init(&reader->tables);
	return reader;
}

void pprof_reader_free(struct pprof_reader *reader)
{
	if (!reader)
		return;
	buf_fini(&reader->pending);
	pprof_tables_fini(&reader->tables);
	free(reader->locations);
	free(reader);
}

/* ---- one sample ---- */

static int add_location(struct pprof_reader *reader, size_t *count, uint64_t id)
{
	uint32_t index = pprof_tables_location(&reader->tables, id);

	if (index == PPROF_NO_INDEX)
		return -EBADMSG;
	if (*count == reader->location_cap) {
		size_t wanted = reader->location_cap ? reader->location_cap * 2 : 256;
		uint32_t *bigger;

		if (wanted > MAX_LOCATIONS)
			return -EBADMSG;
		bigger = realloc(reader->locations, wanted * sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		reader->locations = bigger;
		reader->location_cap = wanted;
	}
	reader->locations[(*count)++] = index;
	return 0;
}

/* A repeated integer: packed or one by one. */
static int take_locations(struct pprof_reader *reader, const struct wire_field *field,
			  size_t *count)
{
	struct wire_reader packed = wire_read(field->bytes);
	uint64_t id;
	int rc = 0;

	if (field->type == WIRE_VARINT)
		return add_location(reader, count, field->value);
	while (rc == 0 && packed.at < packed.end)
		rc = wire_get_varint(&packed, &id) ? add_location(reader, count, id) : -EBADMSG;
	return rc;
}

static int take_values(const struct wire_field *field, int64_t *values, size_t *count)
{
	struct wire_reader packed = wire_read(field->bytes);
	uint64_t value = field->value;

	if (field->type == WIRE_VARINT) {
		if (*count < PPROF_MAX_TYPES)
			values[*count] = (int64_t)value;
		++*count;
		return 0;
	}
	while (packed.at < packed.end) {
		if (!wire_get_varint(&packed, &value))
			return -EBADMSG;
		if (*count < PPROF_MAX_TYPES)
			values[*count] = (int64_t)value;
		++*count;
	}
	return 0;
}

/* -EBADMSG: this sample is damaged; the others may be good. */
static int read_sample(struct pprof_reader *reader, struct str message)
{
	struct wire_reader fields = wire_read(message);
	struct wire_field field;
	int64_t values[PPROF_MAX_TYPES] = { 0 };
	size_t location_count = 0, value_count = 0;
	int rc, more;

	while ((more = wire_next(&fields, &field)) == 1) {
		rc = 0;
		if (field.number == PPROF_SAMPLE_LOCATION)
			rc = take_locations(reader, &field, &location_count);
		else if (field.number == PPROF_SAMPLE_VALUE)
			rc = take_values(&field, values, &value_count);
		if (rc < 0)
			return rc;
	}
	if (more < 0 || value_count != reader->tables.declared_types)
		return -EBADMSG;
	return reader->on_sample(reader->arg, reader->locations, location_count, values);
}

static int take_field(struct pprof_reader *reader, const struct wire_field *field)
{
	int rc;

	if (!reader->is_second)
		return pprof_tables_field(&reader->tables, field);
	if (field->number != PPROF_PROFILE_SAMPLE || field->type != WIRE_BYTES)
		return 0;
	rc = read_sample(reader, field->bytes);
	if (rc == -EBADMSG) {
		reader->tables.info.bad_samples++;
		rc = 0;
	}
	return rc;
}

/* ---- the top level ---- */

static bool is_wanted(const struct pprof_reader *reader, uint64_t number)
{
	return (number == PPROF_PROFILE_SAMPLE) == reader->is_second;
}

/* How many bytes the field that begins here takes. 0: not known yet; -EBADMSG. `*out_wanted`:
 * whether this pass reads it. */
static int64_t field_bytes(const struct pprof_reader *reader, struct str bytes, bool *out_wanted)
{
	struct wire_reader at = wire_read(bytes);
	uint64_t tag, len;

	*out_wanted = true;
	if (!wire_get_varint(&at, &tag))
		return bytes.len >= HEAD_BYTES ? -EBADMSG : 0;
	switch (tag & 7) {
	case WIRE_BYTES:
		if (!wire_get_varint(&at, &len))
			return bytes.len >= HEAD_BYTES ? -EBADMSG : 0;
		*out_wanted = is_wanted(reader, tag >> 3);
		if (len > INT64_MAX / 2)
			return -EBADMSG;
		return (int64_t)(at.at - bytes.data) + (int64_t)len;
	case WIRE_VARINT:
		if (!wire_get_varint(&at, &len))
			return bytes.len >= HEAD_BYTES ? -EBADMSG : 0;
		return at.at - bytes.data;
	case WIRE_FIXED64:
		return at.at - bytes.data + 8;
	case WIRE_FIXED32:
		return at.at - bytes.data + 4;
	default:
		return -EBADMSG;
	}
}

/* Handles the fields that are whole in `bytes`; returns how many bytes they took, or an error. A
 * field that is not wanted may begin here and end in later bytes. */
static int64_t take_whole(struct pprof_reader *reader, struct str bytes)
{
	size_t done = 0;

	while (done < bytes.len) {
		struct str rest = { bytes.data + done, bytes.len - done };
		struct wire_field field;
		bool is_read;
		int64_t len = field_bytes(reader, rest, &is_read);
		int rc;

		if (len < 0)
			return len;
		if (len && !is_read) {
			size_t here = MIN((size_t)len, rest.len);

			reader->skip = (uint64_t)len - here;
			done += here;
			continue;
		}
		if (len > (int64_t)PPROF_MAX_FIELD_BYTES)
			return -EMSGSIZE;
		if (len == 0 || (size_t)len > rest.len)
			break;
		rest.len = (size_t)len;
		if (wire_next(&(struct wire_reader){ rest.data, rest.data + rest.len }, &field) !=
		    1)
			return -EBADMSG;
		rc = take_field(reader, &field);
		if (rc < 0)
			return rc;
		done += (size_t)len;
	}
	return (int64_t)done;
}

/* Completes the pending field from the front of `bytes`. */
static int fill_pending(struct pprof_reader *reader, struct str *bytes)
{
	while (reader->pending.len && bytes->len) {
		bool is_read;
		int64_t len = field_bytes(reader, buf_str(&reader->pending), &is_read), taken;
		size_t wanted = len > 0 ? (size_t)len - MIN((size_t)len, reader->pending.len) : 1;

		if (len < 0)
			return (int)len;
		if (len > (int64_t)PPROF_MAX_FIELD_BYTES && is_read)
			return -EMSGSIZE;
		if (is_read || len == 0) {
			wanted = MIN(MAX(wanted, (size_t)1), bytes->len);
			buf_append(&reader->pending, bytes->data, wanted);
			bytes->data += wanted;
			bytes->len -= wanted;
		}
		if (buf_error(&reader->pending))
			return buf_error(&reader->pending);
		taken = take_whole(reader, buf_str(&reader->pending));
		if (taken < 0)
			return (int)taken;
		buf_consume(&reader->pending, (size_t)taken);
		if (reader->skip)
			break;
	}
	return 0;
}

int pprof_reader_feed(struct pprof_reader *reader, struct str bytes)
{
	while (bytes.len) {
		size_t skipped = (size_t)MIN(reader->skip, (uint64_t)bytes.len);
		int64_t taken;
		int rc;

		reader->skip -= skipped;
		bytes.data += skipped;
		bytes.len -= skipped;
		rc = fill_pending(reader, &bytes);
		if (rc < 0)
			return rc;
		if (reader->skip || !bytes.len)
			continue;
		taken = take_whole(reader, bytes);
		if (taken < 0)
			return (int)taken;
		bytes.data += taken;
		bytes.len -= (size_t)taken;
		if (!reader->skip) {
			buf_append_str(&reader->pending, bytes);
			return buf_error(&reader->pending);
		}
	}
	return 0;
}

int pprof_reader_rewind(struct pprof_reader *reader)
{
	reader->is_second = true;
	reader->skip = 0;
	buf_clear(&reader->pending);
	return pprof_tables_finish(&reader->tables);
}

int pprof_reader_end(struct pprof_reader *reader)
{
	return reader->pending.len || reader->skip;
}

const struct pprof_info *pprof_reader_info(const struct pprof_reader *reader)
{
	return &reader->tables.info;
}

size_t pprof_reader_lines(const struct pprof_reader *reader, uint32_t location,
			  const uint32_t **out)
{
	return pprof_tables_lines(&reader->tables, location, out);
}

size_t pprof_reader_function_count(const struct pprof_reader *reader)
{
	return reader->tables.function_count + reader->tables.location_count;
}

size_t pprof_reader_location_count(const struct pprof_reader *reader)
{
	return reader->tables.location_count;
}

struct str pprof_reader_file(const struct pprof_reader *reader, uint32_t function)
{
	return pprof_tables_file(&reader->tables, function);
}

struct str pprof_reader_name(const struct pprof_reader *reader, uint32_t function, char *room,
			     size_t room_bytes)
{
	return pprof_tables_name(&reader->tables, function, room, room_bytes);
}
