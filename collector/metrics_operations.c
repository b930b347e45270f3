/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/metrics_operations.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/base/arena.h"
#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "collector/clock.h"
#include "collector/metrics_text.h"
#include "collector/render.h"

#define OTHER          "(other)"
#define UNNAMED        "unknown_service"
#define NAME_BYTES     256 /* longer names are cut */
#define ARENA_MAX      ((size_t)64 << 20)
#define KIND_OF_OTHERS UINT8_MAX

struct counters {
	struct str service, name; /* in the arena */
	uint8_t kind;
	uint64_t covered, uncovered;
	uint64_t wall_ns, cpu_ns, runnable_ns, elsewhere_ns; /* of the covered ones */
	uint64_t blocked_ns[REASON_COUNT];
	uint8_t trace_id[TRACE_ID_BYTES]; /* the latest, as exemplar */
	uint64_t last_wall_ns, last_cpu_ns, last_unix_ns;
};

struct metrics_operations {
	struct counters *items; /* owned: [0] the others */
	uint32_t count;
	size_t max;
	uint64_t seed;
	struct map by_name; /* hash -> uint32_t number */
	struct arena arena;
};

int metrics_operations_new(size_t max, struct metrics_operations **out_operations)
{
	struct metrics_operations *operations = calloc(1, sizeof(*operations));

	if (operations)
		operations->items = calloc(max + 1, sizeof(*operations->items));
	if (!operations || !operations->items) {
		free(operations);
		return -ENOMEM;
	}
	operations->items[0] = (struct counters){ .service = STR(OTHER),
						  .name = STR(OTHER),
						  .kind = KIND_OF_OTHERS };
	operations->count = 1;
	operations->max = max;
	operations->seed = clock_mono_ns();
	map_init(&operations->by_name, sizeof(uint64_t), sizeof(uint32_t), operations->seed);
	arena_init(&operations->arena, ARENA_MAX);
	*out_operations = operations;
	return 0;
}

void metrics_operations_free(struct metrics_operations *operations)
{
	if (!operations)
		return;
	map_fini(&operations->by_name);
	arena_fini(&operations->arena);
	free(operations->items);
	free(operations);
}

static struct str cut(struct str text)
{
	return (struct str){ text.data, MIN(text.len, (size_t)NAME_BYTES) };
}

static struct str keep(struct arena *arena, struct str text)
{
	char *copy = arena_alloc(arena, text.len + 1);

	if (copy && text.len)
		memcpy(copy, text.data, text.len);
	return (struct str){ copy, text.len };
}

static uint32_t make(struct metrics_operations *operations, uint64_t key, struct str service,
		     struct str name, uint8_t kind)
{
	struct counters made = { .kind = kind };
	uint32_t *number;

	if (operations->count > operations->max)
		return 0;
	made.service = keep(&operations->arena, service);
	made.name = keep(&operations->arena, name);
	number = made.service.data && made.name.data ? map_put(&operations->by_name, &key) : NULL;
	if (!number)
		return 0;
	operations->items[operations->count] = made;
	*number = operations->count;
	return operations->count++;
}

/* Two names of one hash (it is seeded anew at each start): the later one is with the others. */
uint32_t metrics_operations_find(struct metrics_operations *operations, struct str service,
				 struct str name, uint8_t kind)
{
	const struct counters *found;
	const uint32_t *number;
	uint64_t key;

	service = cut(service.len ? service : STR(UNNAMED));
	name = cut(name);
	key = map_hash(service.data, service.len, operations->seed + kind);
	key = map_hash(name.data, name.len, key);
	number = map_get(&operations->by_name, &key);
	if (!number)
		return make(operations, key, service, name, kind);
	found = &operations->items[*number];
	return found->kind == kind && str_eq(found->name, name) && str_eq(found->service, service)
		       ? *number
		       : 0;
}

void metrics_operations_uncovered(struct metrics_operations *operations, uint32_t number)
{
	operations->items[number].uncovered++;
}

void metrics_operations_add(struct metrics_operations *operations, uint32_t number,
			    const struct ledger *ledger)
{
	struct counters *counters = &operations->items[number];

	if (ledger->grade < GRADE_INFERRED)
		return metrics_operations_uncovered(operations, number);
	counters->covered++;
	counters->wall_ns += ledger->wall_ns;
	counters->cpu_ns += ledger->cpu_ns;
	counters->runnable_ns += ledger->all.runnable_ns;
	counters->elsewhere_ns += ledger->all.elsewhere_ns;
	for (unsigned i = 0; i < REASON_COUNT; i++)
		counters->blocked_ns[i] += ledger->all.blocked_ns[i];
	memcpy(counters->trace_id, ledger->trace_id, TRACE_ID_BYTES);
	counters->last_wall_ns = ledger->wall_ns;
	counters->last_cpu_ns = ledger->cpu_ns;
	counters->last_unix_ns = ledger->start_unix_ns + ledger->wall_ns;
}

struct metrics_operations *metrics_operations_copy(const struct metrics_operations *operations)
{
	struct metrics_operations *copy;
	int rc = metrics_operations_new(operations->count, &copy);

	if (rc < 0)
		return NULL;
	memcpy(copy->items, operations->items, operations->count * sizeof(*copy->items));
	copy->count = operations->count;
	return copy;
}

/* service, operation, kind, and one more. */
static const char *put_labels(struct buf *labels, const struct counters *counters, const char *name,
			      const char *value)
{
	const char *kind = render_kind_name(counters->kind);

	buf_clear(labels);
	metrics_text_label(labels, "service", counters->service);
	metrics_text_label(labels, "operation", counters->name);
	metrics_text_label(labels, "kind", str_of(kind ? kind : OTHER));
	if (name)
		metrics_text_label(labels, name, str_of(value));
	buf_append_byte(labels, '\0');
	return buf_error(labels) ? "" : labels->data;
}

static void write_spans(const struct counters *counters, struct metrics_text *text,
			struct buf *labels)
{
	metrics_text_count(text, put_labels(labels, counters, "covered", "true"),
			   counters->covered);
	metrics_text_count(text, put_labels(labels, counters, "covered", "false"),
			   counters->uncovered);
}

static void write_seconds(const struct counters *counters, struct metrics_text *text,
			  struct buf *labels, uint64_t ns, uint64_t last_ns)
{
	struct metrics_exemplar exemplar = { counters->trace_id, (double)last_ns / 1e9,
					     counters->last_unix_ns };

	metrics_text_exemplar(text, put_labels(labels, counters, NULL, NULL), (double)ns / 1e9,
			      counters->covered ? &exemplar : NULL);
}

static void write_blocked(const struct counters *counters, struct metrics_text *text,
			  struct buf *labels)
{
	for (unsigned i = 0; i < REASON_COUNT; i++) {
		if (counters->blocked_ns[i])
			metrics_text_value(
				text, put_labels(labels, counters, "reason", ledger_reason_name(i)),
				(double)counters->blocked_ns[i] / 1e9);
	}
}

/* X(name, help, how one operation is written) */
#define FAMILIES(X)                                                                                \
	X("spanwise_spans_settled_total", "spans settled, by whether they have figures",           \
	  write_spans(at, text, &labels))                                                          \
	X("spanwise_span_wall_seconds_total", "wall time of the spans that have figures",          \
	  write_seconds(at, text, &labels, at->wall_ns, at->last_wall_ns))                         \
	X("spanwise_span_cpu_seconds_total", "CPU time of these spans",                            \
	  write_seconds(at, text, &labels, at->cpu_ns, at->last_cpu_ns))                           \
	X("spanwise_span_runnable_seconds_total", "wall time in which they waited for a CPU",      \
	  metrics_text_value(text, put_labels(&labels, at, NULL, NULL),                            \
			     (double)at->runnable_ns / 1e9))                                       \
	X("spanwise_span_elsewhere_seconds_total", "wall time in which no thread carried them",    \
	  metrics_text_value(text, put_labels(&labels, at, NULL, NULL),                            \
			     (double)at->elsewhere_ns / 1e9))                                      \
	X("spanwise_span_blocked_seconds_total",                                                   \
	  "wall time in which they were blocked, by reason", write_blocked(at, text, &labels))

void metrics_operations_write(const struct metrics_operations *operations,
			      struct metrics_text *text)
{
	struct buf labels;

	buf_init(&labels, 0);
#define X(name, help, write)                                                                       \
	metrics_text_family(text, "counter", name, help);                                          \
	for (const struct counters *at = operations->items;                                        \
	     at < operations->items + operations->count; at++)                                     \
		write;
	FAMILIES(X)
#undef X
	buf_fini(&labels);
}

size_t metrics_operations_bytes(const struct metrics_operations *operations)
{
	return sizeof(*operations) + (operations->max + 1) * sizeof(*operations->items) +
	       map_bytes(&operations->by_name) + operations->arena.used_bytes;
}
