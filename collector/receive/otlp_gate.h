/* SPDX-License-Identifier: Apache-2.0 */
/* What is decided about an OTLP/HTTP request before its body is read: the path, who may send, what
 * a page of another site may do, and whether the body is of a kind that we take. No state. */
#pragma once

#include <stdbool.h>

#include "collector/base/buf.h"
#include "collector/receive/otlp_service.h"

/* Empty: not sent. */
struct otlp_gate_head {
	struct str method, path; /* without its query */
	struct str content_type, content_encoding, content_length;
	struct str authorization;
	struct str origin, preflight_method;
	bool is_ambiguous; /* what may come once only came twice */
};

#define OTLP_GATE_HEALTH  "/healthz"
#define OTLP_GATE_HEALTHY STR("healthy\n")

struct otlp_gate_verdict {
	struct grpc_error error; /* GRPC_OK: go on */
	bool is_preflight;       /* to be answered 204, without a body */
	bool is_health;          /* somebody asks whether we live: 200, OTLP_GATE_HEALTHY */
};

struct otlp_gate_verdict otlp_gate_check(const struct otlp_service *service,
					 const struct otlp_gate_head *head,
					 struct otlp_http_request *out_request);

/* The lines that an answer with this status needs, each ending in CRLF: Allow, Accept,
 * WWW-Authenticate, Retry-After, and those that let the page at `origin` read it. */
void otlp_gate_put_headers(const struct otlp_service *service, const struct otlp_gate_head *head,
			   int status, uint32_t retry_delay_ms, struct buf *out);
