/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_decode.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "otlp/otlp_attribute.h"
#include "tests/lib/nth_alloc.h"
#include "tests/unit/otlp/otlp_bytes.h"

static struct span_batch *decode_ok(struct buf *request)
{
	struct span_batch *batch = NULL;

	assert_int_equal(bytes_decode(request, NULL, &batch), 0);
	return batch;
}

static struct span_batch *decode_span(struct buf *span)
{
	struct buf request = bytes_request(span);

	return decode_ok(&request);
}

static int decode_error(struct buf *request)
{
	struct span_batch *batch = NULL;
	int rc = bytes_decode(request, NULL, &batch);

	assert_null(batch);
	return rc;
}

static void assert_str(struct str found, const char *text)
{
	assert_int_equal(found.len, strlen(text));
	assert_memory_equal(found.data, text, found.len);
}

static void empty_request_is_an_empty_batch(void **state)
{
	struct buf request = { 0 };
	struct span_batch *batch = decode_ok(&request);

	(void)state;
	assert_int_equal(batch->span_count, 0);
	assert_int_equal(batch->resource_count, 0);
	otlp_batch_free(batch);
}

static void every_field_of_a_span_is_read(void **state)
{
	struct buf span = bytes_span(SPAN_A, "GET /report"), status = { 0 };
	struct span_batch *batch;
	const struct span *found;

	(void)state;
	wire_put_bytes(&span, 4, SPAN_B);
	wire_put_uint(&span, 6, SPAN_KIND_CLIENT);
	bytes_put_int(&span, 9, "thread.id", 4711);
	bytes_put_int(&span, 9, "process_id", 99);
	bytes_put_text(&span, 9, "server.address", "10.0.0.5");
	bytes_put_int(&span, 9, "server.port", 5432);
	wire_put_bytes(&status, 2, STR("too late"));
	wire_put_uint(&status, 3, SPAN_STATUS_ERROR);
	bytes_put_message(&span, 15, &status);
	bytes_put_fixed32(&span, 16, 0x301);
	batch = decode_span(&span);
	assert_int_equal(batch->span_count, 1);
	found = &batch->spans[0];
	assert_memory_equal(found->trace_id, TRACE_A.data, 16);
	assert_memory_equal(found->span_id, SPAN_A.data, 8);
	assert_memory_equal(found->parent_span_id, SPAN_B.data, 8);
	assert_str(found->name, "GET /report");
	assert_str(found->peer, "10.0.0.5:5432");
	assert_int_equal(found->start_unix_ns, 1000);
	assert_int_equal(found->end_unix_ns, 3000);
	assert_int_equal(found->kind, SPAN_KIND_CLIENT);
	assert_int_equal(found->status, SPAN_STATUS_ERROR);
	assert_int_equal(found->thread_id, 4711);
	assert_int_equal(found->process_id, 99);
	assert_true(span_parent_is_remote(found));
	otlp_batch_free(batch);
}

static void strings_are_slices_of_the_body(void **state)
{
	struct buf span = bytes_span(SPAN_A, "name");
	struct span_batch *batch = decode_span(&span);
	const char *name = batch->spans[0].name.data;

	(void)state;
	assert_true(name > batch->body.data && name < batch->body.data + batch->body.len);
	assert_ptr_equal(batch->body.data, batch->body_owner);
	otlp_batch_free(batch);
}

static void put_resource(struct buf *out)
{
	struct buf resource = { 0 };

	bytes_put_text(&resource, 1, "service.name", "report");
	bytes_put_text(&resource, 1, "service.instance.id", "i-1");
	bytes_put_text(&resource, 1, "runtime-id", "r-1");
	bytes_put_text(&resource, 1, "container.id", "c0ffee");
	bytes_put_text(&resource, 1, "host.name", "node");
	bytes_put_int(&resource, 1, "process.pid", 42);
	bytes_put_message(out, 1, &resource);
}

static void put_scope_spans(struct buf *out, const char *scope_name, struct str span_id)
{
	struct buf scope_spans = { 0 }, scope = { 0 }, span = bytes_span(span_id, scope_name);

	wire_put_bytes(&scope, 1, str_of(scope_name));
	bytes_put_message(&scope_spans, 2, &span);
	bytes_put_message(&scope_spans, 1, &scope);
	wire_put_bytes(&scope_spans, 3, STR("http://scope"));
	bytes_put_message(out, 2, &scope_spans);
}

static void spans_know_their_resource_and_scope_in_any_order(void **state)
{
	struct buf first = { 0 }, second = { 0 }, request = { 0 };
	struct span_batch *batch;

	(void)state;
	put_scope_spans(&first, "one", SPAN_A);
	put_scope_spans(&first, "two", SPAN_B);
	wire_put_bytes(&first, 3, STR("http://resource"));
	put_resource(&first);
	put_scope_spans(&second, "three", SPAN_A);
	bytes_put_message(&request, 1, &first);
	bytes_put_message(&request, 1, &second);
	batch = decode_ok(&request);
	assert_int_equal(batch->span_count, 3);
	assert_int_equal(batch->resource_count, 2);
	assert_int_equal(batch->scope_count, 3);
	assert_int_equal(batch->spans[1].resource, 0);
	assert_int_equal(batch->spans[1].scope, 1);
	assert_int_equal(batch->spans[2].resource, 1);
	assert_int_equal(batch->spans[2].scope, 2);
	assert_str(batch->scopes[1].schema_url, "http://scope");
	assert_int_equal(batch->scopes[1].bytes.len, 5);
	assert_str(batch->resources[0].schema_url, "http://resource");
	assert_str(batch->resources[0].service_name, "report");
	assert_str(batch->resources[0].service_instance_id, "i-1");
	assert_str(batch->resources[0].runtime_id, "r-1");
	assert_str(batch->resources[0].container_id, "c0ffee");
	assert_str(batch->resources[0].host_name, "node");
	assert_int_equal(batch->resources[0].process_pid, 42);
	assert_int_equal(batch->resources[1].bytes.len, 0);
	otlp_batch_free(batch);
}

static struct span_batch *decode_resource(struct buf *first, struct buf *second)
{
	struct buf resource_spans = { 0 }, request = { 0 };

	bytes_put_message(&resource_spans, 1, first);
	if (second)
		bytes_put_message(&resource_spans, 1, second);
	bytes_put_message(&request, 1, &resource_spans);
	return decode_ok(&request);
}

static void pid_may_be_a_string_or_a_double(void **state)
{
	struct buf text = { 0 }, number = { 0 }, nonsense = { 0 };
	struct span_batch *batch;

	(void)state;
	bytes_put_text(&text, 1, "process.pid", "1234");
	batch = decode_resource(&text, NULL);
	assert_int_equal(batch->resources[0].process_pid, 1234);
	otlp_batch_free(batch);
	bytes_put_double(&number, 1, "process.pid", 77.0);
	batch = decode_resource(&number, NULL);
	assert_int_equal(batch->resources[0].process_pid, 77);
	otlp_batch_free(batch);
	bytes_put_text(&nonsense, 1, "process.pid", "12 ");
	bytes_put_double(&nonsense, 1, "process.pid", 1.5);
	batch = decode_resource(&nonsense, NULL);
	assert_int_equal(batch->resources[0].process_pid, 0);
	otlp_batch_free(batch);
}

static void vpid_goes_before_pid_wherever_it_stands(void **state)
{
	struct buf resource = { 0 };
	struct span_batch *batch;

	(void)state;
	bytes_put_int(&resource, 1, "process.vpid", 7);
	bytes_put_int(&resource, 1, "process.pid", 90007);
	batch = decode_resource(&resource, NULL);
	assert_int_equal(batch->resources[0].process_pid, 7);
	otlp_batch_free(batch);
}

static void repeated_resources_are_merged(void **state)
{
	struct buf first = { 0 }, second = { 0 };
	struct span_batch *batch;
	size_t len;

	(void)state;
	bytes_put_text(&first, 1, "service.name", "old");
	bytes_put_text(&first, 1, "host.name", "node");
	bytes_put_text(&second, 1, "service.name", "new");
	len = first.len + second.len;
	batch = decode_resource(&first, &second);
	assert_int_equal(batch->resource_count, 1);
	assert_str(batch->resources[0].service_name, "new");
	assert_str(batch->resources[0].host_name, "node");
	assert_int_equal(batch->resources[0].bytes.len, len);
	otlp_batch_free(batch);
}

static void repeated_status_is_merged_and_last_scalar_wins(void **state)
{
	struct buf span = bytes_span(SPAN_A, "old"), code = { 0 }, text = { 0 };
	struct span_batch *batch;

	(void)state;
	wire_put_uint(&code, 3, SPAN_STATUS_ERROR);
	wire_put_bytes(&text, 2, STR("why"));
	bytes_put_message(&span, 15, &code);
	bytes_put_message(&span, 15, &text);
	wire_put_bytes(&span, 5, STR("new"));
	batch = decode_span(&span);
	assert_int_equal(batch->spans[0].status, SPAN_STATUS_ERROR);
	assert_str(batch->spans[0].name, "new");
	otlp_batch_free(batch);
}

static void bad_ids_reject_one_span_alone(void **state)
{
	static const struct {
		struct str trace_id, span_id, parent;
		const char *reason;
	} bad[] = {
		{ STR("short"), SPAN_A, { NULL, 0 }, "trace id is not 16 bytes long" },
		{ { NULL, 0 }, SPAN_A, { NULL, 0 }, "trace id is not 16 bytes long" },
		{ STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
		  SPAN_A,
		  { NULL, 0 },
		  "trace id is zero" },
		{ TRACE_A, TRACE_A, { NULL, 0 }, "span id is not 8 bytes long" },
		{ TRACE_A, STR("\0\0\0\0\0\0\0\0"), { NULL, 0 }, "span id is zero" },
		{ TRACE_A, SPAN_A, STR("1234567"),
		  "parent span id is neither empty nor 8 bytes long" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf span = { 0 }, good = bytes_span(SPAN_B, "good"), request, more;
		struct span_batch *batch;

		bytes_put_ids(&span, bad[i].trace_id, bad[i].span_id);
		wire_put_bytes(&span, 4, bad[i].parent);
		request = bytes_request(&span);
		more = bytes_request(&good);
		buf_append_str(&request, buf_str(&more));
		buf_fini(&more);
		batch = decode_ok(&request);
		assert_int_equal(batch->rejected_count, 1);
		assert_string_equal(batch->rejected_reason, bad[i].reason);
		assert_int_equal(batch->span_count, 1);
		assert_str(batch->spans[0].name, "good");
		assert_int_equal(batch->spans[0].resource, 1);
		otlp_batch_free(batch);
	}
}

static void zero_or_empty_parent_is_a_root(void **state)
{
	struct buf zero = bytes_span(SPAN_A, "zero"), empty = bytes_span(SPAN_A, "empty");
	struct span_batch *batch;

	(void)state;
	wire_put_bytes(&zero, 4, STR("\0\0\0\0\0\0\0\0"));
	wire_put_bytes(&empty, 4, STR(""));
	batch = decode_span(&zero);
	assert_true(hex_is_zero(batch->spans[0].parent_span_id, SPAN_ID_BYTES));
	otlp_batch_free(batch);
	batch = decode_span(&empty);
	assert_true(hex_is_zero(batch->spans[0].parent_span_id, SPAN_ID_BYTES));
	assert_int_equal(batch->rejected_count, 0);
	otlp_batch_free(batch);
}

static void end_before_start_is_clamped_and_counted(void **state)
{
	struct buf span = bytes_span(SPAN_A, "late");
	struct span_batch *batch;

	(void)state;
	wire_put_fixed64(&span, 8, 999);
	batch = decode_span(&span);
	assert_int_equal(batch->clamped_count, 1);
	assert_int_equal(batch->spans[0].end_unix_ns, 1000);
	otlp_batch_free(batch);
}

static void peer_is_joined_with_its_own_port(void **state)
{
	struct buf old = bytes_span(SPAN_A, "old"), six = bytes_span(SPAN_A, "six"),
		   bare = bytes_span(SPAN_A, "bare"), server = bytes_span(SPAN_A, "server");
	struct span_batch *batch;

	(void)state;
	bytes_put_text(&old, 9, "net.peer.name", "db");
	bytes_put_text(&old, 9, "net.peer.port", "5432");
	batch = decode_span(&old);
	assert_str(batch->spans[0].peer, "db:5432");
	otlp_batch_free(batch);
	bytes_put_text(&six, 9, "server.address", "::1");
	bytes_put_int(&six, 9, "server.port", 80);
	bytes_put_text(&six, 9, "net.peer.name", "db");
	batch = decode_span(&six);
	assert_str(batch->spans[0].peer, "[::1]:80");
	otlp_batch_free(batch);
	bytes_put_text(&bare, 9, "server.address", "db");
	bytes_put_int(&bare, 9, "net.peer.port", 80);
	bytes_put_int(&bare, 9, "server.port", 65536);
	batch = decode_span(&bare);
	assert_str(batch->spans[0].peer, "db");
	otlp_batch_free(batch);
	bytes_put_text(&server, 9, "server.address", "myself");
	wire_put_uint(&server, 6, SPAN_KIND_SERVER);
	batch = decode_span(&server);
	assert_int_equal(batch->spans[0].peer.len, 0);
	otlp_batch_free(batch);
}

static void unknown_fields_and_wrong_wire_types_are_passed_over_and_kept(void **state)
{
	struct buf span = bytes_span(SPAN_A, "name");
	struct span_batch *batch;
	size_t len;

	(void)state;
	wire_put_uint(&span, 5, 7);                             /* name as a number */
	wire_put_bytes(&span, 7, STR("noon"));                  /* start as text */
	wire_put_bytes(&span, 1000, STR("from the future"));    /* unknown */
	buf_append_str(&span, STR("\xa3\x06\x08\x01\xa4\x06")); /* group 100 */
	wire_put_uint(&span, 6, 12345);                         /* no kind of ours */
	len = span.len;
	batch = decode_span(&span);
	assert_str(batch->spans[0].name, "name");
	assert_int_equal(batch->spans[0].start_unix_ns, 1000);
	assert_int_equal(batch->spans[0].kind, SPAN_KIND_UNSPECIFIED);
	assert_int_equal(batch->spans[0].bytes.len, len);
	otlp_batch_free(batch);
}

static void damage_in_any_depth_refuses_the_request(void **state)
{
	const struct str cut = STR("\x0a\x7f");
	static const uint32_t numbers[] = { 9, 11, 13, 15 };

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct buf span = bytes_span(SPAN_A, "bad"), request;

		wire_put_bytes(&span, numbers[i], cut);
		request = bytes_request(&span);
		assert_int_equal(decode_error(&request), -EBADMSG);
	}
	for (uint32_t number = 1; number <= 2; number++) {
		struct buf level = { 0 }, request = { 0 };

		wire_put_bytes(&level, number, cut);
		bytes_put_message(&request, 1, &level);
		assert_int_equal(decode_error(&request), -EBADMSG);
	}
	for (uint32_t number = 1; number <= 3; number += 2) { /* an attribute, an EntityRef */
		struct buf resource = { 0 }, level = { 0 }, request = { 0 };

		wire_put_bytes(&resource, number, cut);
		bytes_put_message(&level, 1, &resource);
		bytes_put_message(&request, 1, &level);
		assert_int_equal(decode_error(&request), -EBADMSG);
	}
}

static void every_truncation_is_refused(void **state)
{
	struct buf span = bytes_span(SPAN_A, "name"), request;
	char *whole;
	size_t len;

	(void)state;
	bytes_put_text(&span, 9, "server.address", "db");
	request = bytes_request(&span);
	len = request.len;
	whole = request.data;
	for (size_t cut = 1; cut < len; cut++) {
		struct buf part = { 0 };

		buf_append(&part, whole, cut);
		assert_int_equal(decode_error(&part), -EBADMSG);
	}
	buf_fini(&request);
}

static void every_failed_allocation_is_survived(void **state)
{
	unsigned n = 0;
	bool failed = true;

	(void)state;
	while (failed) {
		struct buf span = bytes_span(SPAN_A, "name"), request;
		struct span_batch *batch = NULL;
		size_t len;
		char *body;
		int rc;

		bytes_put_text(&span, 9, "server.address", "db");
		bytes_put_int(&span, 9, "server.port", 1);
		request = bytes_request(&span);
		len = request.len;
		body = request.data;
		nth_alloc_arm(++n);
		rc = otlp_decode(body, len, NULL, &batch);
		failed = nth_alloc_disarm();
		assert_int_equal(rc, failed ? -ENOMEM : 0);
		otlp_batch_free(batch);
	}
	assert_true(n > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_request_is_an_empty_batch),
		cmocka_unit_test(every_field_of_a_span_is_read),
		cmocka_unit_test(strings_are_slices_of_the_body),
		cmocka_unit_test(spans_know_their_resource_and_scope_in_any_order),
		cmocka_unit_test(pid_may_be_a_string_or_a_double),
		cmocka_unit_test(vpid_goes_before_pid_wherever_it_stands),
		cmocka_unit_test(repeated_resources_are_merged),
		cmocka_unit_test(repeated_status_is_merged_and_last_scalar_wins),
		cmocka_unit_test(bad_ids_reject_one_span_alone),
		cmocka_unit_test(zero_or_empty_parent_is_a_root),
		cmocka_unit_test(end_before_start_is_clamped_and_counted),
		cmocka_unit_test(peer_is_joined_with_its_own_port),
		cmocka_unit_test(unknown_fields_and_wrong_wire_types_are_passed_over_and_kept),
		cmocka_unit_test(damage_in_any_depth_refuses_the_request),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_failed_allocation_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
