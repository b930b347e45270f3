/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever goes into a packed block comes out of it, byte for byte. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "storage/ledger_block.h"
#include "storage/packed.h"
#include "storage/packer.h"
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
			: (uint8_t)(HOLDER_HELD + below(HOLDER_RELEASED - HOLDER_HELD + 1));
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

/* ---- there and back ---- */

static int fetch(uint64_t handle, struct arena *into, struct ledger *out_ledger, void *arg)
{
	(void)arg;
	return ledger_decode(buf_str(&sources[handle - 1].ledger), into, out_ledger);
}

static void pack(struct packer *packer, enum block_kind kind, uint32_t count)
{
	packer_begin(packer, kind);
	for (uint32_t i = 0; i < count; i++) {
		const struct source *source = &sources[i];
		uint64_t handle = source->ledger.len ? i + 1 : 0;
		struct block_ledger row = { .start_unix_ns = source->row.start_unix_ns,
					    .wall_ns = source->row.end_unix_ns -
						       source->row.start_unix_ns };

		memcpy(row.trace_id, source->row.trace_id, TRACE_ID_BYTES);
		memcpy(row.span_id, source->row.span_id, SPAN_ID_BYTES);
		if (kind == BLOCK_SPANS)
			assert_int_equal(packer_span(packer, &source->row, &source->span,
						     &resources[source->row.resource],
						     &scopes[source->row.scope], handle),
					 0);
		else
			assert_int_equal(packer_ledger(packer, &row, handle), 0);
	}
	assert_int_equal(packer_end(packer, FIXTURE_T0, fetch, NULL), 0);
}

static void check_span(const struct block *block, uint32_t row)
{
	const struct source *source = &sources[row];
	const struct span_resource *wanted = &resources[source->row.resource];
	struct span_resource resource;
	struct span_scope scope;
	struct span span;

	assert_int_equal(span_block_span(block, row, &span, &resource, &scope), 0);
	assert_true(str_eq(span.bytes, source->span.bytes));
	assert_true(str_eq(span.name, source->span.name));
	assert_true(str_eq(span.peer, source->span.peer));
	assert_true(str_eq(resource.bytes, wanted->bytes));
	assert_true(str_eq(resource.schema_url, wanted->schema_url));
	assert_true(str_eq(resource.service_name, wanted->service_name));
	assert_true(str_eq(resource.host_name, wanted->host_name));
	assert_int_equal(resource.process_pid, wanted->process_pid);
	assert_true(str_eq(scope.bytes, scopes[source->row.scope].bytes));
	assert_memory_equal(span.trace_id, source->row.trace_id, TRACE_ID_BYTES);
	assert_memory_equal(span.span_id, source->row.span_id, SPAN_ID_BYTES);
	assert_memory_equal(span.parent_span_id, source->row.parent_span_id, SPAN_ID_BYTES);
	assert_int_equal(span.start_unix_ns, source->row.start_unix_ns);
	assert_int_equal(span.end_unix_ns, source->row.end_unix_ns);
	assert_int_equal(span.thread_id, source->row.thread_id);
	assert_int_equal(span.process_id, source->row.process_id);
	assert_int_equal(span.flags, source->row.flags);
	assert_int_equal(block->spans[row].operation, source->row.operation);
}

static void check_ledger(const struct block *block, uint32_t row)
{
	const struct source *source = &sources[row];
	struct buf again = { 0 };
	struct ledger ledger;
	uint16_t revision;
	uint8_t grade;

	if (source->ledger.len == 0) {
		assert_false(packed_ledger_of(block->packed, row, &revision, &grade));
		return;
	}
	assert_int_equal(ledger_block_ledger(block, row, &arena, &ledger), 0);
	ledger_encode(&ledger, &again);
	assert_true(str_eq(buf_str(&again), buf_str(&source->ledger)));
	assert_true(packed_ledger_of(block->packed, row, &revision, &grade));
	assert_int_equal(revision, ledger.revision);
	assert_int_equal(grade, ledger.grade);
	buf_fini(&again);
}

static void check(const struct packer *packer, uint32_t count)
{
	struct block block;

	assert_int_equal(block_open(buf_str(&packer->block), false, &block), 0);
	block.stack_ids = buf_str(&packer->stacks.ids);
	assert_int_equal(block.header->row_count, count);
	if (below(2)) /* in either order */
		assert_int_equal(block_figures(&block), 0);
	assert_int_equal(block_load(&block), 0);
	for (uint32_t i = 0; i < 2 * count; i++) {
		uint32_t row = i < count ? i : below(count);

		if (block.spans)
			check_span(&block, row);
		check_ledger(&block, row);
	}
	block_close(&block);
}

static void fini_sources(void)
{
	for (size_t i = 0; i < ROWS; i++) {
		buf_fini(&sources[i].bytes);
		buf_fini(&sources[i].ledger);
	}
	arena_fini(&arena);
}

static void what_is_packed_comes_back(void **state)
{
	struct packer packer;

	(void)state;
	arena_init(&arena, 0);
	assert_int_equal(packer_init(&packer, SEED, 1), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint32_t count = 1 + below(ROWS);

		invent(round % 3 ? 90 : 0);
		pack(&packer, BLOCK_SPANS, count);
		check(&packer, count);
		invent_ledgers(100);
		pack(&packer, BLOCK_LEDGERS, count);
		check(&packer, count);
		arena_clear(&arena);
	}
	packer_fini(&packer);
	fini_sources();
}

static void stacks_without_a_number_come_back(void **state)
{
	struct packer packer;
	uint32_t number = 1;

	(void)state;
	arena_init(&arena, 0);
	assert_int_equal(packer_init(&packer, SEED, 1), 0);
	for (uint64_t i = 0; number; i++)
		assert_int_equal(stack_numbers_of(&packer.stacks, i << 32, &number), 0);
	assert_int_equal(packer.stacks.ids.len, STACK_NUMBERS_MAX * sizeof(uint64_t));
	invent(90);
	pack(&packer, BLOCK_SPANS, ROWS);
	check(&packer, ROWS);
	packer_fini(&packer);
	fini_sources();
}

static void a_stack_that_the_part_does_not_know_is_damage(void **state)
{
	struct packer packer;
	struct block block;

	(void)state;
	arena_init(&arena, 0);
	assert_int_equal(packer_init(&packer, SEED, 1), 0);
	invent(90);
	pack(&packer, BLOCK_SPANS, ROWS);
	assert_true(packer.stacks.ids.len > 0);
	assert_int_equal(block_open(buf_str(&packer.block), false, &block), 0);
	block.stack_ids =
		(struct str){ packer.stacks.ids.data, packer.stacks.ids.len - sizeof(uint64_t) };
	assert_int_equal(block_load(&block), -EBADMSG);
	block_close(&block);
	packer_fini(&packer);
	fini_sources();
}

static int believe(const char *bytes, size_t len)
{
	struct block block;
	int rc = block_open((struct str){ bytes, len }, false, &block);

	if (rc == 0)
		block_close(&block);
	return rc;
}

static void no_flipped_bit_and_no_cut_is_believed(void **state)
{
	struct packer packer;
	char *bytes;
	size_t len;

	(void)state;
	arena_init(&arena, 0);
	assert_int_equal(packer_init(&packer, SEED, 1), 0);
	invent(50);
	pack(&packer, BLOCK_SPANS, 20);
	bytes = packer.block.data;
	len = packer.block.len;
	for (size_t bit = 0; bit < 8 * len; bit += 1 + bit / 4096) {
		int rc;

		bytes[bit / 8] ^= (char)(1 << bit % 8);
		rc = believe(bytes, len);
		assert_true(rc == -EBADMSG || rc == -EPROTO);
		bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut += 1 + cut / 16)
		assert_int_equal(believe(bytes, cut), -EBADMSG);
	packer_fini(&packer);
	fini_sources();
}

static void numbers_of_all_lengths_come_back(void **state)
{
	struct compress_packer *compressor = compress_packer_new(1);
	uint64_t values[256], guesses[] = { 7, 0 };
	struct buf bytes = { 0 };
	struct coder coder;

	(void)state;
	coder_init(&coder);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		int64_t step;

		values[i] = i < 64 ? 1ull << i : wide();
		step = (int64_t)(0 - values[i]);

		coder_wide(&coder, COLUMN_CPU, &values[i]);
		coder_wide_signed(&coder, COLUMN_BLOCKED, &step);
		coder_number(&coder, COLUMN_FIGURE, &values[i]);
		coder_guess(&coder, COLUMN_DETAIL, COLUMN_DETAIL_NS, guesses, 2, &values[i]);
	}
	assert_int_equal(coder_seal(&coder, compressor, &bytes), 0);
	coder_fini(&coder);
	assert_int_equal(coder_open(&coder, buf_str(&bytes)), 0);
	assert_int_equal(coder_unpack(&coder, 0, CODER_COLUMN_COUNT - 1), 0);
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		uint64_t number[3] = { 0 };
		int64_t step = 0;

		coder_wide(&coder, COLUMN_CPU, &number[0]);
		coder_wide_signed(&coder, COLUMN_BLOCKED, &step);
		coder_number(&coder, COLUMN_FIGURE, &number[1]);
		coder_guess(&coder, COLUMN_DETAIL, COLUMN_DETAIL_NS, guesses, 2, &number[2]);
		for (size_t k = 0; k < 3; k++)
			assert_int_equal(number[k], values[i]);
		assert_int_equal(step, 0 - values[i]);
	}
	assert_int_equal(coder.error, 0);
	coder_number(&coder, COLUMN_FIGURE, &values[0]); /* one too many */
	assert_int_equal(coder.error, -EBADMSG);
	coder_fini(&coder);
	buf_fini(&bytes);
	compress_packer_free(compressor);
}

/* test_storage_packer DIRECTORY: seeds for the fuzzer of blocks, not compressed: so that it can
 * change what stands in them. */
static int write_seeds(const char *directory)
{
	static const enum block_kind kinds[] = { BLOCK_SPANS, BLOCK_LEDGERS };
	struct packer packer;
	int rc = packer_init(&packer, SEED, 1);

	arena_init(&arena, 0);
	compress_packer_free(packer.compressor);
	packer.compressor = NULL;
	for (size_t i = 0; i < 2 && rc == 0; i++) {
		char path[512];
		FILE *file;

		invent(100);
		pack(&packer, kinds[i], 12);
		snprintf(path, sizeof(path), "%s/packed-%zu", directory, i);
		file = fopen(path, "w");
		rc = !file ||
		     fwrite(packer.block.data, 1, packer.block.len, file) != packer.block.len;
		rc |= !file || fclose(file);
	}
	packer_fini(&packer);
	fini_sources();
	return rc;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_all_lengths_come_back),
		cmocka_unit_test(what_is_packed_comes_back),
		cmocka_unit_test(stacks_without_a_number_come_back),
		cmocka_unit_test(a_stack_that_the_part_does_not_know_is_damage),
		cmocka_unit_test(no_flipped_bit_and_no_cut_is_believed),
	};

	if (argc > 1)
		return write_seeds(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
