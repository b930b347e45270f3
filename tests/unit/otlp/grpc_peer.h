/* SPDX-License-Identifier: Apache-2.0 */
/* A real gRPC client, nghttp2's, on the other end of a grpc_session: memory to memory. */
#pragma once

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

#include "collector/base/buf.h"
#include "otlp/grpc_session.h"

#define PEER_MAX_CALLS 300

/* What the client knows of one call. */
struct peer_call {
	int32_t id;
	struct buf out; /* body still to be sent */
	bool keeps_open;
	int http_status;
	int grpc_status; /* -1: not come yet */
	char message[1200];
	char details[400];
	char pushback[16];
	char accept_encoding[40];
	char retry_after[16];
	struct buf in; /* body of the answer, prefix included */
	unsigned header_blocks;
	bool is_closed;
	uint32_t close_code;
};

struct peer {
	struct grpc_session *server;
	nghttp2_session *client;
	struct grpc_budget budget;
	struct grpc_counters counters;
	bool serving;
	size_t piece; /* bytes fed at once; 0: all that there is */
	uint64_t now_ms;
	struct peer_call calls[PEER_MAX_CALLS];
	size_t call_count;
	unsigned goaways;
	uint32_t goaway_code;
	int32_t goaway_last;
	char goaway_debug[64];
	struct buf to_client; /* all that the server ever said */
	struct buf to_server; /* bytes to be sent before the client's own */
	size_t to_server_bytes;
};

/* `options` may be NULL; methods, budget, counters and serving are filled in. */
void peer_start(struct peer *peer, const struct grpc_session_options *options);
void peer_stop(struct peer *peer);

/* Moves bytes both ways until nothing moves. */
void peer_pump(struct peer *peer);

/* Starts a call with `body` as it stands. */
struct peer_call *peer_call(struct peer *peer, const char *path, struct str body);

/* ... with other or more headers: pairs of name and value, NULL ends them. A name that is among the
 * usual ones replaces it; a NULL value removes it. */
struct peer_call *peer_call_with(struct peer *peer, const char *path, struct str body,
				 const char *const *headers);

/* ... that is not ended; peer_more sends on, and ends it if `ends`. */
struct peer_call *peer_call_open(struct peer *peer, struct str body);
struct peer_call *peer_call_open_to(struct peer *peer, const char *path, struct str body);
void peer_more(struct peer *peer, struct peer_call *call, struct str body, bool ends);

/* Pumps; the one request that must be there then is answered OK with `response`. */
void peer_serve(struct peer *peer, struct str response);

/* `message` with its 5-byte prefix, to be freed with buf_fini. */
struct buf peer_frame(struct str message, uint8_t flag);
