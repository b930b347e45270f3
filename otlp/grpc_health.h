/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of grpc.health.v1.Health, which Kubernetes and load balancers ask. */
#pragma once

#include <stdbool.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

#define GRPC_HEALTH_CHECK "/grpc.health.v1.Health/Check"
#define GRPC_HEALTH_WATCH "/grpc.health.v1.Health/Watch"
#define GRPC_HEALTH_LIST  "/grpc.health.v1.Health/List"

enum grpc_health { /* HealthCheckResponse.ServingStatus */
		   GRPC_HEALTH_SERVING = 1,
		   GRPC_HEALTH_NOT_SERVING = 2,
		   GRPC_HEALTH_SERVICE_UNKNOWN = 3, /* Watch only */
};

/* Reads a HealthCheckRequest: is its service one that a path of `methods` belongs to? "" is the
 * whole server. false: not a HealthCheckRequest. */
bool grpc_health_read(struct str request, const char *const *methods, bool *out_is_known);

/* Appends a HealthCheckResponse; a HealthListResponse of the whole server and each service. */
void grpc_health_put(enum grpc_health health, struct buf *out);
void grpc_health_list(const char *const *methods, enum grpc_health health, struct buf *out);
