/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's message framing: a flag byte, a big-endian length, the message; put together from pieces
 * of any size, for a call that carries exactly one message.
 *
 * The length is checked before anything is kept, and memory grows as bytes arrive: an announced
 * length buys nothing. The message is copied once, into the buffer that grpc_frame_take gives away.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "otlp/grpc_error.h"

#define GRPC_FRAME_PREFIX_BYTES 5

struct grpc_frame {
	uint8_t prefix[GRPC_FRAME_PREFIX_BYTES];
	size_t prefix_len;
	size_t announced; /* length of the message, once the prefix is whole */
	char *message;    /* owned */
	size_t len;
	size_t cap;
	bool is_open_ended; /* `announced` is only the most that may come */
	bool is_ample;      /* set by whoever knows how much memory there is, before feeding */
};

/* A zeroed struct is a frame; fini may be called again and again. */
void grpc_frame_fini(struct grpc_frame *frame);

/* `max_bytes`: of the message. After an error nothing more may be fed. Memory is taken by what has
 * come, or, where it is ample and the first 64 KiB are there, for all that was announced. */
struct grpc_error grpc_frame_feed(struct grpc_frame *frame, const uint8_t *data, size_t len,
				  size_t max_bytes);

/* The peer has ended its side: is exactly one whole message there? */
struct grpc_error grpc_frame_end(const struct grpc_frame *frame);

/* What follows is a body without prefix, of at most `max_bytes`, or, if that `is_exact`, of so
 * many; grpc_frame_feed then complains about a second message when there is more. Not for
 * grpc_frame_end. */
void grpc_frame_start_bare(struct grpc_frame *frame, size_t max_bytes, bool is_exact);

bool grpc_frame_is_compressed(const struct grpc_frame *frame);

/* Gives the message away. */
char *grpc_frame_take(struct grpc_frame *frame, size_t *out_len);

void grpc_frame_put_prefix(uint8_t out[static GRPC_FRAME_PREFIX_BYTES], uint32_t len);
