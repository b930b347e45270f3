/* SPDX-License-Identifier: Apache-2.0 */
/* Walks JSON text without building a tree: for documents of hundreds of megabytes. What is skipped
 * is checked for nesting only. Everything is hostile; nothing is allocated. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/str.h"

#define JSON_TOKENS_MAX_DEPTH 64

enum json_token {
	JSON_TOKEN_END,
	JSON_TOKEN_OBJECT, /* { */
	JSON_TOKEN_ARRAY,  /* [ */
	JSON_TOKEN_CLOSE,  /* } or ] */
	JSON_TOKEN_TEXT,   /* `text`: between the quotes, escapes as they stand */
	JSON_TOKEN_NUMBER, /* `number` */
	JSON_TOKEN_WORD,   /* true, false, null */
	JSON_TOKEN_BAD,
};

struct json_tokens {
	const char *at, *end;
	struct str text;
	double number;
	unsigned depth;
};

static inline struct json_tokens json_tokens_of(struct str text)
{
	return (struct json_tokens){ .at = text.data,
				     .end = text.len ? text.data + text.len : text.data };
}

/* The next token; commas and colons are passed over. */
enum json_token json_tokens_next(struct json_tokens *tokens);
/* Skips the value that begins with `first`, which was just read. False: BAD. */
bool json_tokens_skip(struct json_tokens *tokens, enum json_token first);
/* Within an object: the next key into tokens->text; false at its end or when BAD. */
bool json_tokens_key(struct json_tokens *tokens, enum json_token *out_last);
