/* SPDX-License-Identifier: Apache-2.0 */
/* The small messages that we send: ExportTraceServiceResponse and google.rpc.Status, as protobuf or
 * as JSON.
 *
 * All append to `out`; its error is returned. Thread safe: no state. */
#pragma once

#include <stdint.h>

#include "collector/base/buf.h"
#include "otlp/grpc_status.h"
#include "otlp/span.h"

enum otlp_form { OTLP_PROTOBUF, OTLP_JSON };

/* Full success is the empty message; else partial_success with `reason` (a warning when nothing was
 * rejected). `reason`: NULL or UTF-8. */
int otlp_response_export(uint64_t rejected_spans, const char *reason, struct buf *out);

/* google.rpc.Status; with RetryInfo when `retry_delay_ms` is not 0. */
int otlp_response_status(enum grpc_status code, const char *message, uint32_t retry_delay_ms,
			 struct buf *out);

/* The same two in either form. The answer to a batch that has been stored: nothing but `{}` or zero
 * bytes, unless spans were rejected or something was mended. */
int otlp_response_stored(enum otlp_form form, const struct span_batch *batch, struct buf *out);
int otlp_response_refused(enum otlp_form form, enum grpc_status code, const char *message,
			  uint32_t retry_delay_ms, struct buf *out);

/* What others answer: how many spans an ExportTraceServiceResponse says were rejected, and how long
 * the RetryInfo of a google.rpc.Status asks to wait. 0: nothing is said. */
uint64_t otlp_response_rejected(struct str response);
uint32_t otlp_response_retry_delay_ms(struct str status);

/* What partial_success says: "2 spans rejected: trace id is zero (2); mended: ...". Nothing when
 * all went well. */
void otlp_response_complaints(const struct span_batch *batch, struct buf *out);
