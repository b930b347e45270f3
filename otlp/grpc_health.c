/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_health.h"

#include <errno.h>
#include <string.h>

#include "collector/base/wire.h"

enum { REQUEST_SERVICE = 1 };
enum { RESPONSE_STATUS = 1 };
enum { LIST_STATUSES = 1, STATUSES_KEY = 1, STATUSES_VALUE = 2 };

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

/* One entry of the map. */
static void list_service(struct str service, enum grpc_health health, struct buf *out)
{
	struct buf response = { 0 }, entry = { 0 };

	grpc_health_put(health, &response);
	wire_put_bytes(&entry, STATUSES_KEY, service);
	wire_put_bytes(&entry, STATUSES_VALUE, buf_str(&response));
	if (buf_error(&response) || buf_error(&entry))
		out->error = -ENOMEM;
	wire_put_bytes(out, LIST_STATUSES, buf_str(&entry));
	buf_fini(&response);
	buf_fini(&entry);
}

void grpc_health_list(const char *const *methods, enum grpc_health health, struct buf *out)
{
	struct str last = STR("");

	list_service(last, health, out);
	for (; *methods; methods++) { /* those of one service stand together */
		struct str service = { *methods + 1, strcspn(*methods + 1, "/") };

		if (!str_eq(service, last))
			list_service(service, health, out);
		last = service;
	}
}
