/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_frame.h"

#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

/* Memory that is reserved on the word of the prefix; beyond it, what has arrived is taken times
 * GROWTH: most messages are copied once at most. */
#define TRUSTED_BYTES ((size_t)64 << 10)
#define GROWTH        4

#define ERROR(code, words) ((struct grpc_error){ .status = GRPC_##code, .text = (words) })
#define NO_ERROR           ((struct grpc_error){ .status = GRPC_OK })

void grpc_frame_fini(struct grpc_frame *frame)
{
	free(frame->message);
	*frame = (struct grpc_frame){ 0 };
}

void grpc_frame_start_bare(struct grpc_frame *frame, size_t max_bytes, bool is_exact)
{
	frame->is_open_ended = !is_exact;
	frame->prefix_len = GRPC_FRAME_PREFIX_BYTES;
	frame->announced = max_bytes;
}

bool grpc_frame_is_compressed(const struct grpc_frame *frame)
{
	return frame->prefix[0] & 1;
}

static size_t take_prefix(struct grpc_frame *frame, const uint8_t *data, size_t len)
{
	size_t piece = MIN(len, GRPC_FRAME_PREFIX_BYTES - frame->prefix_len);

	memcpy(frame->prefix + frame->prefix_len, data, piece);
	frame->prefix_len += piece;
	return piece;
}

static struct grpc_error check_prefix(struct grpc_frame *frame, size_t max_bytes)
{
	const uint8_t *p = frame->prefix;

	frame->announced =
		(size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | (size_t)p[4];
	if (p[0] > 1)
		return ERROR(INTERNAL, "message flag is neither 0 nor 1");
	if (frame->announced > max_bytes)
		return ERROR(RESOURCE_EXHAUSTED, "message is larger than this server takes");
	return NO_ERROR;
}

static bool make_room(struct grpc_frame *frame, size_t len)
{
	const bool is_trusted = frame->cap && frame->is_ample && !frame->is_open_ended;
	size_t need = frame->len + len;
	size_t more = is_trusted ? frame->announced : GROWTH * frame->cap;
	size_t cap = MIN(frame->announced, MAX(MAX(more, TRUSTED_BYTES), need));
	char *message;

	if (need <= frame->cap)
		return true;
	message = realloc(frame->message, cap);
	if (!message)
		return false;
	frame->message = message;
	frame->cap = cap;
	return true;
}

struct grpc_error grpc_frame_feed(struct grpc_frame *frame, const uint8_t *data, size_t len,
				  size_t max_bytes)
{
	if (frame->prefix_len < GRPC_FRAME_PREFIX_BYTES) {
		size_t piece = take_prefix(frame, data, len);
		struct grpc_error error;

		if (frame->prefix_len < GRPC_FRAME_PREFIX_BYTES)
			return NO_ERROR;
		error = check_prefix(frame, max_bytes);
		if (error.status)
			return error;
		data += piece;
		len -= piece;
	}
	if (len > frame->announced - frame->len)
		return ERROR(UNIMPLEMENTED, "more than one message in a unary call");
	if (len == 0)
		return NO_ERROR;
	if (!make_room(frame, len))
		return (struct grpc_error){ .status = GRPC_UNAVAILABLE,
					    .text = "out of memory",
					    .retry_delay_ms = 1000 };
	memcpy(frame->message + frame->len, data, len);
	frame->len += len;
	return NO_ERROR;
}

struct grpc_error grpc_frame_end(const struct grpc_frame *frame)
{
	if (frame->prefix_len == 0)
		return ERROR(UNIMPLEMENTED, "no message in a unary call");
	if (frame->prefix_len < GRPC_FRAME_PREFIX_BYTES || frame->len < frame->announced)
		return ERROR(INTERNAL, "the call ended in the middle of its message");
	return NO_ERROR;
}

char *grpc_frame_take(struct grpc_frame *frame, size_t *out_len)
{
	char *message = frame->message;

	*out_len = frame->len;
	frame->message = NULL;
	frame->len = frame->cap = 0;
	return message;
}

void grpc_frame_put_prefix(uint8_t out[static GRPC_FRAME_PREFIX_BYTES], uint32_t len)
{
	out[0] = 0;
	out[1] = (uint8_t)(len >> 24);
	out[2] = (uint8_t)(len >> 16);
	out[3] = (uint8_t)(len >> 8);
	out[4] = (uint8_t)len;
}
