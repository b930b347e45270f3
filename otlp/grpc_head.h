/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of one call: noted as they come, judged when they are all there.
 *
 * Only what matters is kept; nothing is allocated. The count and the bytes of headers are limited
 * here because HPACK lets one byte on the wire stand for a header of 4 KiB. Trailers count too, and
 * say nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/str.h"
#include "otlp/grpc_error.h"
#include "otlp/otlp_coding.h"

#define GRPC_HEAD_PATH_MAX 200

struct grpc_head_limits {
	uint32_t max_bytes; /* names, values and 32 for each, as RFC 9113 6.5.2 counts */
	uint32_t max_fields;
};

#define GRPC_ACCEPT_ENCODING "identity,gzip,zstd"

enum grpc_content { GRPC_CONTENT_OTHER, GRPC_CONTENT_PROTO, GRPC_CONTENT_NOT_PROTO };

struct grpc_head {
	size_t bytes;
	size_t fields;
	char path[GRPC_HEAD_PATH_MAX + 1]; /* cut off */
	size_t path_len;                   /* as sent */
	bool is_over;                      /* what comes now are trailers */
	bool is_post;
	bool bad_timeout;
	enum grpc_content content;
	enum otlp_coding encoding;
	uint64_t timeout_ms;               /* 0: not said */
	char text[2 * GRPC_HEAD_PATH_MAX]; /* behind the text of an error */
};

/* Notes one header. false: far more than the limits allow; end the connection. */
bool grpc_head_add(struct grpc_head *head, const struct grpc_head_limits *limits, struct str name,
		   struct str value);

/* The headers are all there: further ones are trailers. */
void grpc_head_end(struct grpc_head *head);

/* Too many headers for one call; first of all checks. */
struct grpc_error grpc_head_check_size(const struct grpc_head *head,
				       const struct grpc_head_limits *limits);

/* What comes before and behind the question who the client is. `methods`: paths, NULL ends them. On
 * success `out_method` is the index of the path. */
struct grpc_error grpc_head_check(struct grpc_head *head, const char *const *methods,
				  unsigned *out_method);
struct grpc_error grpc_head_check_encoding(const struct grpc_head *head);
