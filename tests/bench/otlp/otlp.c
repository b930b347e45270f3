/* SPDX-License-Identifier: Apache-2.0 */
/* What a span costs between the socket and the batch: CPU ns of this thread, least and median of 31
 * rounds of 64 requests of 512 spans, as an SDK's batch processor sends them (8 attributes each).
 *
 *   decode   bytes -> struct span_batch, and its end
 *   session  HTTP/2 and gRPC framing, flow control, the reply
 *   both     what the network loop of spanwise does, but for read and write */
#include <inttypes.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collector/base/macros.h"
#include "collector/base/wire.h"
#include "otlp/grpc_frame.h"
#include "otlp/grpc_session.h"
#include "otlp/otlp_decode.h"

#define SPANS    512
#define REQUESTS 64
#define ROUNDS   31
#define READ     ((size_t)64 << 10) /* bytes of one read from a socket */

static const char *const methods[] = { GRPC_TRACE_EXPORT, NULL };

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static void put_message(struct buf *out, uint32_t number, struct buf *message)
{
	wire_put_bytes(out, number, buf_str(message));
	buf_fini(message);
}

static void put_attribute(struct buf *out, uint32_t number, const char *key, const char *text,
			  uint64_t integer)
{
	struct buf attribute = { 0 }, value = { 0 };

	if (text)
		wire_put_bytes(&value, 1, str_of(text));
	else
		wire_put_uint(&value, 3, integer);
	wire_put_bytes(&attribute, 1, str_of(key));
	put_message(&attribute, 2, &value);
	put_message(out, number, &attribute);
}

static void put_span(struct buf *out, uint64_t number)
{
	uint64_t ids[3] = { number * 0x9e3779b97f4a7c15ull, ~number, number + 1 };
	const uint64_t start_ns = 1700000000 * NS_PER_SEC + number * 1000;
	struct buf span = { 0 };

	wire_put_bytes(&span, 1, (struct str){ (const char *)ids, 16 });
	wire_put_bytes(&span, 2, (struct str){ (const char *)(ids + 2), 8 });
	wire_put_bytes(&span, 4, (struct str){ (const char *)(ids + 1), 8 });
	wire_put_bytes(&span, 5, STR("SELECT report.orders"));
	wire_put_uint(&span, 6, SPAN_KIND_CLIENT);
	wire_put_fixed64(&span, 7, start_ns);
	wire_put_fixed64(&span, 8, start_ns + 38 * NS_PER_MS);
	put_attribute(&span, 9, "db.system.name", "postgresql", 0);
	put_attribute(&span, 9, "db.namespace", "report", 0);
	put_attribute(&span, 9, "db.operation.name", "SELECT", 0);
	put_attribute(&span, 9, "db.query.text", "SELECT * FROM orders WHERE customer = $1", 0);
	put_attribute(&span, 9, "server.address", "10.0.0.5", 0);
	put_attribute(&span, 9, "server.port", NULL, 5432);
	put_attribute(&span, 9, "thread.id", NULL, 140737352000000);
	put_attribute(&span, 9, "thread.name", "MainThread", 0);
	wire_put_bytes(&span, 15, STR(""));
	put_message(out, 2, &span);
}

static struct buf make_request(void)
{
	struct buf resource = { 0 }, scope = { 0 }, scope_spans = { 0 }, resource_spans = { 0 },
		   request = { 0 };

	put_attribute(&resource, 1, "service.name", "report", 0);
	put_attribute(&resource, 1, "process.pid", NULL, 4242);
	wire_put_bytes(&scope, 1, STR("opentelemetry.instrumentation.psycopg2"));
	put_message(&scope_spans, 1, &scope);
	for (uint64_t i = 1; i <= SPANS; i++)
		put_span(&scope_spans, i);
	put_message(&resource_spans, 1, &resource);
	put_message(&resource_spans, 2, &scope_spans);
	put_message(&request, 1, &resource_spans);
	return request;
}

static char *copy_of(struct str bytes)
{
	char *copy = malloc(bytes.len);

	if (!copy)
		abort();
	return memcpy(copy, bytes.data, bytes.len);
}

static void decode(char *body, size_t len)
{
	struct span_batch *batch;

	if (otlp_decode(body, len, NULL, &batch) < 0 || batch->span_count != SPANS)
		abort();
	otlp_batch_free(batch);
}

static uint64_t round_of_decode(const struct buf *request)
{
	char *bodies[REQUESTS];
	uint64_t start_ns;

	for (size_t i = 0; i < REQUESTS; i++)
		bodies[i] = copy_of(buf_str(request));
	start_ns = cpu_ns();
	for (size_t i = 0; i < REQUESTS; i++)
		decode(bodies[i], request->len);
	return cpu_ns() - start_ns;
}

/* The other end: a client whose frames are made outside of the measured time. */
struct client {
	nghttp2_session *http2;
	struct buf body;
	size_t sent;
};

static ssize_t read_body(nghttp2_session *http2, int32_t stream_id, uint8_t *out, size_t room,
			 uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
	struct client *client = source->ptr;
	size_t piece = MIN(room, client->body.len - client->sent);

	(void)http2;
	(void)stream_id;
	(void)user_data;
	memcpy(out, client->body.data + client->sent, piece);
	client->sent += piece;
	if (client->sent == client->body.len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)piece;
}

static void submit(struct client *client)
{
	static const char *const fields[][2] = { { ":method", "POST" },
						 { ":scheme", "http" },
						 { ":path", GRPC_TRACE_EXPORT },
						 { ":authority", "localhost:4317" },
						 { "content-type", "application/grpc" },
						 { "te", "trailers" } };
	nghttp2_data_provider provider = { .source.ptr = client, .read_callback = read_body };
	nghttp2_nv nvs[ARRAY_LEN(fields)];

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		nvs[i] = (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)fields[i][0],
				       .namelen = strlen(fields[i][0]),
				       .value = (uint8_t *)(uintptr_t)fields[i][1],
				       .valuelen = strlen(fields[i][1]) };
	client->sent = 0;
	if (nghttp2_submit_request(client->http2, NULL, nvs, ARRAY_LEN(nvs), &provider, NULL) < 0)
		abort();
}

static void take_client_bytes(struct client *client, struct buf *out)
{
	const uint8_t *data;
	ssize_t len;

	while ((len = nghttp2_session_mem_send(client->http2, &data)) > 0)
		buf_append(out, data, (size_t)len);
}

/* The measured part: one batch of bytes in, its request served, the answer out. */
static uint64_t serve(struct grpc_session *session, const struct buf *in, struct buf *out,
		      bool decodes)
{
	uint64_t start_ns = cpu_ns();
	struct grpc_request request;

	for (size_t at = 0; at < in->len; at += READ)
		grpc_session_feed(session, in->data + at, MIN(READ, in->len - at), 1);
	while (grpc_session_next(session, &request)) {
		if (decodes)
			decode(request.message, request.message_len);
		else
			free(request.message);
		grpc_session_reply(session, request.stream_id, &(struct grpc_reply){ 0 });
	}
	grpc_session_pull(session, out);
	return cpu_ns() - start_ns;
}

static uint64_t round_of_session(struct client *client, struct grpc_session *session, bool decodes)
{
	struct buf in = { 0 }, out = { 0 };
	uint64_t sum_ns = 0;

	for (size_t i = 0; i < REQUESTS; i++) {
		submit(client);
		do {
			buf_clear(&in);
			buf_clear(&out);
			take_client_bytes(client, &in);
			sum_ns += serve(session, &in, &out, decodes);
			nghttp2_session_mem_recv(client->http2, (uint8_t *)out.data, out.len);
		} while (client->sent < client->body.len ||
			 nghttp2_session_want_write(client->http2));
	}
	buf_fini(&in);
	buf_fini(&out);
	return sum_ns;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

static void print(const char *name, uint64_t sums[static ROUNDS])
{
	const double spans = (double)SPANS * REQUESTS;

	qsort(sums, ROUNDS, sizeof(*sums), compare);
	printf("%-8s %7.1f %7.1f\n", name, (double)sums[0] / spans,
	       (double)sums[ROUNDS / 2] / spans);
}

int main(void)
{
	static uint64_t decoding[ROUNDS], session_only[ROUNDS], both[ROUNDS];
	struct grpc_session_options options = { .methods = methods };
	struct buf request = make_request();
	nghttp2_session_callbacks *callbacks;
	struct grpc_session *session;
	struct client client = { 0 };
	uint8_t prefix[GRPC_FRAME_PREFIX_BYTES];

	if (nghttp2_session_callbacks_new(&callbacks) != 0 ||
	    nghttp2_session_client_new(&client.http2, callbacks, NULL) != 0 ||
	    grpc_session_new(&options, 1, &session) < 0)
		abort();
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(client.http2, NGHTTP2_FLAG_NONE, NULL, 0);
	grpc_frame_put_prefix(prefix, (uint32_t)request.len);
	buf_append(&client.body, prefix, sizeof(prefix));
	buf_append_str(&client.body, buf_str(&request));
	for (size_t i = 0; i < ROUNDS; i++) {
		decoding[i] = round_of_decode(&request);
		session_only[i] = round_of_session(&client, session, false);
		both[i] = round_of_session(&client, session, true);
	}
	printf("%u spans a request, %zu bytes each; CPU ns per span\n%-8s %7s %7s\n", SPANS,
	       request.len / SPANS, "", "least", "median");
	print("decode", decoding);
	print("session", session_only);
	print("both", both);
	grpc_session_free(session);
	nghttp2_session_del(client.http2);
	buf_fini(&client.body);
	buf_fini(&request);
	return 0;
}
