/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_schema.h"

#include <stddef.h>

/* ArrayValue and KeyValueList are alike. */
static const struct otlp_member array_members[] = {
	{ 1, OTLP_LIST, "values", otlp_any_value_members },
	{ 0 },
};

static const struct otlp_member kvlist_members[] = {
	{ 1, OTLP_LIST, "values", otlp_key_value_members },
	{ 0 },
};

const struct otlp_member otlp_any_value_members[] = {
	{ 1, OTLP_TEXT, "stringValue", NULL },
	{ 2, OTLP_BOOL, "boolValue", NULL },
	{ 3, OTLP_INT, "intValue", NULL },
	{ 4, OTLP_DOUBLE, "doubleValue", NULL },
	{ 5, OTLP_MESSAGE, "arrayValue", array_members },
	{ 6, OTLP_MESSAGE, "kvlistValue", kvlist_members },
	{ 7, OTLP_BASE64, "bytesValue", NULL },
	{ 0 },
};

const struct otlp_member otlp_key_value_members[] = {
	{ 1, OTLP_TEXT, "key", NULL },
	{ 2, OTLP_MESSAGE, "value", otlp_any_value_members },
	{ 0 },
};

static const struct otlp_member entity_members[] = {
	{ 1, OTLP_TEXT, "schemaUrl", NULL },
	{ 2, OTLP_TEXT, "type", NULL },
	{ 3, OTLP_TEXTS, "idKeys", NULL },
	{ 4, OTLP_TEXTS, "descriptionKeys", NULL },
	{ 0 },
};

const struct otlp_member otlp_resource_members[] = {
	{ 1, OTLP_LIST, "attributes", otlp_key_value_members },
	{ 2, OTLP_UINT, "droppedAttributesCount", NULL },
	{ 3, OTLP_LIST, "entityRefs", entity_members },
	{ 0 },
};

const struct otlp_member otlp_scope_members[] = {
	{ 1, OTLP_TEXT, "name", NULL },
	{ 2, OTLP_TEXT, "version", NULL },
	{ 3, OTLP_LIST, "attributes", otlp_key_value_members },
	{ 4, OTLP_UINT, "droppedAttributesCount", NULL },
	{ 0 },
};

static const struct otlp_member event_members[] = {
	{ 1, OTLP_TIME, "timeUnixNano", NULL },
	{ 2, OTLP_TEXT, "name", NULL },
	{ 3, OTLP_LIST, "attributes", otlp_key_value_members },
	{ 4, OTLP_UINT, "droppedAttributesCount", NULL },
	{ 0 },
};

static const struct otlp_member link_members[] = {
	{ 1, OTLP_HEX, "traceId", NULL },
	{ 2, OTLP_HEX, "spanId", NULL },
	{ 3, OTLP_TEXT, "traceState", NULL },
	{ 4, OTLP_LIST, "attributes", otlp_key_value_members },
	{ 5, OTLP_UINT, "droppedAttributesCount", NULL },
	{ 6, OTLP_FLAGS, "flags", NULL },
	{ 0 },
};

static const struct otlp_member status_members[] = {
	{ 2, OTLP_TEXT, "message", NULL },
	{ 3, OTLP_CODE, "code", NULL },
	{ 0 },
};

const struct otlp_member otlp_span_members[] = {
	{ 1, OTLP_HEX, "traceId", NULL },
	{ 2, OTLP_HEX, "spanId", NULL },
	{ 3, OTLP_TEXT, "traceState", NULL },
	{ 4, OTLP_HEX, "parentSpanId", NULL },
	{ 5, OTLP_TEXT, "name", NULL },
	{ 6, OTLP_KIND, "kind", NULL },
	{ 7, OTLP_TIME, "startTimeUnixNano", NULL },
	{ 8, OTLP_TIME, "endTimeUnixNano", NULL },
	{ 9, OTLP_LIST, "attributes", otlp_key_value_members },
	{ 10, OTLP_UINT, "droppedAttributesCount", NULL },
	{ 11, OTLP_LIST, "events", event_members },
	{ 12, OTLP_UINT, "droppedEventsCount", NULL },
	{ 13, OTLP_LIST, "links", link_members },
	{ 14, OTLP_UINT, "droppedLinksCount", NULL },
	{ 15, OTLP_MESSAGE, "status", status_members },
	{ 16, OTLP_FLAGS, "flags", NULL },
	{ 0 },
};

static const struct otlp_member scope_spans_members[] = {
	{ 1, OTLP_MESSAGE, "scope", otlp_scope_members },
	{ 2, OTLP_LIST, "spans", otlp_span_members },
	{ 3, OTLP_TEXT, "schemaUrl", NULL },
	{ 0 },
};

static const struct otlp_member resource_spans_members[] = {
	{ 1, OTLP_MESSAGE, "resource", otlp_resource_members },
	{ 2, OTLP_LIST, "scopeSpans", scope_spans_members },
	{ 3, OTLP_TEXT, "schemaUrl", NULL },
	{ 0 },
};

const struct otlp_member otlp_traces_members[] = {
	{ 1, OTLP_LIST, "resourceSpans", resource_spans_members },
	{ 0 },
};
