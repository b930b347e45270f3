/* SPDX-License-Identifier: Apache-2.0 */
/* Export requests of a real SDK, by the hundred thousand: one was recorded (span_template.py), and
 * every batch has ids that nobody has seen, and spans that end now. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"

struct batch_template {
	uint32_t spans;
	uint32_t len;
	struct batch_place *places; /* owned, as the next */
	char *body;
};

/* false: errno tells why not. */
bool batch_template_read(const char *path, struct batch_template *out_template);

/* The next request as the body of a gRPC call: prefix and message. Overwrites `out`. */
bool batch_make(struct batch_template *template, bool gzip, struct buf *out);
