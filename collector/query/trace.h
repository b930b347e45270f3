/* SPDX-License-Identifier: Apache-2.0 */
/* What the two files of GET /api/v1/traces/{id} share. */
#pragma once

#include "collector/base/hex.h"
#include "collector/query.h"

enum trace_format { TRACE_JSON, TRACE_OTLP, TRACE_FORMATS };

const char *trace_format_name(unsigned format);

/* Answers with the original spans, lossless: TracesData as protobuf when the client accepts
 * application/x-protobuf, else as OTLP JSON. */
void trace_otlp(struct query *query, const uint8_t trace_id[TRACE_ID_BYTES]);

/* Answers why a trace could not be read; -ENOENT: 404. */
void trace_fail(struct query *query, int rc);
