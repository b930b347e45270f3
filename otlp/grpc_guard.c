/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_guard.h"

#include "collector/base/macros.h"

#define PING_MAX_STRIKES 2

static const struct {
	uint32_t burst;
	uint32_t per_second;
	const char *reason;
} rules[GRPC_GUARD_KINDS] = {
#define X(name, tokens, rate, why) { .burst = (tokens), .per_second = (rate), .reason = (why) },
	GRPC_GUARDS(X)
#undef X
};

const char *grpc_guard_count(struct grpc_guard *guard, enum grpc_guard_kind kind, uint64_t now_ms)
{
	uint64_t returned = (now_ms - guard->since_ms[kind]) * rules[kind].per_second / 1000;

	if (returned > 0 || guard->spent[kind] == 0) {
		guard->spent[kind] -= (uint32_t)MIN(returned, (uint64_t)guard->spent[kind]);
		guard->since_ms[kind] = now_ms;
	}
	return ++guard->spent[kind] > rules[kind].burst ? rules[kind].reason : NULL;
}

const char *grpc_guard_ping(struct grpc_guard *guard, uint32_t min_ms, uint64_t now_ms)
{
	uint64_t last_ms = guard->last_ping_ms;

	guard->last_ping_ms = now_ms;
	if (last_ms == 0 || now_ms - last_ms >= min_ms)
		return NULL;
	return ++guard->ping_strikes > PING_MAX_STRIKES ? "too_many_pings" : NULL;
}

void grpc_guard_forgive(struct grpc_guard *guard)
{
	guard->last_ping_ms = 0;
	guard->ping_strikes = 0;
}
