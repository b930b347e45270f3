/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_profiles_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/hex.h"
#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "collector/base/wire.h"
#include "otlp/otlp_profiles_fields.h"
#include "otlp/text_table.h"

/* AnyValue.string_value; KeyValue.key and value; Resource.attributes; the scope's two texts */
enum { ANY_STRING = 1, KEY_VALUE_KEY = 1, KEY_VALUE_VALUE = 2, RESOURCE_ATTRIBUTES = 1 };
enum { SCOPE_NAME = 1, SCOPE_VERSION = 2 };

struct function_key {
	uint32_t name, file;
};

struct location_key {
	uint64_t address;
	uint32_t function, line, mapping, attribute;
};

struct attribute_key {
	uint64_t key, value; /* the value's hash: there are a handful */
};

struct link_key {
	uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES];
};

struct stack_key {
	uint64_t first, second; /* two hashes: no two stacks of a profile will share both */
};

struct otlp_profiles_writer {
	struct buf out;    /* the finished resources */
	struct buf tables; /* the dictionary, without texts */
	struct text_table texts;
	struct map functions, locations, mappings, attributes, links, stacks; /* -> u32, its number
									       */
	struct buf scope;   /* the message InstrumentationScope */
	struct buf service; /* the resource that is open */
	struct buf profiles;
	struct buf profile; /* that is open */
	struct buf sample, message, packed;
	bool has_service, has_profile;
	int error;
};

static void fail(struct otlp_profiles_writer *writer, int error)
{
	if (!writer->error)
		writer->error = error;
}

static uint32_t text_number(struct otlp_profiles_writer *writer, struct str text)
{
	return text_table_number(&writer->texts, text);
}

static void put_nonzero(struct buf *out, uint32_t field, uint64_t value)
{
	if (value)
		wire_put_uint(out, field, value);
}

/* ---- the dictionary: each finds an entry's number, or makes the entry ---- */

static uint32_t number_of(struct otlp_profiles_writer *writer, struct map *map, const void *key,
			  bool *out_is_new)
{
	uint32_t *number = map_put(map, key);

	*out_is_new = false;
	if (!number) {
		fail(writer, -ENOMEM);
		return 0;
	}
	if (!*number) {
		*number = (uint32_t)map->count;
		*out_is_new = true;
	}
	return *number;
}

static struct buf *begin_message(struct otlp_profiles_writer *writer)
{
	buf_clear(&writer->message);
	return &writer->message;
}

static void end_message(struct otlp_profiles_writer *writer, enum otlp_table table)
{
	wire_put_bytes(&writer->tables, table, buf_str(&writer->message));
}

static uint32_t function_number(struct otlp_profiles_writer *writer,
				const struct pprof_frame *frame)
{
	struct function_key key = { text_number(writer, frame->name),
				    text_number(writer, frame->file) };
	bool is_new;
	uint32_t number = number_of(writer, &writer->functions, &key, &is_new);

	if (is_new) {
		struct buf *message = begin_message(writer);

		put_nonzero(message, OTLP_FUNCTION_NAME, key.name);
		put_nonzero(message, OTLP_FUNCTION_FILE, key.file);
		end_message(writer, OTLP_TABLE_FUNCTION);
	}
	return number;
}

static uint32_t mapping_number(struct otlp_profiles_writer *writer, struct str module)
{
	uint32_t file = text_number(writer, module), number;
	bool is_new;

	if (!file)
		return 0;
	number = number_of(writer, &writer->mappings, &file, &is_new);
	if (is_new) {
		wire_put_uint(begin_message(writer), OTLP_MAPPING_FILE, file);
		end_message(writer, OTLP_TABLE_MAPPING);
	}
	return number;
}

static void put_string_value(struct buf *out, uint32_t field, struct str text)
{
	struct buf value;

	buf_init(&value, 0);
	wire_put_bytes(&value, ANY_STRING, text);
	wire_put_bytes(out, field, buf_str(&value));
	buf_fini(&value);
}

static uint32_t attribute_number(struct otlp_profiles_writer *writer, struct str key_text,
				 struct str text)
{
	struct attribute_key key = { text_number(writer, key_text),
				     map_hash(text.data, text.len, 1) };
	uint32_t number;
	bool is_new;

	if (!text.len)
		return 0;
	number = number_of(writer, &writer->attributes, &key, &is_new);
	if (is_new) {
		struct buf *message = begin_message(writer);

		wire_put_uint(message, OTLP_ATTRIBUTE_KEY, key.key);
		put_string_value(message, OTLP_ATTRIBUTE_VALUE, text);
		end_message(writer, OTLP_TABLE_ATTRIBUTE);
	}
	return number;
}

static void put_location(struct otlp_profiles_writer *writer, const struct location_key *key)
{
	struct buf *message = begin_message(writer);
	struct buf *line = &writer->packed;

	buf_clear(line);
	wire_put_uint(line, OTLP_LINE_FUNCTION, key->function);
	put_nonzero(line, OTLP_LINE_LINE, key->line);
	put_nonzero(message, OTLP_LOCATION_MAPPING, key->mapping);
	put_nonzero(message, OTLP_LOCATION_ADDRESS, key->address);
	wire_put_bytes(message, OTLP_LOCATION_LINES, buf_str(line));
	if (key->attribute) {
		buf_clear(line);
		wire_put_varint(line, key->attribute);
		wire_put_bytes(message, OTLP_LOCATION_ATTRIBUTES, buf_str(line));
	}
	end_message(writer, OTLP_TABLE_LOCATION);
}

static uint32_t location_number(struct otlp_profiles_writer *writer,
				const struct pprof_frame *frame)
{
	struct location_key key = {
		.address = frame->address,
		.function = function_number(writer, frame),
		.line = frame->line,
		.mapping = mapping_number(writer, frame->module),
		.attribute = attribute_number(writer, STR("profile.frame.type"), frame->type),
	};
	bool is_new;
	uint32_t number = number_of(writer, &writer->locations, &key, &is_new);

	if (is_new)
		put_location(writer, &key);
	return number;
}

static uint32_t stack_number(struct otlp_profiles_writer *writer, const struct pprof_frame *frames,
			     size_t count)
{
	uint32_t numbers[PPROF_WRITE_MAX_FRAMES], number;
	struct stack_key key;
	bool is_new;

	count = MIN(count, ARRAY_LEN(numbers));
	if (!count)
		return 0;
	for (size_t i = 0; i < count; i++)
		numbers[i] = location_number(writer, &frames[i]);
	key.first = map_hash(numbers, count * sizeof(*numbers), 1);
	key.second = map_hash(numbers, count * sizeof(*numbers), 2);
	number = number_of(writer, &writer->stacks, &key, &is_new);
	if (is_new) {
		buf_clear(&writer->packed);
		for (size_t i = 0; i < count; i++)
			wire_put_varint(&writer->packed, numbers[i]);
		wire_put_bytes(begin_message(writer), OTLP_STACK_LOCATIONS,
			       buf_str(&writer->packed));
		end_message(writer, OTLP_TABLE_STACK);
	}
	return number;
}

static void put_link(struct otlp_profiles_writer *writer, const struct link_key *key)
{
	struct buf *message = begin_message(writer);

	wire_put_bytes(message, OTLP_LINK_TRACE,
		       (struct str){ (const char *)key->trace_id, TRACE_ID_BYTES });
	wire_put_bytes(message, OTLP_LINK_SPAN,
		       (struct str){ (const char *)key->span_id, SPAN_ID_BYTES });
	end_message(writer, OTLP_TABLE_LINK);
}

static uint32_t link_number(struct otlp_profiles_writer *writer,
			    const struct otlp_profiles_sample *sample)
{
	struct link_key key;
	uint32_t number;
	bool is_new;

	if (!sample->trace_id || !sample->span_id)
		return 0;
	memcpy(key.trace_id, sample->trace_id, TRACE_ID_BYTES);
	memcpy(key.span_id, sample->span_id, SPAN_ID_BYTES);
	number = number_of(writer, &writer->links, &key, &is_new);
	if (is_new)
		put_link(writer, &key);
	return number;
}

/* ---- resources, profiles, samples ---- */

static void put_type(struct otlp_profiles_writer *writer, uint32_t field, struct str type,
		     struct str unit)
{
	struct buf *message = begin_message(writer);

	put_nonzero(message, OTLP_TYPE_TYPE, text_number(writer, type));
	put_nonzero(message, OTLP_TYPE_UNIT, text_number(writer, unit));
	wire_put_bytes(&writer->profile, field, buf_str(message));
}

static void end_profile(struct otlp_profiles_writer *writer)
{
	if (writer->has_profile)
		wire_put_bytes(&writer->profiles, OTLP_SCOPE_PROFILES, buf_str(&writer->profile));
	buf_clear(&writer->profile);
	writer->has_profile = false;
}

static void end_service(struct otlp_profiles_writer *writer)
{
	struct buf scopes, resource;

	end_profile(writer);
	if (writer->has_service) {
		buf_init(&scopes, 0);
		buf_init(&resource, 0);
		wire_put_bytes(&scopes, OTLP_SCOPE_SCOPE, buf_str(&writer->scope));
		buf_append_str(&scopes, buf_str(&writer->profiles));
		wire_put_bytes(&resource, OTLP_RESOURCE_RESOURCE, buf_str(&writer->service));
		wire_put_bytes(&resource, OTLP_RESOURCE_SCOPES, buf_str(&scopes));
		wire_put_bytes(&writer->out, OTLP_DATA_RESOURCE, buf_str(&resource));
		if (buf_error(&scopes) || buf_error(&resource))
			fail(writer, -ENOMEM);
		buf_fini(&scopes);
		buf_fini(&resource);
	}
	buf_clear(&writer->profiles);
	writer->has_service = false;
}

void otlp_profiles_writer_service(struct otlp_profiles_writer *writer, struct str service)
{
	struct buf *message = begin_message(writer);

	end_service(writer);
	wire_put_bytes(message, KEY_VALUE_KEY, STR("service.name"));
	put_string_value(message, KEY_VALUE_VALUE, service);
	buf_clear(&writer->service);
	wire_put_bytes(&writer->service, RESOURCE_ATTRIBUTES, buf_str(message));
	writer->has_service = true;
}

void otlp_profiles_writer_profile(struct otlp_profiles_writer *writer,
				  const struct otlp_profiles_type *type)
{
	end_profile(writer);
	writer->has_profile = true;
	put_type(writer, OTLP_PROFILE_SAMPLE_TYPE, type->type, type->unit);
	if (type->time_unix_ns)
		wire_put_fixed64(&writer->profile, OTLP_PROFILE_TIME, type->time_unix_ns);
	put_nonzero(&writer->profile, OTLP_PROFILE_DURATION, type->duration_ns);
}

static void put_packed(struct otlp_profiles_writer *writer, uint32_t field, uint64_t value)
{
	buf_clear(&writer->packed);
	wire_put_varint(&writer->packed, value);
	wire_put_bytes(&writer->sample, field, buf_str(&writer->packed));
}

void otlp_profiles_writer_sample(struct otlp_profiles_writer *writer,
				 const struct otlp_profiles_sample *sample)
{
	uint32_t stack = stack_number(writer, sample->frames, sample->frame_count);
	uint32_t attribute = attribute_number(writer, sample->key, sample->text);

	buf_clear(&writer->sample);
	put_nonzero(&writer->sample, OTLP_SAMPLE_STACK, stack);
	if (attribute)
		put_packed(writer, OTLP_SAMPLE_ATTRIBUTES, attribute);
	put_nonzero(&writer->sample, OTLP_SAMPLE_LINK, link_number(writer, sample));
	put_packed(writer, OTLP_SAMPLE_VALUES, (uint64_t)sample->value);
	wire_put_bytes(&writer->profile, OTLP_PROFILE_SAMPLES, buf_str(&writer->sample));
}

/* ---- life ---- */

static struct buf *buf_at(struct otlp_profiles_writer *writer, unsigned i)
{
	struct buf *const bufs[] = { &writer->out,     &writer->tables,  &writer->scope,
				     &writer->service, &writer->profile, &writer->profiles,
				     &writer->sample,  &writer->message, &writer->packed };

	return i < ARRAY_LEN(bufs) ? bufs[i] : NULL;
}

static void init_maps(struct otlp_profiles_writer *writer)
{
	map_init(&writer->functions, sizeof(struct function_key), sizeof(uint32_t), 3);
	map_init(&writer->locations, sizeof(struct location_key), sizeof(uint32_t), 3);
	map_init(&writer->mappings, sizeof(uint32_t), sizeof(uint32_t), 3);
	map_init(&writer->attributes, sizeof(struct attribute_key), sizeof(uint32_t), 3);
	map_init(&writer->links, sizeof(struct link_key), sizeof(uint32_t), 3);
	map_init(&writer->stacks, sizeof(struct stack_key), sizeof(uint32_t), 3);
}

/* Entry 0 of each table, which stands for "none". */
static void put_empty_entries(struct otlp_profiles_writer *writer)
{
	static const struct link_key none;

	for (unsigned table = OTLP_TABLE_MAPPING; table < OTLP_TABLE_COUNT; table++) {
		if (table == OTLP_TABLE_LINK)
			put_link(writer, &none);
		else if (table != OTLP_TABLE_STRING)
			wire_put_bytes(&writer->tables, table, (struct str){ "", 0 });
	}
}

struct otlp_profiles_writer *otlp_profiles_writer_new(struct str exporter, struct str version)
{
	struct otlp_profiles_writer *writer = calloc(1, sizeof(*writer));
	struct buf *buf;

	if (!writer)
		return NULL;
	for (unsigned i = 0; (buf = buf_at(writer, i)); i++)
		buf_init(buf, 0);
	text_table_init(&writer->texts, OTLP_TABLE_STRING);
	init_maps(writer);
	put_empty_entries(writer);
	wire_put_bytes(&writer->scope, SCOPE_NAME, exporter);
	wire_put_bytes(&writer->scope, SCOPE_VERSION, version);
	return writer;
}

void otlp_profiles_writer_free(struct otlp_profiles_writer *writer)
{
	struct buf *buf;

	if (!writer)
		return;
	for (unsigned i = 0; (buf = buf_at(writer, i)); i++)
		buf_fini(buf);
	text_table_fini(&writer->texts);
	map_fini(&writer->functions);
	map_fini(&writer->locations);
	map_fini(&writer->mappings);
	map_fini(&writer->attributes);
	map_fini(&writer->links);
	map_fini(&writer->stacks);
	free(writer);
}

int otlp_profiles_writer_finish(struct otlp_profiles_writer *writer, struct buf *out)
{
	struct buf *buf;

	end_service(writer);
	buf_append_str(&writer->tables, buf_str(&writer->texts.fields));
	for (unsigned i = 0; (buf = buf_at(writer, i)); i++) {
		if (buf_error(buf))
			fail(writer, buf_error(buf));
	}
	if (writer->texts.error)
		fail(writer, writer->texts.error);
	buf_append_str(out, buf_str(&writer->out));
	wire_put_bytes(out, OTLP_DATA_DICTIONARY, buf_str(&writer->tables));
	return writer->error ? writer->error : buf_error(out);
}
