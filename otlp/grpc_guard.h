/* SPDX-License-Identifier: Apache-2.0 */
/* How much nonsense one peer may send: a bucket of tokens for each kind, and gRPC's rule on pings.
 *
 * All functions return NULL, or the reason why the connection must end; it goes out as the debug
 * data of GOAWAY, where gRPC clients look for "too_many_pings". */
#pragma once

#include <stdint.h>

#define GRPC_GUARD_MAX_REFUSED 1000 /* streams beyond the limit, from who does not mind it */

/* clang-format off */
/* X(name, burst, tokens that come back each second, reason) */
#define GRPC_GUARDS(X)                                                                             \
	X(SETTINGS,      20,  1,  "too_many_settings")       /* CVE-2019-9515 */                   \
	X(EMPTY_DATA,    100, 1,  "too_many_empty_frames")   /* CVE-2019-9518 */                   \
	X(INVALID_FRAME, 100, 1,  "too_many_invalid_frames")                                       \
	X(RESET_SENT,    200, 20, "too_many_resets")         /* MadeYouReset, CVE-2025-8671 */     \
	X(REFUSED_STREAM, GRPC_GUARD_MAX_REFUSED, 100, "too_many_streams")
/* clang-format on */

enum grpc_guard_kind {
#define X(name, burst, per_second, reason) GRPC_GUARD_##name,
	GRPC_GUARDS(X)
#undef X
		GRPC_GUARD_KINDS
};

struct grpc_guard {
	uint32_t spent[GRPC_GUARD_KINDS];
	uint64_t since_ms[GRPC_GUARD_KINDS];
	uint64_t last_ping_ms;
	uint32_t ping_strikes;
};

/* Zeroed it is ready. */
const char *grpc_guard_count(struct grpc_guard *guard, enum grpc_guard_kind kind, uint64_t now_ms);

/* A ping within `min_ms` of the last is a strike, the third ends it (gRFC A8). */
const char *grpc_guard_ping(struct grpc_guard *guard, uint32_t min_ms, uint64_t now_ms);

/* We sent headers or data: that excuses the pings by which clients measure bandwidth. */
void grpc_guard_forgive(struct grpc_guard *guard);
