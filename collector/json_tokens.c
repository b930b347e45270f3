/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/json_tokens.h"

#include <stdlib.h>

#include "collector/base/macros.h"

#define NUMBER_MAX_BYTES 40

static enum json_token read_text(struct json_tokens *tokens)
{
	const char *start = ++tokens->at;

	while (tokens->at < tokens->end && *tokens->at != '"') {
		if (*tokens->at == '\\')
			tokens->at++;
		tokens->at++;
	}
	if (tokens->at >= tokens->end) {
		tokens->at = tokens->end;
		return JSON_TOKEN_BAD;
	}
	tokens->text = (struct str){ start, (size_t)(tokens->at - start) };
	tokens->at++;
	return JSON_TOKEN_TEXT;
}

static bool is_number_char(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

static enum json_token read_number(struct json_tokens *tokens)
{
	char copy[NUMBER_MAX_BYTES + 1], *stop;
	const char *start = tokens->at;
	uint64_t whole = 0;
	size_t len;

	while (tokens->at < tokens->end && *tokens->at >= '0' && *tokens->at <= '9' &&
	       tokens->at - start < 18)
		whole = whole * 10 + (uint64_t)(*tokens->at++ - '0');
	if (tokens->at > start && (tokens->at == tokens->end || !is_number_char(*tokens->at))) {
		tokens->number = (double)whole;
		return JSON_TOKEN_NUMBER;
	}
	while (tokens->at < tokens->end && is_number_char(*tokens->at))
		tokens->at++;
	len = (size_t)(tokens->at - start);
	if (len == 0 || len > NUMBER_MAX_BYTES)
		return JSON_TOKEN_BAD;
	memcpy(copy, start, len);
	copy[len] = 0;
	tokens->number = strtod(copy, &stop);
	return *stop ? JSON_TOKEN_BAD : JSON_TOKEN_NUMBER;
}

static enum json_token read_word(struct json_tokens *tokens)
{
	static const char *const words[] = { "true", "false", "null" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t len = strlen(words[i]);

		if ((size_t)(tokens->end - tokens->at) >= len &&
		    memcmp(tokens->at, words[i], len) == 0) {
			tokens->text = (struct str){ tokens->at, len };
			tokens->at += len;
			return JSON_TOKEN_WORD;
		}
	}
	return JSON_TOKEN_BAD;
}

enum json_token json_tokens_next(struct json_tokens *tokens)
{
	while (tokens->at < tokens->end &&
	       (*tokens->at == ' ' || *tokens->at == '\n' || *tokens->at == ',' ||
		*tokens->at == ':' || *tokens->at == '\t' || *tokens->at == '\r'))
		tokens->at++;
	if (tokens->at >= tokens->end)
		return JSON_TOKEN_END;
	switch (*tokens->at) {
	case '{':
	case '[':
		if (++tokens->depth > JSON_TOKENS_MAX_DEPTH)
			return JSON_TOKEN_BAD;
		return *tokens->at++ == '{' ? JSON_TOKEN_OBJECT : JSON_TOKEN_ARRAY;
	case '}':
	case ']':
		if (tokens->depth-- == 0)
			return JSON_TOKEN_BAD;
		tokens->at++;
		return JSON_TOKEN_CLOSE;
	case '"':
		return read_text(tokens);
	case 't':
	case 'f':
	case 'n':
		return read_word(tokens);
	default:
		return read_number(tokens);
	}
}

bool json_tokens_skip(struct json_tokens *tokens, enum json_token first)
{
	unsigned outside;

	if (first != JSON_TOKEN_OBJECT && first != JSON_TOKEN_ARRAY)
		return first != JSON_TOKEN_BAD && first != JSON_TOKEN_END &&
		       first != JSON_TOKEN_CLOSE;
	outside = tokens->depth - 1;
	while (tokens->depth > outside) {
		enum json_token token = json_tokens_next(tokens);

		if (token == JSON_TOKEN_BAD || token == JSON_TOKEN_END)
			return false;
	}
	return true;
}

bool json_tokens_key(struct json_tokens *tokens, enum json_token *out_last)
{
	*out_last = json_tokens_next(tokens);
	return *out_last == JSON_TOKEN_TEXT;
}
