/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/otlp_known.h"

#include <errno.h>
#include <string.h>

#define PORT_MAX_DIGITS 5

enum { RESOURCE_ENTITY_REFS = 3 };

static void take_string(const struct otlp_value *value, struct str *out)
{
	if (value->type == OTLP_VALUE_STRING)
		*out = value->bytes;
}

static void take_resource_attribute(const struct otlp_attribute *attribute,
				    struct span_resource *resource, bool *has_vpid)
{
	const struct otlp_value *value = &attribute->value;
	struct str key = attribute->key;

	if (str_eq(key, STR("service.name")))
		take_string(value, &resource->service_name);
	else if (str_eq(key, STR("service.instance.id")))
		take_string(value, &resource->service_instance_id);
	else if (str_eq(key, STR("runtime-id")))
		take_string(value, &resource->runtime_id);
	else if (str_eq(key, STR("container.id")))
		take_string(value, &resource->container_id);
	else if (str_eq(key, STR("host.name")))
		take_string(value, &resource->host_name);
	else if (str_eq(key, STR("process.vpid"))) /* the pid in the namespace, said outright */
		*has_vpid |= otlp_attribute_as_int(value, &resource->process_pid);
	else if (str_eq(key, STR("process.pid")) && !*has_vpid)
		otlp_attribute_as_int(value, &resource->process_pid);
}

/* We use nothing of an EntityRef, but others will read it who are handed this on. */
static int check_entity(struct str entity)
{
	struct wire_reader reader = wire_read(entity);
	struct wire_field field;
	int rc;

	do
		rc = wire_next(&reader, &field);
	while (rc > 0);
	return rc;
}

int otlp_known_resource(struct span_resource *resource, uint32_t max_attributes,
			unsigned max_nesting)
{
	struct wire_reader reader = wire_read(resource->bytes);
	struct otlp_attribute attribute;
	struct wire_field field;
	bool has_vpid = false;
	uint32_t count = 0;
	int rc;

	while ((rc = wire_next(&reader, &field)) > 0) {
		if (field.type == WIRE_BYTES && field.number == RESOURCE_ENTITY_REFS)
			rc = check_entity(field.bytes);
		if (field.type == WIRE_BYTES && field.number == OTLP_OWNER_RESOURCE) {
			rc = otlp_attribute_read(field.bytes, max_nesting, &attribute);
			if (rc == 0)
				take_resource_attribute(&attribute, resource, &has_vpid);
			count++;
		}
		if (rc < 0)
			return rc;
	}
	return rc == 0 && count > max_attributes ? -E2BIG : rc;
}

/* The few attributes that we use ourselves, told apart by their lengths first. */
void otlp_known_take(struct otlp_known *known, const struct otlp_attribute *attribute)
{
	const struct otlp_value *value = &attribute->value;
	struct str key = attribute->key;

	switch (key.len) {
	case sizeof("thread.id") - 1:
		if (str_eq(key, STR("thread.id")))
			otlp_attribute_as_int(value, &known->thread_id);
		break;
	case sizeof("process_id") - 1:
		if (str_eq(key, STR("process_id")))
			otlp_attribute_as_int(value, &known->process_id);
		break;
	case sizeof("process.pid") - 1: /* as long as server.port */
		if (str_eq(key, STR("process.pid")))
			otlp_attribute_as_int(value, &known->process_id);
		else if (str_eq(key, STR("server.port")))
			otlp_attribute_as_int(value, &known->server_port);
		break;
	case sizeof("server.address") - 1:
		if (str_eq(key, STR("server.address")))
			take_string(value, &known->server_address);
		break;
	case sizeof("net.peer.name") - 1: /* as long as net.peer.port */
		if (str_eq(key, STR("net.peer.name")))
			take_string(value, &known->net_peer_name);
		else if (str_eq(key, STR("net.peer.port")))
			otlp_attribute_as_int(value, &known->net_peer_port);
		break;
	}
}

static size_t append(char *text, size_t len, struct str piece)
{
	memcpy(text + len, piece.data, piece.len);
	return len + piece.len;
}

/* host:port, as the kernel's side writes a socket's peer; an IPv6 address gets its brackets. */
static int join_peer(struct arena *arena, struct str host, int64_t port, struct str *out_peer)
{
	bool is_ipv6 = memchr(host.data, ':', host.len) && host.data[0] != '[';
	char *text = arena_alloc(arena, host.len + sizeof("[]:65535"));
	char digits[PORT_MAX_DIGITS];
	size_t first = PORT_MAX_DIGITS, len = 0;

	if (!text)
		return -ENOMEM;
	for (; port > 0; port /= 10)
		digits[--first] = (char)('0' + port % 10);
	len = append(text, len, is_ipv6 ? STR("[") : STR(""));
	len = append(text, len, host);
	len = append(text, len, is_ipv6 ? STR("]:") : STR(":"));
	len = append(text, len, (struct str){ digits + first, PORT_MAX_DIGITS - first });
	*out_peer = (struct str){ text, len };
	return 0;
}

/* A server span's server.address is its own: no peer. */
int otlp_known_peer(const struct otlp_known *known, uint8_t kind, struct arena *arena,
		    struct str *out_peer)
{
	bool is_new = known->server_address.len > 0;
	struct str host = is_new ? known->server_address : known->net_peer_name;
	int64_t port = is_new ? known->server_port : known->net_peer_port;

	if (kind == SPAN_KIND_SERVER || host.len == 0)
		return 0;
	*out_peer = host;
	if (port <= 0 || port > UINT16_MAX)
		return 0;
	return join_peer(arena, host, port, out_peer);
}
