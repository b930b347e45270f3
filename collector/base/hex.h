/* SPDX-License-Identifier: Apache-2.0 */
/* Ids as people and the API write them: lower-case hex; either case is read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/str.h"

#define TRACE_ID_BYTES 16
#define SPAN_ID_BYTES  8
#define TRACE_ID_HEX   (2 * TRACE_ID_BYTES)
#define SPAN_ID_HEX    (2 * SPAN_ID_BYTES)

/* Writes 2 * len digits and a NUL into `out_text`. */
void hex_encode(const uint8_t *bytes, size_t len, char *out_text);

/* Exactly 2 * len digits, else false and `out_bytes` is unspecified. */
bool hex_decode(struct str text, uint8_t *out_bytes, size_t len);

bool hex_is_zero(const uint8_t *bytes, size_t len);
