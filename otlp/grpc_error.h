/* SPDX-License-Identifier: Apache-2.0 */
/* What a call is refused with; the text is static or lives in the call. */
#pragma once

#include <stdint.h>

#include "otlp/grpc_status.h"

struct grpc_error {
	enum grpc_status status; /* GRPC_OK: none */
	const char *text;
	unsigned http_status;    /* 0: 200 */
	uint32_t retry_delay_ms; /* 0: none */
};
