/* SPDX-License-Identifier: Apache-2.0 */
/* Sends batches of spans over gRPC as fast as they are acknowledged, or at a pace, and tells what
 * came of it. One thread, many connections and streams; little CPU, so that the server gets the
 * rest.
 *
 *   load TEMPLATE HOST:PORT batches=600 seconds=0 connections=4 streams=8 gzip=0 rate=0 http=0
 *
 * TEMPLATE is made by span_template.py. `rate` is in spans a second; 0: as fast as it goes. It ends
 * after so many batches or seconds. A stream that is refused comes again after a second, as
 * RetryInfo says; what is due meanwhile goes by the others, and what has no stream is held back.
 * With `http` it is OTLP/HTTP, by HTTP/2. Prints one line of JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "otlp/grpc_frame.h"
#include "otlp/grpc_session.h"
#include "otlp/otlp_http.h"
#include "tests/bench/ingest/batch.h"

#define MAX_CONNECTIONS  64
#define MAX_STREAMS      256 /* of one connection */
#define MAX_REASONS      8
#define REASON_BYTES     80
#define PATIENCE_MS      60000
#define RETRY_NS         NS_PER_SEC
#define BATCHES_A_SECOND 100000 /* at most, where only the time is limited */

struct call {
	struct connection *connection;
	struct buf body; /* prefix and message */
	size_t sent;
	uint64_t start_ns;
	uint64_t not_before_ns; /* refused: comes again then */
	int status;             /* grpc-status; -1: not come */
	bool has_details;       /* RetryInfo, or Retry-After */
	bool is_running;
	char reason[REASON_BYTES];
};

struct connection {
	int fd;
	nghttp2_session *http2;
	struct call *calls;
	struct buf out;
	unsigned running;
};

/* What refusals said, and how many said it. */
struct reason {
	char text[REASON_BYTES];
	unsigned count;
};

struct load {
	struct batch_template template;
	struct connection connections[MAX_CONNECTIONS];
	struct buf *packed; /* with gzip: all batches, made before the clock starts */
	unsigned batches, seconds, connection_count, streams, rate;
	bool gzip, http;
	unsigned started, acknowledged, refused, unexplained, failed;
	struct reason reasons[MAX_REASONS];
	uint64_t begun_ns;
	double *latencies_ms;
};

static struct load load = { .batches = 600, .connection_count = 4, .streams = 8 };

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void make_body(struct buf *out)
{
	if (!batch_make(&load.template, load.gzip, out))
		die("a batch");
	if (load.http)
		buf_consume(out, GRPC_FRAME_PREFIX_BYTES);
}

static void pack_all(void)
{
	load.packed = calloc(load.batches, sizeof(*load.packed));
	if (!load.packed)
		die("memory");
	for (unsigned i = 0; i < load.batches; i++)
		make_body(&load.packed[i]);
}

static ssize_t read_body(nghttp2_session *http2, int32_t id, uint8_t *out, size_t room,
			 uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
	struct call *call = source->ptr;
	size_t piece = MIN(room, call->body.len - call->sent);

	(void)http2;
	(void)id;
	(void)user_data;
	memcpy(out, call->body.data + call->sent, piece);
	call->sent += piece;
	if (call->sent == call->body.len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)piece;
}

static nghttp2_nv field(const char *name, const char *value)
{
	return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
			     .value = (uint8_t *)(uintptr_t)value,
			     .namelen = strlen(name),
			     .valuelen = strlen(value) };
}

static void start_call(struct call *call)
{
	const nghttp2_nv fields[] = {
		field(":method", "POST"),
		field(":scheme", "http"),
		field(":path", load.http ? OTLP_HTTP_TRACES : GRPC_TRACE_EXPORT),
		field(":authority", "localhost"),
		field("te", "trailers"),
		field("content-type", load.http ? "application/x-protobuf" : "application/grpc"),
		field(load.http ? "content-encoding" : "grpc-encoding",
		      load.gzip ? "gzip" : "identity"),
	};
	nghttp2_data_provider provider = { .source.ptr = call, .read_callback = read_body };

	if (load.gzip) {
		buf_fini(&call->body);
		call->body = load.packed[load.started];
	} else {
		make_body(&call->body);
	}
	load.started++;
	call->sent = 0;
	call->status = -1;
	call->has_details = false;
	call->reason[0] = '\0';
	call->is_running = true;
	call->connection->running++;
	call->start_ns = now_ns();
	if (nghttp2_submit_request(call->connection->http2, NULL, fields, ARRAY_LEN(fields),
				   &provider, call) < 0)
		die("submit");
}

static void keep_reason(struct call *call, const uint8_t *text, size_t len)
{
	snprintf(call->reason, sizeof(call->reason), "%.*s", (int)MIN(len, sizeof(call->reason)),
		 (const char *)text);
}

static int status_of_http(const char *value)
{
	int status = atoi(value);

	return status == 200 ? GRPC_OK : status == 503 ? GRPC_UNAVAILABLE : GRPC_UNKNOWN;
}

static int on_header(nghttp2_session *http2, const nghttp2_frame *frame, const uint8_t *name_text,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *user_data)
{
	struct call *call = nghttp2_session_get_stream_user_data(http2, frame->hd.stream_id);
	struct str name = { (const char *)name_text, name_len };

	(void)flags;
	(void)user_data;
	if (!call)
		return 0;
	if (load.http && str_eq(name, STR(":status")))
		call->status = status_of_http((const char *)value);
	else if (str_eq(name, STR("grpc-status")))
		call->status = atoi((const char *)value);
	else if (str_eq(name, STR("grpc-message")))
		keep_reason(call, value, value_len);
	else if (str_eq(name, load.http ? STR("retry-after") : STR("grpc-status-details-bin")))
		call->has_details = true;
	return 0;
}

/* OTLP/HTTP: a google.rpc.Status says why; `code`, which is one byte, comes before `message`. */
static int on_data(nghttp2_session *http2, uint8_t flags, int32_t id, const uint8_t *data,
		   size_t len, void *user_data)
{
	struct call *call = nghttp2_session_get_stream_user_data(http2, id);

	(void)flags;
	(void)user_data;
	if (load.http && call && call->status != GRPC_OK && len > 4 && data[2] == 0x12)
		keep_reason(call, data + 4, MIN(len - 4, (size_t)data[3]));
	return 0;
}

static void count_reason(const char *text)
{
	struct reason *reason = load.reasons;

	while (reason < &load.reasons[MAX_REASONS - 1] && reason->count &&
	       strcmp(reason->text, text) != 0)
		reason++;
	memcpy(reason->text, text, REASON_BYTES);
	reason->count++;
}

static void take_refusal(struct call *call)
{
	count_reason(call->reason);
	load.refused++;
	load.unexplained += !call->has_details;
	call->not_before_ns = now_ns() + RETRY_NS;
}

static int on_close(nghttp2_session *http2, int32_t id, uint32_t code, void *user_data)
{
	struct call *call = nghttp2_session_get_stream_user_data(http2, id);

	(void)code;
	(void)user_data;
	if (!call)
		return 0;
	call->is_running = false;
	call->connection->running--;
	if (call->status == GRPC_OK)
		load.latencies_ms[load.acknowledged++] = (double)(now_ns() - call->start_ns) / 1e6;
	else if (call->status == GRPC_UNAVAILABLE)
		take_refusal(call);
	else
		load.failed++;
	return 0;
}

static int dial(const char *address)
{
	char host[64];
	struct sockaddr_in to = { .sin_family = AF_INET };
	const char *colon = strrchr(address, ':');
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (!colon || (size_t)(colon - address) >= sizeof(host) || fd < 0)
		die(address);
	memcpy(host, address, (size_t)(colon - address));
	host[colon - address] = '\0';
	to.sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, host, &to.sin_addr) != 1 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die(address);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void open_connection(struct connection *connection, const char *address,
			    const nghttp2_session_callbacks *callbacks)
{
	const nghttp2_settings_entry window = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20 };

	connection->fd = dial(address);
	connection->calls = calloc(load.streams, sizeof(*connection->calls));
	if (!connection->calls || nghttp2_session_client_new(&connection->http2, callbacks, NULL))
		die("memory");
	nghttp2_submit_settings(connection->http2, NGHTTP2_FLAG_NONE, &window, 1);
	for (unsigned i = 0; i < load.streams; i++)
		connection->calls[i].connection = connection;
}

static bool is_over(void)
{
	return load.started == load.batches ||
	       (load.seconds && now_ns() - load.begun_ns > load.seconds * NS_PER_SEC);
}

/* When the pace lets the next batch go; 0: now. */
static uint64_t next_start_ns(void)
{
	double due = load.rate ? (double)load.started * load.template.spans / load.rate * 1e9 : 0;
	uint64_t at = load.begun_ns + (uint64_t)due;

	return at > now_ns() ? at : 0;
}

static void start_calls(struct connection *connection)
{
	for (unsigned i = 0; i < load.streams && !is_over() && !next_start_ns(); i++) {
		struct call *call = &connection->calls[i];

		if (call->is_running || (call->not_before_ns && call->not_before_ns > now_ns()))
			continue;
		start_call(call);
		if (load.rate)
			break; /* the next connection has its turn */
	}
}

/* Until the next batch is due, or a refused one may come again. */
static int patience_ms(void)
{
	uint64_t next = next_start_ns();

	if (next && !is_over())
		return (int)((next - now_ns()) / NS_PER_MS) + 1;
	return load.refused && !is_over() ? 1 : PATIENCE_MS;
}

static void write_out(struct connection *connection)
{
	struct buf *out = &connection->out;
	const uint8_t *data;
	ssize_t len;

	while (out->len < ((size_t)256 << 10) &&
	       (len = nghttp2_session_mem_send(connection->http2, &data)) > 0)
		buf_append(out, data, (size_t)len);
	if (out->len == 0)
		return;
	len = write(connection->fd, out->data, out->len);
	if (len < 0 && errno != EAGAIN)
		die("write");
	if (len > 0)
		buf_consume(out, (size_t)len);
}

static void read_in(struct connection *connection)
{
	static uint8_t bytes[64 << 10];
	ssize_t len = read(connection->fd, bytes, sizeof(bytes));

	if (len == 0)
		errno = ECONNRESET;
	if (len == 0 || (len < 0 && errno != EAGAIN))
		die("read");
	if (len > 0 && nghttp2_session_mem_recv(connection->http2, bytes, (size_t)len) < 0)
		die("HTTP/2");
}

static unsigned running(void)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < load.connection_count; i++)
		sum += load.connections[i].running;
	return sum;
}

static void run(void)
{
	struct pollfd polls[MAX_CONNECTIONS];

	while (!is_over() || running() > 0) {
		int patience;

		for (unsigned i = 0; i < load.connection_count; i++) {
			struct connection *connection = &load.connections[i];

			start_calls(connection);
			write_out(connection);
			polls[i] = (struct pollfd){ .fd = connection->fd, .events = POLLIN };
			if (connection->out.len || nghttp2_session_want_write(connection->http2))
				polls[i].events |= POLLOUT;
		}
		patience = patience_ms();
		if (poll(polls, load.connection_count, patience) == 0 && patience == PATIENCE_MS) {
			errno = ETIMEDOUT;
			die("the server");
		}
		for (unsigned i = 0; i < load.connection_count; i++) {
			if (polls[i].revents & (POLLIN | POLLERR | POLLHUP))
				read_in(&load.connections[i]);
		}
	}
}

static int compare(const void *a, const void *b)
{
	const double *left = a, *right = b;

	return *left < *right ? -1 : *left > *right;
}

/* How many were due at that pace. */
static uint64_t due_batches(uint64_t took_ns)
{
	uint64_t ns = load.seconds ? MIN(took_ns, load.seconds * NS_PER_SEC) : took_ns;

	return load.rate ? (uint64_t)((double)ns / 1e9 * load.rate / load.template.spans)
			 : load.started;
}

static void report(uint64_t took_ns)
{
	unsigned n = load.acknowledged;
	double *ms = load.latencies_ms;

	qsort(ms, n, sizeof(*ms), compare);
	printf("{\"acknowledged_spans\":%" PRIu64 ",\"due_batches\":%" PRIu64 ",\"sent_batches\":%u"
	       ",\"refused_batches\":%u,\"unexplained_batches\":%u,"
	       "\"failed_batches\":%u,\"seconds\":%.3f,\"p50_ms\":%.3f,\"p99_ms\":%.3f"
	       ",\"reasons\":{",
	       (uint64_t)n * load.template.spans, due_batches(took_ns), load.started, load.refused,
	       load.unexplained, load.failed, (double)took_ns / 1e9, n ? ms[n / 2] : 0,
	       n ? ms[(size_t)n * 99 / 100] : 0);
	for (size_t i = 0; i < MAX_REASONS && load.reasons[i].count; i++)
		printf("%s\"%s\":%u", i ? "," : "", load.reasons[i].text, load.reasons[i].count);
	puts("}}");
}

static void take_option(const char *text)
{
	unsigned value;

	if (sscanf(text, "batches=%u", &value) == 1)
		load.batches = value;
	else if (sscanf(text, "seconds=%u", &value) == 1)
		load.seconds = value, load.batches = value * BATCHES_A_SECOND;
	else if (sscanf(text, "connections=%u", &value) == 1)
		load.connection_count = MIN(MAX(value, 1u), (unsigned)MAX_CONNECTIONS);
	else if (sscanf(text, "streams=%u", &value) == 1)
		load.streams = MIN(MAX(value, 1u), (unsigned)MAX_STREAMS);
	else if (sscanf(text, "rate=%u", &value) == 1)
		load.rate = value;
	else if (sscanf(text, "gzip=%u", &value) == 1)
		load.gzip = value != 0;
	else if (sscanf(text, "http=%u", &value) == 1)
		load.http = value != 0;
	else
		die(text);
}

int main(int argc, char **argv)
{
	nghttp2_session_callbacks *callbacks = NULL;

	if (argc < 3) {
		fprintf(stderr, "usage: load TEMPLATE HOST:PORT [option=number]...\n");
		return 2;
	}
	for (int i = 3; i < argc; i++)
		take_option(argv[i]);
	if (!batch_template_read(argv[1], &load.template))
		die(argv[1]);
	load.latencies_ms = calloc(load.batches, sizeof(*load.latencies_ms));
	if (!load.latencies_ms || nghttp2_session_callbacks_new(&callbacks) != 0)
		die("memory");
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	if (load.gzip)
		pack_all();
	for (unsigned i = 0; i < load.connection_count; i++)
		open_connection(&load.connections[i], argv[2], callbacks);
	load.begun_ns = now_ns();
	run();
	report(now_ns() - load.begun_ns);
	return load.failed ? 1 : 0;
}
