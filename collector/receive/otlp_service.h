/* SPDX-License-Identifier: Apache-2.0 */
/* What all connections of one OTLP listener have in common, and what an export is answered with,
 * whatever it came by. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/metrics.h"
#include "otlp/grpc_error.h"
#include "otlp/grpc_session.h"
#include "otlp/otlp_http.h"

struct intake;
struct intake_result;
struct tokens;

/* Seconds are not fine enough for tests, so everything is in ms. */
struct otlp_timeouts {
	uint64_t first_byte_ms; /* from accept to the first byte */
	uint64_t head_ms;       /* from the first byte of a request to the end of its headers */
	uint64_t between_ms;    /* between two pieces of a body */
	uint64_t request_ms;    /* from the first byte of a request to its last */
	uint64_t idle_ms;       /* a connection without a request */
	uint64_t age_ms;        /* a connection, then it is asked to leave; 0: for ever */
};

struct otlp_service {
	struct intake *intake; /* all borrowed */
	struct metrics *metrics;
	struct tokens *tokens;             /* NULL: everybody may export */
	struct grpc_session_options http2; /* for gRPC, and for HTTP/2 on the HTTP port */
	struct otlp_limits limits;
	struct otlp_http_limits http_limits;
	struct otlp_timeouts timeouts;
	size_t max_head_bytes; /* of HTTP/1.1 */
	unsigned max_head_fields;
	const char *cors_origins; /* "https://a.example,https://b.example" or "*"; "": none */
	const char *cors_headers; /* further request headers that pages may send */
};

/* The counters of one way in. */
struct otlp_counters {
	enum metric accepted, refused, invalid, rejected, clamped;
};

extern const struct otlp_counters otlp_counters_grpc, otlp_counters_http;

/* What a result is answered with, GRPC_OK: it is stored. Counts it. Texts are static. */
struct grpc_error otlp_service_result(const struct otlp_service *service,
				      const struct otlp_counters *counters,
				      const struct intake_result *result);

/* Counts and logs a request that is not OTLP. */
void otlp_service_invalid(const struct otlp_service *service, const struct otlp_counters *counters,
			  const char *why);

/* Counts an answer of OTLP/HTTP by its status. */
void otlp_service_count_http(const struct otlp_service *service, int status);
