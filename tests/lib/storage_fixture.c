/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/storage_fixture.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/base/wire.h"
#include "otlp/otlp_decode.h"

char *fixture_folder(void)
{
	const char *base = getenv("TMPDIR");
	char *path;

	assert_true(asprintf(&path, "%s/spanwise-store-XXXXXX", base ? base : "/tmp") > 0);
	assert_non_null(mkdtemp(path));
	return path;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat, (void)type, (void)ftw;
	return remove(path);
}

void fixture_remove(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

uint32_t fixture_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*state >> 33);
}

void fixture_trace_id(uint64_t number, uint8_t out_id[TRACE_ID_BYTES])
{
	uint64_t halves[2] = { (number + 1) * 0x9e3779b97f4a7c15ull, number + 1 };

	memcpy(out_id, halves, TRACE_ID_BYTES);
}

void fixture_span_id(uint64_t number, uint8_t out_id[SPAN_ID_BYTES])
{
	memcpy(out_id, &number, SPAN_ID_BYTES);
}

static void put_message(struct buf *out, uint32_t number, struct buf *message)
{
	wire_put_bytes(out, number, buf_str(message));
	buf_fini(message);
}

static void put_attribute(struct buf *out, uint32_t owner, const char *key, const char *text)
{
	struct buf value = { 0 }, attribute = { 0 };

	wire_put_bytes(&value, 1, str_of(text));
	wire_put_bytes(&attribute, 1, str_of(key));
	put_message(&attribute, 2, &value);
	put_message(out, owner, &attribute);
}

static void put_span(struct buf *out, const struct fixture_span *span)
{
	struct buf message = { 0 }, status = { 0 };
	uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES], parent_id[SPAN_ID_BYTES];
	char text[32];

	fixture_trace_id(span->trace, trace_id);
	fixture_span_id(span->span, span_id);
	fixture_span_id(span->parent, parent_id);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)span->span);
	wire_put_bytes(&message, 1, (struct str){ (char *)trace_id, sizeof(trace_id) });
	wire_put_bytes(&message, 2, (struct str){ (char *)span_id, sizeof(span_id) });
	if (span->parent)
		wire_put_bytes(&message, 4, (struct str){ (char *)parent_id, sizeof(parent_id) });
	wire_put_bytes(&message, 5, str_of(span->name));
	wire_put_uint(&message, 6, span->kind);
	wire_put_fixed64(&message, 7, span->start_ns);
	wire_put_fixed64(&message, 8, span->start_ns + span->wall_ns);
	put_attribute(&message, 9, "number", text);
	put_attribute(&message, 9, "server.address", "10.0.0.5");
	wire_put_uint(&status, 3, span->status);
	put_message(&message, 15, &status);
	wire_put_bytes(&message, 999, str_of("a field of the future"));
	put_message(out, 2, &message);
}

static void put_resource(struct buf *out, const char *service)
{
	struct buf message = { 0 };

	if (*service)
		put_attribute(&message, 1, "service.name", service);
	put_attribute(&message, 1, "host.name", "node-1");
	put_message(out, 1, &message);
}

struct span_batch *fixture_batch(const struct fixture_span *spans, size_t count)
{
	struct buf request = { 0 };
	struct span_batch *batch;

	for (size_t i = 0; i < count;) {
		struct buf resource_spans = { 0 }, scope_spans = { 0 }, scope = { 0 };
		const char *service = spans[i].service;

		put_resource(&resource_spans, service);
		wire_put_bytes(&scope, 1, str_of("fixture"));
		put_message(&scope_spans, 1, &scope);
		for (; i < count && strcmp(spans[i].service, service) == 0; i++)
			put_span(&scope_spans, &spans[i]);
		put_message(&resource_spans, 2, &scope_spans);
		put_message(&request, 1, &resource_spans);
	}
	assert_int_equal(buf_error(&request), 0);
	assert_int_equal(otlp_decode(request.data, request.len, NULL, &batch), 0);
	assert_int_equal(batch->span_count, count);
	return batch;
}

struct ledger fixture_ledger(const struct fixture_span *span, uint16_t revision, uint32_t seed)
{
	uint64_t quarter = span->wall_ns / 4;
	struct ledger ledger = {
		.start_unix_ns = span->start_ns,
		.wall_ns = span->wall_ns,
		.pid = 1 + seed % 1000,
		.revision = revision,
		.settled = true,
		.grade = (uint8_t)(seed % 5),
	};

	fixture_trace_id(span->trace, ledger.trace_id);
	fixture_span_id(span->span, ledger.span_id);
	if (ledger.grade == GRADE_NONE) {
		ledger.none_cause = NONE_NO_TAGS;
		return ledger;
	}
	ledger.uncertain_ns = ledger.grade == GRADE_EXACT ? 100 : LEDGER_EXACT_NS + 1;
	ledger.all.running_ns = quarter * (seed / 5 % 3);
	ledger.all.blocked_ns[seed / 16 % REASON_COUNT] = quarter * (seed / 7 % 2);
	ledger.all.runnable_ns = quarter / 3;
	ledger.all.elsewhere_ns = span->wall_ns - ledger.all.running_ns - ledger.all.runnable_ns -
				  ledger_blocked_ns(&ledger.all);
	ledger.cpu_ns = ledger.all.running_ns;
	assert_true(ledger_adds_up(&ledger));
	return ledger;
}

struct store_options fixture_options(const char *path)
{
	return (struct store_options){ .path = path, .max_bytes = 1ull << 30 };
}

struct store *fixture_open(const struct store_options *options)
{
	struct buf message = { 0 };
	struct store *store = NULL;
	int rc = store_open(options, FIXTURE_T0, &store, &message);

	if (rc < 0)
		fail_msg("store_open: %d: %.*s", rc, (int)message.len, message.data);
	return store;
}

int fixture_commit_settled(struct store *store, const struct fixture_span *spans, size_t count,
			   uint8_t none_cause, uint64_t now_ns)
{
	struct span_batch *batch = fixture_batch(spans, count);
	const struct span_batch *batches[] = { batch };
	uint8_t *by_resource = arena_alloc(&batch->arena, batch->resource_count);
	const uint8_t *causes[] = { by_resource };
	struct store_group group = { .batches = batches, .batch_count = 1, .none_causes = causes };
	int rc;

	assert_non_null(by_resource);
	memset(by_resource, none_cause, batch->resource_count);
	rc = store_commit(store, &group, now_ns);
	otlp_batch_free(batch);
	return rc;
}

int fixture_commit_spans(struct store *store, const struct fixture_span *spans, size_t count,
			 uint64_t now_ns)
{
	return fixture_commit_settled(store, spans, count, 0, now_ns);
}

int fixture_commit_ledgers(struct store *store, const struct ledger *ledgers, size_t count,
			   uint64_t now_ns)
{
	struct store_ledger_rows rows = { ledgers, count };
	struct store_group group = { .rows = &rows, .row_count = 1 };

	return store_commit(store, &group, now_ns);
}

void fixture_pack(struct store *store, uint64_t now_ns)
{
	int rc;

	while ((rc = store_maintain(store, now_ns)) > 0)
		;
	assert_int_equal(rc, 0);
}
