/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "otlp/grpc_http2.h"
#include "otlp/otlp_http.h"

#define OWN_FIELDS    2 /* :status, content-length */
#define RETRY_SLOW_MS 1000

void grpc_http_note(struct grpc_stream *stream)
{
	struct otlp_http_request request;

	otlp_http_begin(STR("POST"), http_fields_find(&stream->fields, "content-type"), STR(""),
			STR(""), NULL, &request);
	stream->is_json = request.form == OTLP_JSON;
	stream->is_head = str_eq(http_fields_find(&stream->fields, ":method"), STR("HEAD"));
}

struct grpc_error grpc_http_begin(struct grpc_stream *stream, size_t max_body_bytes)
{
	struct str length = http_fields_find(&stream->fields, "content-length");
	char digits[24] = { 0 };
	size_t announced = max_body_bytes;

	/* nghttp2 has checked that it is a number, and checks that the body agrees */
	if (length.len && length.len < sizeof(digits)) {
		memcpy(digits, length.data, length.len);
		announced = strtoull(digits, NULL, 10);
	}
	if (announced > max_body_bytes || length.len >= sizeof(digits))
		return (struct grpc_error){ GRPC_RESOURCE_EXHAUSTED,
					    "the body is larger than this server takes", 413, 0 };
	grpc_frame_start_bare(&stream->frame, announced, length.len > 0);
	return (struct grpc_error){ 0 };
}

struct grpc_error grpc_http_error(struct grpc_error error)
{
	if (error.status == GRPC_UNIMPLEMENTED)
		return (struct grpc_error){ GRPC_RESOURCE_EXHAUSTED,
					    "the body is larger than this server takes", 413, 0 };
	/* 408 and 504 would do, but not all exporters come again then. */
	if (error.status == GRPC_DEADLINE_EXCEEDED)
		return (struct grpc_error){ GRPC_UNAVAILABLE, error.text, 503, RETRY_SLOW_MS };
	return error;
}

static ssize_t read_body(nghttp2_session *http2, int32_t stream_id, uint8_t *out, size_t room,
			 uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
	struct grpc_stream *stream = source->ptr;
	size_t piece = MIN(room, stream->reply.len - stream->reply_sent);

	(void)http2;
	(void)stream_id;
	(void)user_data;
	memcpy(out, stream->reply.data + stream->reply_sent, piece);
	stream->reply_sent += piece;
	if (grpc_stream_is_sent(stream))
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)piece;
}

static nghttp2_nv field_of(struct str name, struct str value)
{
	return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.data,
			     .namelen = name.len,
			     .value = (uint8_t *)(uintptr_t)value.data,
			     .valuelen = value.len,
			     .flags = NGHTTP2_NV_FLAG_NONE };
}

int grpc_http_reply(nghttp2_session *http2, struct grpc_stream *stream,
		    const struct grpc_http_reply *reply)
{
	nghttp2_data_provider provider = { .source.ptr = stream, .read_callback = read_body };
	nghttp2_nv fields[OWN_FIELDS + GRPC_HTTP_MAX_FIELDS];
	size_t count = MIN(reply->field_count, (size_t)GRPC_HTTP_MAX_FIELDS);
	char status[12], length[24];

	snprintf(status, sizeof(status), "%u", reply->status);
	snprintf(length, sizeof(length), "%zu", reply->body.len);
	fields[0] = field_of(STR(":status"), str_of(status));
	fields[1] = field_of(STR("content-length"), str_of(length));
	for (size_t i = 0; i < count; i++)
		fields[OWN_FIELDS + i] = field_of(reply->fields[i].name, reply->fields[i].value);
	if (!stream->is_head)
		buf_append_str(&stream->reply, reply->body);
	if (buf_error(&stream->reply))
		return buf_error(&stream->reply);
	return grpc_http2_errno(nghttp2_submit_response(http2, stream->id, fields,
							OWN_FIELDS + count,
							stream->reply.len ? &provider : NULL));
}

int grpc_http_refuse(struct grpc_session *session, struct grpc_stream *stream,
		     const struct http_fields *request, struct grpc_error error)
{
	const struct grpc_session_options *options = &session->options;
	enum otlp_form form = stream->is_json ? OTLP_JSON : OTLP_PROTOBUF;
	struct http_field fields[GRPC_HTTP_MAX_FIELDS];
	struct grpc_http_reply reply = { .status = otlp_http_status(error), .fields = fields };
	struct buf body = { 0 };
	char seconds[12];
	int rc;

	rc = otlp_http_refused(form, error, &body);
	reply.body = buf_str(&body);
	fields[reply.field_count++] =
		(struct http_field){ STR("content-type"), str_of(otlp_http_content_type(form)) };
	if (error.retry_delay_ms) {
		snprintf(seconds, sizeof(seconds), "%u", (error.retry_delay_ms + 999) / 1000);
		fields[reply.field_count++] =
			(struct http_field){ STR("retry-after"), str_of(seconds) };
	}
	for (const char *const *hint = otlp_http_hints(reply.status); *hint; hint += 2)
		fields[reply.field_count++] =
			(struct http_field){ str_of(hint[0]), str_of(hint[1]) };
	if (options->refusal_fields)
		reply.field_count +=
			options->refusal_fields(request, &fields[reply.field_count], options->arg);
	if (rc == 0)
		rc = grpc_http_reply(session->http2, stream, &reply);
	buf_fini(&body);
	return rc;
}
