/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/export/forward_sender.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/compress.h"
#include "collector/base/macros.h"
#include "collector/config.h"
#include "collector/http_client.h"
#include "collector/log.h"
#include "collector/net/file_stamp.h"
#include "otlp/grpc_frame.h"
#include "otlp/grpc_session.h"

#define TOKEN_MAX     1024
#define URL_MAX       1024
#define TIMEOUT_MAX   32 /* "grpc-timeout: 300S" */
#define OWN_HEADERS   5  /* the most that we add ourselves */
#define OTHER_HEADERS (HTTP_CLIENT_MAX_HEADERS - OWN_HEADERS)

#define USER_AGENT "User-Agent: OTel-OTLP-Exporter-spanwise/" SPANWISE_VERSION

struct forward_sender {
	const struct config *config; /* borrowed */
	struct http_client *client;  /* owned */
	bool is_grpc;
	bool is_plain; /* the other side does not take gzip */
	char url[URL_MAX];
	char timeout[TIMEOUT_MAX];
	struct file_stamp token_stamp;
	char authorization[TOKEN_MAX + 32];
	char *others;                             /* owned: forward_headers, cut into lines */
	const char *other_headers[OTHER_HEADERS]; /* in `others` */
	struct forward_answer answer;
	struct buf body, received, message;
};

static int complain(const char *key, const char *value, const char *problem)
{
	log_line(LOG_ERROR, "%s: %s %s", key, value, problem);
	return -EINVAL;
}

/* grpc://host:4317 -> http://host:4317/opentelemetry..., grpcs:// -> https:// */
static int make_url(struct forward_sender *sender)
{
	const char *forward = sender->config->forward;
	bool is_plain = strncmp(forward, "grpc://", 7) == 0;
	int len;

	sender->is_grpc = is_plain || strncmp(forward, "grpcs://", 8) == 0;
	if (sender->is_grpc) {
		const char *host = forward + (is_plain ? 7 : 8);

		len = snprintf(sender->url, sizeof(sender->url), "%s://%.*s%s",
			       is_plain ? "http" : "https", (int)strcspn(host, "/"), host,
			       GRPC_TRACE_EXPORT);
	} else {
		len = snprintf(sender->url, sizeof(sender->url), "%s", forward);
	}
	if ((size_t)len < sizeof(sender->url) && !strstr(sender->url, ":///") &&
	    http_client_is_url(sender->url)) /* which takes "http:///a" for "http://a" */
		return 0;
	return complain("forward", forward,
			"is no endpoint: write it like http://10.0.0.9:4318/v1/traces or "
			"grpc://10.0.0.9:4317 (https, grpcs: with TLS)");
}

/* "name=value, name=value", as OTEL_EXPORTER_OTLP_HEADERS has it, into "name:value" lines. */
static int cut_headers(struct forward_sender *sender)
{
	const char *text = sender->config->forward_headers;
	size_t count = 0;
	char *rest, *piece;

	sender->others = strdup(text);
	if (!sender->others)
		return -ENOMEM;
	for (piece = strtok_r(sender->others, ",", &rest); piece;
	     piece = strtok_r(NULL, ",", &rest)) {
		char *equals = strchr(piece, '=');

		piece += strspn(piece, " ");
		if (!equals || equals <= piece || strpbrk(piece, "\r\n"))
			return complain("forward_headers", text,
					"is not like name=value, name=value");
		if (count == OTHER_HEADERS)
			return complain("forward_headers", text, "are too many");
		*equals = ':';
		sender->other_headers[count++] = piece;
	}
	return 0;
}

/* Negative: it cannot be read; what was known before stays. */
static int read_token(struct forward_sender *sender)
{
	const char *path = sender->config->forward_token;
	struct file_stamp now = file_stamp_of(path);
	char token[TOKEN_MAX] = "";
	FILE *file;
	bool ok;

	if (!*path || file_stamp_eq(&now, &sender->token_stamp))
		return 0;
	sender->token_stamp = now;
	file = fopen(path, "re");
	ok = file && fgets(token, sizeof(token), file);
	token[strcspn(token, "\r\n")] = '\0';
	if (!ok || !*token)
		log_line(LOG_ERROR, "forward_token: %s: %s", path,
			 file ? "there is no token in it" : strerror(errno));
	else
		snprintf(sender->authorization, sizeof(sender->authorization),
			 "Authorization: Bearer %s", token);
	if (file)
		fclose(file);
	return ok && *token ? 0 : -EINVAL;
}

int forward_sender_new(const struct config *config, const atomic_bool *cancel,
		       struct forward_sender **out_sender)
{
	struct forward_sender *sender = calloc(1, sizeof(*sender));
	int rc;

	if (!sender)
		return -ENOMEM;
	sender->config = config;
	buf_init(&sender->body, 0);
	buf_init(&sender->received, 0);
	buf_init(&sender->message, 0);
	snprintf(sender->timeout, sizeof(sender->timeout), "grpc-timeout: %uS",
		 (unsigned)config->forward_timeout_s);
	rc = make_url(sender);
	if (rc == 0)
		rc = cut_headers(sender);
	if (rc == 0)
		rc = read_token(sender);
	if (rc == 0)
		rc = http_client_new(cancel, &sender->client);
	if (rc < 0) {
		forward_sender_free(sender);
		return rc;
	}
	forward_answer_init(&sender->answer, sender->is_grpc);
	*out_sender = sender;
	return 0;
}

void forward_sender_free(struct forward_sender *sender)
{
	if (!sender)
		return;
	http_client_free(sender->client);
	forward_answer_fini(&sender->answer);
	buf_fini(&sender->body);
	buf_fini(&sender->received);
	buf_fini(&sender->message);
	free(sender->others);
	free(sender);
}

static void on_field(struct str name, struct str value, void *arg)
{
	struct forward_sender *sender = arg;

	forward_answer_take(&sender->answer, name, value);
}

/* What goes on the wire. Returns whether it is packed. */
static bool fill_body(struct forward_sender *sender, struct str request)
{
	struct buf *body = &sender->body;
	size_t prefix_len = sender->is_grpc ? GRPC_FRAME_PREFIX_BYTES : 0;
	uint8_t prefix[GRPC_FRAME_PREFIX_BYTES] = { 0 };
	bool packed;

	buf_clear(body);
	buf_append(body, prefix, prefix_len);
	packed = sender->config->forward_gzip && !sender->is_plain &&
		 compress_gzip(request, body) == 0;
	if (!packed) {
		buf_clear(body);
		buf_append(body, prefix, prefix_len);
		buf_append_str(body, request);
	}
	if (buf_error(body) || !sender->is_grpc)
		return packed;
	grpc_frame_put_prefix(prefix, (uint32_t)(body->len - prefix_len));
	prefix[0] = packed;
	memcpy(body->data, prefix, prefix_len);
	return packed;
}

static void add_header(struct http_client_request *request, const char *line)
{
	size_t count = 0;

	while (request->headers[count])
		count++;
	if (count < HTTP_CLIENT_MAX_HEADERS)
		request->headers[count] = line;
}

static void fill_headers(struct forward_sender *sender, bool packed,
			 struct http_client_request *request)
{
	add_header(request, USER_AGENT);
	if (*sender->authorization)
		add_header(request, sender->authorization);
	if (packed)
		add_header(request,
			   sender->is_grpc ? "grpc-encoding: gzip" : "Content-Encoding: gzip");
	if (sender->is_grpc) {
		add_header(request, "te: trailers");
		add_header(request, sender->timeout);
	}
	for (size_t i = 0; i < OTHER_HEADERS && sender->other_headers[i]; i++)
		add_header(request, sender->other_headers[i]);
}

/* The reason that the other side gives, or our own. */
static void describe(struct forward_sender *sender)
{
	const struct forward_answer *answer = &sender->answer;

	if (answer->status >= 0)
		buf_clear(&sender->message);
	if (answer->status >= 0 && answer->is_grpc && answer->grpc_status >= 0)
		buf_printf(&sender->message, "grpc-status %d: %.*s", answer->grpc_status,
			   (int)answer->text.len, answer->text.len ? answer->text.data : "");
	else if (answer->status >= 0)
		buf_printf(&sender->message, "status %d", answer->status);
	buf_append_byte(&sender->message, '\0');
}

static void post(struct forward_sender *sender, bool packed)
{
	const struct config *config = sender->config;
	struct http_client_request request = {
		.url = sender->url,
		.content_type = sender->is_grpc ? "application/grpc" : "application/x-protobuf",
		.body = buf_str(&sender->body),
		.timeout_ms = (uint32_t)config->forward_timeout_s * 1000,
		.is_http2 = sender->is_grpc,
		.ca_file = config->forward_tls_ca,
		.cert_file = config->forward_tls_cert,
		.key_file = config->forward_tls_key,
		.on_field = on_field,
		.arg = sender,
	};

	fill_headers(sender, packed, &request);
	forward_answer_fini(&sender->answer);
	forward_answer_init(&sender->answer, sender->is_grpc);
	buf_clear(&sender->received);
	buf_clear(&sender->message);
	sender->answer.status =
		http_client_post(sender->client, &request, &sender->received, &sender->message);
	sender->answer.body = buf_str(&sender->received);
	describe(sender);
}

struct forward_result forward_sender_send(struct forward_sender *sender, struct str request,
					  unsigned spans)
{
	struct forward_result result = { .verdict = FORWARD_AGAIN, .text = "out of memory" };
	bool packed = fill_body(sender, request);

	read_token(sender); /* what cannot be read has been logged; the old one is tried */
	if (buf_error(&sender->body))
		return result;
	post(sender, packed);
	result.verdict = forward_answer_judge(&sender->answer, spans, packed, &result.rejected);
	if (result.verdict == FORWARD_PLAIN)
		sender->is_plain = true;
	result.delay_ms = sender->answer.retry_after_ms;
	if (!buf_error(&sender->message))
		result.text = sender->message.data;
	return result;
}
