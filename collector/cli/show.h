/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that show something share. Each returns the exit status of its command. */
#pragma once

#include "collector/base/hex.h"
#include "collector/cli/client.h"
#include "collector/cli/term.h"

/* Prints the answer as it came; 1 when it is an error. */
int show_json(struct client *client, const char *path);

/* Prints client->message on stderr; returns 1. */
int show_failure(const struct client *client);

/* A trace id from what a person writes: the id, its first digits, latest, slowest. Negative errno
 * with client->message. */
int show_find_trace(struct client *client, const char *word, char out_id[TRACE_ID_HEX + 1]);

/* A table of the "spans" of a search. `cells` collects what was drawn, for bar_legend. */
void show_spans(const struct term *term, const struct json_value *root, struct buf *cells,
		struct buf *out);
/* A table of "operations", best `limit` of them by `sort`: "ratio", "wall" or "blocked". -ENOMEM.
 */
int show_operations(const struct term *term, const struct json_value *root, const char *sort,
		    unsigned long limit, struct buf *cells, struct buf *out);
