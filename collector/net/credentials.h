/* SPDX-License-Identifier: Apache-2.0 */
/* What guards one listener: its TLS context and its bearer tokens, each from files that are read
 * again when they change. Loop thread only; the two parts may be used by any thread. */
#pragma once

#include <stdbool.h>

#include "collector/base/buf.h"

struct tls_context;
struct tokens;

struct credentials_options { /* paths, borrowed for the call; "": none */
	const char *name;    /* of the listener, for the log */
	const char *cert, *key, *client_ca, *tokens;
	bool offers_http2;
};

struct credentials {
	const char *name;        /* borrowed */
	struct tls_context *tls; /* owned; NULL: plain */
	struct tokens *tokens;   /* owned; NULL: everybody may come in */
};

/* On failure `message` gets a sentence, and nothing is to be closed. */
int credentials_open(const struct credentials_options *options, struct credentials *credentials,
		     struct buf *message);
void credentials_close(struct credentials *credentials); /* accepts a zeroed one */

/* Reads the files again if they have changed, or when `force`, and logs what came of it. */
void credentials_reload(struct credentials *credentials, bool force);
