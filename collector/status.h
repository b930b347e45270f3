/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon knows of itself, for people (JSON) and for Prometheus (text).
 *
 * Any thread; both read snapshots and ask the store for its numbers, so they may block on the disk:
 * call them from a query worker. */
#pragma once

#include "collector/base/buf.h"
#include "collector/base/json.h"

struct daemon;

/* Writes one JSON object (with a key of NULL): version, kernel, probe, services, clock, correlator,
 * storage, memory, ports, health. */
void status_render(struct daemon *daemon, struct json *json);

/* Appends every counter and gauge: as OpenMetrics, or in Prometheus' older text format (0.0.4). */
void metrics_render(struct daemon *daemon, bool is_open, struct buf *out);
