/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as text (RFC 4648, section 4): OTLP JSON and binary gRPC headers need it. */
#pragma once

#include <stdbool.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

/* Appends; `pad`: with the trailing '='. */
void base64_encode(struct str bytes, bool pad, struct buf *out);

/* Appends the bytes; either alphabet (also '-' and '_'), padded or not. false: not base64; `out`
 * may then hold a part of it. */
bool base64_decode(struct str text, struct buf *out);
