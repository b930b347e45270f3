/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"

#define CONNECT_MS 5000l

struct http_client {
	CURL *curl;                /* owned */
	const atomic_bool *cancel; /* borrowed */
	char error[CURL_ERROR_SIZE];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_library(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* The only place where libcurl's codes become ours. */
static int translate(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return -EINVAL;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_ABORTED_BY_CALLBACK:
		return -ECANCELED;
	case CURLE_WRITE_ERROR:
		return -EMSGSIZE;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		return -EACCES;
	case CURLE_GOT_NOTHING:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return -EPROTO;
	default:
		return -EIO;
	}
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct buf *answer = arg;

	if (answer->len + size * count > HTTP_CLIENT_ANSWER_MAX)
		return 0;
	buf_append(answer, data, size * count);
	return buf_error(answer) ? 0 : size * count;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
	const struct http_client_request *request = arg;
	size_t len = size * count;
	const char *colon = memchr(data, ':', len);
	struct str value;

	if (!colon)
		return len; /* the status line, and the empty one */
	value = (struct str){ colon + 1, len - (size_t)(colon + 1 - data) };
	while (value.len && strchr(" \t", value.data[0])) {
		value.data++;
		value.len--;
	}
	while (value.len && strchr(" \t\r\n", value.data[value.len - 1]))
		value.len--;
	request->on_field((struct str){ data, (size_t)(colon - data) }, value, request->arg);
	return len;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct http_client *client = arg;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return atomic_load(client->cancel);
}

int http_client_new(const atomic_bool *cancel, struct http_client **out_client)
{
	struct http_client *client = calloc(1, sizeof(*client));

	pthread_once(&once, init_library);
	if (client)
		client->curl = curl_easy_init();
	if (!client || !client->curl) {
		free(client);
		return -ENOMEM;
	}
	client->cancel = cancel;
	*out_client = client;
	return 0;
}

void http_client_free(struct http_client *client)
{
	if (!client)
		return;
	curl_easy_cleanup(client->curl);
	free(client);
}

static struct curl_slist *make_headers(const struct http_client_request *request)
{
	struct curl_slist *list = NULL;
	struct buf type;

	buf_init(&type, 0);
	buf_printf(&type, "Content-Type: %s", request->content_type);
	buf_append_byte(&type, '\0');
	if (!buf_error(&type))
		list = curl_slist_append(NULL, type.data);
	buf_fini(&type);
	for (size_t i = 0; list && i < HTTP_CLIENT_MAX_HEADERS && request->headers[i]; i++) {
		struct curl_slist *longer = curl_slist_append(list, request->headers[i]);

		if (!longer)
			curl_slist_free_all(list);
		list = longer;
	}
	return list;
}

/* libcurl before 8.0 speaks HTTP/2 in clear on a new connection only: a second request on it fails
 * with CURLE_HTTP2. */
static void set_http2(CURL *curl, const char *url)
{
	bool is_tls = strncmp(url, "https:", 6) == 0;
	long version = is_tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;

	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, version);
	if (!is_tls && curl_version_info(CURLVERSION_NOW)->version_num < 0x080000)
		curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1l);
}

static bool is_given(const char *path)
{
	return path && *path;
}

static void set_tls(CURL *curl, const struct http_client_request *request)
{
	if (is_given(request->ca_file))
		curl_easy_setopt(curl, CURLOPT_CAINFO, request->ca_file);
	if (is_given(request->cert_file))
		curl_easy_setopt(curl, CURLOPT_SSLCERT, request->cert_file);
	if (is_given(request->key_file))
		curl_easy_setopt(curl, CURLOPT_SSLKEY, request->key_file);
}

static void set_options(struct http_client *client, const struct http_client_request *request,
			const struct curl_slist *headers, struct buf *out_answer)
{
	CURL *curl = client->curl;

	curl_easy_reset(curl); /* keeps the connections */
	curl_easy_setopt(curl, CURLOPT_URL, request->url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1l);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "spanwise/" SPANWISE_VERSION);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->error);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_POST, 1l);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.len ? request->body.data : "");
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, out_answer);
	if (request->is_http2)
		set_http2(curl, request->url);
	if (request->on_field) {
		curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
		curl_easy_setopt(curl, CURLOPT_HEADERDATA, request);
	}
	set_tls(curl, request);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0l);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client);
}

int http_client_post(struct http_client *client, const struct http_client_request *request,
		     struct buf *out_answer, struct buf *out_message)
{
	struct curl_slist *headers = make_headers(request);
	CURLcode code;
	long status = 0;
	int rc;

	if (!headers)
		return -ENOMEM;
	set_options(client, request, headers, out_answer);
	client->error[0] = '\0';
	code = curl_easy_perform(client->curl);
	rc = translate(code);
	if (rc == 0)
		curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
	else
		buf_append_text(out_message,
				client->error[0] ? client->error : curl_easy_strerror(code));
	curl_slist_free_all(headers);
	return rc < 0 ? rc : (int)status;
}

bool http_client_is_url(const char *url)
{
	CURLU *parsed = curl_url();
	char *scheme = NULL, *host = NULL;
	bool is_url = parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
		      curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		      curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		      (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(parsed);
	return is_url;
}
