/* SPDX-License-Identifier: Apache-2.0 */
/* ExportTraceServiceRequest as OTLP/JSON -> the same request as protobuf -> struct span_batch.
 *
 * Going through protobuf gives one decoder, one form on disk and one answer for both encodings.
 *
 * Strict about JSON: no byte-order mark, nothing behind the object. As lenient about OTLP as the
 * clients are: members in any order, unknown ones and null ignored (snake_case is unknown); ids in
 * hex of either case; 64-bit integers as strings or numbers, also whole doubles (1e3; an intValue
 * beyond 64 bits becomes a doubleValue); doubles also
 * as strings, "NaN" and "Infinity" among them; bytes as base64 of either alphabet, padded or not;
 * enums as numbers or names. A member that comes twice: the last one counts. An id that is not hex
 * rejects its span alone, as one of the wrong length does. Thread safe: no state is shared. */
#pragma once

#include "collector/base/buf.h"
#include "otlp/otlp_decode.h"

/* Appends the request as protobuf to `out`. -EBADMSG: not OTLP/JSON; what and where stands in
 * `out_problem` (may be NULL), as "expected a number at byte 17". -EMSGSIZE: the limit of `out`;
 * -ENOMEM. After a failure `out` holds something that means nothing. */
int otlp_json_to_protobuf(struct str json, struct buf *out, struct buf *out_problem);

/* Both steps; `json` is borrowed for the call. Errors and limits as of otlp_decode; more than
 * `max_bytes` of protobuf (0: no limit) is -EMSGSIZE. */
int otlp_json_decode(struct str json, size_t max_bytes, const struct otlp_limits *limits,
		     struct span_batch **out_batch, struct buf *out_problem);
