/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon watches itself: each health_interval_s it compares its own numbers with the limits of
 * self_watch.def, and logs one line when something gets worse and one when it is well again.
 *
 * A value must be above its limit twice in a row, and is well again below SELF_WATCH_WELL of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct json;
struct snapshot;
struct uv_loop_s;

#define SELF_WATCH_WELL 0.8

enum self_watch_check {
#define X(symbol, name, limit, unit, value, remedy) SELF_WATCH_##symbol,
#include "collector/self_watch.def"
#undef X
	SELF_WATCH_CHECKS
};

/* How one check stands. Zeroed: well, and never looked at. */
struct self_watch_state {
	double value;
	bool is_over;           /* the last value was above the limit */
	bool is_degraded;       /* and so was the one before */
	uint64_t since_unix_ns; /* of is_degraded, as it is now */
};

/* The values, pure. `before`: of `seconds` ago. */
void self_watch_measure(const struct snapshot *now, const struct snapshot *before, double seconds,
			double out_values[SELF_WATCH_CHECKS]);
/* One look; true: is_degraded has changed. */
bool self_watch_step(enum self_watch_check check, double value, uint64_t now_unix_ns,
		     struct self_watch_state *state);

struct self_watch;

/* Loop thread; looks are taken on libuv's pool. */
int self_watch_start(struct uv_loop_s *loop, struct daemon *daemon, uint64_t every_s,
		     struct self_watch **out_watch);
/* Accepts NULL; memory goes when the loop has run dry. */
void self_watch_stop(struct self_watch *watch);
void self_watch_free(struct self_watch *watch);

/* The member "health": {"state":"ok|degraded","checks":[...]}. Any thread; NULL: nothing watches.
 */
void self_watch_render(struct self_watch *watch, struct json *json);
