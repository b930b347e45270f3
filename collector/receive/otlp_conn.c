/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/receive/otlp_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/log.h"
#include "collector/receive/otlp_protocol.h"
#include "collector/receive/otlp_service.h"

#define WRITE_PATIENCE_MS 30000 /* for a peer that does not read */
#define LINGER_MS         1000  /* for a peer to read our last words before we close */

static const struct str http2_magic = { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24 };

struct otlp_conn {
	const struct otlp_conn_options *options; /* borrowed; outlives us */
	struct otlp_conn_link link;
	struct transport transport;
	const struct otlp_protocol *protocol; /* NULL: the first bytes have not told yet */
	void *state;                          /* owned; the protocol's */
	struct buf greeting;                  /* the first bytes, until they tell */
	struct buf out;
	uint64_t accepted_ms, lingers_ms;
	uint64_t useful_ms;  /* when it last had a request: pings and the like are none */
	uint64_t writing_ms; /* since when the peer has our last bytes to read */
	uint64_t age_ms;     /* the limit, with some jitter: not all clients come back at once */
	bool is_held, is_leaving, is_pumping, is_lingering, is_stopping, is_closed, has_eof;
};

static uint64_t now_ms(const struct otlp_conn *conn)
{
	return uv_now(conn->options->transport.loop);
}

static void count(const struct otlp_conn *conn, enum metric metric, uint64_t amount)
{
	metrics_add(conn->options->service->metrics, metric, amount);
}

static bool has_unanswered(const struct otlp_conn *conn)
{
	return conn->state && conn->protocol->has_unanswered(conn->state);
}

static void free_if_over(struct otlp_conn *conn)
{
	if (!conn->is_closed || has_unanswered(conn))
		return;
	if (conn->state)
		conn->protocol->close(conn->state);
	conn->options->on_gone(conn, conn->options->arg); /* the service may go with us */
	buf_fini(&conn->greeting);
	buf_fini(&conn->out);
	free(conn);
}

static void on_closed(void *arg)
{
	struct otlp_conn *conn = arg;

	conn->is_closed = true;
	free_if_over(conn);
}

static void complain(struct otlp_conn *conn, const char *complaint)
{
	count(conn, METRIC_CONNECTIONS_BROKEN, 1);
	LOG_LIMITED(LOG_WARNING, "%s: a connection was closed: %s", conn->options->name, complaint);
}

void otlp_conn_stop(struct otlp_conn *conn)
{
	const char *complaint = conn->state ? conn->protocol->complaint(conn->state) : NULL;

	if (conn->is_stopping)
		return;
	conn->is_stopping = true;
	if (complaint)
		complain(conn, complaint);
	transport_stop(&conn->transport);
}

/* Closing with unread bytes resets the connection, and the peer may lose our answer: say that no
 * more comes, then read to its end. */
static void linger(struct otlp_conn *conn)
{
	if (conn->has_eof)
		return otlp_conn_stop(conn);
	if (conn->is_lingering)
		return;
	conn->is_lingering = true;
	conn->lingers_ms = now_ms(conn);
	transport_end(&conn->transport);
	transport_read(&conn->transport, true);
}

/* false: the connection cannot go on. */
static bool start_write(struct otlp_conn *conn)
{
	if (conn->protocol->pull(conn->state, &conn->out) < 0)
		return false;
	conn->writing_ms = now_ms(conn);
	return conn->out.len == 0 || transport_write(&conn->transport, &conn->out) == 0;
}

/* Nothing is left to be said to a peer that says no more itself. */
static bool is_over(const struct otlp_conn *conn)
{
	return conn->protocol->is_done(conn->state) || (conn->has_eof && !has_unanswered(conn));
}

static void note_deadline(struct otlp_conn *conn)
{
	uint64_t ms = conn->protocol->deadline_ms(conn->state);

	if (ms != UINT64_MAX)
		conn->options->on_deadline(ms, conn->options->arg);
}

/* All that can be done now. */
static void pump(struct otlp_conn *conn)
{
	bool is_fine = true;

	if (conn->is_pumping || conn->is_stopping || conn->is_lingering || !conn->state)
		return;
	conn->is_pumping = true;
	if (!transport_is_writing(&conn->transport))
		is_fine = start_write(conn);
	conn->is_pumping = false;
	if (!is_fine)
		return otlp_conn_stop(conn);
	if (!transport_is_writing(&conn->transport) && is_over(conn))
		return linger(conn);
	transport_read(&conn->transport, conn->protocol->wants_read(conn->state));
	note_deadline(conn);
}

static void on_wake(void *arg)
{
	struct otlp_conn *conn = arg;

	if (conn->is_stopping)
		free_if_over(conn);
	else
		pump(conn);
}

static void begin(struct otlp_conn *conn, const struct otlp_protocol *protocol)
{
	struct otlp_owner owner = { conn->options->service, on_wake, conn };

	conn->protocol = protocol;
	if (protocol->open(&owner, now_ms(conn), &conn->state) < 0)
		return otlp_conn_stop(conn);
	if (conn->is_held)
		protocol->hold(conn->state, true, now_ms(conn));
	if (conn->is_leaving)
		protocol->shutdown(conn->state, NULL, now_ms(conn));
}

static void on_open(void *arg)
{
	struct otlp_conn *conn = arg;
	struct str chosen = transport_protocol(&conn->transport);

	if (!conn->options->speaks_http1 || str_eq(chosen, STR("h2")))
		begin(conn, &otlp_http2);
	else if (chosen.len)
		begin(conn, &otlp_http1);
	pump(conn); /* our SETTINGS */
}

/* The first bytes of HTTP/2 are fixed, and no request line: whatever differs is HTTP/1. */
static void greet(struct otlp_conn *conn, struct str bytes)
{
	size_t len;

	buf_append_str(&conn->greeting, bytes);
	len = MIN(conn->greeting.len, http2_magic.len);
	if (buf_error(&conn->greeting))
		return otlp_conn_stop(conn);
	if (memcmp(conn->greeting.data, http2_magic.data, len) != 0)
		begin(conn, &otlp_http1);
	else if (len == http2_magic.len)
		begin(conn, &otlp_http2);
	if (conn->state)
		conn->protocol->feed(conn->state, buf_str(&conn->greeting), now_ms(conn));
	if (conn->state)
		buf_fini(&conn->greeting);
}

static void note_use(struct otlp_conn *conn, uint64_t now)
{
	if (conn->state && conn->protocol->has_requests(conn->state))
		conn->useful_ms = now;
}

static void on_bytes(struct str bytes, void *arg)
{
	struct otlp_conn *conn = arg;

	count(conn, METRIC_RECEIVED_BYTES, bytes.len);
	if (conn->is_lingering)
		return;
	if (conn->state)
		conn->protocol->feed(conn->state, bytes, now_ms(conn));
	else
		greet(conn, bytes);
	note_use(conn, now_ms(conn));
	pump(conn);
}

static void on_drained(void *arg)
{
	struct otlp_conn *conn = arg;

	pump(conn);
}

/* What was asked is still answered. */
static void on_eof(void *arg)
{
	struct otlp_conn *conn = arg;

	conn->has_eof = true;
	if (conn->is_lingering || !conn->state)
		otlp_conn_stop(conn);
	else
		pump(conn);
}

static void on_end(const char *complaint, void *arg)
{
	struct otlp_conn *conn = arg;

	if (complaint)
		complain(conn, complaint);
	otlp_conn_stop(conn);
}

void otlp_conn_prepare(struct otlp_conn_options *options)
{
	options->transport.on_open = on_open;
	options->transport.on_bytes = on_bytes;
	options->transport.on_drained = on_drained;
	options->transport.on_eof = on_eof;
	options->transport.on_end = on_end;
	options->transport.on_closed = on_closed;
}

/* Within a tenth of the limit, either way. */
static uint64_t with_jitter(uint64_t ms)
{
	return ms ? ms - ms / 10 + (uint64_t)random() % (ms / 5 + 1) : 0;
}

int otlp_conn_start(const struct otlp_conn_options *options, uv_stream_t *server,
		    struct otlp_conn **out_conn)
{
	struct otlp_conn *conn = calloc(1, sizeof(*conn));
	int rc;

	if (!conn)
		return -ENOMEM;
	*out_conn = conn;
	conn->options = options;
	conn->accepted_ms = conn->useful_ms = now_ms(conn);
	conn->age_ms = with_jitter(options->service->timeouts.age_ms);
	buf_init(&conn->out, 0);
	buf_init(&conn->greeting, 0);
	rc = transport_accept(&conn->transport, &options->transport, server, conn);
	if (rc < 0)
		conn->is_stopping = true;
	else
		transport_read(&conn->transport, true);
	return rc;
}

void otlp_conn_drain(struct otlp_conn *conn)
{
	conn->is_leaving = true;
	if (!conn->state)
		return otlp_conn_stop(conn);
	conn->protocol->shutdown(conn->state, NULL, now_ms(conn));
	pump(conn);
}

void otlp_conn_hold(struct otlp_conn *conn, bool hold)
{
	conn->is_held = hold;
	if (!conn->state)
		return;
	conn->protocol->hold(conn->state, hold, now_ms(conn));
	pump(conn);
}

/* Why it is asked to leave, as gRPC's clients know it; NULL: it need not. Who has no request is
 * idle, whatever else he says. */
static const char *reason_to_leave(const struct otlp_conn *conn, uint64_t now)
{
	const struct otlp_timeouts *timeouts = &conn->options->service->timeouts;

	if (conn->age_ms && now - conn->accepted_ms > conn->age_ms)
		return "max_age";
	if (now - conn->useful_ms > timeouts->idle_ms)
		return "max_idle";
	return NULL;
}

static void tick_protocol(struct otlp_conn *conn, uint64_t now)
{
	const char *reason;

	note_use(conn, now);
	reason = conn->is_leaving ? NULL : reason_to_leave(conn, now);
	conn->protocol->tick(conn->state, now);
	if (transport_is_writing(&conn->transport) && now - conn->writing_ms > WRITE_PATIENCE_MS)
		return otlp_conn_stop(conn);
	if (reason) {
		conn->is_leaving = true;
		count(conn, METRIC_CONNECTIONS_IDLE, 1);
		conn->protocol->shutdown(conn->state, reason, now);
	}
	pump(conn);
}

void otlp_conn_tick(struct otlp_conn *conn, uint64_t now)
{
	if (conn->is_stopping)
		return;
	transport_tick(&conn->transport, now);
	if (conn->is_stopping)
		return;
	if (conn->is_lingering) {
		if (now - conn->lingers_ms > LINGER_MS)
			otlp_conn_stop(conn);
	} else if (conn->state) {
		tick_protocol(conn, now);
	} else if (now - conn->accepted_ms > conn->options->service->timeouts.first_byte_ms) {
		count(conn, METRIC_CONNECTIONS_IDLE, 1);
		otlp_conn_stop(conn);
	}
}

uint64_t otlp_conn_useless_since_ms(const struct otlp_conn *conn, uint64_t now,
				    bool *out_is_stranger)
{
	*out_is_stranger = !conn->state || !conn->protocol->has_served(conn->state);
	if (conn->is_stopping || conn->is_leaving || has_unanswered(conn))
		return now;
	if (*out_is_stranger)
		return conn->accepted_ms;
	return conn->protocol->has_requests(conn->state) ? now : conn->useful_ms;
}

bool otlp_conn_peer(const struct otlp_conn *conn, struct sockaddr_storage *out_address)
{
	int len = sizeof(*out_address);

	return conn->transport.uv.handle.type == UV_TCP &&
	       uv_tcp_getpeername(&conn->transport.uv.tcp, (struct sockaddr *)out_address, &len) ==
		       0;
}

struct otlp_conn_link *otlp_conn_link(struct otlp_conn *conn)
{
	return &conn->link;
}
