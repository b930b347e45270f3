/* SPDX-License-Identifier: Apache-2.0 */
/* Times as people write them, to Unix ns. No state. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/str.h"

/* Unix ns (0, or at least 17 digits: seconds and ms are refused, not misread), RFC 3339, "now", or
 * how long before `now_unix_ns`: -90s, -15m, -2h, -7d. */
bool when_parse(struct str text, uint64_t now_unix_ns, uint64_t *out_unix_ns);
