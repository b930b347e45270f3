/* SPDX-License-Identifier: Apache-2.0 */
/* The strings of a packed block, each once, known by number; 0 is the empty one. Resources and
 * scopes are made of them: both ways. */
#pragma once

#include "collector/base/map.h"
#include "otlp/span.h"
#include "storage/block.h"
#include "storage/coder.h"

struct pack_words {
	struct map places;    /* writing: hash of the string -> its number */
	struct buf slices;    /* struct block_slice, by number */
	struct buf resources; /* struct block_resource; writing: rows of numbers, as the next */
	struct buf scopes;    /* struct block_scope */
	uint32_t resource_count, scope_count;
	struct map resource_places; /* writing: all its numbers -> its own + 1 */
	struct map scope_places;
	uint64_t seed;
	uint64_t bytes; /* of all strings */
};

void pack_words_init(struct pack_words *words, uint64_t seed);
void pack_words_clear(struct pack_words *words);
void pack_words_fini(struct pack_words *words);

/* Writing: the number of a string, of a resource or of a scope, made if need be. -ENOMEM sticks in
 * the coder. */
uint32_t pack_words_add(struct pack_words *words, struct coder *coder, struct str text);
uint32_t pack_words_resource(struct pack_words *words, struct coder *coder,
			     const struct span_resource *resource);
uint32_t pack_words_scope(struct pack_words *words, struct coder *coder,
			  const struct span_scope *scope);

/* Written when they are complete; read: `slices` are those of the column STRING, and so are the
 * slices in resources and scopes. */
void pack_words_code(struct pack_words *words, struct coder *coder);
/* Reading: the slice of a string. */
struct block_slice pack_words_slice(const struct pack_words *words, struct coder *coder,
				    uint32_t number);
