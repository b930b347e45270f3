/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of which both sides are streams, as server reflection is: each message is answered as it
 * comes, until the client has said all. Inside of a session only.
 *
 *   data, data, end  what nghttp2 tells: noted, and the stream made ready
 *   answer           in the turn of a ready stream */
#pragma once

#include "otlp/grpc_session_state.h"

void grpc_dialog_data(struct grpc_session *session, struct grpc_stream *stream, struct str data);
void grpc_dialog_end(struct grpc_session *session, struct grpc_stream *stream);

/* Answers the whole messages that have come. What cannot be answered, or comes faster than its
 * answers are read, ends the call. */
void grpc_dialog_answer(struct grpc_session *session, struct grpc_stream *stream);

/* Ends all of them: the session ends. */
void grpc_dialog_leave(struct grpc_session *session);
