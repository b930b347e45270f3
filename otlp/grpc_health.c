/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_health.h"

#include <string.h>

#include "collector/base/wire.h"

enum { REQUEST_SERVICE = 1 };
enum { RESPONSE_STATUS = 1 };

static bool has_service(const char *const *methods, struct str service)
{
	for (; *methods; methods++) {
		if (strlen(*methods) > service.len + 1 && (*methods)[service.len + 1] == '/' &&
		    memcmp(*methods + 1, service.data, service.len) == 0)
			return true;
	}
	return false;
}

bool grpc_health_read(struct str request, const char *const *methods, bool *out_is_known)
{
	struct wire_reader reader = wire_read(request);
	struct str service = { 0 };
	struct wire_field field;
	int rc;

	while ((rc = wire_next(&reader, &field)) > 0) {
		if (field.number == REQUEST_SERVICE && field.type == WIRE_BYTES)
			service = field.bytes;
	}
	if (rc < 0)
		return false;
	*out_is_known = service.len == 0 || has_service(methods, service);
	return true;
}

void grpc_health_put(enum grpc_health health, struct buf *out)
{
	wire_put_uint(out, RESPONSE_STATUS, health);
}
