/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a running daemon: one GET over a plain blocking socket.
 *
 * Every failure is a sentence that says what to do. Not thread safe. */
#pragma once

#include "collector/base/buf.h"
#include "collector/base/json_read.h"

#define CLIENT_DEFAULT_API "127.0.0.1:7317"
#define CLIENT_TIMEOUT_S   30
#define CLIENT_MAX_BYTES   ((size_t)64 << 20)

struct client {
	const char *api;    /* borrowed: "127.0.0.1:7317" */
	struct buf message; /* after a failure: why, and what to do */
};

/* `api`: of --api; NULL: SPANWISE_API, else the default. */
void client_init(struct client *client, const char *api);
void client_fini(struct client *client);

/* `out_body` gets the body whatever the status is. Returns the HTTP status; negative errno when no
 * answer came, and client->message says why. */
int client_get(struct client *client, const char *path, struct buf *out_body);

/* client_get, and the answer as JSON: 0, or negative errno with client->message; an error of the
 * API is told in its own words: -ENOENT for 404, else -EINVAL. */
int client_get_json(struct client *client, const char *path, struct json_value **out_root);

/* Appends `text` as it may stand in a query. */
void client_escape(struct buf *out, const char *text);
