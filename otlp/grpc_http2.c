/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_http2.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/base/macros.h"
#include "otlp/grpc_guard.h"
#include "otlp/grpc_trailer.h"

#define MAX_QUEUED_ACKS   100 /* answers to pings and settings that the peer does not read */
#define MAX_CONTINUATIONS 8   /* CVE-2024-28182; and those that a large head needs */
#define FRAME_BYTES       16384
#define RESETS_BURST      1000 /* CVE-2023-44487 */
#define RESETS_PER_SECOND 33

#define LITERAL(name_text, value_text)                                                             \
	{                                                                                          \
		.name = (uint8_t *)(name_text), .namelen = sizeof(name_text) - 1,                  \
		.value = (uint8_t *)(value_text), .valuelen = sizeof(value_text) - 1,              \
		.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE              \
	}

int grpc_http2_errno(int code)
{
	if (code >= 0)
		return 0;
	return code == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO;
}

/* Of a frame's head; of one setting: its id in two bytes, its value in four. */
#define HEAD_BYTES  9
#define ENTRY_BYTES 6

void grpc_http2_set_max_streams(char *settings_frame, size_t len, uint32_t max_streams)
{
	const char id[] = { 0, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS };
	const char value[] = { (char)(max_streams >> 24), (char)(max_streams >> 16),
			       (char)(max_streams >> 8), (char)max_streams };

	for (size_t at = HEAD_BYTES; at + ENTRY_BYTES <= len; at += ENTRY_BYTES) {
		if (memcmp(settings_frame + at, id, sizeof(id)) == 0)
			memcpy(settings_frame + at + sizeof(id), value, sizeof(value));
	}
}

static int submit_settings(nghttp2_session *http2, const struct grpc_session_options *options)
{
	const nghttp2_settings_entry entries[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
		  options->max_streams + 2 * GRPC_GUARD_MAX_REFUSED },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options->stream_window_bytes },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options->head.max_bytes },
	};
	int rc = nghttp2_submit_settings(http2, NGHTTP2_FLAG_NONE, entries, ARRAY_LEN(entries));

	if (rc == 0)
		rc = nghttp2_session_set_local_window_size(
			http2, NGHTTP2_FLAG_NONE, 0, (int32_t)options->connection_window_bytes);
	return rc;
}

int grpc_http2_new(const struct grpc_session_options *options,
		   const nghttp2_session_callbacks *callbacks, void *user_data,
		   nghttp2_session **out_session)
{
	nghttp2_session *http2 = NULL;
	nghttp2_option *option;
	int rc = nghttp2_option_new(&option);

	if (rc != 0)
		return grpc_http2_errno(rc);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_max_outbound_ack(option, MAX_QUEUED_ACKS);
	nghttp2_option_set_max_continuations(option, MAX_CONTINUATIONS +
							     options->head.max_bytes / FRAME_BYTES);
	nghttp2_option_set_stream_reset_rate_limit(option, RESETS_BURST, RESETS_PER_SECOND);
	rc = nghttp2_session_server_new2(&http2, callbacks, user_data, option);
	nghttp2_option_del(option);
	if (rc == 0)
		rc = submit_settings(http2, options);
	if (rc != 0) {
		nghttp2_session_del(http2);
		return grpc_http2_errno(rc);
	}
	*out_session = http2;
	return 0;
}

/* Adds the trailer's fields to `fields`; they borrow from it. */
static size_t add_trailer(nghttp2_nv *fields, size_t count, const struct grpc_trailer *trailer)
{
	for (size_t i = 0; i < trailer->count; i++) {
		const char *name = trailer->fields[i].name;

		fields[count++] = (nghttp2_nv){
			.name = (uint8_t *)(uintptr_t)name,
			.namelen = strlen(name),
			.value = (uint8_t *)trailer->text.data + trailer->fields[i].offset,
			.valuelen = trailer->fields[i].len,
			.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME,
		};
	}
	return count;
}

static int submit_trailer(nghttp2_session *http2, int32_t stream_id, struct grpc_error end)
{
	static const nghttp2_nv ok = LITERAL("grpc-status", "0");
	nghttp2_nv fields[GRPC_TRAILER_MAX_FIELDS];
	struct grpc_trailer trailer;
	int rc;

	if (end.status == GRPC_OK)
		return nghttp2_submit_trailer(http2, stream_id, &ok, 1);
	rc = grpc_trailer_init(&trailer, end.status, end.text, end.retry_delay_ms);
	if (rc == 0)
		rc = nghttp2_submit_trailer(http2, stream_id, fields,
					    add_trailer(fields, 0, &trailer));
	grpc_trailer_fini(&trailer);
	return rc;
}

/* Hands nghttp2 the next piece of the messages; behind the last one go the trailers. */
static ssize_t read_reply(nghttp2_session *http2, int32_t stream_id, uint8_t *out, size_t room,
			  uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
	struct grpc_stream *stream = source->ptr;
	size_t piece = MIN(room, stream->reply.len - stream->reply_sent);

	(void)user_data;
	if (piece)
		memcpy(out, stream->reply.data + stream->reply_sent, piece);
	stream->reply_sent += piece;
	if (stream->goes_on && piece == 0)
		return NGHTTP2_ERR_DEFERRED;
	if (grpc_stream_is_sent(stream) && !stream->goes_on) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		if (submit_trailer(http2, stream_id, stream->end) != 0)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	return (ssize_t)piece;
}

#define LEADING_FIELDS 3

static const nghttp2_nv leading[LEADING_FIELDS] = {
	LITERAL(":status", "200"),
	LITERAL("content-type", "application/grpc"),
	LITERAL("grpc-accept-encoding", GRPC_ACCEPT_ENCODING),
};

int grpc_http2_begin_reply(nghttp2_session *http2, struct grpc_stream *stream)
{
	nghttp2_data_provider provider = { .source.ptr = stream, .read_callback = read_reply };

	return grpc_http2_errno(
		nghttp2_submit_response(http2, stream->id, leading, LEADING_FIELDS, &provider));
}

static int reply_message(nghttp2_session *http2, struct grpc_stream *stream, struct str response)
{
	int rc = grpc_stream_add_response(stream, response);

	return rc < 0 ? rc : grpc_http2_begin_reply(http2, stream);
}

static int reply_error(nghttp2_session *http2, struct grpc_stream *stream,
		       const struct grpc_reply *reply, unsigned http_status)
{
	nghttp2_nv fields[LEADING_FIELDS + GRPC_TRAILER_MAX_FIELDS];
	struct grpc_trailer trailer;
	char status[8];
	size_t count;
	int rc = grpc_trailer_init(&trailer, reply->status, reply->text, reply->retry_delay_ms);

	memcpy(fields, leading, sizeof(leading));
	if (http_status) {
		fields[0].valuelen = (size_t)snprintf(status, sizeof(status), "%u", http_status);
		fields[0].value = (uint8_t *)status;
		fields[0].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
	}
	count = add_trailer(fields, LEADING_FIELDS, &trailer);
	if (rc == 0)
		rc = grpc_http2_errno(
			nghttp2_submit_response(http2, stream->id, fields, count, NULL));
	grpc_trailer_fini(&trailer);
	return rc;
}

int grpc_http2_reply(nghttp2_session *http2, struct grpc_stream *stream,
		     const struct grpc_reply *reply, unsigned http_status)
{
	return reply->status == GRPC_OK ? reply_message(http2, stream, reply->response)
					: reply_error(http2, stream, reply, http_status);
}

static void put_be32(struct buf *out, uint32_t value)
{
	const uint8_t bytes[] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16),
				  (uint8_t)(value >> 8), (uint8_t)value };

	buf_append(out, bytes, sizeof(bytes));
}

void grpc_http2_put_goaway(struct buf *out, int32_t last_stream_id, uint32_t code,
			   const char *debug)
{
	uint32_t len = 8 + (uint32_t)strlen(debug);

	put_be32(out, len << 8 | NGHTTP2_GOAWAY);
	buf_append_byte(out, NGHTTP2_FLAG_NONE);
	put_be32(out, 0); /* stream 0: the connection */
	put_be32(out, (uint32_t)last_stream_id);
	put_be32(out, code);
	buf_append_text(out, debug);
}
