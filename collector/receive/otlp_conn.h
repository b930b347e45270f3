/* SPDX-License-Identifier: Apache-2.0 */
/* One client of an OTLP port, from accept to the last byte: transport <-> otlp_protocol.
 *
 *   otlp_conn_start -> (which protocol?) -> bytes in, bytes out -> lingering -> on_gone
 *
 * Anything may call otlp_conn_stop, any number of times. Memory goes when the transport has closed
 * and the last answer has come back. Loop thread only. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "collector/net/transport.h"

struct otlp_conn;
struct otlp_service;

struct otlp_conn_options {
	struct transport_options transport; /* fill in all but the callbacks; otlp_conn_prepare */
	const struct otlp_service *service; /* borrowed */
	bool speaks_http1;                  /* else every client is taken for HTTP/2 */
	const char *name;                   /* of the listener, for the log */
	/* A client's time for a request is over at `ms`: otlp_conn_tick is wanted then. */
	void (*on_deadline)(uint64_t ms, void *arg);
	/* The connection's memory is about to go. */
	void (*on_gone)(struct otlp_conn *conn, void *arg);
	void *arg;
};

/* Once, before the first start. */
void otlp_conn_prepare(struct otlp_conn_options *options);

/* Accepts from `server`. Negative: no connection was made; if one had been taken, on_gone comes
 * for it all the same, and `out_conn` is set. */
int otlp_conn_start(const struct otlp_conn_options *options, uv_stream_t *server,
		    struct otlp_conn **out_conn);

/* Ends it now. Answers still to come are dropped. */
void otlp_conn_stop(struct otlp_conn *conn);

/* Told to go; the running requests are answered, then it ends by itself. */
void otlp_conn_drain(struct otlp_conn *conn);

/* Flow control: nothing more is taken from the peer than it was already allowed to send. */
void otlp_conn_hold(struct otlp_conn *conn, bool hold);

/* Once a second, and at each deadline. */
void otlp_conn_tick(struct otlp_conn *conn, uint64_t now_ms);

/* For making room: since when this one is of no use to anybody, now_ms: it is of use. A connection
 * that was never answered anything counts from its accept, another one from its last byte. */
uint64_t otlp_conn_useless_since_ms(const struct otlp_conn *conn, uint64_t now_ms,
				    bool *out_is_stranger);

/* false: not from the network (a unix socket). */
bool otlp_conn_peer(const struct otlp_conn *conn, struct sockaddr_storage *out_address);

/* The link in the list of whoever accepted it. */
struct otlp_conn_link {
	struct otlp_conn *previous, *next;
	struct sockaddr_storage peer; /* counted in its limit; ss_family 0: not counted */
	bool is_evicted;              /* asked to leave, to make room */
};
struct otlp_conn_link *otlp_conn_link(struct otlp_conn *conn);
