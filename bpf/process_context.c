/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/process_context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/process_memory.h"
#include "collector/base/macros.h"
#include "collector/base/wire.h"

#define CONTEXT_VERSION 2
#define MAX_FIELDS      4096 /* of one message */
#define MAX_ATTEMPTS    3

struct context_header {
	char signature[8]; /* "OTEL_CTX" */
	uint32_t version;
	uint32_t payload_bytes;
	uint64_t published_ns; /* 0: being changed */
	uint64_t payload;      /* address */
};

_Static_assert(sizeof(struct context_header) == 32, "OTEP 4719");

static enum process_schema schema_of(struct str version)
{
	static const struct {
		const char *text;
		enum process_schema schema;
	} known[] = {
		{ "tlsdesc_v1_dev", PROCESS_SCHEMA_NATIVE },
		{ "tlsdesc_v1", PROCESS_SCHEMA_NATIVE },
		{ "tls_v1_dev", PROCESS_SCHEMA_NATIVE },
		{ "tls_v1", PROCESS_SCHEMA_NATIVE },
		{ "nodejs_v1_dev", PROCESS_SCHEMA_NODEJS },
		{ "nodejs_v1", PROCESS_SCHEMA_NODEJS },
		{ "go_pprof_labels_v1", PROCESS_SCHEMA_GO },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (str_eq(version, str_of(known[i].text)))
			return known[i].schema;
	return PROCESS_SCHEMA_UNKNOWN;
}

static void note(struct process_context *context, struct str key, struct str value)
{
	if (str_eq(key, STR("threadlocal.schema_version"))) {
		context->schema = schema_of(value);
		process_memory_text(context->schema_version, sizeof(context->schema_version),
				    value);
	} else if (str_eq(key, STR("spanwise.changes"))) {
		context->has_changes = str_eq(value, STR("v1"));
	} else if (str_eq(key, STR("service.name"))) {
		process_memory_text(context->service_name, sizeof(context->service_name), value);
	} else if (str_eq(key, STR("service.instance.id"))) {
		process_memory_text(context->service_instance_id,
				    sizeof(context->service_instance_id), value);
	}
}

/* The last field `number` that is a string or a message. 1: found, 0: not there. */
static int take_bytes(struct str message, uint32_t number, struct str *out_bytes)
{
	struct wire_reader reader = wire_read(message);
	struct wire_field field;
	int rc, found = 0;

	while ((rc = wire_next(&reader, &field)) > 0) {
		if (field.number != number || field.type != WIRE_BYTES)
			continue;
		*out_bytes = field.bytes;
		found = 1;
	}
	return rc < 0 ? rc : found;
}

/* KeyValue{1: key, 2: AnyValue{1: string}}; values of other types do not concern us. */
static int decode_attribute(struct process_context *context, struct str message)
{
	struct str key = { 0 }, value = { 0 }, text = { 0 };
	int rc = take_bytes(message, 1, &key);

	if (rc == 1)
		rc = take_bytes(message, 2, &value);
	if (rc == 1)
		rc = take_bytes(value, 1, &text);
	if (rc == 1)
		note(context, key, text);
	return rc < 0 ? rc : 0;
}

static int decode_attributes(struct process_context *context, struct str message, uint32_t number)
{
	struct wire_reader reader = wire_read(message);
	struct wire_field field;
	int rc, count = 0;

	while ((rc = wire_next(&reader, &field)) > 0) {
		if (field.number != number || field.type != WIRE_BYTES)
			continue;
		if (++count > MAX_FIELDS)
			return -EMSGSIZE;
		rc = decode_attribute(context, field.bytes);
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* ProcessContext{1: Resource{1: KeyValue...}, 2: KeyValue...}. Some writers put the keys
 * `threadlocal.*` into the one, some into the other. */
int process_context_decode(struct str payload, struct process_context *out_context)
{
	struct process_context context = { 0 };
	struct str resource = STR("");
	int rc = payload.len ? take_bytes(payload, 1, &resource) : 0;

	if (rc >= 0)
		rc = decode_attributes(&context, resource, 1);
	if (rc >= 0 && payload.len)
		rc = decode_attributes(&context, payload, 2);
	if (rc >= 0)
		*out_context = context;
	return rc;
}

static int read_header(int memory_fd, uint64_t address, struct context_header *out_header)
{
	if (process_memory_read(memory_fd, address, out_header, sizeof(*out_header)) < 0 ||
	    memcmp(out_header->signature, "OTEL_CTX", 8) != 0 ||
	    out_header->version != CONTEXT_VERSION)
		return -ENOENT;
	if (out_header->published_ns == 0)
		return -EAGAIN;
	return out_header->payload_bytes > PROCESS_CONTEXT_MAX_BYTES ? -EMSGSIZE : 0;
}

/* -EAGAIN: it changed meanwhile. */
static int read_once(int memory_fd, uint64_t address, char *payload, size_t *out_bytes)
{
	struct context_header before, after;
	int rc = read_header(memory_fd, address, &before);

	if (rc == 0 && before.payload_bytes > 0)
		rc = process_memory_read(memory_fd, before.payload, payload, before.payload_bytes);
	if (rc == 0)
		rc = read_header(memory_fd, address, &after);
	if (rc < 0)
		return rc == -EFAULT ? -EBADMSG : rc;
	*out_bytes = before.payload_bytes;
	return memcmp(&before, &after, sizeof(before)) == 0 ? 0 : -EAGAIN;
}

int process_context_read(int memory_fd, uint64_t address, struct process_context *out_context)
{
	char *payload = malloc(PROCESS_CONTEXT_MAX_BYTES);
	size_t bytes = 0;
	int rc = -EAGAIN;

	if (!payload)
		return -ENOMEM;
	for (int i = 0; i < MAX_ATTEMPTS && rc == -EAGAIN; i++)
		rc = read_once(memory_fd, address, payload, &bytes);
	if (rc == 0)
		rc = process_context_decode((struct str){ payload, bytes }, out_context);
	free(payload);
	return rc;
}
