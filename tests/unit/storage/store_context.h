/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a folder of its own, and what its tests do with it again and again. */
#pragma once

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "otlp/otlp_decode.h"
#include "tests/lib/storage_fixture.h"

#define HOUR_NS (3600 * NS_PER_SEC)

struct context {
	char *path;
	struct store_options options;
	struct store *store;
};

static inline int setup(void **state)
{
	struct context *context = calloc(1, sizeof(*context));

	context->path = fixture_folder();
	context->options = fixture_options(context->path);
	context->store = fixture_open(&context->options);
	*state = context;
	return 0;
}

static inline int teardown(void **state)
{
	struct context *context = *state;

	store_close(context->store);
	fixture_remove(context->path);
	free(context->path);
	free(context);
	return 0;
}

static inline void reopen(struct context *context)
{
	store_close(context->store);
	context->store = NULL;
	context->store = fixture_open(&context->options);
}

static inline struct fixture_span span_of(uint64_t trace, uint64_t number)
{
	return (struct fixture_span){
		.trace = trace,
		.span = number,
		.parent = number > 1 ? number - 1 : 0,
		.service = number % 3 ? "shop" : "pay",
		.name = number % 2 ? "GET /report" : "SELECT",
		.start_ns = FIXTURE_T0 + number * 1000,
		.wall_ns = 1000 * number,
		.kind = SPAN_KIND_SERVER,
		.status = SPAN_STATUS_OK,
	};
}

struct seen {
	size_t count;
	uint64_t numbers[4096];
	uint16_t revisions[4096]; /* 0: no ledger */
	struct buf bytes;         /* of all spans, one after the other */
};

static inline int note(const struct store_span *span, void *arg)
{
	struct seen *seen = arg;

	memcpy(&seen->numbers[seen->count], span->span.span_id, SPAN_ID_BYTES);
	seen->revisions[seen->count++] = span->has_ledger ? span->ledger.revision : 0;
	buf_append_str(&seen->bytes, span->span.bytes);
	if (span->has_ledger)
		assert_memory_equal(span->ledger.span_id, span->span.span_id, SPAN_ID_BYTES);
	return 0;
}

static inline int look(struct store *store, uint64_t trace, struct seen *seen)
{
	uint8_t id[TRACE_ID_BYTES];

	buf_fini(&seen->bytes);
	memset(seen, 0, sizeof(*seen));
	fixture_trace_id(trace, id);
	return store_each_of_trace(store, id, note, seen);
}

static inline void commit_many(struct context *context, uint64_t traces, uint64_t now_ns)
{
	for (uint64_t i = 0; i < traces; i += 100) {
		struct fixture_span spans[100];
		struct ledger ledgers[100];

		for (size_t j = 0; j < 100; j++) {
			spans[j] = span_of(i + j, 1 + j);
			ledgers[j] = fixture_ledger(&spans[j], 1, (uint32_t)j);
		}
		assert_int_equal(fixture_commit_spans(context->store, spans, 100, now_ns), 0);
		assert_int_equal(fixture_commit_ledgers(context->store, ledgers, 100, now_ns), 0);
	}
}

static inline void expect_many(struct context *context, uint64_t traces)
{
	static struct seen seen;

	for (uint64_t i = 0; i < traces; i++) {
		assert_int_equal(look(context->store, i, &seen), 0);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.numbers[0], 1 + i % 100);
		assert_int_equal(seen.revisions[0], 1);
	}
	buf_fini(&seen.bytes);
}
