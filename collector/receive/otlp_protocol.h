/* SPDX-License-Identifier: Apache-2.0 */
/* One protocol on one connection, for otlp_conn: bytes in, bytes out, no sockets.
 *
 *   open -> feed ..., pull ... -> close
 *
 * Answers may come later than the request: then `wake` is called, and the connection pulls. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

struct otlp_service;

struct otlp_owner {
	const struct otlp_service *service; /* borrowed */
	/* Something is to be pulled, or the last answer has come. Not from within feed. */
	void (*wake)(void *arg);
	void *arg;
};

struct otlp_protocol {
	const char *name; /* for the log */
	int (*open)(const struct otlp_owner *owner, uint64_t now_ms, void **out_state);
	void (*close)(void *state); /* nothing may be unanswered */

	void (*feed)(void *state, struct str bytes, uint64_t now_ms); /* takes all */
	int (*pull)(void *state, struct buf *out);                    /* appends; -ENOMEM */
	bool (*wants_read)(const void *state);
	bool (*is_done)(const void *state); /* once everything pulled is written: end it */

	bool (*has_requests)(const void *state);     /* a request is open: begun, or not answered */
	bool (*has_unanswered)(const void *state);   /* intake has one: the state must stay */
	bool (*has_served)(const void *state);       /* ever: then this is no stranger */
	const char *(*complaint)(const void *state); /* about the peer; NULL: none */

	void (*hold)(void *state, bool hold, uint64_t now_ms);
	/* Graceful, any number of times. `reason`: static text for the peer, NULL: none. */
	void (*shutdown)(void *state, const char *reason, uint64_t now_ms);
	void (*tick)(void *state, uint64_t now_ms); /* once a second, and at deadline_ms */
	/* When a client's time for a request is over; none is earlier. UINT64_MAX: there is none.
	 */
	uint64_t (*deadline_ms)(const void *state);
};

extern const struct otlp_protocol otlp_http1, otlp_http2;
