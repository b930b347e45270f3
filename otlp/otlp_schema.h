/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of OTLP traces as a table: which field of protobuf is which member of JSON. */
#pragma once

#include <stdint.h>

#define OTLP_MAX_MEMBERS 16 /* of one message */

enum otlp_shape {
	OTLP_TEXT,    /* string */
	OTLP_HEX,     /* bytes, in hex: ids */
	OTLP_BASE64,  /* bytes */
	OTLP_TIME,    /* fixed64; a string in JSON */
	OTLP_UINT,    /* uint32 */
	OTLP_KIND,    /* an enum, as a number; SPAN_KIND_ names are read */
	OTLP_CODE,    /* an enum, as a number; STATUS_CODE_ names are read */
	OTLP_FLAGS,   /* fixed32 */
	OTLP_BOOL,    /* bool */
	OTLP_INT,     /* int64; a string in JSON */
	OTLP_DOUBLE,  /* double */
	OTLP_MESSAGE, /* one sub-message */
	OTLP_LIST,    /* repeated sub-message */
	OTLP_TEXTS,   /* repeated string */
};

/* A table ends with a member without a name. */
struct otlp_member {
	uint32_t number;
	enum otlp_shape shape;
	const char *name;
	const struct otlp_member *members; /* of MESSAGE and LIST */
};

extern const struct otlp_member otlp_traces_members[];
extern const struct otlp_member otlp_resource_members[];
extern const struct otlp_member otlp_scope_members[];
extern const struct otlp_member otlp_span_members[];
extern const struct otlp_member otlp_key_value_members[];
extern const struct otlp_member otlp_any_value_members[];
