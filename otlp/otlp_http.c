/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_http.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "collector/base/macros.h"
#include "otlp/otlp_json_decode.h"

#define DEFAULT_BODY_BYTES ((size_t)16 << 20)
#define RETRY_DELAY_MS     1000

static struct grpc_error refusal(unsigned http_status, enum grpc_status status, const char *text)
{
	return (struct grpc_error){ .status = status, .text = text, .http_status = http_status };
}

static struct grpc_error no_memory(void)
{
	struct grpc_error error = refusal(503, GRPC_UNAVAILABLE, "out of memory; try again");

	error.retry_delay_ms = RETRY_DELAY_MS;
	return error;
}

static struct grpc_error too_large(void)
{
	return refusal(413, GRPC_RESOURCE_EXHAUSTED, "the body is larger than this server takes");
}

static size_t max_body(const struct otlp_http_limits *limits)
{
	return limits && limits->max_body_bytes ? limits->max_body_bytes : DEFAULT_BODY_BYTES;
}

static bool equals(struct str text, const char *word)
{
	return text.len == strlen(word) &&
	       (text.len == 0 || strncasecmp(text.data, word, text.len) == 0);
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

/* "application/json; charset=utf-8" -> "application/json" */
static struct str media_type(struct str content_type)
{
	const char *semicolon =
		content_type.len ? memchr(content_type.data, ';', content_type.len) : NULL;

	if (semicolon)
		content_type.len = (size_t)(semicolon - content_type.data);
	return trim(content_type);
}

static bool parse_coding(struct str name, enum otlp_coding *out_coding)
{
	static const struct {
		const char *name;
		enum otlp_coding coding;
	} codings[] = {
		{ "", OTLP_IDENTITY },    { "identity", OTLP_IDENTITY },
		{ "gzip", OTLP_GZIP },    { "x-gzip", OTLP_GZIP },
		{ "zstd", OTLP_ZSTD },    { "deflate", OTLP_DEFLATE },
		{ "zlib", OTLP_DEFLATE },
	};

	name = trim(name);
	for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
		if (!equals(name, codings[i].name))
			continue;
		*out_coding = codings[i].coding;
		return true;
	}
	return false;
}

bool otlp_http_is_traces(struct str path)
{
	if (path.len > 1 && path.data[path.len - 1] == '/')
		path.len--;
	return str_eq(path, STR(OTLP_HTTP_TRACES)) || str_eq(path, STR("/"));
}

/* More digits than a size_t has are too large as well. */
static bool is_over(struct str content_length, size_t max)
{
	size_t len = 0;

	for (size_t i = 0; i < content_length.len && len <= max; i++) {
		if (content_length.data[i] < '0' || content_length.data[i] > '9')
			return false; /* the parser of HTTP has judged it */
		len = 10 * len + (size_t)(content_length.data[i] - '0');
	}
	return len > max;
}

struct grpc_error otlp_http_begin(struct str method, struct str content_type,
				  struct str content_encoding, struct str content_length,
				  const struct otlp_http_limits *limits,
				  struct otlp_http_request *out_request)
{
	struct str type = media_type(content_type);

	*out_request = (struct otlp_http_request){ 0 };
	if (equals(type, otlp_http_content_type(OTLP_JSON)))
		out_request->form = OTLP_JSON;
	if (!str_eq(method, STR("POST")))
		return refusal(405, GRPC_UNIMPLEMENTED, "traces are sent by POST");
	if (out_request->form != OTLP_JSON && !equals(type, otlp_http_content_type(OTLP_PROTOBUF)))
		return refusal(415, GRPC_INVALID_ARGUMENT,
			       "Content-Type must be application/x-protobuf or application/json");
	if (!parse_coding(content_encoding, &out_request->coding))
		return refusal(415, GRPC_UNIMPLEMENTED,
			       "Content-Encoding must be gzip, zstd, deflate or identity");
	if (is_over(trim(content_length), max_body(limits)))
		return too_large();
	return (struct grpc_error){ 0 };
}

static struct grpc_error inflate_body(enum otlp_coding coding, struct str packed,
				      const struct otlp_http_limits *limits, struct buf *out)
{
	int rc = otlp_coding_undo(coding, packed, max_body(limits), limits ? limits->max_ratio : 0,
				  out);

	if (rc == 0)
		return (struct grpc_error){ 0 };
	if (rc == -EMSGSIZE)
		return refusal(413, GRPC_RESOURCE_EXHAUSTED,
			       "the inflated body is larger than this server takes");
	if (rc == -ENOMEM)
		return no_memory();
	if (rc == -EFBIG)
		return refusal(400, GRPC_INVALID_ARGUMENT,
			       "zstd with a window of more than 8 MiB is not taken");
	return refusal(400, GRPC_INVALID_ARGUMENT, "the body is not what Content-Encoding says");
}

struct grpc_error otlp_http_decode_error(int rc)
{
	switch (rc) {
	case -EMSGSIZE:
		return refusal(413, GRPC_RESOURCE_EXHAUSTED,
			       "too many spans, resources or scopes in one request");
	case -ENOMEM:
		return no_memory();
	default:
		return refusal(400, GRPC_INVALID_ARGUMENT,
			       "not an ExportTraceServiceRequest: the protobuf does not parse");
	}
}

static struct grpc_error decode_json(struct str json, const struct otlp_http_limits *limits,
				     struct span_batch **out_batch, struct buf *out_detail)
{
	struct grpc_error error;
	int rc;

	buf_append_text(out_detail, "not an ExportTraceServiceRequest: ");
	rc = otlp_json_decode(json, max_body(limits), limits ? limits->batch : NULL, out_batch,
			      out_detail);
	if (rc == 0)
		return (struct grpc_error){ 0 };
	error = otlp_http_decode_error(rc);
	buf_append_byte(out_detail, '\0');
	if (rc == -EBADMSG)
		error.text = buf_error(out_detail) ? "not an ExportTraceServiceRequest"
						   : out_detail->data;
	return error;
}

static struct grpc_error decode(enum otlp_form form, char *body, size_t len,
				const struct otlp_http_limits *limits,
				struct span_batch **out_batch, struct buf *out_detail)
{
	struct grpc_error error;
	int rc;

	if (form == OTLP_JSON) {
		error = decode_json((struct str){ body, len }, limits, out_batch, out_detail);
		free(body);
		return error;
	}
	rc = otlp_decode(body, len, limits ? limits->batch : NULL, out_batch);
	if (rc == 0)
		return (struct grpc_error){ 0 };
	return otlp_http_decode_error(rc);
}

struct grpc_error otlp_http_decode(const struct otlp_http_request *request, char *body, size_t len,
				   const struct otlp_http_limits *limits,
				   struct span_batch **out_batch, struct buf *out_detail)
{
	struct grpc_error error;
	struct buf plain;

	if (len > max_body(limits)) {
		free(body);
		return too_large();
	}
	if (request->coding == OTLP_IDENTITY)
		return decode(request->form, body, len, limits, out_batch, out_detail);
	error = inflate_body(request->coding, (struct str){ body, len }, limits, &plain);
	free(body);
	if (error.status)
		return error;
	return decode(request->form, plain.data, plain.len, limits, out_batch, out_detail);
}

int otlp_http_refused(enum otlp_form form, struct grpc_error error, struct buf *out)
{
	return otlp_response_refused(form, error.status, error.text, error.retry_delay_ms, out);
}

const char *otlp_http_content_type(enum otlp_form form)
{
	return form == OTLP_JSON ? "application/json" : "application/x-protobuf";
}

const char *const *otlp_http_hints(unsigned status)
{
	static const char *const none[] = { NULL }, *const allow[] = { "Allow", "POST", NULL };
	static const char *const token[] = { "WWW-Authenticate", "Bearer", NULL };
	static const char *const media[] = { "Accept", "application/x-protobuf, application/json",
					     "Accept-Encoding", "gzip, zstd, deflate", NULL };

	switch (status) {
	case 401:
		return token;
	case 405:
		return allow;
	case 415:
		return media;
	default:
		return none;
	}
}

unsigned otlp_http_status(struct grpc_error error)
{
	if (error.http_status)
		return error.http_status;
	switch (error.status) {
	case GRPC_OK:
		return 200;
	case GRPC_INVALID_ARGUMENT:
		return 400;
	case GRPC_UNAUTHENTICATED:
		return 401;
	case GRPC_PERMISSION_DENIED:
		return 403;
	case GRPC_NOT_FOUND:
	case GRPC_UNIMPLEMENTED:
		return 404;
	case GRPC_RESOURCE_EXHAUSTED:
		return error.retry_delay_ms ? 429 : 413;
	case GRPC_CANCELLED:
	case GRPC_DEADLINE_EXCEEDED:
	case GRPC_ABORTED:
	case GRPC_OUT_OF_RANGE:
	case GRPC_UNAVAILABLE:
	case GRPC_DATA_LOSS:
		return 503;
	default:
		return 500;
	}
}
