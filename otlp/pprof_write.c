/* SPDX-License-Identifier: Apache-2.0 */
/* https://github.com/google/pprof/blob/main/proto/profile.proto
 *
 * One location for each distinct (function, line, module, address). Ids are given in the order of
 * first use and begin at 1. */
#include "otlp/pprof_write.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "collector/base/wire.h"
#include "otlp/pprof_fields.h"
#include "otlp/text_table.h"

struct function_key {
	uint32_t name, file;
};

struct location_key {
	uint64_t address;
	uint32_t function, line, mapping, zero;
};

struct pprof_writer {
	struct buf out;    /* types, samples, and the head's fields */
	struct buf tables; /* mappings, locations, functions */
	struct buf scratch;
	struct text_table texts;
	struct map functions; /* function_key -> id */
	struct map locations; /* location_key -> id */
	struct map mappings;  /* text number -> id */
	unsigned type_count;
	int error;
};

static void fail(struct pprof_writer *writer, int error)
{
	if (!writer->error)
		writer->error = error;
}

static uint32_t text_number(struct pprof_writer *writer, struct str text)
{
	return text_table_number(&writer->texts, text);
}

static void put_nonzero(struct buf *out, uint32_t field, uint64_t value)
{
	if (value)
		wire_put_uint(out, field, value);
}

/* Finds or makes an id; `*out_is_new` asks the caller to write the entry. */
static uint64_t id_of(struct pprof_writer *writer, struct map *map, const void *key,
		      bool *out_is_new)
{
	uint64_t *id = map_put(map, key);

	*out_is_new = false;
	if (!id) {
		fail(writer, -ENOMEM);
		return 0;
	}
	if (!*id) {
		*id = map->count;
		*out_is_new = true;
	}
	return *id;
}

static uint64_t function_id(struct pprof_writer *writer, const struct pprof_frame *frame)
{
	struct function_key key = { text_number(writer, frame->name),
				    text_number(writer, frame->file) };
	bool is_new;
	uint64_t id = id_of(writer, &writer->functions, &key, &is_new);

	if (is_new) {
		buf_clear(&writer->scratch);
		wire_put_uint(&writer->scratch, PPROF_FUNCTION_ID, id);
		put_nonzero(&writer->scratch, PPROF_FUNCTION_NAME, key.name);
		put_nonzero(&writer->scratch, PPROF_FUNCTION_SYSTEM_NAME, key.name);
		put_nonzero(&writer->scratch, PPROF_FUNCTION_FILE, key.file);
		wire_put_bytes(&writer->tables, PPROF_PROFILE_FUNCTION, buf_str(&writer->scratch));
	}
	return id;
}

static uint64_t mapping_id(struct pprof_writer *writer, struct str module)
{
	uint32_t name = text_number(writer, module);
	bool is_new;
	uint64_t id;

	if (!name)
		return 0;
	id = id_of(writer, &writer->mappings, &name, &is_new);
	if (is_new) {
		buf_clear(&writer->scratch);
		wire_put_uint(&writer->scratch, PPROF_MAPPING_ID, id);
		wire_put_uint(&writer->scratch, PPROF_MAPPING_FILE, name);
		wire_put_uint(&writer->scratch, PPROF_MAPPING_HAS_FUNCTIONS,
			      1); /* do not resolve again */
		wire_put_bytes(&writer->tables, PPROF_PROFILE_MAPPING, buf_str(&writer->scratch));
	}
	return id;
}

static void put_location(struct pprof_writer *writer, uint64_t id, const struct location_key *key)
{
	char line_bytes[32];
	struct buf *scratch = &writer->scratch;
	size_t len;

	buf_clear(scratch);
	wire_put_uint(scratch, PPROF_LINE_FUNCTION, key->function);
	put_nonzero(scratch, PPROF_LINE_LINE, key->line);
	len = MIN(scratch->len, sizeof(line_bytes));
	if (len)
		memcpy(line_bytes, scratch->data, len);
	buf_clear(scratch);
	wire_put_uint(scratch, PPROF_LOCATION_ID, id);
	put_nonzero(scratch, PPROF_LOCATION_MAPPING, key->mapping);
	put_nonzero(scratch, PPROF_LOCATION_ADDRESS, key->address);
	wire_put_bytes(scratch, PPROF_LOCATION_LINE, (struct str){ line_bytes, len });
	wire_put_bytes(&writer->tables, PPROF_PROFILE_LOCATION, buf_str(scratch));
}

static uint64_t location_id(struct pprof_writer *writer, const struct pprof_frame *frame)
{
	struct location_key key = {
		.address = frame->address,
		.function = (uint32_t)function_id(writer, frame),
		.line = frame->line,
		.mapping = (uint32_t)mapping_id(writer, frame->module),
	};
	bool is_new;
	uint64_t id = id_of(writer, &writer->locations, &key, &is_new);

	if (is_new)
		put_location(writer, id, &key);
	return id;
}

/* type_and_unit: a ValueType. */
static void put_value_type(struct pprof_writer *writer, uint32_t field, struct str type,
			   struct str unit)
{
	uint32_t type_text = text_number(writer, type), unit_text = text_number(writer, unit);

	buf_clear(&writer->scratch);
	put_nonzero(&writer->scratch, PPROF_TYPE_TYPE, type_text);
	put_nonzero(&writer->scratch, PPROF_TYPE_UNIT, unit_text);
	wire_put_bytes(&writer->out, field, buf_str(&writer->scratch));
}

static void put_head(struct pprof_writer *writer, const struct pprof_head *head)
{
	put_nonzero(&writer->out, PPROF_PROFILE_TIME, head->time_unix_ns);
	put_nonzero(&writer->out, PPROF_PROFILE_DURATION, head->duration_ns);
	if (head->period_type.len)
		put_value_type(writer, PPROF_PROFILE_PERIOD_TYPE, head->period_type,
			       head->period_unit);
	put_nonzero(&writer->out, PPROF_PROFILE_PERIOD, (uint64_t)head->period);
	put_nonzero(&writer->out, PPROF_PROFILE_DEFAULT_TYPE,
		    text_number(writer, head->default_type));
	put_nonzero(&writer->out, PPROF_PROFILE_COMMENT, text_number(writer, head->comment));
}

struct pprof_writer *pprof_writer_new(const struct pprof_head *head)
{
	struct pprof_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return NULL;
	buf_init(&writer->out, 0);
	buf_init(&writer->tables, 0);
	buf_init(&writer->scratch, 0);
	text_table_init(&writer->texts, PPROF_PROFILE_STRING);
	map_init(&writer->functions, sizeof(struct function_key), sizeof(uint64_t), 3);
	map_init(&writer->locations, sizeof(struct location_key), sizeof(uint64_t), 3);
	map_init(&writer->mappings, sizeof(uint32_t), sizeof(uint64_t), 3);
	put_head(writer, head);
	mapping_id(writer, head->binary);
	return writer;
}

void pprof_writer_free(struct pprof_writer *writer)
{
	if (!writer)
		return;
	buf_fini(&writer->out);
	buf_fini(&writer->tables);
	buf_fini(&writer->scratch);
	text_table_fini(&writer->texts);
	map_fini(&writer->functions);
	map_fini(&writer->locations);
	map_fini(&writer->mappings);
	free(writer);
}

void pprof_writer_type(struct pprof_writer *writer, struct str type, struct str unit)
{
	if (writer->type_count == PPROF_WRITE_MAX_TYPES) {
		fail(writer, -EINVAL);
		return;
	}
	writer->type_count++;
	put_value_type(writer, PPROF_PROFILE_SAMPLE_TYPE, type, unit);
}

static void put_label(struct pprof_writer *writer, struct buf *sample,
		      const struct pprof_label *label)
{
	char bytes[64];
	struct buf *scratch = &writer->scratch;
	uint32_t key = text_number(writer, label->key), text = text_number(writer, label->text);
	uint32_t unit = text_number(writer, label->unit);

	buf_clear(scratch);
	wire_put_uint(scratch, PPROF_LABEL_KEY, key);
	put_nonzero(scratch, PPROF_LABEL_TEXT, text);
	if (!text) {
		put_nonzero(scratch, PPROF_LABEL_NUMBER, (uint64_t)label->number);
		put_nonzero(scratch, PPROF_LABEL_UNIT, unit);
	}
	if (!scratch->len || scratch->len > sizeof(bytes))
		return;
	memcpy(bytes, scratch->data, scratch->len);
	wire_put_bytes(sample, PPROF_SAMPLE_LABEL, (struct str){ bytes, scratch->len });
}

void pprof_writer_sample(struct pprof_writer *writer, const struct pprof_frame *frames,
			 size_t frame_count, const int64_t *values,
			 const struct pprof_label *labels, size_t label_count)
{
	struct buf sample, packed;

	if (!writer->type_count)
		fail(writer, -EINVAL);
	buf_init(&sample, 0);
	buf_init(&packed, 0);
	for (size_t i = 0; i < MIN(frame_count, (size_t)PPROF_WRITE_MAX_FRAMES); i++)
		wire_put_varint(&packed, location_id(writer, &frames[i]));
	wire_put_bytes(&sample, PPROF_SAMPLE_LOCATION, buf_str(&packed));
	buf_clear(&packed);
	for (unsigned i = 0; i < writer->type_count; i++)
		wire_put_varint(&packed, (uint64_t)values[i]);
	wire_put_bytes(&sample, PPROF_SAMPLE_VALUE, buf_str(&packed));
	for (size_t i = 0; i < label_count; i++)
		put_label(writer, &sample, &labels[i]);
	wire_put_bytes(&writer->out, PPROF_PROFILE_SAMPLE, buf_str(&sample));
	if (buf_error(&sample) || buf_error(&packed))
		fail(writer, -ENOMEM);
	buf_fini(&sample);
	buf_fini(&packed);
}

int pprof_writer_finish(struct pprof_writer *writer, struct buf *out)
{
	struct buf *parts[] = { &writer->out, &writer->tables, &writer->texts.fields };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (buf_error(parts[i]))
			fail(writer, buf_error(parts[i]));
		buf_append_str(out, buf_str(parts[i]));
	}
	if (writer->texts.error)
		fail(writer, writer->texts.error);
	return writer->error ? writer->error : buf_error(out);
}
