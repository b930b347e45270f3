/* SPDX-License-Identifier: Apache-2.0 */
/* opentelemetry/proto/profiles/v1development/profiles.proto. Its dictionary may follow the
 * profiles, so it is looked for first. Element 0 of every table stands for "nothing". */
#include "otlp/otlp_profiles.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/base/arena.h"
#include "collector/base/macros.h"
#include "collector/base/wire.h"
#include "otlp/otlp_profiles_fields.h"

#define NAMES_LIMIT ((size_t)256 << 20)

struct reader {
	const struct otlp_profiles_visitor *visitor;
	struct str *tables[OTLP_TABLE_COUNT]; /* owned arrays of slices */
	size_t counts[OTLP_TABLE_COUNT], caps[OTLP_TABLE_COUNT];
	struct arena names; /* of locations without functions */
	struct str frames[OTLP_PROFILES_MAX_FRAMES];
	uint64_t bad;
};

static int add_entry(struct reader *reader, uint32_t table, struct str bytes)
{
	if (reader->counts[table] == reader->caps[table]) {
		size_t wanted = reader->caps[table] * 2 + 64;
		struct str *bigger = realloc(reader->tables[table], wanted * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		reader->tables[table] = bigger;
		reader->caps[table] = wanted;
	}
	reader->tables[table][reader->counts[table]++] = bytes;
	return 0;
}

static int read_dictionary(struct reader *reader, struct str message)
{
	struct wire_reader fields = wire_read(message);
	struct wire_field field;
	int more, rc = 0;

	while (rc == 0 && (more = wire_next(&fields, &field)) == 1) {
		if (field.type == WIRE_BYTES && field.number < OTLP_TABLE_COUNT)
			rc = add_entry(reader, field.number, field.bytes);
	}
	return rc < 0 ? rc : more;
}

static struct str entry(const struct reader *reader, enum otlp_table table, uint64_t index)
{
	return index < reader->counts[table] ? reader->tables[table][index] : (struct str){ 0 };
}

static uint64_t number_of(struct str message, uint32_t number)
{
	struct wire_reader fields = wire_read(message);
	struct wire_field field;

	while (wire_next(&fields, &field) == 1) {
		if (field.number == number && field.type == WIRE_VARINT)
			return field.value;
	}
	return 0;
}

/* ---- names of a stack ---- */

static struct str address_name(struct reader *reader, uint64_t address)
{
	char *text = arena_alloc(&reader->names, 24);
	int len;

	if (!text)
		return STR("[unknown]");
	len = snprintf(text, 24, "0x%" PRIx64, address);
	return (struct str){ text, (size_t)len };
}

/* Appends the functions of a location, innermost first. */
static size_t put_location(struct reader *reader, struct str location, size_t count)
{
	struct wire_reader fields = wire_read(location);
	struct wire_field field;
	size_t before = count;

	while (count < OTLP_PROFILES_MAX_FRAMES && wire_next(&fields, &field) == 1) {
		struct str name;

		if (field.number != OTLP_LOCATION_LINES || field.type != WIRE_BYTES)
			continue;
		name = entry(
			reader, OTLP_TABLE_STRING,
			number_of(entry(reader, OTLP_TABLE_FUNCTION, number_of(field.bytes, 1)),
				  1));
		reader->frames[count++] = name.len ? name : STR("[unknown]");
	}
	if (count == before && count < OTLP_PROFILES_MAX_FRAMES)
		reader->frames[count++] =
			address_name(reader, number_of(location, OTLP_LOCATION_ADDRESS));
	return count;
}

static int put_stack(struct reader *reader, struct str stack, size_t *out_count)
{
	struct wire_reader fields = wire_read(stack);
	struct wire_field field;
	size_t count = 0;

	while (wire_next(&fields, &field) == 1) {
		struct wire_reader packed = wire_read(field.bytes);
		uint64_t index = field.value;

		if (field.number != 1)
			continue;
		if (field.type == WIRE_VARINT)
			count = put_location(reader, entry(reader, OTLP_TABLE_LOCATION, index),
					     count);
		while (field.type == WIRE_BYTES && packed.at < packed.end) {
			if (!wire_get_varint(&packed, &index))
				return -EBADMSG;
			if (index >= reader->counts[OTLP_TABLE_LOCATION])
				return -EBADMSG;
			count = put_location(reader, entry(reader, OTLP_TABLE_LOCATION, index),
					     count);
		}
	}
	*out_count = count;
	return 0;
}

/* ---- profiles ---- */

/* Values summed; without values, each timestamp is one. */
static int read_sample(struct reader *reader, struct str message)
{
	struct wire_reader fields = wire_read(message);
	struct wire_field field;
	uint64_t stack = 0, value, times = 0;
	int64_t sum = 0;
	bool has_values = false;
	size_t count;
	int more;

	while ((more = wire_next(&fields, &field)) == 1) {
		struct wire_reader packed = wire_read(field.bytes);

		if (field.number == OTLP_SAMPLE_STACK)
			stack = field.value;
		else if (field.number == OTLP_SAMPLE_TIMES)
			times += field.type == WIRE_BYTES ? field.bytes.len / 8 : 1;
		if (field.number != OTLP_SAMPLE_VALUES)
			continue;
		has_values = true;
		if (field.type == WIRE_VARINT)
			sum = (int64_t)((uint64_t)sum + field.value);
		while (field.type == WIRE_BYTES && packed.at < packed.end) {
			if (!wire_get_varint(&packed, &value))
				return -EBADMSG;
			sum = (int64_t)((uint64_t)sum + value);
		}
	}
	if (more < 0 || put_stack(reader, entry(reader, OTLP_TABLE_STACK, stack), &count) < 0)
		return -EBADMSG;
	return reader->visitor->on_sample(reader->visitor->arg, reader->frames, count,
					  has_values ? sum : (int64_t)times);
}

static void read_type(struct reader *reader, struct str message, struct str *out_type,
		      struct str *out_unit)
{
	*out_type = entry(reader, OTLP_TABLE_STRING, number_of(message, 1));
	*out_unit = entry(reader, OTLP_TABLE_STRING, number_of(message, 2));
}

static int read_head(struct reader *reader, struct str message, struct otlp_profile_head *out)
{
	struct wire_reader fields = wire_read(message);
	struct wire_field field;
	int more;

	*out = (struct otlp_profile_head){ 0 };
	while ((more = wire_next(&fields, &field)) == 1) {
		if (field.number == OTLP_PROFILE_SAMPLE_TYPE)
			read_type(reader, field.bytes, &out->type, &out->unit);
		else if (field.number == OTLP_PROFILE_PERIOD_TYPE)
			read_type(reader, field.bytes, &out->period_type, &out->period_unit);
		else if (field.number == OTLP_PROFILE_PERIOD)
			out->period = (int64_t)MIN(field.value, (uint64_t)INT64_MAX);
		else if (field.number == OTLP_PROFILE_TIME)
			out->time_unix_ns = field.value;
		else if (field.number == OTLP_PROFILE_DURATION)
			out->duration_ns = field.value;
	}
	return more;
}

static int read_profile(struct reader *reader, struct str message)
{
	struct wire_reader fields = wire_read(message);
	struct otlp_profile_head head;
	struct wire_field field;
	int rc = read_head(reader, message, &head);

	if (rc == 0)
		rc = reader->visitor->on_profile(reader->visitor->arg, &head);
	while (rc == 0 && wire_next(&fields, &field) == 1) {
		if (field.number != OTLP_PROFILE_SAMPLES || field.type != WIRE_BYTES)
			continue;
		rc = read_sample(reader, field.bytes);
		if (rc == -EBADMSG) {
			reader->bad++;
			rc = 0;
		}
	}
	return rc;
}

/* Calls `each` on the messages of one field. */
static int for_each(struct reader *reader, struct str message, uint32_t number,
		    int (*each)(struct reader *, struct str))
{
	struct wire_reader fields = wire_read(message);
	struct wire_field field;
	int more = 0, rc = 0;

	while (rc == 0 && (more = wire_next(&fields, &field)) == 1) {
		if (field.number == number && field.type == WIRE_BYTES)
			rc = each(reader, field.bytes);
	}
	return rc < 0 ? rc : more;
}

static int read_scope(struct reader *reader, struct str message)
{
	return for_each(reader, message, OTLP_SCOPE_PROFILES, read_profile);
}

static int read_resource(struct reader *reader, struct str message)
{
	return for_each(reader, message, OTLP_RESOURCE_SCOPES, read_scope);
}

int otlp_profiles_read(struct str message, const struct otlp_profiles_visitor *visitor,
		       uint64_t *out_bad)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	int rc;

	if (!reader)
		return -ENOMEM;
	reader->visitor = visitor;
	arena_init(&reader->names, NAMES_LIMIT);
	rc = for_each(reader, message, OTLP_DATA_DICTIONARY, read_dictionary);
	if (rc == 0)
		rc = for_each(reader, message, OTLP_DATA_RESOURCE, read_resource);
	*out_bad += reader->bad;
	for (size_t i = 0; i < OTLP_TABLE_COUNT; i++)
		free(reader->tables[i]);
	arena_fini(&reader->names);
	free(reader);
	return rc;
}

/* pprof's field 1 is two numbers; OTLP's is a message of messages. OTLP has no field above 2. */
int otlp_profiles_looks_like(struct str head)
{
	struct wire_reader reader = wire_read(head);
	uint64_t tag, len, inner;

	if (!wire_get_varint(&reader, &tag) || (tag != 0x0a && tag != 0x12) ||
	    !wire_get_varint(&reader, &len) || reader.at >= reader.end)
		return 0;
	if (len == 0 || !wire_get_varint(&reader, &inner))
		return tag == 0x0a && len == 0 ? 0 : tag == 0x12;
	if (tag == 0x0a)
		return (inner & 7) == WIRE_BYTES;
	return inner == 0x0a && len > 512; /* a dictionary is larger than any sample */
}
