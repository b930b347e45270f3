/* SPDX-License-Identifier: Apache-2.0 */
/* The query API: a path and its parameters in, an answer out. query.def is the table of routes.
 *
 * query_run blocks on the disk and, for traces that are not settled, on the engine: call it from a
 * worker thread, any number at a time. Nothing here knows of sockets. */
#pragma once

#include <stdint.h>

#include "collector/base/str.h"
#include "collector/query/answer.h"
#include "collector/query/params.h"

struct daemon;

#define QUERY_SEGMENTS    2
#define QUERY_DEADLINE_NS 5000000000ull /* a search that takes longer answers with what it has */

/* What a handler gets. */
struct query {
	struct daemon *daemon;
	struct str segments[QUERY_SEGMENTS]; /* what stood for {...} in the path, decoded */
	struct params *params;
	struct str accept; /* the header Accept */
	struct answer *answer;
};

/* `path` and `query` as they came, encoded. Always leaves a complete answer. */
void query_run(struct daemon *daemon, struct str path, struct str query, struct str accept,
	       struct answer *answer);

/* Whether it may take longer than a moment. `path` as it came. */
bool query_is_long(struct str path);

/* For handlers: params_check, answered with 400 when it fails. */
int query_check(struct query *query);

/* The handlers, one for each row of the table. */
#define X(path, handler, lane, summary) void handler(struct query *query);
#include "collector/query.def"
#undef X
