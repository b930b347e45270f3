/* SPDX-License-Identifier: Apache-2.0 */
/* TLS for servers, without sockets: ciphertext in, ciphertext out, plain bytes between.
 *
 * The only file that speaks to OpenSSL. TLS 1.2 and later. A context is shared by all connections
 * of a listener, on any thread; it reads its files again when they change. A session belongs to one
 * thread. Errors are negative errno. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

struct tls_context;
struct tls_session;

struct tls_files {             /* paths, borrowed; "": none */
	const char *cert;      /* PEM: the server's own, then the intermediate ones */
	const char *key;       /* PEM, without a passphrase */
	const char *client_ca; /* PEM: clients must show a certificate that one of these signed */
};

/* `offers_http2`: ALPN chooses h2 before http/1.1; without it only http/1.1. On failure `message`
 * gets a sentence that names the file and what is wrong with it. */
int tls_context_new(const struct tls_files *files, bool offers_http2,
		    struct tls_context **out_context, struct buf *message);
void tls_context_free(struct tls_context *context); /* accepts NULL */

/* Reads the files again if they have changed, or when `force`. 1: new connections use them; 0: they
 * are the same; negative: something is wrong with them, the old ones stay, `message` says why. */
int tls_context_reload(struct tls_context *context, bool force, struct buf *message);

int tls_session_new(struct tls_context *context, struct tls_session **out_session);
void tls_session_free(struct tls_session *session); /* accepts NULL */

/* What came from the network. */
void tls_session_feed(struct tls_session *session, struct str bytes);

/* Plain bytes. 0: the peer has ended; -EAGAIN: feed more; -EPROTO: broken, or a client that may not
 * come in. Drives the handshake, so pull after it. */
ssize_t tls_session_read(struct tls_session *session, char *out, size_t size);

/* Takes all of it. -EPROTO. */
int tls_session_write(struct tls_session *session, struct str plain);

/* Appends what is to be sent. -ENOMEM. */
int tls_session_pull(struct tls_session *session, struct buf *out);

/* Says good-bye. */
void tls_session_end(struct tls_session *session);

bool tls_session_is_open(const struct tls_session *session);          /* the handshake is done */
const char *tls_session_complaint(const struct tls_session *session); /* after -EPROTO */
struct str tls_session_protocol(const struct tls_session *session);   /* what ALPN chose */
