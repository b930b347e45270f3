/* SPDX-License-Identifier: Apache-2.0 */
/* The signature of what the webhook gets. */
#pragma once

#include <stdint.h>

#include "collector/base/str.h"

#define ALERT_SIGN_HEX 64

/* Lower-case hex of HMAC-SHA256(secret, "TIMESTAMP.BODY"). -ENOMEM. */
int alert_sign(struct str secret, uint64_t timestamp_s, struct str body,
	       char out_hex[ALERT_SIGN_HEX + 1]);
