/* SPDX-License-Identifier: Apache-2.0 */
/* Which services send spans, and what became of them: so that a service that publishes no tags is
 * named, not only counted.
 *
 * A span's service is remembered from its arrival until its ledger, in a map of bounded size;
 * beyond it, and beyond SERVICES_MAX names, spans are counted under "(others)". One thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "correlate/ledger.h"
#include "otlp/span.h"

#define SERVICES_MAX        256
#define SERVICES_NAME_BYTES 64

struct service_count {
	char name[SERVICES_NAME_BYTES]; /* NUL terminated, cut */
	uint64_t spans;
	uint64_t graded[5];        /* by enum ledger_grade */
	uint64_t none_by_cause[8]; /* by enum ledger_none */
	uint64_t last_unix_ns;     /* end of the latest span */
};

struct services;

/* `max_operations`: see metrics_operations.h. */
int services_new(size_t max_operations, struct services **out_services);
void services_free(struct services *services);

void services_on_batch(struct services *services, const struct span_batch *batch);
void services_on_ledger(struct services *services, const struct ledger *ledger);
/* A batch that was settled by being stored: both at once. `none_causes`: by resource. */
void services_on_settled(struct services *services, const struct span_batch *batch,
			 const uint8_t *none_causes);

/* In alphabetical order, until `visit` returns non-zero; that value is then returned. */
int services_each(const struct services *services,
		  int (*visit)(const struct service_count *service, void *arg), void *arg);
/* What operations have spent, by the same map. */
const struct metrics_operations *services_operations(const struct services *services);
size_t services_bytes(const struct services *services);
