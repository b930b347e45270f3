/* SPDX-License-Identifier: Apache-2.0 */
/* What grpc_session asks of nghttp2, said once: settings, replies, the last frame, error codes. */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "otlp/grpc_session.h"
#include "otlp/grpc_stream.h"

/* The only place where nghttp2's codes become ours. */
int grpc_http2_errno(int code);

/* A server session with our limits, its SETTINGS submitted. `options`: defaults filled in. */
int grpc_http2_new(const struct grpc_session_options *options,
		   const nghttp2_session_callbacks *callbacks, void *user_data,
		   nghttp2_session **out_session);

/* nghttp2 ends the connection over a stream too many once its limit is known to the peer. So it is
 * told of a limit that the guard lets nobody reach, and the first frame that it gives, its
 * SETTINGS, is to be corrected here; the session refuses the streams. */
void grpc_http2_set_max_streams(char *settings_frame, size_t len, uint32_t max_streams);

/* Submits the whole reply: headers, message and trailers for GRPC_OK, else trailers only. */
int grpc_http2_reply(nghttp2_session *http2, struct grpc_stream *stream,
		     const struct grpc_reply *reply, unsigned http_status);

/* Submits the headers of a reply whose messages, added to `stream`, come later. */
int grpc_http2_begin_reply(nghttp2_session *http2, struct grpc_stream *stream);

/* A GOAWAY frame made by hand, for sessions that nghttp2 must not touch any more. */
void grpc_http2_put_goaway(struct buf *out, int32_t last_stream_id, uint32_t code,
			   const char *debug);
