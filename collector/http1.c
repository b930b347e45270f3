/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/http1.h"

#include <errno.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/http1_head.h"

void http1_init(struct http1 *http, size_t max_body_bytes)
{
	*http = (struct http1){ .max_body_bytes = max_body_bytes,
				.max_headers = HTTP1_MAX_HEADERS };
	buf_init(&http->head, HTTP1_MAX_HEAD_BYTES + 1);
	buf_init(&http->body, max_body_bytes + 1);
	buf_init(&http->line, HTTP1_MAX_CHUNK_LINE + 1);
}

void http1_limit_head(struct http1 *http, size_t max_bytes, unsigned max_headers)
{
	http->head.limit_bytes = max_bytes + 1;
	http->max_headers = MIN(max_headers, (unsigned)HTTP1_MAX_HEADERS);
}

void http1_fini(struct http1 *http)
{
	buf_fini(&http->head);
	buf_fini(&http->body);
	buf_fini(&http->line);
}

void http1_next(struct http1 *http)
{
	http->state = HTTP1_HEAD;
	http->request = (struct http1_request){ 0 };
	http->left = 0;
	http->chunk_step = CHUNK_NONE;
	http->trailers = 0;
	buf_clear(&http->head);
	buf_fini(&http->body); /* one large upload must not be held by an idle connection */
	buf_clear(&http->line);
}

void http1_refuse(struct http1 *http, int status, const char *complaint)
{
	http->state = HTTP1_BROKEN;
	http->status = status;
	http->complaint = complaint;
}

char *http1_take_body(struct http1 *http, size_t *out_len)
{
	char *body = http->body.len ? http->body.data : NULL;

	*out_len = http->body.len;
	if (body)
		buf_init(&http->body, http->body.limit_bytes);
	http->request.body = (struct str){ NULL, 0 };
	return body;
}

static bool ends_head(const struct buf *head)
{
	return head->len >= 4 && memcmp(head->data + head->len - 4, "\r\n\r\n", 4) == 0;
}

/* A bare LF, which some take for the end of a line and some do not. */
static bool ends_line_badly(const struct buf *head)
{
	return head->len < 2 || head->data[head->len - 2] != '\r';
}

static size_t feed_head(struct http1 *http, struct str bytes)
{
	size_t used = 0;

	while (used < bytes.len) {
		char c = bytes.data[used++];

		/* Empty lines before a request are allowed (RFC 9112, 2.2). */
		if (http->head.len == 0 && (c == '\r' || c == '\n'))
			continue;
		if (http->head.len == 0 && !http1_is_token((struct str){ &c, 1 })) {
			http->is_foreign = true; /* TLS begins with 0x16 */
			http1_refuse(http, 400, "the request line is not HTTP");
			return used;
		}
		buf_append_byte(&http->head, (uint8_t)c);
		if (buf_error(&http->head)) {
			http1_refuse(http, buf_error(&http->head) == -EMSGSIZE ? 431 : 503,
				     "the header is too large");
			return used;
		}
		if (c == '\n' && ends_line_badly(&http->head)) {
			http1_refuse(http, 400, "a line does not end in CRLF");
			return used;
		}
		if (c == '\n' && ends_head(&http->head)) {
			http1_parse_head(http, (struct str){ http->head.data, http->head.len - 2 });
			return used;
		}
	}
	return used;
}

static size_t feed_data(struct http1 *http, struct str bytes)
{
	size_t used = http->left < bytes.len ? (size_t)http->left : bytes.len;

	buf_append(&http->body, bytes.data, used);
	if (buf_error(&http->body) || http->body.len > http->max_body_bytes) {
		http1_refuse(http, buf_error(&http->body) == -ENOMEM ? 503 : 413,
			     "the body is too large");
		return used;
	}
	http->left -= used;
	return used;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 32);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* chunk-size [ ";" extensions ]; the extensions are ignored. */
static bool parse_chunk_size(struct str line, uint64_t *out_size)
{
	uint64_t size = 0;
	size_t i = 0;

	for (; i < line.len && hex_digit(line.data[i]) >= 0; i++) {
		if (i == 15)
			return false;
		size = size << 4 | (uint64_t)hex_digit(line.data[i]);
	}
	*out_size = size;
	if (i == 0)
		return false;
	while (i < line.len && (line.data[i] == ' ' || line.data[i] == '\t'))
		i++;
	return i == line.len || line.data[i] == ';';
}

static bool has_controls(struct str line)
{
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.data[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

static void take_chunk_line(struct http1 *http, struct str line)
{
	if (has_controls(line))
		return http1_refuse(http, 400, "a chunk's line holds control characters");
	switch (http->chunk_step) {
	case CHUNK_SIZE:
		if (!parse_chunk_size(line, &http->left))
			return http1_refuse(http, 400, "a chunk's size is malformed");
		if (http->left > http->max_body_bytes - MIN(http->body.len, http->max_body_bytes))
			return http1_refuse(http, 413, "the body is too large");
		http->chunk_step = http->left ? CHUNK_DATA : CHUNK_TRAILER;
		return;
	case CHUNK_DATA_END:
		if (line.len)
			return http1_refuse(http, 400, "a chunk is longer than it says");
		http->chunk_step = CHUNK_SIZE;
		return;
	default: /* CHUNK_TRAILER: read and dropped */
		if (line.len == 0)
			http->state = HTTP1_DONE;
		else if (++http->trailers > HTTP1_MAX_TRAILERS)
			http1_refuse(http, 431, "too many trailers");
	}
}

static size_t feed_chunk_line(struct http1 *http, struct str bytes)
{
	const char *end = memchr(bytes.data, '\n', bytes.len);
	size_t used = end ? (size_t)(end - bytes.data) + 1 : bytes.len;
	struct buf *line = &http->line;

	buf_append(line, bytes.data, used);
	if (buf_error(line)) {
		http1_refuse(http, buf_error(line) == -EMSGSIZE ? 400 : 503,
			     "a chunk's line is too long");
		return used;
	}
	if (!end)
		return used;
	if (line->len < 2 || line->data[line->len - 2] != '\r') {
		http1_refuse(http, 400, "a line does not end in CRLF");
		return used;
	}
	take_chunk_line(http, (struct str){ line->data, line->len - 2 });
	buf_clear(line);
	return used;
}

static size_t feed_body(struct http1 *http, struct str bytes)
{
	size_t used;

	if (http->chunk_step != CHUNK_NONE && http->chunk_step != CHUNK_DATA)
		return feed_chunk_line(http, bytes);
	used = feed_data(http, bytes);
	if (http->left == 0 && http->state == HTTP1_BODY) {
		if (http->chunk_step == CHUNK_DATA)
			http->chunk_step = CHUNK_DATA_END;
		else
			http->state = HTTP1_DONE;
	}
	return used;
}

size_t http1_feed(struct http1 *http, struct str bytes)
{
	size_t used = 0;

	while (used < bytes.len && http->state <= HTTP1_BODY) {
		struct str rest = { bytes.data + used, bytes.len - used };
		bool was_head = http->state == HTTP1_HEAD;

		used += was_head ? feed_head(http, rest) : feed_body(http, rest);
		if (was_head && http->state == HTTP1_BODY && http->stops_at_body)
			break;
	}
	if (http->state == HTTP1_DONE)
		http->request.body = buf_str(&http->body);
	return used;
}

int http1_decode(struct str encoded, bool plus_is_space, struct buf *out)
{
	for (size_t i = 0; i < encoded.len; i++) {
		int c = (unsigned char)encoded.data[i], least = ' ';

		if (c == '%') {
			int high = encoded.len - i > 2 ? hex_digit(encoded.data[i + 1]) : -1;
			int low = encoded.len - i > 2 ? hex_digit(encoded.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EINVAL;
			c = high << 4 | low;
			least = plus_is_space ? 1 : ' '; /* names of spans may have lines */
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c < least || (c == 0x7f && least == ' '))
			return -EINVAL;
		buf_append_byte(out, (uint8_t)c);
	}
	return buf_error(out);
}
