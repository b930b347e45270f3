/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_response.h"

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
