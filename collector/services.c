/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/services.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "collector/metrics_operations.h"

#define PENDING_MAX 131072 /* spans between arrival and ledger: 20 bytes each */
#define OTHERS      "(others)"
#define UNNAMED     "unknown_service" /* what SDKs send for it */

struct services {
	struct service_count counts[SERVICES_MAX + 1]; /* [0]: the others */
	uint32_t count;
	struct map by_name;                    /* name, padded -> uint32_t place in counts */
	struct map pending;                    /* hash of trace and span id -> struct pending */
	struct metrics_operations *operations; /* owned */
};

struct pending {
	uint32_t service, operation;
};

int services_new(size_t max_operations, struct services **out_services)
{
	struct services *services = calloc(1, sizeof(*services));

	if (!services)
		return -ENOMEM;
	if (metrics_operations_new(max_operations, &services->operations) < 0) {
		free(services);
		return -ENOMEM;
	}
	strcpy(services->counts[0].name, OTHERS);
	services->count = 1;
	map_init(&services->by_name, SERVICES_NAME_BYTES, sizeof(uint32_t), 1);
	map_init(&services->pending, sizeof(uint64_t), sizeof(struct pending), 1);
	services->pending.max_count = PENDING_MAX;
	*out_services = services;
	return 0;
}

void services_free(struct services *services)
{
	if (!services)
		return;
	map_fini(&services->by_name);
	map_fini(&services->pending);
	metrics_operations_free(services->operations);
	free(services);
}

static uint32_t place_of(struct services *services, struct str name)
{
	char key[SERVICES_NAME_BYTES] = { 0 };
	uint32_t *place;

	if (name.len == 0)
		name = STR(UNNAMED);
	memcpy(key, name.data, MIN(name.len, sizeof(key) - 1));
	place = map_get(&services->by_name, key);
	if (place)
		return *place;
	if (services->count > SERVICES_MAX)
		return 0;
	place = map_put(&services->by_name, key);
	if (!place)
		return 0;
	memcpy(services->counts[services->count].name, key, sizeof(key));
	*place = services->count;
	return services->count++;
}

static uint64_t span_key(const uint8_t *trace_id, const uint8_t *span_id)
{
	uint8_t both[TRACE_ID_BYTES + SPAN_ID_BYTES];

	memcpy(both, trace_id, TRACE_ID_BYTES);
	memcpy(both + TRACE_ID_BYTES, span_id, SPAN_ID_BYTES);
	return map_hash(both, sizeof(both), 0);
}

void services_on_batch(struct services *services, const struct span_batch *batch)
{
	uint32_t resource = UINT32_MAX, place = 0;

	for (uint32_t i = 0; i < batch->span_count; i++) {
		const struct span *span = &batch->spans[i];
		struct service_count *count;
		uint64_t key = span_key(span->trace_id, span->span_id);
		struct str service;
		struct pending *pending;

		if (span->resource != resource) {
			resource = span->resource;
			place = place_of(services, batch->resources[resource].service_name);
		}
		count = &services->counts[place];
		count->spans++;
		count->last_unix_ns = MAX(count->last_unix_ns, span->end_unix_ns);
		pending = map_put(&services->pending, &key);
		service = batch->resources[resource].service_name;
		if (pending)
			*pending = (struct pending){ place, metrics_operations_find(
								    services->operations, service,
								    span->name, span->kind) };
	}
}

void services_on_ledger(struct services *services, const struct ledger *ledger)
{
	uint64_t key = span_key(ledger->trace_id, ledger->span_id);
	const struct pending *pending = map_get(&services->pending, &key);
	struct service_count *count = &services->counts[pending ? pending->service : 0];

	if (ledger->revision > 1)
		return; /* counted when it settled first */
	metrics_operations_add(services->operations, pending ? pending->operation : 0, ledger);
	if (ledger->grade < ARRAY_LEN(count->graded))
		count->graded[ledger->grade]++;
	if (ledger->grade == GRADE_NONE && ledger->none_cause < ARRAY_LEN(count->none_by_cause))
		count->none_by_cause[ledger->none_cause]++;
	map_delete(&services->pending, &key);
}

/* The numbers of the operations that came last: a few names make most of the spans of a batch. */
struct recent {
	struct str name;
	uint32_t operation;
	uint8_t kind;
};

#define RECENT_BITS 5

static uint32_t operation_of(struct services *services, struct str service, const struct span *span,
			     struct recent *all)
{
	struct recent *recent =
		&all[(str_glance(span->name) >> (64 - RECENT_BITS)) ^ (span->kind & 7)];

	if (recent->name.data && recent->kind == span->kind && str_eq(recent->name, span->name))
		return recent->operation;
	*recent = (struct recent){ span->name,
				   metrics_operations_find(services->operations, service,
							   span->name, span->kind),
				   span->kind };
	return recent->operation;
}

void services_on_settled(struct services *services, const struct span_batch *batch,
			 const uint8_t *none_causes)
{
	struct recent recent[1 << RECENT_BITS];
	struct service_count *count = NULL;
	uint32_t resource = UINT32_MAX;
	struct str service = { 0 };

	for (uint32_t i = 0; i < batch->span_count; i++) {
		const struct span *span = &batch->spans[i];

		if (span->resource != resource) {
			resource = span->resource;
			service = batch->resources[resource].service_name;
			count = &services->counts[place_of(services, service)];
			memset(recent, 0, sizeof(recent));
		}
		count->spans++;
		count->last_unix_ns = MAX(count->last_unix_ns, span->end_unix_ns);
		count->graded[GRADE_NONE]++;
		count->none_by_cause[none_causes[resource]]++;
		metrics_operations_uncovered(services->operations,
					     operation_of(services, service, span, recent));
	}
}

static int by_name(const void *a, const void *b)
{
	const struct service_count *const *left = a, *const *right = b;

	return strcmp((*left)->name, (*right)->name);
}

int services_each(const struct services *services,
		  int (*visit)(const struct service_count *service, void *arg), void *arg)
{
	const struct service_count *sorted[SERVICES_MAX + 1];
	uint32_t first = services->counts[0].spans ? 0 : 1;
	uint32_t count = services->count - first;
	int rc = 0;

	for (uint32_t i = 0; i < count; i++)
		sorted[i] = &services->counts[first + i];
	qsort(sorted, count, sizeof(sorted[0]), by_name);
	for (uint32_t i = 0; i < count && rc == 0; i++)
		rc = visit(sorted[i], arg);
	return rc;
}

size_t services_bytes(const struct services *services)
{
	return sizeof(*services) + map_bytes(&services->by_name) + map_bytes(&services->pending) +
	       metrics_operations_bytes(services->operations);
}

const struct metrics_operations *services_operations(const struct services *services)
{
	return services->operations;
}
