/* SPDX-License-Identifier: Apache-2.0 */
/* How a call ended, as header fields: grpc-status and what explains it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "otlp/grpc_status.h"

#define GRPC_TRAILER_MAX_FIELDS 4

/* Fields point into `text`; names are static. */
struct grpc_trailer {
	struct {
		const char *name;
		size_t offset;
		size_t len;
	} fields[GRPC_TRAILER_MAX_FIELDS];
	size_t count;
	struct buf text; /* owned */
};

/* grpc-status; for an error also grpc-message, and with `retry_delay_ms` RetryInfo in
 * grpc-status-details-bin and grpc-retry-pushback-ms. `text` may be NULL. -ENOMEM. */
int grpc_trailer_init(struct grpc_trailer *trailer, enum grpc_status status, const char *text,
		      uint32_t retry_delay_ms);
void grpc_trailer_fini(struct grpc_trailer *trailer);

/* Percent-encodes as gRPC wants it, at most 1 KiB of `text`. */
void grpc_trailer_encode_message(const char *text, struct buf *out);
