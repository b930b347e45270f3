/* SPDX-License-Identifier: Apache-2.0 */
/* The callbacks of a session, for nghttp2; their user data is the struct grpc_session. */
#pragma once

#include <nghttp2/nghttp2.h>

/* The caller deletes them once the session is made. -ENOMEM. */
int grpc_events_callbacks(nghttp2_session_callbacks **out_callbacks);
