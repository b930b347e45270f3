/* SPDX-License-Identifier: Apache-2.0 */
/* The original spans of a trace, as they were sent. */
#include <errno.h>
#include <stdlib.h>

#include "collector/base/arena.h"
#include "collector/base/json.h"
#include "collector/daemon.h"
#include "collector/http1.h"
#include "collector/query/trace.h"
#include "otlp/otlp_json.h"
#include "storage/store.h"

/* What the store lends during a visit, copied. */
struct originals {
	struct arena arena;
	struct otlp_part *parts; /* owned */
	size_t count, cap;
	bool failed;
};

/* Spans of one batch repeat their resource and scope: `previous` is then used again. */
static struct str keep(struct originals *originals, struct str bytes, struct str previous)
{
	char *copy;

	if (bytes.len == 0 || str_eq(bytes, previous))
		return bytes.len ? previous : (struct str){ NULL, 0 };
	copy = arena_alloc(&originals->arena, bytes.len);
	if (!copy) {
		originals->failed = true;
		return (struct str){ NULL, 0 };
	}
	return (struct str){ memcpy(copy, bytes.data, bytes.len), bytes.len };
}

static int on_span(const struct store_span *span, void *arg)
{
	struct originals *originals = arg;
	struct otlp_part previous = { 0 };

	if (originals->count == originals->cap) {
		size_t cap = originals->cap ? 2 * originals->cap : 64;
		struct otlp_part *parts = reallocarray(originals->parts, cap, sizeof(*parts));

		if (!parts)
			return -ENOMEM;
		originals->parts = parts;
		originals->cap = cap;
	}
	if (originals->count)
		previous = originals->parts[originals->count - 1];
	originals->parts[originals->count++] = (struct otlp_part){
		.resource = keep(originals, span->resource.bytes, previous.resource),
		.resource_schema_url =
			keep(originals, span->resource.schema_url, previous.resource_schema_url),
		.scope = keep(originals, span->scope.bytes, previous.scope),
		.scope_schema_url =
			keep(originals, span->scope.schema_url, previous.scope_schema_url),
		.span = keep(originals, span->span.bytes, (struct str){ NULL, 0 }),
	};
	return originals->failed ? -EMSGSIZE : 0;
}

static void put(struct query *query, const struct originals *originals)
{
	struct answer *answer = query->answer;
	struct json json;

	if (http1_accepts(query->accept, "application/x-protobuf") ||
	    http1_accepts(query->accept, "application/protobuf")) {
		answer->content_type = "application/x-protobuf";
		otlp_encode_traces(originals->parts, originals->count, &answer->body);
		return;
	}
	json_init(&json, &answer->body);
	otlp_json_traces(&json, NULL, originals->parts, originals->count);
}

void trace_otlp(struct query *query, const uint8_t trace_id[TRACE_ID_BYTES])
{
	struct originals originals = { 0 };
	int rc;

	arena_init(&originals.arena, ANSWER_MAX_BYTES);
	rc = store_each_of_trace(daemon_store(query->daemon), trace_id, on_span, &originals);
	if (rc < 0)
		trace_fail(query, rc);
	else
		put(query, &originals);
	free(originals.parts);
	arena_fini(&originals.arena);
}
