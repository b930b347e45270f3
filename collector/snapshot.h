/* SPDX-License-Identifier: Apache-2.0 */
/* All numbers of the daemon at about one moment: what status and /metrics are made of. */
#pragma once

#include <stdint.h>

#include "collector/alert/alerter.h"
#include "collector/engine.h"
#include "collector/memory_guard.h"
#include "collector/memory_plan.h"
#include "collector/probe_watch.h"
#include "collector/writer.h"
#include "storage/store.h"

struct daemon;

struct snapshot {
	double uptime_s;
	uint64_t ready; /* 0 or 1 */
	struct engine_snapshot engine;
	struct probe_watch_snapshot probe;
	struct writer_snapshot writer;
	struct store_stats store;
	struct alerter_stats alerts;
	struct memory_plan plan;
	uint64_t in_flight_bytes;
	uint64_t own_anonymous_bytes; /* of this process, from /proc */
	struct memory_guard_snapshot memory;
};

/* May block on the disk: for query workers. */
void snapshot_take(struct daemon *daemon, struct snapshot *out_snapshot);
