/* SPDX-License-Identifier: Apache-2.0 */
/* OTLP attributes, read in place: KeyValue and AnyValue messages become slices.
 *
 * Nothing is allocated; what is returned borrows from the message. Where a key or a member of the
 * oneof comes twice, the last wins. -EBADMSG: not protobuf; -ELOOP: nested deeper than is taken, or
 * than any protobuf library would read (OTLP_MAX_NESTING). Thread safe: no state. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/str.h"
#include "collector/base/wire.h"

/* Arrays within each other: protobuf libraries refuse 100 nested messages, an array is two (a map
 * is three), and a span's attribute already stands in five. */
#define OTLP_MAX_NESTING 47

enum otlp_value_type { /* the field numbers of AnyValue's members */
		       OTLP_VALUE_EMPTY = 0,
		       OTLP_VALUE_STRING = 1,
		       OTLP_VALUE_BOOL = 2,
		       OTLP_VALUE_INT = 3,
		       OTLP_VALUE_DOUBLE = 4,
		       OTLP_VALUE_ARRAY = 5,
		       OTLP_VALUE_KVLIST = 6,
		       OTLP_VALUE_BYTES = 7,
};

struct otlp_value {
	enum otlp_value_type type;
	int64_t integer;  /* of BOOL and INT */
	double number;    /* of DOUBLE */
	struct str bytes; /* of STRING and BYTES; the nested message of ARRAY and KVLIST */
};

struct otlp_attribute {
	struct str key;
	struct otlp_value value;
};

/* Whose attributes: the field number at which each message keeps them. */
enum otlp_owner {
	OTLP_OWNER_RESOURCE = 1,
	OTLP_OWNER_SCOPE = 3,
	OTLP_OWNER_EVENT = 3,
	OTLP_OWNER_LINK = 4,
	OTLP_OWNER_SPAN = 9,
};

/* Reads one AnyValue, one KeyValue. Nested values are checked to the bottom. */
int otlp_attribute_value(struct str any_value, struct otlp_value *out_value);
int otlp_attribute_read(struct str key_value, unsigned max_nesting,
			struct otlp_attribute *out_attribute);

/* Is this field of an AnyValue one of its values? With another wire type it is an unknown field. */
bool otlp_attribute_is_member(const struct wire_field *field);

/* The next attribute of the message that `reader` walks; other fields are passed over. 1: an
 * attribute; 0: the end. */
int otlp_attribute_next(struct wire_reader *reader, enum otlp_owner owner, unsigned max_nesting,
			struct otlp_attribute *out_attribute);

/* -ENOENT: no attribute has this key. */
int otlp_attribute_find(struct str message, enum otlp_owner owner, struct str key,
			struct otlp_value *out_value);

/* An int, or a string or double that is one: SDKs differ. */
bool otlp_attribute_as_int(const struct otlp_value *value, int64_t *out_integer);

/* Is this what a person means who writes KEY=`text`? Strings and bytes compare as they stand,
 * booleans as true and false, numbers by value. Empty values, arrays and maps match nothing. */
bool otlp_attribute_matches(const struct otlp_value *value, struct str text);
