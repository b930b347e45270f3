/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_stream.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "otlp/grpc_session.h"

#define RETRY_DELAY_MS 1000

static struct grpc_error error_of(enum grpc_status status, const char *text)
{
	return (struct grpc_error){ .status = status, .text = text };
}

static struct grpc_error out_of_memory(void)
{
	return (struct grpc_error){ .status = GRPC_UNAVAILABLE,
				    .text = "no memory for this request; try again",
				    .retry_delay_ms = RETRY_DELAY_MS };
}

struct grpc_stream *grpc_stream_new(int32_t id, struct grpc_share *share, uint64_t now_ms)
{
	struct grpc_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->id = id;
	stream->share = share;
	grpc_share_move(share, 0, GRPC_STREAM_BYTES);
	stream->begun_ms = stream->last_data_ms = now_ms;
	stream->deadline_ms = UINT64_MAX;
	return stream;
}

struct grpc_error grpc_stream_lacks_room(struct grpc_stream *stream)
{
	grpc_share_move(stream->share, GRPC_STREAM_BYTES, 0);
	stream->lacks_room = stream->is_refusal_unsent = true;
	grpc_share_refuse(stream->share);
	return out_of_memory();
}

void grpc_stream_was_refused(struct grpc_stream *stream)
{
	if (stream->is_refusal_unsent)
		grpc_share_refused(stream->share);
	stream->is_refusal_unsent = false;
}

int grpc_stream_keep_field(struct grpc_stream *stream, struct str name, struct str value)
{
	size_t cap = stream->fields.text.cap;
	int rc = http_fields_add(&stream->fields, name, value);

	grpc_share_move(stream->share, cap, stream->fields.text.cap);
	return rc;
}

struct http_fields grpc_stream_take_fields(struct grpc_stream *stream)
{
	struct http_fields fields = stream->fields;

	grpc_share_move(stream->share, fields.text.cap, 0);
	stream->fields = (struct http_fields){ 0 };
	return fields;
}

void grpc_stream_drop_fields(struct grpc_stream *stream)
{
	struct http_fields fields = grpc_stream_take_fields(stream);

	http_fields_fini(&fields);
}

void grpc_stream_drop_request(struct grpc_stream *stream)
{
	grpc_share_move(stream->share, stream->frame.cap, 0);
	grpc_frame_fini(&stream->frame);
	grpc_stream_drop_fields(stream);
}

void grpc_stream_free(struct grpc_stream *stream)
{
	if (!stream)
		return;
	grpc_stream_drop_request(stream);
	grpc_stream_was_refused(stream);
	grpc_share_move(stream->share,
			stream->pending.cap + (stream->lacks_room ? 0 : GRPC_STREAM_BYTES), 0);
	buf_fini(&stream->pending);
	buf_fini(&stream->reply);
	free(stream);
}

void grpc_stream_begin(struct grpc_stream *stream, uint64_t now_ms)
{
	stream->state = GRPC_STREAM_BODY;
	stream->last_data_ms = now_ms;
	if (stream->head.timeout_ms)
		stream->deadline_ms = now_ms + stream->head.timeout_ms;
}

struct grpc_error grpc_stream_data(struct grpc_stream *stream, const uint8_t *data, size_t len,
				   size_t max_message_bytes, uint64_t now_ms)
{
	size_t cap = stream->frame.cap;
	struct grpc_error error;

	stream->last_data_ms = now_ms;
	stream->frame.is_ample = grpc_share_is_ample(stream->share, stream->frame.announced);
	error = grpc_frame_feed(&stream->frame, data, len, max_message_bytes);
	grpc_share_move(stream->share, cap, stream->frame.cap);
	if (!error.status && stream->frame.cap > cap && grpc_share_is_over(stream->share))
		return out_of_memory();
	return error;
}

struct grpc_error grpc_stream_end(struct grpc_stream *stream)
{
	struct grpc_error error = { 0 };

	if (!stream->is_http)
		error = grpc_frame_end(&stream->frame);
	if (error.status)
		return error;
	if (grpc_frame_is_compressed(&stream->frame) && stream->head.encoding == OTLP_IDENTITY)
		return error_of(GRPC_INTERNAL, "compressed message without grpc-encoding");
	stream->state = GRPC_STREAM_READY;
	return error;
}

static struct grpc_error inflate_message(struct grpc_stream *stream,
					 const struct grpc_session_options *options,
					 char **out_message, size_t *out_len)
{
	struct str packed = { stream->frame.message, stream->frame.len };
	struct buf plain;
	int rc = otlp_coding_undo(stream->head.encoding, packed, options->max_message_bytes,
				  options->max_ratio, &plain);

	if (rc == 0) {
		*out_message = plain.data;
		*out_len = plain.len;
		return (struct grpc_error){ 0 };
	}
	if (rc == -EMSGSIZE)
		return error_of(GRPC_RESOURCE_EXHAUSTED,
				"inflated message is larger than this server takes");
	if (rc == -ENOMEM)
		return out_of_memory();
	if (rc == -EFBIG)
		return error_of(GRPC_INTERNAL,
				"zstd with a window of more than 8 MiB is not taken");
	return error_of(GRPC_INTERNAL, "message is not what grpc-encoding says");
}

struct grpc_error grpc_stream_take(struct grpc_stream *stream,
				   const struct grpc_session_options *options, char **out_message,
				   size_t *out_len)
{
	struct grpc_error error = { 0 };

	if (grpc_frame_is_compressed(&stream->frame)) {
		error = inflate_message(stream, options, out_message, out_len);
	} else {
		grpc_share_move(stream->share, stream->frame.cap, 0);
		*out_message = grpc_frame_take(&stream->frame, out_len);
	}
	grpc_stream_drop_request(stream);
	return error;
}

struct grpc_error grpc_stream_tick(const struct grpc_stream *stream, uint32_t idle_ms,
				   uint64_t now_ms)
{
	if (stream->state == GRPC_STREAM_HEADERS || stream->state == GRPC_STREAM_REPLIED)
		return (struct grpc_error){ 0 };
	if (now_ms >= stream->deadline_ms)
		return error_of(GRPC_DEADLINE_EXCEEDED,
				stream->state > GRPC_STREAM_BODY
					? "the deadline has passed; it may be stored all the same"
					: "the message did not arrive in time");
	if (stream->state > GRPC_STREAM_BODY)
		return (struct grpc_error){ 0 };
	if (now_ms - stream->last_data_ms > idle_ms)
		return error_of(GRPC_DEADLINE_EXCEEDED, "the message stopped coming");
	if (now_ms - stream->begun_ms > (uint64_t)GRPC_STREAM_SLOWEST * idle_ms)
		return error_of(GRPC_DEADLINE_EXCEEDED, "the message comes too slowly");
	return (struct grpc_error){ 0 };
}

int grpc_stream_add_response(struct grpc_stream *stream, struct str response)
{
	uint8_t prefix[GRPC_FRAME_PREFIX_BYTES];

	if (response.len > UINT32_MAX)
		return -EMSGSIZE;
	if (grpc_stream_is_sent(stream)) {
		buf_clear(&stream->reply);
		stream->reply_sent = 0;
	}
	grpc_frame_put_prefix(prefix, (uint32_t)response.len);
	buf_append(&stream->reply, prefix, sizeof(prefix));
	buf_append_str(&stream->reply, response);
	return buf_error(&stream->reply);
}
