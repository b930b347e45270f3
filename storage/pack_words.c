/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pack_words.h"

#include <errno.h>

#include "collector/base/macros.h"

#define RESOURCE_WORDS 7
#define SCOPE_WORDS    2

struct word_hash {
	uint64_t half[2];
};

/* A resource or a scope as it is written: numbers of strings. */
struct table_row {
	uint32_t words[RESOURCE_WORDS + 1];
	int64_t process_pid;
};

void pack_words_init(struct pack_words *words, uint64_t seed)
{
	*words = (struct pack_words){ .seed = seed };
	map_init(&words->places, sizeof(struct word_hash), sizeof(uint32_t), seed);
	map_init(&words->resource_places, sizeof(struct table_row), sizeof(uint32_t), seed);
	map_init(&words->scope_places, sizeof(struct table_row), sizeof(uint32_t), seed);
	buf_init(&words->slices, 0);
	buf_init(&words->resources, 0);
	buf_init(&words->scopes, 0);
}

void pack_words_clear(struct pack_words *words)
{
	map_clear(&words->places);
	map_clear(&words->resource_places);
	map_clear(&words->scope_places);
	buf_clear(&words->slices);
	buf_clear(&words->resources);
	buf_clear(&words->scopes);
	words->bytes = 0;
	words->resource_count = words->scope_count = 0;
}

void pack_words_fini(struct pack_words *words)
{
	map_fini(&words->places);
	map_fini(&words->resource_places);
	map_fini(&words->scope_places);
	buf_fini(&words->slices);
	buf_fini(&words->resources);
	buf_fini(&words->scopes);
}

static void add_slice(struct pack_words *words, struct coder *coder, size_t len)
{
	struct block_slice slice = { (uint32_t)words->bytes, (uint32_t)len };

	buf_append(&words->slices, &slice, sizeof(slice));
	words->bytes += len;
	if (words->bytes >= CODER_MAX_BYTES || buf_error(&words->slices))
		coder->error = coder->error ? coder->error : -ENOMEM;
}

static uint32_t count_of(const struct pack_words *words)
{
	return (uint32_t)(words->slices.len / sizeof(struct block_slice));
}

uint32_t pack_words_add(struct pack_words *words, struct coder *coder, struct str text)
{
	struct word_hash hash;
	uint32_t *place;

	if (text.len == 0)
		return 0;
	for (uint64_t i = 0; i < 2; i++)
		hash.half[i] = map_hash(text.data, text.len, words->seed + i);
	place = map_put(&words->places, &hash);
	if (!place) {
		coder->error = -ENOMEM;
		return 0;
	}
	if (*place == 0) {
		add_slice(words, coder, text.len);
		coder_raw(coder, COLUMN_STRING, (char *)text.data, text.len);
		*place = count_of(words);
	}
	return *place;
}

/* The row's number, made if need be. */
static uint32_t add_row(struct map *places, struct buf *rows, uint32_t *count, struct coder *coder,
			const struct table_row *row)
{
	uint32_t *place = map_put(places, row);

	if (place && *place == 0) {
		buf_append(rows, row, sizeof(*row));
		*place = ++*count;
	}
	if (!place || buf_error(rows)) {
		coder->error = -ENOMEM;
		return 0;
	}
	return *place - 1;
}

uint32_t pack_words_resource(struct pack_words *words, struct coder *coder,
			     const struct span_resource *resource)
{
	const struct str texts[RESOURCE_WORDS] = {
		resource->bytes,        resource->schema_url,
		resource->service_name, resource->service_instance_id,
		resource->runtime_id,   resource->container_id,
		resource->host_name,
	};
	struct table_row row = { .process_pid = resource->process_pid };

	for (size_t i = 0; i < RESOURCE_WORDS; i++)
		row.words[i] = pack_words_add(words, coder, texts[i]);
	return add_row(&words->resource_places, &words->resources, &words->resource_count, coder,
		       &row);
}

uint32_t pack_words_scope(struct pack_words *words, struct coder *coder,
			  const struct span_scope *scope)
{
	struct table_row row = { 0 };

	row.words[0] = pack_words_add(words, coder, scope->bytes);
	row.words[1] = pack_words_add(words, coder, scope->schema_url);
	return add_row(&words->scope_places, &words->scopes, &words->scope_count, coder, &row);
}

struct block_slice pack_words_slice(const struct pack_words *words, struct coder *coder,
				    uint32_t number)
{
	const struct block_slice *slices = (const void *)words->slices.data;

	if (number == 0)
		return (struct block_slice){ 0 };
	if (number > count_of(words)) {
		coder_fail(coder);
		return (struct block_slice){ 0 };
	}
	return slices[number - 1];
}

static void code_lengths(struct pack_words *words, struct coder *coder)
{
	uint32_t count = count_of(words);

	coder_number32(coder, COLUMN_TABLE, &count);
	for (uint32_t i = 0; i < count && !coder->error; i++) {
		const struct block_slice *slices = (const void *)words->slices.data;
		uint32_t len = coder->is_reading ? 0 : slices[i].len;

		coder_number32(coder, COLUMN_TABLE, &len);
		if (coder->is_reading)
			add_slice(words, coder, len);
	}
	if (coder->is_reading && words->bytes != coder_bytes_of(coder, COLUMN_STRING))
		coder_fail(coder);
}

static void read_resource(struct pack_words *words, struct coder *coder,
			  const struct table_row *row)
{
	struct block_resource resource = { .process_pid = row->process_pid };
	struct block_slice *const slices[RESOURCE_WORDS] = {
		&resource.bytes,        &resource.schema_url,
		&resource.service_name, &resource.service_instance_id,
		&resource.runtime_id,   &resource.container_id,
		&resource.host_name,
	};

	for (size_t i = 0; i < RESOURCE_WORDS; i++)
		*slices[i] = pack_words_slice(words, coder, row->words[i]);
	buf_append(&words->resources, &resource, sizeof(resource));
}

static void read_scope(struct pack_words *words, struct coder *coder, const struct table_row *row)
{
	struct block_scope scope = {
		.bytes = pack_words_slice(words, coder, row->words[0]),
		.schema_url = pack_words_slice(words, coder, row->words[1]),
	};

	buf_append(&words->scopes, &scope, sizeof(scope));
}

static void code_rows(struct pack_words *words, struct coder *coder, struct buf *rows,
		      uint32_t *count, size_t word_count,
		      void (*read)(struct pack_words *words, struct coder *coder,
				   const struct table_row *row))
{
	coder_number32(coder, COLUMN_TABLE, count);
	for (uint32_t i = 0; i < *count && !coder->error; i++) {
		struct table_row row = { 0 };

		if (!coder->is_reading)
			memcpy(&row, rows->data + i * sizeof(row), sizeof(row));
		for (size_t k = 0; k < word_count; k++)
			coder_number32(coder, COLUMN_TABLE, &row.words[k]);
		coder_signed(coder, COLUMN_TABLE, &row.process_pid);
		if (coder->is_reading)
			read(words, coder, &row);
		if (buf_error(rows))
			coder->error = -ENOMEM;
	}
}

void pack_words_code(struct pack_words *words, struct coder *coder)
{
	code_lengths(words, coder);
	code_rows(words, coder, &words->resources, &words->resource_count, RESOURCE_WORDS,
		  read_resource);
	code_rows(words, coder, &words->scopes, &words->scope_count, SCOPE_WORDS, read_scope);
}
