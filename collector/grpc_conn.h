/* SPDX-License-Identifier: Apache-2.0 */
/* One gRPC client, from accept to the last byte: uv_tcp <-> grpc_session <-> intake.
 *
 *   grpc_conn_start -> on_read ... -> grpc_conn_stop -> on_closed, once per handle
 *
 * Loop thread only. */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "otlp/grpc_session.h"

struct grpc_conn;
struct intake;
struct metrics;

struct grpc_conn_options {
	uv_loop_t *loop; /* all borrowed */
	struct grpc_session_options session;
	struct intake *intake;
	struct metrics *metrics;
	uv_buf_t read_buffer; /* shared by all connections: what is read is fed at once */
	uint64_t idle_ms;     /* without a byte either way */
	/* The connection's memory is about to go. */
	void (*on_gone)(struct grpc_conn *conn, void *arg);
	void *arg;
};

/* Accepts from `server`. Negative: nothing was accepted, or it was closed at once; there is no
 * connection then. */
int grpc_conn_start(const struct grpc_conn_options *options, uv_stream_t *server,
		    struct grpc_conn **out_conn);

/* Ends it now; any number of times. Answers still to come are dropped. */
void grpc_conn_stop(struct grpc_conn *conn);

/* GOAWAY, then the running requests are answered, then it stops by itself. */
void grpc_conn_drain(struct grpc_conn *conn);

/* Flow control: no new credit for the peer while held. */
void grpc_conn_hold(struct grpc_conn *conn, bool hold);

/* Once a second. */
void grpc_conn_tick(struct grpc_conn *conn, uint64_t now_ms);

/* The link in the list of whoever accepted it. */
struct grpc_conn_link {
	struct grpc_conn *previous, *next;
};
struct grpc_conn_link *grpc_conn_link(struct grpc_conn *conn);
