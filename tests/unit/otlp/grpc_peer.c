/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/otlp/grpc_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "otlp/grpc_frame.h"

#define MAX_FIELDS 320

static const char *const methods[] = { GRPC_TRACE_EXPORT, "/test.Echo/Twice", NULL };

static struct peer_call *find_call(struct peer *peer, int32_t stream_id)
{
	for (size_t i = 0; i < peer->call_count; i++) {
		if (peer->calls[i].id == stream_id)
			return &peer->calls[i];
	}
	return NULL;
}

static bool is_name(const uint8_t *name, size_t len, const char *wanted)
{
	return str_eq((struct str){ (const char *)name, len }, str_of(wanted));
}

static int on_header(nghttp2_session *client, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user_data)
{
	struct peer_call *call = find_call(user_data, frame->hd.stream_id);
	const char *text = (const char *)value; /* nghttp2 ends it with a NUL */

	(void)client;
	(void)value_len;
	(void)flags;
	if (is_name(name, name_len, ":status"))
		call->http_status = atoi(text);
	else if (is_name(name, name_len, "grpc-status"))
		call->grpc_status = atoi(text);
	else if (is_name(name, name_len, "grpc-message"))
		snprintf(call->message, sizeof(call->message), "%s", text);
	else if (is_name(name, name_len, "grpc-status-details-bin"))
		snprintf(call->details, sizeof(call->details), "%s", text);
	else if (is_name(name, name_len, "grpc-retry-pushback-ms"))
		snprintf(call->pushback, sizeof(call->pushback), "%s", text);
	else if (is_name(name, name_len, "grpc-accept-encoding"))
		snprintf(call->accept_encoding, sizeof(call->accept_encoding), "%s", text);
	else if (is_name(name, name_len, "retry-after"))
		snprintf(call->retry_after, sizeof(call->retry_after), "%s", text);
	return 0;
}

static int on_frame_recv(nghttp2_session *client, const nghttp2_frame *frame, void *user_data)
{
	struct peer *peer = user_data;
	struct peer_call *call = find_call(peer, frame->hd.stream_id);

	(void)client;
	if (frame->hd.type == NGHTTP2_HEADERS && call)
		call->header_blocks++;
	if (frame->hd.type != NGHTTP2_GOAWAY)
		return 0;
	peer->goaways++;
	peer->goaway_code = frame->goaway.error_code;
	peer->goaway_last = frame->goaway.last_stream_id;
	snprintf(peer->goaway_debug, sizeof(peer->goaway_debug), "%.*s",
		 (int)frame->goaway.opaque_data_len, (const char *)frame->goaway.opaque_data);
	return 0;
}

static int on_data(nghttp2_session *client, uint8_t flags, int32_t stream_id, const uint8_t *data,
		   size_t len, void *user_data)
{
	(void)client;
	(void)flags;
	buf_append(&find_call(user_data, stream_id)->in, data, len);
	return 0;
}

static int on_close(nghttp2_session *client, int32_t stream_id, uint32_t code, void *user_data)
{
	struct peer_call *call = find_call(user_data, stream_id);

	(void)client;
	if (call) {
		call->is_closed = true;
		call->close_code = code;
	}
	return 0;
}

static void start_client(struct peer *peer)
{
	nghttp2_session_callbacks *callbacks;

	assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	assert_int_equal(nghttp2_session_client_new(&peer->client, callbacks, peer), 0);
	nghttp2_session_callbacks_del(callbacks);
	assert_int_equal(nghttp2_submit_settings(peer->client, NGHTTP2_FLAG_NONE, NULL, 0), 0);
}

void peer_start(struct peer *peer, const struct grpc_session_options *options)
{
	struct grpc_session_options filled = { 0 };

	*peer = (struct peer){ .serving = true, .now_ms = 1000000 };
	peer->budget.limit_bytes = SIZE_MAX;
	if (options)
		filled = *options;
	filled.methods = methods;
	filled.serving = &peer->serving;
	filled.budget = &peer->budget;
	filled.counters = &peer->counters;
	assert_int_equal(grpc_session_new(&filled, peer->now_ms, &peer->server), 0);
	start_client(peer);
}

void peer_stop(struct peer *peer)
{
	grpc_session_free(peer->server);
	nghttp2_session_del(peer->client);
	for (size_t i = 0; i < peer->call_count; i++) {
		buf_fini(&peer->calls[i].out);
		buf_fini(&peer->calls[i].in);
	}
	buf_fini(&peer->to_client);
	buf_fini(&peer->to_server);
	assert_int_equal(peer->budget.used_bytes, 0);
}

static void feed_server(struct peer *peer, const uint8_t *data, size_t len)
{
	size_t piece = peer->piece ? peer->piece : len;

	peer->to_server_bytes += len;
	for (size_t at = 0; at < len; at += piece)
		grpc_session_feed(peer->server, data + at, MIN(piece, len - at), peer->now_ms);
}

static bool pump_to_server(struct peer *peer)
{
	const uint8_t *data;
	bool moved = peer->to_server.len > 0;
	ssize_t len;

	feed_server(peer, (const uint8_t *)peer->to_server.data, peer->to_server.len);
	buf_clear(&peer->to_server);
	while ((len = nghttp2_session_mem_send(peer->client, &data)) > 0) {
		feed_server(peer, data, (size_t)len);
		moved = true;
	}
	assert_int_equal(len, 0);
	return moved;
}

static bool pump_to_client(struct peer *peer)
{
	size_t start = peer->to_client.len, len;
	const uint8_t *data;

	assert_int_equal(grpc_session_pull(peer->server, &peer->to_client), 0);
	len = peer->to_client.len - start;
	data = (const uint8_t *)peer->to_client.data + start;
	if (len > 0 && nghttp2_session_want_read(peer->client))
		nghttp2_session_mem_recv(peer->client, data, len);
	return len > 0;
}

void peer_pump(struct peer *peer)
{
	bool moved = true;

	while (moved) {
		moved = pump_to_server(peer);
		moved |= pump_to_client(peer);
	}
}

static ssize_t read_body(nghttp2_session *client, int32_t stream_id, uint8_t *out, size_t room,
			 uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
	struct peer_call *call = source->ptr;
	size_t piece = MIN(room, call->out.len);

	(void)client;
	(void)stream_id;
	(void)user_data;
	if (piece == 0 && call->keeps_open)
		return NGHTTP2_ERR_DEFERRED;
	if (piece)
		memcpy(out, call->out.data, piece);
	buf_consume(&call->out, piece);
	if (call->out.len == 0 && !call->keeps_open)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)piece;
}

static size_t put_field(nghttp2_nv *fields, size_t count, const char *name, const char *value)
{
	size_t i = 0;

	while (i < count && strcmp((const char *)fields[i].name, name) != 0)
		i++;
	if (strncmp(name, "x-", 2) == 0)
		i = count; /* may come many times */
	if (!value) {
		if (i < count)
			memmove(fields + i, fields + i + 1, (count - i - 1) * sizeof(*fields));
		return i < count ? count - 1 : count;
	}
	assert_true(i < MAX_FIELDS);
	fields[i] = (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
				  .namelen = strlen(name),
				  .value = (uint8_t *)(uintptr_t)value,
				  .valuelen = strlen(value) };
	return MAX(count, i + 1);
}

static struct peer_call *submit(struct peer *peer, const char *const *headers, struct str body,
				bool keeps_open)
{
	nghttp2_nv fields[MAX_FIELDS];
	struct peer_call *call = &peer->calls[peer->call_count++];
	nghttp2_data_provider provider = { .source.ptr = call, .read_callback = read_body };
	size_t count = 0;

	assert_true(peer->call_count <= PEER_MAX_CALLS);
	for (; headers[0]; headers += 2)
		count = put_field(fields, count, headers[0], headers[1]);
	*call = (struct peer_call){ .grpc_status = -1, .keeps_open = keeps_open };
	buf_append_str(&call->out, body);
	call->id = nghttp2_submit_request(peer->client, NULL, fields, count, &provider, NULL);
	assert_true(call->id > 0);
	return call;
}

struct peer_call *peer_call_with(struct peer *peer, const char *path, struct str body,
				 const char *const *headers)
{
	const char *all[2 * MAX_FIELDS + 2] = {
		":method", "POST",     ":scheme",      "http",
		":path",   path,       ":authority",   "localhost:4317",
		"te",      "trailers", "content-type", "application/grpc",
	};
	size_t at = 12;

	while (headers && *headers) {
		all[at++] = *headers++;
		all[at++] = *headers++;
	}
	return submit(peer, all, body, false);
}

struct peer_call *peer_call(struct peer *peer, const char *path, struct str body)
{
	return peer_call_with(peer, path, body, NULL);
}

struct peer_call *peer_call_open(struct peer *peer, struct str body)
{
	return peer_call_open_to(peer, GRPC_TRACE_EXPORT, body);
}

struct peer_call *peer_call_open_to(struct peer *peer, const char *path, struct str body)
{
	const char *const headers[] = {
		":method", "POST",       ":scheme",        "http",         ":path",
		path,      ":authority", "localhost:4317", "content-type", "application/grpc",
		NULL,
	};

	return submit(peer, headers, body, true);
}

void peer_more(struct peer *peer, struct peer_call *call, struct str body, bool ends)
{
	buf_append_str(&call->out, body);
	call->keeps_open = !ends;
	nghttp2_session_resume_data(peer->client, call->id);
}

void peer_serve(struct peer *peer, struct str response)
{
	struct grpc_request request;

	peer_pump(peer);
	assert_true(grpc_session_next(peer->server, &request));
	free(request.message);
	grpc_session_reply(peer->server, request.stream_id,
			   &(struct grpc_reply){ .response = response });
	peer_pump(peer);
}

struct buf peer_frame(struct str message, uint8_t flag)
{
	uint8_t prefix[GRPC_FRAME_PREFIX_BYTES];
	struct buf frame = { 0 };

	grpc_frame_put_prefix(prefix, (uint32_t)message.len);
	prefix[0] = flag;
	buf_append(&frame, prefix, sizeof(prefix));
	buf_append_str(&frame, message);
	return frame;
}
