/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query.h"

#include <errno.h>

#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/http1.h"

static const struct route {
	const char *path;
	void (*handler)(struct query *query);
	enum { SHORT, LONG } lane;
} routes[] = {
#define X(path, handler, lane, summary) { path, handler, lane },
#include "collector/query.def"
#undef X
};

/* The segment up to the next '/', which stays. */
static struct str take_segment(struct str *path)
{
	const char *slash = path->len ? memchr(path->data, '/', path->len) : NULL;
	struct str segment = { path->data, slash ? (size_t)(slash - path->data) : path->len };

	path->data += segment.len;
	path->len -= segment.len;
	return segment;
}

static bool matches(const char *pattern, struct str path, struct str segments[QUERY_SEGMENTS])
{
	unsigned count = 0;

	while (*pattern) {
		if (pattern[0] == '{') {
			segments[count] = take_segment(&path);
			if (segments[count++].len == 0)
				return false;
			pattern += 2;
		} else {
			if (path.len == 0 || path.data[0] != *pattern)
				return false;
			path.data++;
			path.len--;
			pattern++;
		}
	}
	return path.len == 0;
}

int query_check(struct query *query)
{
	int rc = params_check(query->params);

	if (rc < 0)
		answer_fail(query->answer, 400, "bad_parameter", "%.*s",
			    (int)query->params->complaint.len, query->params->complaint.data);
	return rc;
}

static void dispatch(struct query *query, struct str path)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (matches(routes[i].path, path, query->segments)) {
			routes[i].handler(query);
			return;
		}
	}
	answer_fail(query->answer, 404, "no_such_path", "there is nothing at %.*s", (int)path.len,
		    path.data);
}

bool query_is_long(struct str path)
{
	struct str segments[QUERY_SEGMENTS];

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (matches(routes[i].path, path, segments))
			return routes[i].lane == LONG;
	}
	return true; /* percent-encoded, say */
}

void query_run(struct daemon *daemon, struct str path, struct str query_text, struct str accept,
	       struct answer *answer)
{
	struct params params;
	struct query query = {
		.daemon = daemon, .params = &params, .accept = accept, .answer = answer
	};
	struct buf decoded;

	buf_init(&decoded, 0);
	params_parse(&params, query_text, clock_unix_ns());
	if (http1_decode(path, false, &decoded) < 0)
		answer_fail(answer, 400, "bad_path", "the path is not percent-encoded text");
	else
		dispatch(&query, buf_str(&decoded));
	if (buf_error(&answer->body) == -EMSGSIZE)
		answer_fail(answer, 413, "too_large",
			    "the answer would exceed %zu MiB: ask for less",
			    ANSWER_MAX_BYTES >> 20);
	else if (buf_error(&answer->body))
		answer_fail(answer, 503, "no_memory", "out of memory");
	params_fini(&params);
	buf_fini(&decoded);
}
