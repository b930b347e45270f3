/* SPDX-License-Identifier: Apache-2.0 */
/* The span as everybody else sees it: no library's types, no copies.
 *
 * A batch is one ExportTraceServiceRequest. Its strings are slices of `body`, the uncompressed
 * request, which is kept whole: that is how the original comes back losslessly. Times are Unix ns,
 * as the sender claimed them. A batch is immutable once decoded and may cross threads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/arena.h"
#include "collector/base/hex.h"
#include "collector/base/str.h"

enum span_kind { /* OTLP's numbers */
		 SPAN_KIND_UNSPECIFIED = 0,
		 SPAN_KIND_INTERNAL = 1,
		 SPAN_KIND_SERVER = 2,
		 SPAN_KIND_CLIENT = 3,
		 SPAN_KIND_PRODUCER = 4,
		 SPAN_KIND_CONSUMER = 5,
};

enum span_status { SPAN_STATUS_UNSET = 0, SPAN_STATUS_OK = 1, SPAN_STATUS_ERROR = 2 };

/* What we understand of a Resource; `bytes` is the Resource message itself. */
struct span_resource {
	struct str bytes;
	struct str schema_url; /* of the ResourceSpans */
	struct str service_name;
	struct str service_instance_id;
	struct str runtime_id; /* Datadog's `runtime-id`; else empty */
	struct str container_id;
	struct str host_name;
	int64_t process_pid; /* in the container's pid namespace; 0: not said */
};

struct span_scope {
	struct str bytes;      /* the InstrumentationScope message */
	struct str schema_url; /* of the ScopeSpans */
};

struct span {
	uint8_t trace_id[TRACE_ID_BYTES];
	uint8_t span_id[SPAN_ID_BYTES];
	uint8_t parent_span_id[SPAN_ID_BYTES]; /* zero: a root */
	uint64_t start_unix_ns;
	uint64_t end_unix_ns; /* >= start: the decoder clamps and counts */
	uint64_t
		backward_ns; /* it claimed to end so much before its start; it has no length then */
	struct str name;
	struct str bytes;   /* the Span message, unknown fields included */
	struct str peer;    /* server.address (or net.peer.name), for client spans */
	uint32_t resource;  /* index into the batch's resources */
	uint32_t scope;     /* index into the batch's scopes */
	uint32_t flags;     /* OTLP flags: bits 8 and 9 say whether the parent is remote */
	uint8_t kind;       /* enum span_kind */
	uint8_t status;     /* enum span_status */
	int64_t thread_id;  /* attribute thread.id; 0: not said */
	int64_t process_id; /* attribute process_id or process.pid; 0: not said */
};

/* Why a span is rejected, alone: the rest of its batch is stored. Other receivers would refuse the
 * whole batch for it, so none of these may be handed on. X(name, label of the counter, text) */
/* clang-format off */
#define SPAN_REJECTIONS(X)                                                                         \
	X(TRACE_ID_LENGTH,  "trace_id_length",  "trace id is not 16 bytes long")                   \
	X(TRACE_ID_ZERO,    "trace_id_zero",    "trace id is zero")                                \
	X(SPAN_ID_LENGTH,   "span_id_length",   "span id is not 8 bytes long")                     \
	X(SPAN_ID_ZERO,     "span_id_zero",     "span id is zero")                                 \
	X(PARENT_ID_LENGTH, "parent_id_length", "parent span id is neither empty nor 8 bytes long") \
	X(LINK_ID_LENGTH,   "link_id_length",   "an id of a link is neither empty nor of its length") \
	X(TOO_LARGE,        "too_large",        "more attributes, events or links than are taken")   \
	X(TOO_DEEP,         "too_deep",         "attributes are nested deeper than is taken")
/* clang-format on */

enum span_rejection {
#define X(name, label, text) SPAN_REJECTED_##name,
	SPAN_REJECTIONS(X)
#undef X
		SPAN_REJECTION_KINDS
};

struct span_batch {
	struct str body; /* owned by whoever owns the batch: lives in `arena` or in `body_owner` */
	struct span *spans;
	struct span_resource *resources;
	struct span_scope *scopes;
	uint32_t span_count;
	uint32_t resource_count;
	uint32_t scope_count;
	uint32_t rejected[SPAN_REJECTION_KINDS]; /* by reason */
	uint32_t rejected_count;                 /* their sum */
	uint32_t mended_count;                   /* strings that were not UTF-8 */
	uint32_t clamped_count;                  /* ended before they started */
	const char *rejected_reason;             /* of the first one; static text; NULL: none */
	struct arena arena;                      /* resources, scopes, spans unless owned below */
	struct span
		*spans_owner; /* heap memory behind `spans`, with room for so many; may be NULL */
	uint32_t spans_room;
	char *body_owner; /* heap memory behind `body`, freed with the batch; may be NULL */
};

/* The parent lives in another process, as OTLP flags say (bit 8: known, bit 9: remote). */
static inline bool span_parent_is_remote(const struct span *span)
{
	return (span->flags & 0x300) == 0x300;
}
