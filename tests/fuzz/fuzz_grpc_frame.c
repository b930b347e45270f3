/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte says how large the pieces are: the result must not depend on it. */
#include <stdlib.h>

#include "collector/base/macros.h"
#include "otlp/grpc_frame.h"
#include "tests/fuzz/fuzz.h"

#define MAX_BYTES 5000

static enum grpc_status feed(struct grpc_frame *frame, const uint8_t *data, size_t len,
			     size_t piece)
{
	struct grpc_error error = { 0 };

	for (size_t at = 0; at < len && !error.status; at += piece)
		error = grpc_frame_feed(frame, data + at, MIN(piece, len - at), MAX_BYTES);
	MUST(frame->len <= frame->cap && frame->cap <= MAX_BYTES);
	return error.status ? error.status : grpc_frame_end(frame).status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct grpc_frame pieces = { 0 }, whole = { 0 };
	size_t piece = len ? data[0] + 1u : 1;

	data += len > 0;
	len -= len > 0;
	MUST(feed(&pieces, data, len, piece) == feed(&whole, data, len, MAX(len, (size_t)1)));
	grpc_frame_fini(&pieces);
	grpc_frame_fini(&whole);
	return 0;
}
