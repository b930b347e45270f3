/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/daemon.h"
#include "collector/net/network.h"

static uint64_t anonymous_bytes(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	static const char key[] = "RssAnon:";
	uint64_t kib = 0;
	char line[128];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, key, sizeof(key) - 1) == 0)
			kib = strtoull(line + sizeof(key) - 1, NULL, 10);
	}
	fclose(file);
	return kib << 10;
}

void snapshot_take(struct daemon *daemon, struct snapshot *out_snapshot)
{
	memset(out_snapshot, 0, sizeof(*out_snapshot));
	out_snapshot->uptime_s = daemon_uptime_s(daemon);
	out_snapshot->ready = daemon_is_ready(daemon);
	out_snapshot->plan = memory_plan(daemon_config(daemon));
	engine_snapshot(daemon_engine(daemon), &out_snapshot->engine);
	probe_watch_snapshot(daemon_probe(daemon), &out_snapshot->probe);
	writer_snapshot(daemon_writer(daemon), &out_snapshot->writer);
	store_stats(daemon_store(daemon), &out_snapshot->store);
	alerter_stats(daemon_alerter(daemon), &out_snapshot->alerts);
	out_snapshot->in_flight_bytes = network_in_flight_bytes(daemon_network(daemon));
	out_snapshot->own_anonymous_bytes = anonymous_bytes();
	memory_guard_snapshot(daemon_memory_guard(daemon), &out_snapshot->memory);
}
