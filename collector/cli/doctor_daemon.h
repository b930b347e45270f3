/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon says of itself, judged. */
#pragma once

#include "collector/base/json_read.h"
#include "collector/cli/doctor_report.h"

/* `status`: of GET /api/v1/status. Adds the sections kernel, processes, services and losses. */
void doctor_daemon_check(struct doctor_report *report, const struct json_value *status);
