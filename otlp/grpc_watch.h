/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.health.v1.Health on a session: Check and List are answered at once, Watch whenever something
 * changes. Inside of a session only. */
#pragma once

#include "otlp/grpc_session_state.h"

/* Answers the call whose message this is. */
void grpc_watch_answer(struct grpc_session *session, struct grpc_stream *stream, struct str message,
		       enum grpc_own method);

/* Tells every watcher what it does not know yet; `ends`: and ends them. */
void grpc_watch_tell(struct grpc_session *session, bool ends);
