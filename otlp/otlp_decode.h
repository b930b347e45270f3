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
 * place and counted: '?' replaces each byte that is no part of a character. Values nested deeper
 * than OTLP_MAX_NESTING reject their span; in a resource or scope they are -ELOOP. */
#pragma once

#include <stddef.h>

#include "otlp/span.h"

/* What one request may hold; more is -EMSGSIZE. Bounds the arena at about 35 MiB. */
struct otlp_limits {
	uint32_t max_spans;
	uint32_t max_resources;
	uint32_t max_scopes;
};

/* Attributes, events and links of one span together; SDKs stop at 128 of each. */
#define OTLP_MAX_MEMBERS_OF_SPAN 10000

#define OTLP_LIMITS_DEFAULT                                                                        \
	((struct otlp_limits){                                                                     \
		.max_spans = 1u << 17, .max_resources = 1u << 16, .max_scopes = 1u << 16 })

/* Takes `body`, heap memory (NULL when `len` is 0), also on failure. `limits` NULL: the defaults.
 * -EBADMSG: not protobuf; -ELOOP; -EMSGSIZE: over the limits; -ENOMEM. */
int otlp_decode(char *body, size_t len, const struct otlp_limits *limits,
		struct span_batch **out_batch);

void otlp_batch_free(struct span_batch *batch);
