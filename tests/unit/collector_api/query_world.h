/* SPDX-License-Identifier: Apache-2.0 */
/* A store, an engine and a daemon that the routes are asked over: they hold what a test puts in. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "collector/base/arena.h"
#include "collector/daemon.h"
#include "collector/engine.h"
#include "collector/query/name_cache.h"
#include "collector/stack_book.h"
#include "collector/status.h"
#include "correlate/rollup.h"
#include "storage/store.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define START 1763798400000000000ull

/* What the fakes below hold. */
static struct store_span stored[8];
static size_t stored_count;
static struct ledger peeked[4];
static size_t peeked_count, peek_count;
static struct store_query asked;
static bool is_ready;
static struct store_stats stats;

struct store *daemon_store(const struct daemon *daemon)
{
	(void)daemon;
	return NULL;
}

bool stack_book_find(uint64_t id, struct buf *out_frames, void *book)
{
	(void)id;
	(void)out_frames;
	(void)book;
	return false;
}

/* No stack has a name here. */
int store_stack(struct store_stacks *stacks, uint64_t id, struct buf *out_frames)
{
	(void)stacks;
	(void)id;
	(void)out_frames;
	return -ENOENT;
}

void store_stacks_fini(struct store_stacks *stacks)
{
	(void)stacks;
}

struct stack_book *daemon_stacks(const struct daemon *daemon)
{
	(void)daemon;
	return NULL;
}

struct name_cache *daemon_names(const struct daemon *daemon)
{
	static struct name_cache *cache;

	(void)daemon;
	if (!cache)
		assert_int_equal(name_cache_new((size_t)1 << 20, 1, &cache), 0);
	return cache;
}

struct engine *daemon_engine(const struct daemon *daemon)
{
	(void)daemon;
	return NULL;
}

struct alerter *daemon_alerter(const struct daemon *daemon)
{
	(void)daemon;
	return NULL;
}

const struct config *daemon_config(const struct daemon *daemon)
{
	(void)daemon;
	return NULL;
}

bool daemon_is_ready(const struct daemon *daemon)
{
	(void)daemon;
	return is_ready;
}

void status_render(struct daemon *daemon, struct json *json)
{
	(void)daemon;
	json_object(json, NULL);
	json_end(json);
}

void metrics_render(struct daemon *daemon, bool is_open, struct buf *out)
{
	(void)daemon;
	(void)is_open;
	buf_append_text(out, "up 1\n");
}

int engine_peek(struct engine *engine, const uint8_t trace_id[TRACE_ID_BYTES], struct arena *arena,
		struct ledger **out_ledgers, size_t *out_count)
{
	struct ledger *copy = arena_alloc(arena, sizeof(peeked));

	(void)engine;
	(void)trace_id;
	peek_count++;
	if (peeked_count == 0 || !copy)
		return -ENOENT;
	memcpy(copy, peeked, sizeof(peeked));
	*out_ledgers = copy;
	*out_count = peeked_count;
	return 0;
}

int store_each_of_trace(struct store *store, const uint8_t trace_id[TRACE_ID_BYTES],
			int (*visit)(const struct store_span *span, void *arg), void *arg)
{
	int rc = stored_count ? 0 : -ENOENT;

	(void)store;
	(void)trace_id;
	for (size_t i = 0; i < stored_count && rc == 0; i++)
		rc = visit(&stored[i], arg);
	return rc;
}

int store_search(struct store *store, const struct store_query *query,
		 int (*visit)(const struct store_span *span, void *arg), void *arg,
		 bool *out_truncated)
{
	size_t found = 0, i = 0;
	int rc = 0;

	(void)store;
	asked = *query;
	*out_truncated = false;
	while (query->after &&
	       memcmp(query->after->span_id, stored[i++].span.span_id, SPAN_ID_BYTES) != 0)
		;
	for (; i < stored_count && found < query->limit && rc == 0; i++) {
		struct store_position *position = &stored[i].position;

		found++;
		position->rank = position->start_unix_ns = stored[i].span.start_unix_ns;
		memcpy(position->trace_id, stored[i].span.trace_id, TRACE_ID_BYTES);
		memcpy(position->span_id, stored[i].span.span_id, SPAN_ID_BYTES);
		rc = visit(&stored[i], arg);
	}
	return rc;
}

/* Of what has settled. */
int store_walls(struct store *store, const struct store_query *query, struct buf *out_walls,
		bool *out_truncated)
{
	(void)store;
	(void)query;
	*out_truncated = false;
	for (size_t i = 0; i < stored_count; i++) {
		const struct span *span = &stored[i].span;
		uint64_t wall_ns = span->end_unix_ns - span->start_unix_ns;

		if (stored[i].has_ledger)
			buf_append(out_walls, &wall_ns, sizeof(wall_ns));
	}
	return buf_error(out_walls);
}

void store_stats(struct store *store, struct store_stats *out_stats)
{
	(void)store;
	*out_stats = stats;
}

/* All that is stored, as one operation. */
int store_each_rollup(struct store *store, const struct store_rollup_query *query,
		      int (*visit)(const struct store_rollup *rollup, void *arg), void *arg)
{
	struct rollup_cell cell = { .bucket_count = 0 };
	struct store_rollup rollup = { .service = STR("shop"),
				       .operation = STR("GET /"),
				       .kind = SPAN_KIND_SERVER,
				       .cell = &cell,
				       .candidates = cell.examples,
				       .candidate_count = ROLLUP_EXAMPLES };
	int rc;

	(void)store;
	for (size_t i = 0; i < stored_count; i++) {
		const struct span *span = &stored[i].span;

		if (stored[i].has_ledger && span->end_unix_ns >= query->from_unix_ns &&
		    (!query->to_unix_ns || span->end_unix_ns < query->to_unix_ns))
			assert_int_equal(rollup_cell_add(&cell, &stored[i].ledger, false, 1), 0);
	}
	rc = visit(&rollup, arg);
	rollup_cell_fini(&cell);
	return rc;
}

int store_each_operation(struct store *store,
			 int (*visit)(struct str service, struct str operation, uint8_t kind,
				      uint64_t spans, void *arg),
			 void *arg)
{
	(void)store;
	visit(STR("db"), STR("SELECT"), SPAN_KIND_SERVER, 3, arg);
	visit(STR("shop"), STR("GET /"), SPAN_KIND_SERVER, 2, arg);
	return visit(STR("shop"), STR("POST /"), SPAN_KIND_CLIENT, 1, arg);
}

/* Adds a span with this last byte of its id; newest first, as the store gives them. */
static struct store_span *add_span(uint8_t id, uint64_t start_unix_ns, uint64_t wall_ns)
{
	struct store_span *span = &stored[stored_count++];

	*span = (struct store_span){
		.span = { .start_unix_ns = start_unix_ns,
			  .end_unix_ns = start_unix_ns + wall_ns,
			  .name = STR("GET /") },
		.service = STR("shop"),
	};
	assert_true(hex_decode(STR(TRACE), span->span.trace_id, TRACE_ID_BYTES));
	span->span.span_id[SPAN_ID_BYTES - 1] = id;
	return span;
}

static struct ledger make_ledger(uint8_t id, uint16_t revision, bool settled)
{
	struct ledger ledger = { .wall_ns = 100,
				 .grade = GRADE_EXACT,
				 .revision = revision,
				 .settled = settled,
				 .cpu_ns = 10u * revision,
				 .all = { .running_ns = 40, .blocked_ns = { [REASON_NET] = 60 } } };

	ledger.span_id[SPAN_ID_BYTES - 1] = id;
	return ledger;
}

static struct ledger_wait waits[] = { {
	.reason = REASON_NET,
	.waker_count = 1,
	.syscall = -1,
	.count = 1,
	.ns = 60,
	.longest_ns = 60,
	.stack = 0x777,
	.target = { .kind = TARGET_INET4, .port = 5432, .aux = 33333, .address = { 10, 0, 0, 5 } },
	.wakers = { { .comm = "postgres", .ns = 60 } },
} };
