/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.health.v1.Health/Check, which Kubernetes and load balancers ask. */
#pragma once

#include <stdbool.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"
#include "otlp/grpc_error.h"

#define GRPC_HEALTH_CHECK "/grpc.health.v1.Health/Check"

/* Answers one HealthCheckRequest. "" asks for the whole server; a service that no path of `methods`
 * belongs to is NOT_FOUND. Appends a HealthCheckResponse to `out`. */
struct grpc_error grpc_health_check(struct str request, const char *const *methods, bool serving,
				    struct buf *out);
