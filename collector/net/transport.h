/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of one accepted connection: TCP or unix socket, with TLS or without.
 *
 *   transport_accept -> transport_read, on_bytes ..., transport_write, on_drained ...
 *     -> transport_stop -> on_closed, once
 *
 * To be embedded in the connection, whose memory may go in on_closed and not before. Loop thread
 * only. Errors are negative errno. */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

struct tls_context;
struct tls_session;

#define TRANSPORT_READ_BYTES ((size_t)64 << 10)

struct transport_options {
	uv_loop_t *loop;            /* all borrowed */
	struct tls_context *tls;    /* NULL: plain */
	uv_buf_t read_buffer;       /* one for all connections of a loop: bytes do not stay in it */
	uint64_t handshake_ms;      /* how long TLS may take to begin */
	void (*on_open)(void *arg); /* plain: at once; TLS: the handshake is done */
	void (*on_bytes)(struct str bytes, void *arg); /* borrowed for the call */
	void (*on_drained)(void *arg);                 /* all that was written has gone out */
	/* The peer says no more; it may still listen. Reading has stopped. */
	void (*on_eof)(void *arg);
	/* The connection is broken: text that says why, or NULL. */
	void (*on_end)(const char *complaint, void *arg);
	void (*on_closed)(void *arg);
};

struct transport {
	const struct transport_options *options; /* borrowed */
	void *arg;
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	uv_write_t write;
	uv_shutdown_t shutdown;
	struct tls_session *tls; /* owned; NULL: plain */
	struct buf queued;       /* to be written when `going` is gone */
	struct buf going;
	uint64_t accepted_ms;
	bool is_open, is_reading, is_writing, is_stopping, has_eof;
};

/* Takes the connection that waits at `server`; nothing is read yet. on_open comes later, or before
 * this returns. Negative: there is no connection, and on_closed comes. */
int transport_accept(struct transport *transport, const struct transport_options *options,
		     uv_stream_t *server, void *arg);

/* Starts and stops reading; any number of times. A stopped one is how TCP holds a peer back. */
void transport_read(struct transport *transport, bool read);

/* Sends what is in `bytes` and leaves it empty; its memory is reused. -ENOMEM. Call it again after
 * on_drained only: then a peer that does not read holds no more than one piece. */
int transport_write(struct transport *transport, struct buf *bytes);
bool transport_is_writing(const struct transport *transport);

/* Says that no more will be written, after what has been. The peer's bytes go on coming. */
void transport_end(struct transport *transport);

/* Closes now; any number of times. */
void transport_stop(struct transport *transport);

/* Once a second: a handshake that takes too long ends in on_end. */
void transport_tick(struct transport *transport, uint64_t now_ms);

/* What ALPN has chosen: "h2", "http/1.1"; empty: nothing, or plain. */
struct str transport_protocol(const struct transport *transport);
