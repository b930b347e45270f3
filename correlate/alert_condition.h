/* SPDX-License-Identifier: Apache-2.0 */
/* The text of an alert's condition, and the values in it. Errors: -EINVAL, with what it must be
 * appended to `message`. */
#pragma once

#include "correlate/alert_rule.h"

/* "ratio < 0.30 and wall_p99 > 1.25 * before" */
int alert_condition_parse(struct alert_rule *rule, const char *text, struct buf *message);
/* "90s", "5m", "2h", "1d", "250ms", "1.5s"; 0 needs no unit. */
int alert_duration_parse(const char *text, double *out_ns);
/* "0.3" or "30 %", from 0 to 1. */
int alert_share_parse(const char *text, double *out_share);
