/* SPDX-License-Identifier: Apache-2.0 */
/* The small messages that we send: ExportTraceServiceResponse and google.rpc.Status.
 *
 * Both append to `out`; its error is returned. Thread safe: no state. */
#pragma once

#include <stdint.h>

#include "collector/base/buf.h"
#include "otlp/grpc_status.h"

/* Full success is the empty message; else partial_success with `reason` (a warning when nothing was
 * rejected). `reason`: NULL or UTF-8. */
int otlp_response_export(uint64_t rejected_spans, const char *reason, struct buf *out);

/* google.rpc.Status; with RetryInfo when `retry_delay_ms` is not 0. */
int otlp_response_status(enum grpc_status code, const char *message, uint32_t retry_delay_ms,
			 struct buf *out);
