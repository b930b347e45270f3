/* SPDX-License-Identifier: Apache-2.0 */
/* The few attributes that we use ourselves: who made a span, and whom it talked to.
 *
 * Strings are slices of the message. Thread safe: no state. */
#pragma once

#include "otlp/otlp_attribute.h"
#include "otlp/span.h"

/* What a span's attributes said so far; zeroed: nothing. */
struct otlp_known {
	int64_t thread_id;
	int64_t process_id;
	struct str server_address;
	struct str net_peer_name;
	int64_t server_port;
	int64_t net_peer_port;
};

/* Notes the attribute when it is one of them; the last of a key counts. */
void otlp_known_take(struct otlp_known *known, const struct otlp_attribute *attribute);

/* The peer of a span of this kind, "host:port" made in `arena`; empty: none. -ENOMEM. */
int otlp_known_peer(const struct otlp_known *known, uint8_t kind, struct arena *arena,
		    struct str *out_peer);

/* Fills in what the attributes of `resource->bytes` say. -EBADMSG: not protobuf. */
int otlp_known_resource(struct span_resource *resource, uint32_t max_attributes,
			unsigned max_nesting);
