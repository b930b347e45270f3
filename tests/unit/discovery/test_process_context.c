/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "bpf/process_context.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/base/buf.h"
#include "collector/base/wire.h"

struct header {
	char signature[8];
	uint32_t version;
	uint32_t payload_bytes;
	uint64_t published_ns;
	uint64_t payload;
};

static void put_message(struct buf *buf, uint32_t number, struct buf *message)
{
	wire_put_bytes(buf, number, buf_str(message));
	buf_fini(message);
}

static void put_attribute(struct buf *buf, uint32_t number, const char *key, const char *text)
{
	struct buf attribute, value;

	buf_init(&attribute, 0);
	buf_init(&value, 0);
	wire_put_bytes(&value, 1, str_of(text));
	wire_put_bytes(&attribute, 1, str_of(key));
	put_message(&attribute, 2, &value);
	put_message(buf, number, &attribute);
}

/* `schema_in_resource`: as libdatadog before 3.0.0 wrote it. */
static void make_payload(struct buf *payload, bool schema_in_resource, const char *schema)
{
	struct buf resource;

	buf_init(payload, 0);
	buf_init(&resource, 0);
	put_attribute(&resource, 1, "service.name", "shop");
	put_attribute(&resource, 1, "service.instance.id", "5c0f");
	if (schema_in_resource)
		put_attribute(&resource, 1, "threadlocal.schema_version", schema);
	put_message(payload, 1, &resource);
	if (!schema_in_resource)
		put_attribute(payload, 2, "threadlocal.schema_version", schema);
}

static enum process_schema schema_of(bool in_resource, const char *schema)
{
	struct process_context context;
	struct buf payload;

	make_payload(&payload, in_resource, schema);
	assert_int_equal(process_context_decode(buf_str(&payload), &context), 0);
	assert_string_equal(context.service_name, "shop");
	assert_string_equal(context.service_instance_id, "5c0f");
	assert_string_equal(context.schema_version, schema);
	buf_fini(&payload);
	return context.schema;
}

static void schema_is_found_in_both_places(void **state)
{
	(void)state;
	assert_int_equal(schema_of(false, "tlsdesc_v1_dev"), PROCESS_SCHEMA_NATIVE);
	assert_int_equal(schema_of(true, "tlsdesc_v1_dev"), PROCESS_SCHEMA_NATIVE);
}

static void every_schema_in_the_wild_is_known(void **state)
{
	(void)state;
	assert_int_equal(schema_of(false, "tlsdesc_v1"), PROCESS_SCHEMA_NATIVE);
	assert_int_equal(schema_of(false, "tls_v1"), PROCESS_SCHEMA_NATIVE);
	assert_int_equal(schema_of(false, "tls_v1_dev"), PROCESS_SCHEMA_NATIVE);
	assert_int_equal(schema_of(false, "nodejs_v1_dev"), PROCESS_SCHEMA_NODEJS);
	assert_int_equal(schema_of(false, "nodejs_v1"), PROCESS_SCHEMA_NODEJS);
	assert_int_equal(schema_of(false, "go_pprof_labels_v1"), PROCESS_SCHEMA_GO);
	assert_int_equal(schema_of(false, "tlsdesc_v2"), PROCESS_SCHEMA_UNKNOWN);
}

static void context_without_schema_is_lenient(void **state)
{
	struct process_context context;

	(void)state;
	assert_int_equal(process_context_decode((struct str){ 0 }, &context), 0);
	assert_int_equal(context.schema, PROCESS_SCHEMA_ABSENT);
	assert_string_equal(context.service_name, "");
}

static void damaged_payload_is_refused_or_read(void **state)
{
	struct process_context context;
	struct buf payload;

	(void)state;
	make_payload(&payload, false, "tlsdesc_v1_dev");
	for (size_t bytes = 0; bytes < payload.len; bytes++)
		process_context_decode((struct str){ payload.data, bytes }, &context);
	assert_int_equal(
		process_context_decode((struct str){ payload.data, payload.len - 1 }, &context),
		-EBADMSG);
	for (size_t at = 0; at < payload.len; at++) {
		payload.data[at] ^= 0x7f;
		process_context_decode(buf_str(&payload), &context);
		payload.data[at] ^= 0x7f;
	}
	buf_fini(&payload);
}

static void long_texts_are_cut(void **state)
{
	struct process_context context;
	struct buf payload, resource;
	char name[200];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	buf_init(&payload, 0);
	buf_init(&resource, 0);
	put_attribute(&resource, 1, "service.name", name);
	put_message(&payload, 1, &resource);
	assert_int_equal(process_context_decode(buf_str(&payload), &context), 0);
	assert_int_equal(strlen(context.service_name), sizeof(context.service_name) - 1);
	buf_fini(&payload);
}

/* Reads from our own memory. */
static int read_back(const struct header *header, struct process_context *out_context)
{
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC), rc;

	assert_true(fd >= 0);
	rc = process_context_read(fd, (uint64_t)(uintptr_t)header, out_context);
	close(fd);
	return rc;
}

static void header_is_checked_before_it_is_followed(void **state)
{
	struct header header = { "OTEL_CT", 2, 0, 77, 0 }, wrong;
	struct process_context context;
	struct buf payload;

	(void)state;
	make_payload(&payload, false, "tls_v1");
	memcpy(header.signature, "OTEL_CTX", 8);
	header.payload_bytes = (uint32_t)payload.len;
	header.payload = (uint64_t)(uintptr_t)payload.data;
	assert_int_equal(read_back(&header, &context), 0);
	assert_string_equal(context.service_name, "shop");
	wrong = header;
	wrong.signature[0] = 'o';
	assert_int_equal(read_back(&wrong, &context), -ENOENT);
	wrong = header;
	wrong.version = 1;
	assert_int_equal(read_back(&wrong, &context), -ENOENT);
	wrong = header;
	wrong.published_ns = 0;
	assert_int_equal(read_back(&wrong, &context), -EAGAIN);
	wrong = header;
	wrong.payload_bytes = PROCESS_CONTEXT_MAX_BYTES + 1;
	assert_int_equal(read_back(&wrong, &context), -EMSGSIZE);
	wrong = header;
	wrong.payload = UINT64_MAX - 3;
	assert_int_equal(read_back(&wrong, &context), -EBADMSG);
	wrong.payload = 8;
	assert_int_equal(read_back(&wrong, &context), -EBADMSG);
	buf_fini(&payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schema_is_found_in_both_places),
		cmocka_unit_test(every_schema_in_the_wild_is_known),
		cmocka_unit_test(context_without_schema_is_lenient),
		cmocka_unit_test(damaged_payload_is_refused_or_read),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(header_is_checked_before_it_is_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
