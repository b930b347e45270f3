/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a connection's newest streams were ever opened, and which of them the peer has ended.
 *
 * A peer may leave ids out, but not use one of those later (RFC 9113, 5.1.1); and what it has ended
 * stays ended (5.1). nghttp2 keeps no record of closed streams and lets both pass. Ids of clients
 * are odd. Of those further back than GRPC_SEEN_IDS streams it is only known that they are too old
 * to begin: whoever has one still open must be asked first. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/str.h"

#define GRPC_SEEN_IDS 1024

/* Zeroed it is ready. Bit id / 2 % GRPC_SEEN_IDS. */
struct grpc_seen {
	int32_t newest;
	uint64_t opened[GRPC_SEEN_IDS / 64];
	uint64_t ended[GRPC_SEEN_IDS / 64];
};

/* Notes headers for this id; all that is between it and the newest was left out. */
void grpc_seen_open(struct grpc_seen *seen, int32_t id);
/* The peer said END_STREAM, or reset it. */
void grpc_seen_end(struct grpc_seen *seen, int32_t id);

/* Finds the heads of frames in what the peer sends, for nghttp2 does not tell of those that it
 * drops. `left` begins as the length of the client's magic. */
struct grpc_frame_heads {
	size_t left; /* of a payload */
	uint8_t head[9];
	size_t head_len;
	bool is_open; /* a frame has begun, and is not all there */
	bool is_data;
	bool is_in_block; /* of headers: nothing else may come before its end */
	uint64_t whole;   /* frames, a block of headers being one */
};

/* The peer has begun something other than DATA, and not ended it. */
bool grpc_frame_heads_is_waiting(const struct grpc_frame_heads *heads);

/* Goes on to the end of the next head of a DATA frame, or to the end of `bytes`; returns how far
 * that is. `out_id`: the stream of the DATA frame; 0: there was none. */
size_t grpc_frame_heads_next(struct grpc_frame_heads *heads, struct str bytes, int32_t *out_id);

/* Never opened, or too far back to know: it cannot be opened any more. */
bool grpc_seen_was_left_out(const struct grpc_seen *seen, int32_t id);
bool grpc_seen_has_ended(const struct grpc_seen *seen, int32_t id);
