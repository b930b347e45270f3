/* SPDX-License-Identifier: Apache-2.0 */
/* Spans and ledgers with all that they may have, by chance: what the packer's test packs. */
#pragma once

#include <stdio.h>
#include <string.h>

#include "collector/base/macros.h"
#include "storage/ledger_block.h"
#include "storage/span_block.h"
#include "tests/lib/storage_fixture.h"

#define ROWS   120
#define ROUNDS 18
#define SEED   11

static uint64_t random_state = 1;

static uint32_t below(uint32_t limit)
{
	return fixture_random(&random_state) % limit;
}

/* Of any length in bits. */
static uint64_t wide(void)
{
	uint64_t value = (uint64_t)fixture_random(&random_state) << 33 ^
			 (uint64_t)fixture_random(&random_state) << 11 ^
			 fixture_random(&random_state);

	return value >> below(64);
}

static void draw_bytes(void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)bytes)[i] = (uint8_t)below(256);
}

/* What a block was made of. */
struct source {
	struct block_span row;
	struct span span;
	struct buf bytes;
	struct buf ledger; /* encoded; empty: none */
};

static struct source sources[ROWS];
static struct span_resource resources[3];
static struct span_scope scopes[2];
static struct arena arena;

static void put_field(struct buf *out, uint32_t number, const void *bytes, size_t len)
{
	wire_put_bytes(out, number, (struct str){ bytes, len });
}

/* Mostly as SDKs write it; now and then as nobody does. */
static void invent_message(struct source *source)
{
	const struct block_span *row = &source->row;
	static const char *const names[] = { "GET /", "SELECT", "", "publish" };
	const char *name = names[below(4)];
	struct buf *out = &source->bytes;
	uint32_t odd = below(20);

	buf_clear(out);
	put_field(out, 1, row->trace_id, TRACE_ID_BYTES);
	if (odd == 0) /* a field again, and it is another id that counts */
		put_field(out, 1, row->parent_span_id, SPAN_ID_BYTES);
	put_field(out, 2, row->span_id, SPAN_ID_BYTES);
	if (odd != 1)
		put_field(out, 4, row->parent_span_id, odd == 2 ? 0 : SPAN_ID_BYTES);
	if (odd != 3)
		put_field(out, 5, name, strlen(name));
	wire_put_uint(out, 6, row->kind);
	wire_put_fixed64(out, 7, odd == 4 ? row->start_unix_ns + 1 : row->start_unix_ns);
	wire_put_fixed64(out, 8, row->end_unix_ns);
	if (odd == 5) /* a group, and a tag longer than it has to be */
		buf_append(out, "\x93\x01\x08\x01\x94\x01\x8a\x80\x00\x01x", 11);
	for (uint32_t i = below(4); i; i--)
		put_field(out, 9, "\n\x06number", 8);
	source->span.name = str_of(odd == 6 ? "a name from elsewhere" : odd == 3 ? "" : name);
	source->span.peer = str_of(below(3) ? "" : "10.0.0.5:5432");
	source->span.bytes = buf_str(out);
}

static void invent_row(struct source *source, uint32_t number)
{
	struct block_span *row = &source->row;
	const struct source *other = number ? &sources[below(number)] : NULL;
	uint64_t wall_ns = wide();

	*row = (struct block_span){
		.start_unix_ns = below(9) ? FIXTURE_T0 + number * 1000 + wide() % 100000 : wide(),
		.operation = below(40),
		.kind = (uint8_t)below(6),
		.status = (uint8_t)below(3),
		.flags = below(4) ? 0x100 : (uint32_t)wide(),
		.thread_id = below(3) ? 0 : (int64_t)wide(),
		.process_id = below(3) ? 1 : -(int64_t)below(9),
		.resource = below(3),
		.scope = below(2),
	};
	row->end_unix_ns = row->start_unix_ns + MIN(wall_ns, UINT64_MAX - row->start_unix_ns);
	draw_bytes(row->trace_id, TRACE_ID_BYTES);
	draw_bytes(row->span_id, SPAN_ID_BYTES);
	if (other && below(4)) {
		memcpy(row->trace_id, other->row.trace_id, TRACE_ID_BYTES);
		memcpy(row->parent_span_id, other->row.span_id, SPAN_ID_BYTES);
	}
	if (other && below(10) == 0) /* sent again, or an id that two traces share */
		memcpy(row->span_id, other->row.span_id, SPAN_ID_BYTES);
	if (below(10) == 0)
		draw_bytes(row->parent_span_id, SPAN_ID_BYTES);
}

/* ---- ledgers ---- */

static struct event_tag draw_tag(const struct block_span *row)
{
	const struct block_span *other = &sources[below(ROWS)].row;
	struct event_tag tag = { 0 };

	if (below(3) == 0)
		return tag;
	draw_bytes(&tag, sizeof(tag));
	if (below(2))
		memcpy(tag.trace_id, row->trace_id, TRACE_ID_BYTES);
	if (below(2)) {
		memcpy(tag.trace_id, other->trace_id, TRACE_ID_BYTES);
		memcpy(tag.span_id, other->span_id, SPAN_ID_BYTES);
	}
	return tag;
}

static void *array(uint16_t *count, unsigned max, size_t size)
{
	*count = (uint16_t)(below(3) ? below(4) : below(max + 1));
	return arena_alloc(&arena, *count * size);
}

static void draw_split(struct ledger_split *split)
{
	uint64_t *parts = (void *)split;

	for (size_t i = 0; i < sizeof(*split) / sizeof(*parts); i++)
		parts[i] = below(2) ? wide() : 0;
}

static void draw_slices(struct ledger *ledger)
{
	uint64_t at_ns = ledger->start_unix_ns, end_ns = at_ns + ledger->wall_ns;
	bool is_covering = below(4) != 0;

	ledger->slices = array(&ledger->slice_count, LEDGER_MAX_SLICES, sizeof(*ledger->slices));
	for (unsigned i = 0; i < ledger->slice_count; i++) {
		struct ledger_slice *slice = &ledger->slices[i];
		bool is_last = i + 1u == ledger->slice_count;

		*slice = (struct ledger_slice){
			.start_unix_ns = is_covering ? at_ns : at_ns + wide() % 1000,
			.ns = is_covering && is_last ? end_ns - at_ns
						     : wide() % ((end_ns - at_ns) / 2 + 1),
			.tid = below(3) ? 77 : (uint32_t)wide(),
			.state = (uint8_t)below(STATE_UNKNOWN + 1),
			.reason = (uint8_t)below(REASON_COUNT),
		};
		at_ns = slice->start_unix_ns + slice->ns;
	}
}

/* All that a ledger may have: who woke, and who held a lock. */
static uint8_t draw_waker(void)
{
	return below(3) ? (uint8_t)below(WAKER_KERNEL + 1)
			: (uint8_t)(HOLDER_HELD + below(HOLDER_LAST - HOLDER_HELD + 1));
}

static void draw_waits(struct ledger *ledger, const struct block_span *row)
{
	static const uint64_t stacks[] = { 0, 1, 2, 3, 16, 17, 1ull << 63 };

	ledger->waits = array(&ledger->wait_count, LEDGER_MAX_WAITS, sizeof(*ledger->waits));
	for (unsigned i = 0; i < ledger->wait_count; i++) {
		struct ledger_wait *wait = &ledger->waits[i];

		wait->reason = (uint8_t)below(REASON_COUNT);
		wait->syscall = below(2) ? -1 : (int32_t)below(500);
		if (below(3) == 0)
			wait->syscall += LEDGER_KERNEL_IN_CALL;
		wait->stack = stacks[below(ARRAY_LEN(stacks))];
		wait->count = below(2) ? 1 : (uint32_t)wide();
		wait->ns = wide();
		wait->longest_ns = below(2) ? wait->ns : wide();
		wait->self_ns = below(2) ? wait->ns : wide();
		wait->target.kind = (uint8_t)below(TARGET_FUTEX_SHARED + 1);
		wait->target.port = (uint16_t)below(3);
		wait->target.id = below(2);
		wait->target.address[below(16)] = (uint8_t)below(2);
		wait->waker_count = (uint8_t)below(LEDGER_MAX_WAKERS + 1);
		for (unsigned k = 0; k < wait->waker_count; k++) {
			wait->wakers[k] = (struct ledger_waker){ .pid = below(3),
								 .tid = below(9),
								 .kind = draw_waker(),
								 .tag = draw_tag(row),
								 .ns = wide() };
			snprintf(wait->wakers[k].comm, EVENT_COMM_BYTES, "worker %u", below(3));
		}
	}
}

static void draw_others(struct ledger *ledger, const struct block_span *row)
{
	ledger->items = array(&ledger->item_count, LEDGER_MAX_ITEMS, sizeof(*ledger->items));
	for (unsigned i = 0; i < ledger->item_count; i++) {
		ledger->items[i].kind = (uint8_t)(1 + below(3));
		if (below(2))
			draw_bytes(ledger->items[i].span_id, SPAN_ID_BYTES);
		ledger->items[i].ns = wide();
		snprintf(ledger->items[i].name, 64, "child %u", below(4));
	}
	ledger->links = array(&ledger->link_count, LEDGER_MAX_LINKS, sizeof(*ledger->links));
	for (unsigned i = 0; i < ledger->link_count; i++)
		ledger->links[i] = (struct ledger_link){ .to = draw_tag(row),
							 .via = (uint8_t)below(2),
							 .ns = wide() };
	ledger->stacks = array(&ledger->stack_count, LEDGER_MAX_STACKS, sizeof(*ledger->stacks));
	for (unsigned i = 0; i < ledger->stack_count; i++)
		ledger->stacks[i] =
			(struct ledger_stack){ below(2) ? 0 : 16 + below(5), wide(), wide() };
}

static struct ledger draw_ledger(const struct block_span *row)
{
	bool has_times = below(10) != 0;
	struct ledger ledger = {
		.start_unix_ns = has_times ? row->start_unix_ns : FIXTURE_T0,
		.wall_ns = has_times ? row->end_unix_ns - row->start_unix_ns : wide() >> 8,
		.pid = 100 + below(3),
		.revision = (uint16_t)(below(4) ? 1 : 1 + below(400)),
		.grade = (uint8_t)below(5),
		.settled = below(2),
		.is_local_root = below(2),
		.slices_truncated = below(2),
		.none_cause = (uint8_t)below(NONE_BEFORE_START + 1),
		.uncertain_ns = wide(),
		.cpu_ns = wide(),
		.cpu_self_ns = wide(),
		.forked_cpu_ns = below(9) ? 0 : wide(),
		.preempted_ns = below(2) ? 0 : wide(),
		.throttled_ns = below(9) ? 0 : wide(),
		.yielded_ns = below(9) ? 0 : wide(),
	};

	memcpy(ledger.trace_id, row->trace_id, TRACE_ID_BYTES);
	memcpy(ledger.span_id, row->span_id, SPAN_ID_BYTES);
	draw_split(&ledger.all);
	ledger.self = ledger.all;
	if (below(2))
		draw_split(&ledger.self);
	draw_slices(&ledger);
	draw_waits(&ledger, row);
	draw_others(&ledger, row);
	return ledger;
}

/* A child's lists are mostly its parent's. */
static void inherit(struct ledger *ledger, const struct ledger *from)
{
	if (below(2)) {
		ledger->waits = from->waits;
		ledger->wait_count = from->wait_count;
	}
	if (below(2)) {
		ledger->stacks = from->stacks;
		ledger->stack_count = from->stack_count;
	}
	if (below(2) && from->slice_count) {
		uint16_t skipped = (uint16_t)below(from->slice_count);

		ledger->slices = from->slices + skipped;
		ledger->slice_count = (uint16_t)(from->slice_count - skipped);
	}
}

static void invent_ledgers(unsigned share)
{
	struct ledger last = { 0 };

	for (size_t i = 0; i < ROWS; i++) {
		struct ledger ledger;

		buf_clear(&sources[i].ledger);
		if (below(100) >= share)
			continue;
		ledger = draw_ledger(&sources[i].row);
		if (last.revision && below(2))
			inherit(&ledger, &last);
		ledger_encode(&ledger, &sources[i].ledger);
		last = ledger;
	}
}

static void invent(unsigned share)
{
	static const char *const texts[] = { "", "shop", "a resource", "https://schema" };

	for (size_t i = 0; i < ARRAY_LEN(resources); i++)
		resources[i] = (struct span_resource){ .bytes = str_of(texts[below(4)]),
						       .schema_url = str_of(texts[below(4)]),
						       .service_name = str_of(texts[i]),
						       .host_name = str_of(texts[below(4)]),
						       .process_pid = below(3) };
	for (size_t i = 0; i < ARRAY_LEN(scopes); i++)
		scopes[i] = (struct span_scope){ .bytes = str_of(texts[below(4)]),
						 .schema_url = str_of(texts[below(4)]) };
	for (uint32_t i = 0; i < ROWS; i++) {
		invent_row(&sources[i], i);
		invent_message(&sources[i]);
	}
	invent_ledgers(share);
}
