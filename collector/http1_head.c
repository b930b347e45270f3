/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/http1_head.h"

#include <string.h>
#include <strings.h>

#include "collector/base/macros.h"

static bool is_token_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool http1_is_token(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (!is_token_char((unsigned char)text.data[i]))
			return false;
	}
	return text.len > 0;
}

/* Visible ASCII only: what servers and proxies disagree about starts beyond it. */
static bool is_target(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] <= ' ' || text.data[i] >= 0x7f || text.data[i] == '#')
			return false;
	}
	return text.len > 0 && text.data[0] == '/';
}

/* A host and perhaps a port; an IPv6 address in brackets. Empty is allowed (RFC 9112, 3.2). */
static bool is_host(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (!is_token_char(c) && (!c || !strchr("()[]:,;=%", c)))
			return false;
	}
	return true;
}

static bool is_field_value(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static struct str trim(struct str text)
{
	while (text.len && (text.data[0] == ' ' || text.data[0] == '\t')) {
		text.data++;
		text.len--;
	}
	while (text.len && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
		text.len--;
	return text;
}

static bool eq_nocase(struct str a, const char *b)
{
	return a.len == strlen(b) && strncasecmp(a.data, b, a.len) == 0;
}

/* The piece before `separator`, which is removed with it; all of it when there is none. */
static struct str cut(struct str *rest, char separator)
{
	const char *at = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
	struct str piece = *rest;

	if (!at) {
		*rest = (struct str){ NULL, 0 };
		return piece;
	}
	piece.len = (size_t)(at - rest->data);
	rest->len -= piece.len + 1;
	rest->data = at + 1;
	return piece;
}

struct str http1_header(const struct http1_request *request, const char *name)
{
	for (unsigned i = 0; i < request->header_count; i++) {
		if (eq_nocase(request->headers[i].name, name))
			return request->headers[i].value;
	}
	return (struct str){ NULL, 0 };
}

unsigned http1_count_header(const struct http1_request *request, const char *name)
{
	unsigned count = 0;

	for (unsigned i = 0; i < request->header_count; i++)
		count += eq_nocase(request->headers[i].name, name);
	return count;
}

/* Does somebody speak HTTP here, even if badly? */
static bool names_http(struct str line)
{
	return line.len && memmem(line.data, line.len, " HTTP/", 6);
}

static bool is_version(struct str version)
{
	return version.len > 5 && memcmp(version.data, "HTTP/", 5) == 0;
}

/* "http://host/path" -> "/path", as a client asks who takes us for a proxy: servers must understand
 * it, and then not look at the Host header (RFC 9112, 3.2.2). false: there is no host in it. */
static bool cut_authority(struct str *target, struct str *out_authority)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t len = strlen(schemes[i]), end = len;

		if (target->len <= len || strncasecmp(target->data, schemes[i], len) != 0)
			continue;
		while (end < target->len && !strchr("/?", target->data[end]))
			end++;
		*out_authority = (struct str){ target->data + len, end - len };
		*target = end < target->len ? (struct str){ target->data + end, target->len - end }
					    : STR("/");
		return out_authority->len && is_host(*out_authority);
	}
	return true;
}

/* The request line: exactly two spaces (RFC 9112, 3). */
static void parse_request_line(struct http1 *http, struct str line)
{
	struct http1_request *request = &http->request;
	struct str target;

	http->is_foreign = !names_http(line);
	request->method = cut(&line, ' ');
	target = cut(&line, ' ');
	if (!http1_is_token(request->method) || !is_version(line))
		return http1_refuse(http, 400, "the request line is not HTTP");
	if (!str_eq(line, STR("HTTP/1.1")) && !str_eq(line, STR("HTTP/1.0")))
		return http1_refuse(http, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
	if (target.len > HTTP1_MAX_TARGET_BYTES)
		return http1_refuse(http, 414, "the request target is too long");
	if (!cut_authority(&target, &request->authority))
		return http1_refuse(http, 400, "the request target names no host");
	if (!is_target(target) &&
	    !(str_eq(target, STR("*")) && str_eq(request->method, STR("OPTIONS"))))
		return http1_refuse(http, 400, "the request target is not a path");
	request->path = cut(&target, '?');
	request->query = target;
	request->is_head = str_eq(request->method, STR("HEAD"));
	request->keep_alive = line.data[7] == '1';
}

static void parse_header(struct http1 *http, struct str line)
{
	struct http1_request *request = &http->request;
	bool has_colon = line.len && memchr(line.data, ':', line.len);
	struct http1_header header;

	if (request->header_count == http->max_headers)
		return http1_refuse(http, 431, "too many header fields");
	header.name = cut(&line, ':');
	header.value = trim(line);
	if (!has_colon || !http1_is_token(header.name) || !is_field_value(header.value))
		return http1_refuse(http, 400, "a header field is malformed");
	request->headers[request->header_count++] = header;
}

/* Digits only and no more than fit: "+5", "5, 5" and " 5" are how requests are smuggled. */
static bool parse_length(struct str text, uint64_t *out_length)
{
	uint64_t length = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' || i >= 18)
			return false;
		length = length * 10 + (uint64_t)(text.data[i] - '0');
	}
	*out_length = length;
	return text.len > 0;
}

static void frame_body(struct http1 *http)
{
	const struct http1_request *request = &http->request;
	unsigned lengths = http1_count_header(request, "content-length");
	unsigned codings = http1_count_header(request, "transfer-encoding");

	if (codings && lengths)
		return http1_refuse(http, 400,
				    "Content-Length and Transfer-Encoding exclude each other");
	if (codings) {
		struct str coding = http1_header(request, "transfer-encoding");

		if (codings > 1 || !eq_nocase(coding, "chunked"))
			return http1_refuse(http, 501, "the only transfer coding known is chunked");
		http->chunk_step = CHUNK_SIZE;
		http->state = HTTP1_BODY;
		return;
	}
	if (lengths > 1 ||
	    (lengths && !parse_length(http1_header(request, "content-length"), &http->left)))
		return http1_refuse(http, 400, "Content-Length is malformed");
	if (http->left > http->max_body_bytes)
		return http1_refuse(http, 413, "the body is too large");
	http->state = http->left ? HTTP1_BODY : HTTP1_DONE;
}

static void finish_head(struct http1 *http)
{
	struct http1_request *request = &http->request;
	bool is_11 = request->keep_alive;
	struct str connection = http1_header(request, "connection");
	unsigned hosts = http1_count_header(request, "host");
	struct str host = http1_header(request, "host");

	if (hosts > 1 || (is_11 && hosts == 0))
		return http1_refuse(http, 400, "exactly one Host header is needed");
	if (!is_host(host))
		return http1_refuse(http, 400, "the Host header is malformed");
	if (!is_11 && http1_count_header(request, "transfer-encoding"))
		return http1_refuse(http, 400, "HTTP/1.0 has no transfer codings");
	if (http1_accepts(connection, "close"))
		request->keep_alive = false;
	else if (http1_accepts(connection, "keep-alive"))
		request->keep_alive = true;
	request->expects_continue =
		is_11 && http1_accepts(http1_header(request, "expect"), "100-continue");
	frame_body(http);
	if (http->state != HTTP1_BODY)
		request->expects_continue = false;
}

void http1_parse_head(struct http1 *http, struct str head)
{
	bool is_first = true;

	while (head.len && http->state != HTTP1_BROKEN) {
		struct str line = cut(&head, '\n');

		if (line.len == 0 || line.data[line.len - 1] != '\r')
			return http1_refuse(http, 400, "a line does not end in CRLF");
		line.len--;
		if (is_first)
			parse_request_line(http, line);
		else
			parse_header(http, line);
		is_first = false;
	}
	if (http->state != HTTP1_BROKEN)
		finish_head(http);
}

#define WHOLE_WEIGHT 1000u

/* "0.123" as 123; digits beyond three say nothing. */
static unsigned thousandths(struct str text)
{
	unsigned value = 0, unit = WHOLE_WEIGHT;

	for (size_t i = 0; i < text.len && unit; i++) {
		if (i == 1 && text.data[i] == '.')
			continue;
		if (text.data[i] < '0' || text.data[i] > '9')
			break;
		value += (unsigned)(text.data[i] - '0') * unit;
		unit /= 10;
	}
	return MIN(value, WHOLE_WEIGHT);
}

/* RFC 9110, 12.4.2: all of it, if none is given; 0 means "not this one". */
static unsigned weight_in(struct str parameters)
{
	while (parameters.len) {
		struct str parameter = trim(cut(&parameters, ';'));

		if (parameter.len > 2 && (parameter.data[0] | 32) == 'q' &&
		    parameter.data[1] == '=')
			return thousandths((struct str){ parameter.data + 2, parameter.len - 2 });
	}
	return WHOLE_WEIGHT;
}

unsigned http1_weight(struct str list, const char *token)
{
	unsigned weight = 0;

	while (list.len) {
		struct str parameters = cut(&list, ',');
		struct str name = trim(cut(&parameters, ';'));

		if (eq_nocase(name, token))
			weight = MAX(weight, weight_in(parameters));
	}
	return weight;
}
