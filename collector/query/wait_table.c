/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/wait_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/clock.h"
#include "collector/query/operation_view.h"
#include "collector/query/stacks.h"

#define SHOWN_WAKERS 4

/* Compared as bytes: no padding. */
struct wait_key {
	struct event_target target;
	uint64_t stack;
	int32_t syscall;
	uint32_t reason;
};

_Static_assert(sizeof(struct wait_key) == sizeof(struct event_target) + 16, "no padding");

struct waker_sum {
	char comm[EVENT_COMM_BYTES];
	uint64_t ns;
};

struct wait_sum {
	uint64_t ns, count, spans, longest_ns;
	uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES]; /* of the longest */
	struct waker_sum wakers[LEDGER_MAX_WAKERS];
};

void wait_table_init(struct wait_table *table)
{
	*table = (struct wait_table){ 0 };
	map_init(&table->sums, sizeof(struct wait_key), sizeof(struct wait_sum), clock_mono_ns());
	table->sums.max_count = WAIT_TABLE_MAX;
}

void wait_table_fini(struct wait_table *table)
{
	map_fini(&table->sums);
}

/* The first ones stay: what matters wakes often. */
static void add_waker(struct wait_sum *sum, const struct ledger_waker *waker)
{
	for (unsigned i = 0; i < LEDGER_MAX_WAKERS; i++) {
		struct waker_sum *known = &sum->wakers[i];

		if (known->ns == 0)
			memcpy(known->comm, waker->comm, sizeof(known->comm));
		if (memcmp(known->comm, waker->comm, sizeof(known->comm)) == 0) {
			known->ns += waker->ns;
			return;
		}
	}
}

static void add_wait(struct wait_sum *sum, const struct ledger *ledger,
		     const struct ledger_wait *wait)
{
	sum->ns += wait->ns;
	sum->count += wait->count;
	sum->spans++;
	if (wait->longest_ns >= sum->longest_ns) {
		sum->longest_ns = wait->longest_ns;
		memcpy(sum->trace_id, ledger->trace_id, TRACE_ID_BYTES);
		memcpy(sum->span_id, ledger->span_id, SPAN_ID_BYTES);
	}
	for (unsigned i = 0; i < ledger_count_wakers(wait); i++)
		add_waker(sum, &wait->wakers[i]);
}

int wait_table_add(struct wait_table *table, const struct ledger *ledger)
{
	if (ledger->grade < GRADE_INFERRED)
		return 0;
	table->wall_ns += ledger->wall_ns;
	for (unsigned i = 0; i < ledger->wait_count; i++) {
		const struct ledger_wait *wait = &ledger->waits[i];
		struct wait_key key = {
			.target = rollup_target(&wait->target),
			.stack = wait->stack,
			.syscall = wait->syscall,
			.reason = wait->reason,
		};
		struct wait_sum *sum = map_put(&table->sums, &key);

		if (sum)
			add_wait(sum, ledger, wait);
		else if (table->sums.count >= WAIT_TABLE_MAX)
			table->left_out_ns += wait->ns;
		else
			return -ENOMEM;
	}
	return 0;
}

struct ranked {
	struct wait_key key;
	const struct wait_sum *sum;
};

static int by_ns(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->sum->ns != y->sum->ns)
		return x->sum->ns > y->sum->ns ? -1 : 1;
	return memcmp(&x->key, &y->key, sizeof(x->key));
}

static int waker_by_ns(const void *a, const void *b)
{
	const struct waker_sum *x = a, *y = b;

	return (x->ns < y->ns) - (x->ns > y->ns);
}

static void put_wakers(struct json *json, const struct wait_sum *sum)
{
	struct waker_sum wakers[LEDGER_MAX_WAKERS];

	memcpy(wakers, sum->wakers, sizeof(wakers));
	qsort(wakers, LEDGER_MAX_WAKERS, sizeof(*wakers), waker_by_ns);
	json_array(json, "wakers");
	for (unsigned i = 0; i < SHOWN_WAKERS && wakers[i].ns; i++) {
		size_t len = strnlen(wakers[i].comm, sizeof(wakers[i].comm));

		json_object(json, NULL);
		json_str(json, "comm", (struct str){ wakers[i].comm, len });
		json_uint(json, "ns", wakers[i].ns);
		json_end(json);
	}
	json_end(json);
}

static void put_decided_by(struct json *json, const struct wait_key *key)
{
	struct ledger_wait wait = { .reason = (uint8_t)key->reason, .syscall = key->syscall };
	struct buf text;

	buf_init(&text, 0);
	ledger_decided_by(&wait, &text);
	json_str(json, "decided_by", buf_str(&text));
	buf_fini(&text);
}

static void put_sum(struct json *json, const struct ranked *ranked, uint64_t wall_ns,
		    struct stacks *stacks)
{
	const struct wait_sum *sum = ranked->sum;
	struct rollup_wait wait = { .target = ranked->key.target,
				    .stack = ranked->key.stack,
				    .reason = (uint8_t)ranked->key.reason };

	json_object(json, NULL);
	operation_view_wait(json, &wait);
	stacks_put_json(json, "stack", wait.stack, stacks);
	put_decided_by(json, &ranked->key);
	json_uint(json, "ns", sum->ns);
	json_double(json, "share", wall_ns ? (double)sum->ns / (double)wall_ns : 0, 4);
	json_uint(json, "count", sum->count);
	json_uint(json, "spans", sum->spans);
	json_uint(json, "longest_ns", sum->longest_ns);
	json_object(json, "example");
	json_hex(json, "trace_id", sum->trace_id, TRACE_ID_BYTES);
	json_hex(json, "span_id", sum->span_id, SPAN_ID_BYTES);
	json_end(json);
	put_wakers(json, sum);
	json_end(json);
}

int wait_table_render(const struct wait_table *table, struct json *json, size_t limit,
		      struct stacks *stacks)
{
	struct ranked *ranked = malloc((table->sums.count + 1) * sizeof(*ranked));
	uint64_t left_out_ns = table->left_out_ns;
	size_t cursor = 0, count = 0;
	const void *key;

	if (!ranked)
		return -ENOMEM;
	while ((ranked[count].sum = map_next(&table->sums, &cursor, &key)))
		memcpy(&ranked[count++].key, key, sizeof(struct wait_key));
	qsort(ranked, count, sizeof(*ranked), by_ns);
	json_array(json, "waits");
	for (size_t i = 0; i < count; i++) {
		if (i < limit)
			put_sum(json, &ranked[i], table->wall_ns, stacks);
		else
			left_out_ns += ranked[i].sum->ns;
	}
	json_end(json);
	json_uint(json, "left_out_ns", left_out_ns);
	free(ranked);
	return 0;
}
