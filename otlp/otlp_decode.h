/* SPDX-License-Identifier: Apache-2.0 */
/* ExportTraceServiceRequest -> struct span_batch: one walk over the bytes, slices instead of
 * copies.
 *
 * The whole message is checked, attributes, events and links to the bottom, so that whatever is
 * accepted can be stored and handed on to others. Fields that we do not know, or that come with
 * another wire type, are passed over and stay in the slices. Thread safe: no state is shared.
 *
 * A span is rejected alone, and counted by reason (span.h), for ids that other receivers would
 * refuse the whole batch for. A parent id of 8 zero bytes means a root. A span that ends before it
 * starts is kept as sent, read with length 0, and counted. Strings that are not UTF-8 are mended in
 * place and counted: '?' replaces each byte that is no part of a character. Attributes beyond the
 * limits reject their span; in a resource or scope, all spans of that. */
#pragma once

#include <stddef.h>

#include "otlp/otlp_batch.h"
#include "otlp/span.h"

/* What one request may hold; more spans, resources or scopes are -EMSGSIZE, which bounds what
 * it takes at about 35 MiB. */
struct otlp_limits {
	uint32_t max_spans;
	uint32_t max_resources;
	uint32_t max_scopes;
	uint32_t max_attributes; /* of one span (events and links count as well), event, link,
				    resource or scope; SDKs stop at 128 */
	uint32_t max_nesting;    /* arrays and maps within each other, at most OTLP_MAX_NESTING */
};

extern const struct otlp_limits otlp_limits_default;

/* Takes `body`, heap memory (NULL when `len` is 0), also on failure. `limits` NULL: the defaults.
 * -EBADMSG: not protobuf; -EMSGSIZE: over the limits; -ENOMEM. */
int otlp_decode(char *body, size_t len, const struct otlp_limits *limits,
		struct span_batch **out_batch);
