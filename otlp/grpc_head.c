/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_head.h"

#include <stdio.h>
#include <strings.h>

#include "collector/base/macros.h"

#define FIELD_OVERHEAD     32 /* RFC 9113, 6.5.2 */
#define ABUSE_FACTOR       4
#define TIMEOUT_MAX_DIGITS 8

static bool starts_with(struct str text, struct str prefix)
{
	return text.len >= prefix.len && strncasecmp(text.data, prefix.data, prefix.len) == 0;
}

static enum grpc_content content_of(struct str type)
{
	const struct str grpc = STR("application/grpc"), proto = STR("+proto");
	struct str rest;

	if (!starts_with(type, grpc))
		return GRPC_CONTENT_OTHER;
	rest = (struct str){ type.data + grpc.len, type.len - grpc.len };
	if (rest.len == 0 || rest.data[0] == ';')
		return GRPC_CONTENT_PROTO;
	if (rest.data[0] != '+')
		return GRPC_CONTENT_OTHER;
	if (starts_with(rest, proto) && (rest.len == proto.len || rest.data[proto.len] == ';'))
		return GRPC_CONTENT_PROTO;
	return GRPC_CONTENT_NOT_PROTO;
}

static enum otlp_coding encoding_of(struct str name)
{
	if (name.len == 0 || str_eq(name, STR("identity")))
		return OTLP_IDENTITY;
	if (str_eq(name, STR("gzip")))
		return OTLP_GZIP;
	return str_eq(name, STR("zstd")) ? OTLP_ZSTD : OTLP_CODING_UNKNOWN;
}

/* 1 to 8 digits and a unit; rounded up to a millisecond, so that 0 keeps meaning "not said". */
static bool parse_timeout(struct str text, uint64_t *out_ms)
{
	static const struct {
		char unit;
		uint32_t ms;      /* in one unit, or ... */
		uint32_t in_a_ms; /* ... units in one */
	} units[] = { { 'H', 3600000, 1 }, { 'M', 60000, 1 }, { 'S', 1000, 1 },
		      { 'm', 1, 1 },       { 'u', 1, 1000 },  { 'n', 1, 1000000 } };
	uint64_t amount = 0;

	if (text.len < 2 || text.len > TIMEOUT_MAX_DIGITS + 1)
		return false;
	for (size_t i = 0; i < text.len - 1; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		amount = 10 * amount + (uint64_t)(text.data[i] - '0');
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (units[i].unit != text.data[text.len - 1])
			continue;
		amount = (amount * units[i].ms + units[i].in_a_ms - 1) / units[i].in_a_ms;
		*out_ms = MAX(amount, (uint64_t)1);
		return true;
	}
	return false;
}

static void take_path(struct grpc_head *head, struct str path)
{
	size_t kept = MIN(path.len, (size_t)GRPC_HEAD_PATH_MAX);

	memcpy(head->path, path.data, kept);
	head->path[kept] = '\0';
	head->path_len = path.len;
}

static bool is_within(const struct grpc_head *head, const struct grpc_head_limits *limits,
		      size_t factor)
{
	return head->fields <= factor * limits->max_fields &&
	       head->bytes <= factor * limits->max_bytes;
}

static void take_field(struct grpc_head *head, struct str name, struct str value)
{
	if (str_eq(name, STR(":method")))
		head->is_post = str_eq(value, STR("POST"));
	else if (str_eq(name, STR(":path")))
		take_path(head, value);
	else if (str_eq(name, STR("content-type")))
		head->content = content_of(value);
	else if (str_eq(name, STR("grpc-encoding")))
		head->encoding = encoding_of(value);
	else if (str_eq(name, STR("grpc-timeout")))
		head->bad_timeout = !parse_timeout(value, &head->timeout_ms);
}

bool grpc_head_add(struct grpc_head *head, const struct grpc_head_limits *limits, struct str name,
		   struct str value)
{
	head->fields++;
	head->bytes += name.len + value.len + FIELD_OVERHEAD;
	if (!is_within(head, limits, 1))
		return is_within(head, limits, ABUSE_FACTOR);
	if (!head->is_over)
		take_field(head, name, value);
	return true;
}

void grpc_head_end(struct grpc_head *head)
{
	head->is_over = true;
}

/* The service of a path is what stands before its last slash, that slash included. */
static size_t service_len(const char *path)
{
	const char *slash = path[0] == '/' ? strrchr(path, '/') : NULL;

	return slash ? (size_t)(slash - path) + 1 : 0;
}

static struct grpc_error unknown_path(struct grpc_head *head, const char *const *methods)
{
	size_t len = service_len(head->path);
	const char *name = head->path + 1;
	struct grpc_error error = { .status = GRPC_UNIMPLEMENTED, .text = head->text };
	bool has_service = false;

	for (; *methods && len > 1; methods++)
		has_service |=
			service_len(*methods) == len && memcmp(*methods, head->path, len) == 0;
	if (len <= 1)
		snprintf(head->text, sizeof(head->text), "malformed method name \"%s\"",
			 head->path);
	else if (has_service)
		snprintf(head->text, sizeof(head->text), "unknown method %s for service %.*s",
			 head->path + len, (int)(len - 2), name);
	else
		snprintf(head->text, sizeof(head->text), "unknown service %.*s", (int)(len - 2),
			 name);
	return error;
}

static bool find_method(const struct grpc_head *head, const char *const *methods,
			unsigned *out_method)
{
	for (unsigned i = 0; methods[i]; i++) {
		if (strlen(methods[i]) != head->path_len || strcmp(methods[i], head->path) != 0)
			continue;
		*out_method = i;
		return true;
	}
	return false;
}

struct grpc_error grpc_head_check_size(const struct grpc_head *head,
				       const struct grpc_head_limits *limits)
{
	if (is_within(head, limits, 1))
		return (struct grpc_error){ 0 };
	return (struct grpc_error){ GRPC_RESOURCE_EXHAUSTED, "too many request headers", 431, 0 };
}

struct grpc_error grpc_head_check(struct grpc_head *head, const char *const *methods,
				  unsigned *out_method)
{
	if (!head->is_post)
		return (struct grpc_error){ GRPC_INTERNAL, "gRPC calls are POST requests", 405, 0 };
	if (head->content == GRPC_CONTENT_OTHER)
		return (struct grpc_error){ GRPC_INVALID_ARGUMENT,
					    "content-type is not application/grpc", 415, 0 };
	if (head->content == GRPC_CONTENT_NOT_PROTO)
		return (struct grpc_error){ GRPC_UNIMPLEMENTED,
					    "only application/grpc+proto is understood", 0, 0 };
	if (!find_method(head, methods, out_method))
		return unknown_path(head, methods);
	if (head->bad_timeout)
		return (struct grpc_error){ GRPC_INTERNAL, "malformed grpc-timeout", 0, 0 };
	return (struct grpc_error){ 0 };
}

struct grpc_error grpc_head_check_encoding(const struct grpc_head *head)
{
	if (head->encoding == OTLP_CODING_UNKNOWN)
		return (struct grpc_error){
			GRPC_UNIMPLEMENTED,
			"unknown grpc-encoding; understood: " GRPC_ACCEPT_ENCODING, 0, 0
		};
	return (struct grpc_error){ 0 };
}
