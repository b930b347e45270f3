/* SPDX-License-Identifier: Apache-2.0 */
/* Serves the query API: transport <-> http1 <-> query.
 *
 * Loop thread only. Requests run on threads of their own (query_lanes.h), never on the loop; each
 * connection has one at a time. Errors are negative errno. */
#pragma once

#include <stddef.h>
#include <uv.h>

struct daemon;
struct http_server;
struct tls_context;
struct tokens;

#define HTTP_MAX_CONNECTIONS 128
#define HTTP_READ_MS         10000 /* a request must be complete after its first byte */
#define HTTP_IDLE_MS         60000 /* between requests */
#define HTTP_WRITE_MS        30000 /* until the client has taken its answer */
#define HTTP_LINGER_MS       1000  /* for the client to read our last words before we close */
#define HTTP_MAX_WORKING     64    /* requests at work and waiting; beyond it 429 */
/* Of answers that clients have not taken yet; beyond it 429. */
#define HTTP_MAX_UNSENT_BYTES ((size_t)32 << 20)
#define HTTP_GZIP_BYTES       ((size_t)1024) /* shorter answers are not worth packing */

struct http_server_options {
	uv_loop_t *loop;     /* all borrowed */
	const char *address; /* as in address.h; port 0 picks a free one */
	struct daemon *daemon;
	struct tls_context *tls; /* NULL: plain */
	struct tokens *tokens;   /* NULL: everybody may ask */
	const char *origins;     /* pages that may ask, as in net/origins.h */
};

/* `out_bound_address` gets the real address. */
int http_server_start(const struct http_server_options *options, struct http_server **out_server,
		      char *out_bound_address, size_t bound_size);

/* So many queries that read for long may run at once: any thread. */
void http_server_limit_long(struct http_server *server, unsigned most);

/* Closes the listener and all connections, and frees the server when the last handle has closed and
 * the last request has come back: run the loop until then. Accepts NULL. */
void http_server_stop(struct http_server *server);
