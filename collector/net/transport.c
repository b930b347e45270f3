/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/net/transport.h"

#include <errno.h>
#include <string.h>

#include "collector/net/tls.h"

static void end(struct transport *transport, const char *complaint)
{
	transport_read(transport, false);
	if (!transport->is_stopping)
		transport->options->on_end(complaint, transport->arg);
}

static void end_reading(struct transport *transport)
{
	transport->has_eof = true;
	transport->is_reading = false;
	uv_read_stop(&transport->uv.stream);
	transport->options->on_eof(transport->arg);
}

static void on_closed(uv_handle_t *handle)
{
	struct transport *transport = handle->data;

	tls_session_free(transport->tls);
	buf_fini(&transport->queued);
	buf_fini(&transport->going);
	transport->options->on_closed(transport->arg);
}

static void start_write(struct transport *transport);

static void on_written(uv_write_t *write, int status)
{
	struct transport *transport = write->data;

	transport->is_writing = false;
	if (transport->is_stopping)
		return;
	if (status < 0)
		return end(transport, NULL);
	buf_clear(&transport->going);
	if (transport->queued.len)
		start_write(transport);
	else if (transport->is_open)
		transport->options->on_drained(transport->arg);
}

static void start_write(struct transport *transport)
{
	struct buf sent = transport->going;
	uv_buf_t piece;

	if (transport->is_writing || transport->is_stopping || transport->queued.len == 0)
		return;
	transport->going = transport->queued;
	transport->queued = sent;
	piece = uv_buf_init(transport->going.data, (unsigned)transport->going.len);
	transport->write.data = transport;
	transport->is_writing = true;
	if (uv_write(&transport->write, &transport->uv.stream, &piece, 1, on_written) < 0) {
		transport->is_writing = false;
		end(transport, NULL);
	}
}

/* Bytes from the network through TLS: some are for the handshake, some for us, some to be sent. */
static void decipher(struct transport *transport, struct str bytes)
{
	char plain[16 << 10];

	tls_session_feed(transport->tls, bytes);
	for (;;) {
		ssize_t len = tls_session_read(transport->tls, plain, sizeof(plain));

		if (!transport->is_open && tls_session_is_open(transport->tls)) {
			transport->is_open = true;
			transport->options->on_open(transport->arg);
		}
		if (tls_session_pull(transport->tls, &transport->queued) < 0)
			len = -ENOMEM;
		start_write(transport);
		if (transport->is_stopping || len == -EAGAIN)
			return;
		if (len == 0)
			return end_reading(transport);
		if (len < 0)
			return end(transport, tls_session_complaint(transport->tls));
		transport->options->on_bytes((struct str){ plain, (size_t)len }, transport->arg);
		if (transport->is_stopping)
			return;
	}
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out_buf)
{
	struct transport *transport = handle->data;

	(void)suggested;
	*out_buf = transport->options->read_buffer;
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *piece)
{
	struct transport *transport = stream->data;
	struct str bytes = { piece->base, nread > 0 ? (size_t)nread : 0 };

	if (nread == 0) /* libuv's EAGAIN */
		return;
	if (nread == UV_EOF && !transport->tls)
		end_reading(transport);
	else if (nread < 0)
		end(transport, NULL);
	else if (transport->tls)
		decipher(transport, bytes);
	else
		transport->options->on_bytes(bytes, transport->arg);
}

/* Neither can fail: no socket is made here. */
static void init_handle(struct transport *transport, uv_stream_t *server)
{
	if (server->type == UV_TCP)
		uv_tcp_init(transport->options->loop, &transport->uv.tcp);
	else
		uv_pipe_init(transport->options->loop, &transport->uv.pipe, 0);
	transport->uv.handle.data = transport;
}

int transport_accept(struct transport *transport, const struct transport_options *options,
		     uv_stream_t *server, void *arg)
{
	int rc;

	*transport = (struct transport){ .options = options, .arg = arg };
	transport->accepted_ms = uv_now(options->loop);
	buf_init(&transport->queued, 0);
	buf_init(&transport->going, 0);
	init_handle(transport, server);
	rc = uv_accept(server, &transport->uv.stream);
	if (rc == 0 && options->tls)
		rc = tls_session_new(options->tls, &transport->tls);
	if (rc < 0) {
		transport_stop(transport);
		return rc;
	}
	if (server->type == UV_TCP)
		uv_tcp_nodelay(&transport->uv.tcp, 1);
	if (!transport->tls) {
		transport->is_open = true;
		options->on_open(arg);
	}
	return 0;
}

void transport_read(struct transport *transport, bool read)
{
	if (transport->is_stopping || transport->has_eof || read == transport->is_reading)
		return;
	transport->is_reading = read;
	if (!read)
		uv_read_stop(&transport->uv.stream);
	else if (uv_read_start(&transport->uv.stream, on_alloc, on_read) < 0)
		end(transport, NULL);
}

int transport_write(struct transport *transport, struct buf *bytes)
{
	int rc = 0;

	if (transport->is_stopping) {
		buf_clear(bytes);
		return 0;
	}
	if (transport->tls) {
		rc = tls_session_write(transport->tls, buf_str(bytes));
		if (rc == 0)
			rc = tls_session_pull(transport->tls, &transport->queued);
		buf_clear(bytes);
	} else if (transport->queued.len) {
		buf_append_str(&transport->queued, buf_str(bytes));
		buf_clear(bytes);
	} else {
		struct buf empty = transport->queued;

		transport->queued = *bytes;
		*bytes = empty;
	}
	if (rc == 0)
		rc = buf_error(&transport->queued);
	if (rc == 0)
		start_write(transport);
	return rc;
}

bool transport_is_writing(const struct transport *transport)
{
	return transport->is_writing;
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
	struct transport *transport = request->data;

	if (status < 0 && !transport->is_stopping)
		end(transport, NULL);
}

void transport_end(struct transport *transport)
{
	if (transport->is_stopping)
		return;
	if (transport->tls) {
		tls_session_end(transport->tls);
		tls_session_pull(transport->tls, &transport->queued);
		start_write(transport);
	}
	transport->shutdown.data = transport;
	if (uv_shutdown(&transport->shutdown, &transport->uv.stream, on_shutdown) < 0)
		end(transport, NULL);
}

void transport_stop(struct transport *transport)
{
	if (transport->is_stopping)
		return;
	transport->is_stopping = true;
	uv_close(&transport->uv.handle, on_closed);
}

void transport_tick(struct transport *transport, uint64_t now_ms)
{
	if (!transport->is_open &&
	    now_ms - transport->accepted_ms > transport->options->handshake_ms)
		end(transport, "the TLS handshake takes too long");
}

struct str transport_protocol(const struct transport *transport)
{
	return transport->tls ? tls_session_protocol(transport->tls) : (struct str){ NULL, 0 };
}
