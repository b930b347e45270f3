/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_response.h"

#include <stdio.h>

#include "collector/base/json.h"
#include "collector/base/wire.h"
#include "otlp/proto/otlp.pb-c.h"
#include "otlp/proto/rpc.pb-c.h"

#define RETRY_INFO_TYPE "type.googleapis.com/google.rpc.RetryInfo"
#define RETRY_INFO_MAX  32 /* two varints of at most ten bytes, and their tags */

/* protobuf-c takes strings that it does not change as char *. */
static char *unconst(const char *text)
{
	return (char *)(uintptr_t)text;
}

static int pack(const ProtobufCMessage *message, struct buf *out)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	char *room = buf_reserve(out, len);

	if (room)
		out->len += protobuf_c_message_pack(message, (uint8_t *)room);
	return buf_error(out);
}

int otlp_response_export(uint64_t rejected_spans, const char *reason, struct buf *out)
{
	Spanwise__Otlp__ExportTracePartialSuccess partial =
		SPANWISE__OTLP__EXPORT_TRACE_PARTIAL_SUCCESS__INIT;
	Spanwise__Otlp__ExportTraceServiceResponse response =
		SPANWISE__OTLP__EXPORT_TRACE_SERVICE_RESPONSE__INIT;

	partial.rejected_spans = (int64_t)rejected_spans;
	partial.error_message = unconst(reason ? reason : "");
	if (rejected_spans || reason)
		response.partial_success = &partial;
	return pack(&response.base, out);
}

static size_t pack_retry_info(uint32_t delay_ms, uint8_t out[static RETRY_INFO_MAX])
{
	Spanwise__Rpc__Duration delay = SPANWISE__RPC__DURATION__INIT;
	Spanwise__Rpc__RetryInfo info = SPANWISE__RPC__RETRY_INFO__INIT;

	delay.seconds = delay_ms / 1000;
	delay.nanos = (int32_t)(delay_ms % 1000) * 1000000;
	info.retry_delay = &delay;
	return spanwise__rpc__retry_info__pack(&info, out);
}

int otlp_response_status(enum grpc_status code, const char *message, uint32_t retry_delay_ms,
			 struct buf *out)
{
	Spanwise__Rpc__Status status = SPANWISE__RPC__STATUS__INIT;
	Spanwise__Rpc__Any any = SPANWISE__RPC__ANY__INIT, *details[] = { &any };
	uint8_t retry_info[RETRY_INFO_MAX];

	status.code = (int32_t)code;
	status.message = unconst(message ? message : "");
	if (retry_delay_ms) {
		any.type_url = unconst(RETRY_INFO_TYPE);
		any.value.data = retry_info;
		any.value.len = pack_retry_info(retry_delay_ms, retry_info);
		status.details = details;
		status.n_details = 1;
	}
	return pack(&status.base, out);
}

static const char *const rejections[SPAN_REJECTION_KINDS] = {
#define X(name, label, why) why,
	SPAN_REJECTIONS(X)
#undef X
};

void otlp_response_complaints(const struct span_batch *batch, struct buf *out)
{
	const char *separator = ": ";

	if (batch->rejected_count)
		buf_printf(out, "%u span%s rejected", batch->rejected_count,
			   batch->rejected_count == 1 ? "" : "s");
	for (int kind = 0; kind < SPAN_REJECTION_KINDS; kind++) {
		if (!batch->rejected[kind])
			continue;
		buf_printf(out, "%s%s (%u)", separator, rejections[kind], batch->rejected[kind]);
		separator = ", ";
	}
	if (batch->mended_count)
		buf_printf(out, "%s%u string%s mended: not UTF-8, invalid bytes were replaced by ?",
			   batch->rejected_count ? "; " : "", batch->mended_count,
			   batch->mended_count == 1 ? "" : "s");
}

static int put_stored_json(uint32_t rejected, const char *complaints, struct buf *out)
{
	struct json json;

	json_init(&json, out);
	json_object(&json, NULL);
	if (complaints) {
		json_object(&json, "partialSuccess");
		if (rejected)
			json_time(&json, "rejectedSpans", rejected); /* an int64: a string */
		json_text(&json, "errorMessage", complaints);
		json_end(&json);
	}
	json_end(&json);
	return buf_error(out);
}

int otlp_response_stored(enum otlp_form form, const struct span_batch *batch, struct buf *out)
{
	const char *complaints;
	struct buf text;
	int rc;

	buf_init(&text, 0);
	otlp_response_complaints(batch, &text);
	if (text.len)
		buf_append_byte(&text, '\0');
	rc = buf_error(&text);
	complaints = text.len ? text.data : NULL;
	if (rc == 0)
		rc = form == OTLP_JSON
			     ? put_stored_json(batch->rejected_count, complaints, out)
			     : otlp_response_export(batch->rejected_count, complaints, out);
	buf_fini(&text);
	return rc;
}

/* RetryInfo in JSON: the Any's fields stand beside its type. */
static void put_retry_info_json(struct json *json, uint32_t delay_ms)
{
	char delay[24];

	snprintf(delay, sizeof(delay), "%u.%03us", delay_ms / 1000, delay_ms % 1000);
	json_array(json, "details");
	json_object(json, NULL);
	json_text(json, "@type", RETRY_INFO_TYPE);
	json_text(json, "retryDelay", delay);
	json_end(json);
	json_end(json);
}

int otlp_response_refused(enum otlp_form form, enum grpc_status code, const char *message,
			  uint32_t retry_delay_ms, struct buf *out)
{
	struct json json;

	if (form == OTLP_PROTOBUF)
		return otlp_response_status(code, message, retry_delay_ms, out);
	json_init(&json, out);
	json_object(&json, NULL);
	json_uint(&json, "code", code);
	json_text(&json, "message", message ? message : "");
	if (retry_delay_ms)
		put_retry_info_json(&json, retry_delay_ms);
	json_end(&json);
	return buf_error(out);
}

/* The last sub-message of this number; empty: there is none. */
static struct str message_at(struct str message, uint32_t number)
{
	struct wire_reader reader = wire_read(message);
	struct str found = { NULL, 0 };
	struct wire_field field;

	while (wire_next(&reader, &field) > 0) {
		if (field.number == number && field.type == WIRE_BYTES)
			found = field.bytes;
	}
	return found;
}

static uint64_t number_at(struct str message, uint32_t number)
{
	struct wire_reader reader = wire_read(message);
	struct wire_field field;
	uint64_t found = 0;

	while (wire_next(&reader, &field) > 0) {
		if (field.number == number && field.type == WIRE_VARINT)
			found = field.value;
	}
	return found;
}

enum { RESPONSE_PARTIAL_SUCCESS = 1, PARTIAL_REJECTED_SPANS = 1 };
enum { STATUS_DETAILS = 3, ANY_TYPE_URL = 1, ANY_VALUE = 2 };
enum { RETRY_INFO_DELAY = 1, DURATION_SECONDS = 1, DURATION_NANOS = 2 };

uint64_t otlp_response_rejected(struct str response)
{
	uint64_t rejected =
		number_at(message_at(response, RESPONSE_PARTIAL_SUCCESS), PARTIAL_REJECTED_SPANS);

	return rejected > INT64_MAX ? 0 : rejected;
}

uint32_t otlp_response_retry_delay_ms(struct str status)
{
	struct wire_reader reader = wire_read(status);
	struct wire_field field;

	while (wire_next(&reader, &field) > 0) {
		struct str delay;
		uint64_t ms;

		if (field.number != STATUS_DETAILS || field.type != WIRE_BYTES ||
		    !str_eq(message_at(field.bytes, ANY_TYPE_URL), STR(RETRY_INFO_TYPE)))
			continue;
		delay = message_at(message_at(field.bytes, ANY_VALUE), RETRY_INFO_DELAY);
		ms = number_at(delay, DURATION_SECONDS);
		if (ms > UINT32_MAX / 2000)
			return UINT32_MAX / 2; /* longer than anybody waits, or negative */
		return (uint32_t)(ms * 1000 +
				  number_at(delay, DURATION_NANOS) % 1000000000 / 1000000);
	}
	return 0;
}
