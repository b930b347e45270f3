/* SPDX-License-Identifier: Apache-2.0 */
/* Plain HTTP on a connection made for gRPC: what differs. Inside of a session only. */
#pragma once

#include "otlp/grpc_session_state.h"

/* Notes how the request will be answered: its fields may be gone by then. */
void grpc_http_note(struct grpc_stream *stream);

/* The headers of a plain request are complete: what is wrong with them, before the owner judges. */
struct grpc_error grpc_http_begin(struct grpc_stream *stream, size_t max_body_bytes);

/* What the request is refused with, where a call of gRPC would be with `error`. */
struct grpc_error grpc_http_error(struct grpc_error error);

/* Answers with a google.rpc.Status in the encoding of the request, JSON or protobuf; `request`:
 * what is left of its fields. Negative: the stream cannot be answered. */
int grpc_http_refuse(struct grpc_session *session, struct grpc_stream *stream,
		     const struct http_fields *request, struct grpc_error error);

int grpc_http_reply(nghttp2_session *http2, struct grpc_stream *stream,
		    const struct grpc_http_reply *reply);
