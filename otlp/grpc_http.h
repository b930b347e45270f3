/* SPDX-License-Identifier: Apache-2.0 */
/* Plain HTTP on a connection made for gRPC: what differs. Inside of a session only. */
#pragma once

#include "otlp/grpc_session_state.h"

/* The headers of a plain request are complete: what is wrong with them, before the owner judges. */
struct grpc_error grpc_http_begin(struct grpc_stream *stream, size_t max_body_bytes);

/* What the body is refused with, when gRPC's framing would say `error`. */
struct grpc_error grpc_http_error(struct grpc_error error);

/* Answers with a google.rpc.Status in the encoding of the request, JSON or protobuf. Negative: the
 * stream cannot be answered. */
int grpc_http_refuse(nghttp2_session *http2, struct grpc_stream *stream, struct grpc_error error);

/* A copy of the header fields for the owner; those of the stream are still needed for the reply. */
void grpc_http_give_fields(const struct grpc_stream *stream, struct http_fields *out_fields);

int grpc_http_reply(nghttp2_session *http2, struct grpc_stream *stream,
		    const struct grpc_http_reply *reply);
