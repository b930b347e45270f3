/* SPDX-License-Identifier: Apache-2.0 */
/* TracesData as OTLP JSON: ids in hex, lowerCamelCase, enums as numbers, 64-bit integers as
 * strings.
 *
 * The known fields of every message are written, unknown ones are not: JSON has no place for them.
 * A field that is absent in protobuf is absent here. Values nested deeper than
 * OTLP_JSON_MAX_NESTING, which otlp_decode does not let in, are written as empty values. Thread
 * safe: no state. */
#pragma once

#include "collector/base/json.h"
#include "otlp/otlp_encode.h"

#define OTLP_JSON_MAX_NESTING 48

/* Writes one object, {"resourceSpans":[...]}; `key` as in json.h. Parts are grouped as
 * otlp_encode_traces does. Bytes that are no protobuf end the message in which they stand. Running
 * out of memory shows in the buf of `json`. */
void otlp_json_traces(struct json *json, const char *key, const struct otlp_part *parts,
		      size_t count);
