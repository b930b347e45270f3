/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/pprof_tables.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "otlp/pprof_fields.h"

#define MAX_ENTRIES ((size_t)1 << 30)

void pprof_tables_init(struct pprof_tables *tables)
{
	*tables = (struct pprof_tables){ 0 };
	buf_init(&tables->text, PPROF_MAX_TABLE_BYTES);
}

void pprof_tables_fini(struct pprof_tables *tables)
{
	buf_fini(&tables->text);
	free(tables->strings);
	free(tables->functions);
	free(tables->locations);
	free(tables->mappings);
	free(tables->line_ids);
	free(tables->lines);
}

/* Room for one more entry. */
static int grow(struct pprof_tables *tables, void *array_pointer, size_t count, size_t *cap,
		size_t item_bytes)
{
	void **array = array_pointer, *bigger;
	size_t wanted = *cap + *cap / 2 + 64;

	if (count < *cap)
		return 0;
	if (wanted > MAX_ENTRIES ||
	    tables->bytes + (wanted - *cap) * item_bytes > PPROF_MAX_TABLE_BYTES)
		return -EMSGSIZE;
	bigger = realloc(*array, wanted * item_bytes);
	if (!bigger)
		return -ENOMEM;
	tables->bytes += (wanted - *cap) * item_bytes;
	*array = bigger;
	*cap = wanted;
	return 0;
}

static int add_string(struct pprof_tables *tables, struct str text)
{
	int rc = grow(tables, &tables->strings, tables->string_count, &tables->string_cap,
		      sizeof(*tables->strings));

	if (rc < 0)
		return rc;
	tables->strings[tables->string_count++] = (struct pprof_text){ tables->text.len, text.len };
	buf_append_str(&tables->text, text);
	return buf_error(&tables->text);
}

static int add_function(struct pprof_tables *tables, struct str message)
{
	struct pprof_function function = { 0 };
	struct wire_reader fields = wire_read(message);
	struct wire_field field;
	int more, rc;

	while ((more = wire_next(&fields, &field)) == 1) {
		if (field.number == PPROF_FUNCTION_ID)
			function.id = field.value;
		else if (field.number == PPROF_FUNCTION_NAME)
			function.name = field.value;
		else if (field.number == PPROF_FUNCTION_FILE)
			function.file = field.value;
		else if (field.number == PPROF_FUNCTION_SYSTEM_NAME && !function.name)
			function.name = field.value;
	}
	rc = grow(tables, &tables->functions, tables->function_count, &tables->function_cap,
		  sizeof(*tables->functions));
	if (more == 0 && rc == 0)
		tables->functions[tables->function_count++] = function;
	return more < 0 ? more : rc;
}

static int add_mapping(struct pprof_tables *tables, struct str message)
{
	struct pprof_mapping mapping = { 0 };
	struct wire_reader fields = wire_read(message);
	struct wire_field field;
	int more, rc;

	while ((more = wire_next(&fields, &field)) == 1) {
		if (field.number == PPROF_MAPPING_ID)
			mapping.id = field.value;
		else if (field.number == PPROF_MAPPING_FILE)
			mapping.file = field.value;
	}
	rc = grow(tables, &tables->mappings, tables->mapping_count, &tables->mapping_cap,
		  sizeof(*tables->mappings));
	if (more == 0 && rc == 0)
		tables->mappings[tables->mapping_count++] = mapping;
	return more < 0 ? more : rc;
}

static int add_line(struct pprof_tables *tables, struct str message)
{
	struct wire_reader fields = wire_read(message);
	struct wire_field field;
	uint64_t function = 0;
	int more, rc;

	while ((more = wire_next(&fields, &field)) == 1) {
		if (field.number == PPROF_LINE_FUNCTION)
			function = field.value;
	}
	rc = grow(tables, &tables->line_ids, tables->line_count, &tables->line_cap,
		  sizeof(*tables->line_ids));
	if (more == 0 && rc == 0)
		tables->line_ids[tables->line_count++] = function;
	return more < 0 ? more : rc;
}

static int add_location(struct pprof_tables *tables, struct str message)
{
	struct pprof_location location = { .first_line = (uint32_t)tables->line_count };
	struct wire_reader fields = wire_read(message);
	struct wire_field field;
	int more, rc = 0;

	while (rc == 0 && (more = wire_next(&fields, &field)) == 1) {
		if (field.number == PPROF_LOCATION_ID)
			location.id = field.value;
		else if (field.number == PPROF_LOCATION_ADDRESS)
			location.address = field.value;
		else if (field.number == PPROF_LOCATION_MAPPING)
			location.mapping = field.value;
		else if (field.number == PPROF_LOCATION_LINE)
			rc = add_line(tables, field.bytes);
	}
	if (rc < 0 || more < 0)
		return rc < 0 ? rc : more;
	rc = grow(tables, &tables->locations, tables->location_count, &tables->location_cap,
		  sizeof(*tables->locations));
	if (rc < 0)
		return rc;
	location.line_count = (uint32_t)(tables->line_count - location.first_line);
	tables->info.inlined_frames += location.line_count > 1 ? location.line_count - 1 : 0;
	tables->locations[tables->location_count++] = location;
	return 0;
}

static int read_type(struct str message, uint64_t out_texts[2])
{
	struct wire_reader fields = wire_read(message);
	struct wire_field field;
	int more;

	out_texts[0] = out_texts[1] = 0;
	while ((more = wire_next(&fields, &field)) == 1) {
		if (field.number == PPROF_TYPE_TYPE || field.number == PPROF_TYPE_UNIT)
			out_texts[field.number - 1] = field.value;
	}
	return more;
}

static int add_type(struct pprof_tables *tables, struct str message)
{
	uint64_t texts[2];
	int rc = read_type(message, texts);

	if (rc < 0)
		return rc;
	if (tables->declared_types < PPROF_MAX_TYPES)
		memcpy(tables->type_texts[tables->declared_types], texts, sizeof(texts));
	tables->declared_types++;
	return 0;
}

static void take_number(struct pprof_tables *tables, const struct wire_field *field)
{
	switch (field->number) {
	case PPROF_PROFILE_TIME:
		tables->info.time_unix_ns = field->value;
		break;
	case PPROF_PROFILE_DURATION:
		tables->info.duration_ns = field->value;
		break;
	case PPROF_PROFILE_PERIOD:
		tables->info.period = (int64_t)MIN(field->value, (uint64_t)INT64_MAX);
		break;
	case PPROF_PROFILE_DEFAULT_TYPE:
		tables->default_type_text = field->value;
		break;
	default:
		break;
	}
}

int pprof_tables_field(struct pprof_tables *tables, const struct wire_field *field)
{
	if (field->type != WIRE_BYTES) {
		take_number(tables, field);
		return 0;
	}
	switch (field->number) {
	case PPROF_PROFILE_SAMPLE_TYPE:
		return add_type(tables, field->bytes);
	case PPROF_PROFILE_MAPPING:
		return add_mapping(tables, field->bytes);
	case PPROF_PROFILE_LOCATION:
		return add_location(tables, field->bytes);
	case PPROF_PROFILE_FUNCTION:
		return add_function(tables, field->bytes);
	case PPROF_PROFILE_STRING:
		return add_string(tables, field->bytes);
	case PPROF_PROFILE_PERIOD_TYPE:
		return read_type(field->bytes, tables->period_texts);
	default:
		return 0;
	}
}

/* ---- when all are there ---- */

static struct str text_at(const struct pprof_tables *tables, uint64_t index)
{
	if (index >= tables->string_count || !tables->strings[index].len)
		return (struct str){ 0 };
	return (struct str){ tables->text.data + tables->strings[index].offset,
			     tables->strings[index].len };
}

/* Entries of all three tables begin with their id. */
static int by_id(const void *a, const void *b)
{
	uint64_t left, right;

	memcpy(&left, a, sizeof(left));
	memcpy(&right, b, sizeof(right));
	return left < right ? -1 : left > right;
}

static void sort(void *array, size_t count, size_t item_bytes)
{
	const char *items = array;

	for (size_t i = 1; i < count; i++) {
		if (by_id(items + (i - 1) * item_bytes, items + i * item_bytes) > 0) {
			qsort(array, count, item_bytes, by_id);
			return;
		}
	}
}

static uint32_t find_id(const void *array, size_t count, size_t item_bytes, uint64_t id)
{
	const char *found = count ? bsearch(&id, array, count, item_bytes, by_id) : NULL;

	return found ? (uint32_t)((size_t)(found - (const char *)array) / item_bytes)
		     : PPROF_NO_INDEX;
}

/* Lines become indexes; a function that is not there is its location's own nameless one. */
static int resolve_lines(struct pprof_tables *tables)
{
	tables->lines =
		calloc(tables->line_count + tables->location_count + 1, sizeof(*tables->lines));
	if (!tables->lines)
		return -ENOMEM;
	for (size_t i = 0; i < tables->location_count; i++) {
		struct pprof_location *location = &tables->locations[i];
		uint32_t own = (uint32_t)(tables->function_count + i);

		for (uint32_t k = 0; k < location->line_count; k++) {
			uint32_t found = find_id(tables->functions, tables->function_count,
						 sizeof(*tables->functions),
						 tables->line_ids[location->first_line + k]);

			tables->lines[location->first_line + k] =
				found == PPROF_NO_INDEX ? own : found;
		}
		tables->lines[tables->line_count + i] = own;
		if (location->line_count == 0) {
			location->first_line = (uint32_t)(tables->line_count + i);
			location->line_count = 1;
		}
	}
	free(tables->line_ids);
	tables->line_ids = NULL;
	return 0;
}

static void resolve_types(struct pprof_tables *tables)
{
	struct pprof_info *info = &tables->info;

	info->type_count = MIN(tables->declared_types, (unsigned)PPROF_MAX_TYPES);
	info->default_type = info->type_count ? info->type_count - 1 : 0;
	for (unsigned i = 0; i < info->type_count; i++) {
		info->types[i].type = text_at(tables, tables->type_texts[i][0]);
		info->types[i].unit = text_at(tables, tables->type_texts[i][1]);
		if (tables->default_type_text &&
		    tables->type_texts[i][0] == tables->default_type_text)
			info->default_type = i;
	}
	info->period_type.type = text_at(tables, tables->period_texts[0]);
	info->period_type.unit = text_at(tables, tables->period_texts[1]);
}

int pprof_tables_finish(struct pprof_tables *tables)
{
	if (!tables->declared_types || !tables->string_count ||
	    tables->function_count + tables->location_count >= PPROF_NO_INDEX ||
	    tables->line_count + tables->location_count >= PPROF_NO_INDEX)
		return -EBADMSG;
	sort(tables->functions, tables->function_count, sizeof(*tables->functions));
	sort(tables->locations, tables->location_count, sizeof(*tables->locations));
	sort(tables->mappings, tables->mapping_count, sizeof(*tables->mappings));
	tables->has_dense_locations =
		tables->location_count &&
		tables->locations[tables->location_count - 1].id == tables->location_count &&
		tables->locations[0].id == 1;
	resolve_types(tables);
	return resolve_lines(tables);
}

uint32_t pprof_tables_location(const struct pprof_tables *tables, uint64_t id)
{
	if (tables->has_dense_locations && id - 1 < tables->location_count &&
	    tables->locations[id - 1].id == id)
		return (uint32_t)(id - 1);
	return find_id(tables->locations, tables->location_count, sizeof(*tables->locations), id);
}

size_t pprof_tables_lines(const struct pprof_tables *tables, uint32_t location,
			  const uint32_t **out)
{
	*out = tables->lines + tables->locations[location].first_line;
	return tables->locations[location].line_count;
}

static struct str file_of(const struct pprof_tables *tables, uint64_t mapping)
{
	uint32_t index = find_id(tables->mappings, tables->mapping_count, sizeof(*tables->mappings),
				 mapping);
	struct str path = index == PPROF_NO_INDEX ? (struct str){ 0 }
						  : text_at(tables, tables->mappings[index].file);
	const char *slash = path.len ? memrchr(path.data, '/', path.len) : NULL;

	if (slash)
		path = (struct str){ slash + 1, (size_t)(path.data + path.len - slash - 1) };
	return path;
}

struct str pprof_tables_file(const struct pprof_tables *tables, uint32_t function)
{
	return function < tables->function_count ? text_at(tables, tables->functions[function].file)
						 : (struct str){ 0 };
}

struct str pprof_tables_name(const struct pprof_tables *tables, uint32_t function, char *room,
			     size_t room_bytes)
{
	const struct pprof_location *location;
	struct str file;
	int len;

	if (function < tables->function_count) {
		struct str name = text_at(tables, tables->functions[function].name);

		return name.len ? name : STR("[unknown]");
	}
	location = &tables->locations[function - tables->function_count];
	file = file_of(tables, location->mapping);
	len = snprintf(room, room_bytes, "0x%" PRIx64 " [%.*s]", location->address,
		       (int)MIN(file.len, (size_t)64), file.len ? file.data : "");
	return (struct str){ room, MIN((size_t)len, room_bytes - 1) };
}
