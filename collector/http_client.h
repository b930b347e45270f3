/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to other people's HTTP servers: http and https, certificates checked, no redirects.
 *
 * One thread for each client; every call blocks until the answer, the deadline, or until `cancel`
 * becomes true, so none may be made from the loop thread. Connections are kept between calls. The
 * only place that speaks to libcurl. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

#define HTTP_CLIENT_MAX_HEADERS 8
#define HTTP_CLIENT_ANSWER_MAX  ((size_t)1 << 20)

struct http_client;

/* `cancel`: borrowed; ends a request under way with -ECANCELED. -ENOMEM. */
int http_client_new(const atomic_bool *cancel, struct http_client **out_client);
void http_client_free(struct http_client *client);

struct http_client_request {
	const char *url;
	const char *content_type;
	const char *headers[HTTP_CLIENT_MAX_HEADERS]; /* "Name: value"; NULL ends them */
	struct str body;
	uint32_t timeout_ms;
	bool is_http2; /* from the first byte on, as gRPC wants it */
	/* In PEM, NULL or "": the system's authorities, no certificate of our own. */
	const char *ca_file, *cert_file, *key_file;
	/* Each header field and trailer of the answer, borrowed for the call; NULL: not wanted. */
	void (*on_field)(struct str name, struct str value, void *arg);
	void *arg;
};

/* POST. Returns the status of the answer, whose body is appended to `out_answer`; or negative, when
 * there was none: -EINVAL the URL, -ECONNREFUSED, -EHOSTUNREACH, -ETIMEDOUT, -EPROTO, -EMSGSIZE the
 * answer is too large, -EACCES the certificate, -ECANCELED, -ENOMEM, -EIO. `out_message` then gets
 * the reason in words. */
int http_client_post(struct http_client *client, const struct http_client_request *request,
		     struct buf *out_answer, struct buf *out_message);

/* http or https, with a host. */
bool http_client_is_url(const char *url);
