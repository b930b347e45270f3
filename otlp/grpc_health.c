/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_health.h"

#include <string.h>

#include "otlp/proto/rpc.pb-c.h"

static bool has_service(const char *const *methods, const char *service)
{
	size_t len = strlen(service);

	for (; *methods; methods++) {
		if (strncmp(*methods + 1, service, len) == 0 && (*methods)[len + 1] == '/')
			return true;
	}
	return len == 0;
}

struct grpc_error grpc_health_check(struct str request, const char *const *methods, bool serving,
				    struct buf *out)
{
	Spanwise__Rpc__HealthCheckResponse response = SPANWISE__RPC__HEALTH_CHECK_RESPONSE__INIT;
	Spanwise__Rpc__HealthCheckRequest *asked = spanwise__rpc__health_check_request__unpack(
		NULL, request.len, (const uint8_t *)request.data);
	bool is_known = asked && has_service(methods, asked->service);
	char *room;

	if (!asked)
		return (struct grpc_error){ .status = GRPC_INVALID_ARGUMENT,
					    .text = "not a HealthCheckRequest" };
	spanwise__rpc__health_check_request__free_unpacked(asked, NULL);
	if (!is_known)
		return (struct grpc_error){ .status = GRPC_NOT_FOUND, .text = "unknown service" };
	response.status = serving ? SPANWISE__RPC__SERVING_STATUS__SERVING
				  : SPANWISE__RPC__SERVING_STATUS__NOT_SERVING;
	room = buf_reserve(out, spanwise__rpc__health_check_response__get_packed_size(&response));
	if (!room)
		return (struct grpc_error){ .status = GRPC_UNAVAILABLE, .text = "out of memory" };
	out->len += spanwise__rpc__health_check_response__pack(&response, (uint8_t *)room);
	return (struct grpc_error){ 0 };
}
