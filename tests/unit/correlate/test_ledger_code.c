/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/arena.h"
#include "correlate/ledger.h"

/* Everything a ledger may point to. */
struct sample {
	struct ledger ledger;
	struct ledger_wait waits[LEDGER_MAX_WAITS];
	struct ledger_item items[LEDGER_MAX_ITEMS];
	struct ledger_link links[LEDGER_MAX_LINKS];
	struct ledger_slice slices[LEDGER_MAX_SLICES];
};

static uint64_t random_state;

static uint64_t random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Of any magnitude, zero and the largest included. */
static uint64_t any(void)
{
	unsigned bits = (unsigned)(random_u64() % 66);

	return bits == 65 ? 0 : random_u64() >> (bits == 64 ? 63 : bits);
}

static uint64_t below(uint64_t limit)
{
	return random_u64() % limit;
}

static void fill(void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)bytes)[i] = (uint8_t)random_u64();
}

static void fill_text(char *text, size_t size)
{
	size_t len = below(size);

	for (size_t i = 0; i < len; i++)
		text[i] = (char)(1 + below(255));
}

static void fill_split(struct ledger_split *split)
{
	split->running_ns = any();
	split->runnable_ns = any();
	split->elsewhere_ns = any();
	split->unknown_ns = any();
	for (int reason = 0; reason < REASON_COUNT; reason++)
		split->blocked_ns[reason] = below(2) ? any() : 0;
}

static void fill_tag(struct event_tag *tag, const struct ledger *ledger)
{
	switch (below(3)) {
	case 0:
		return;
	case 1:
		memcpy(tag->trace_id, ledger->trace_id, sizeof(tag->trace_id));
		break;
	default:
		fill(tag->trace_id, sizeof(tag->trace_id));
	}
	fill(tag->span_id, sizeof(tag->span_id));
}

static void fill_wait(struct ledger_wait *wait, const struct ledger *ledger)
{
	wait->reason = (uint8_t)below(REASON_COUNT);
	wait->waker_count = (uint8_t)below(LEDGER_MAX_WAKERS + 1);
	wait->syscall = (int32_t)any();
	wait->count = (uint32_t)any();
	wait->ns = any();
	wait->self_ns = any();
	wait->longest_ns = any();
	wait->target.kind = (uint8_t)below(TARGET_FUTEX_SHARED + 1);
	wait->target.port = (uint16_t)any();
	wait->target.aux = (uint32_t)any();
	wait->target.id = any();
	fill(wait->target.address, below(sizeof(wait->target.address) + 1));
	for (unsigned i = 0; i < wait->waker_count; i++) {
		struct ledger_waker *waker = &wait->wakers[i];

		waker->pid = (uint32_t)any();
		waker->tid = (uint32_t)any();
		waker->kind = (uint8_t)below(HOLDER_LAST + 1);
		fill_text(waker->comm, sizeof(waker->comm));
		fill_tag(&waker->tag, ledger);
		waker->ns = any();
	}
}

static void fill_lists(struct sample *sample)
{
	struct ledger *ledger = &sample->ledger;

	for (unsigned i = 0; i < ledger->wait_count; i++)
		fill_wait(&sample->waits[i], ledger);
	for (unsigned i = 0; i < ledger->item_count; i++) {
		struct ledger_item *item = &sample->items[i];

		item->kind = (uint8_t)(1 + below(ITEM_UNCOVERED));
		fill(item->span_id, below(2) * SPAN_ID_BYTES);
		fill(item->server_span_id, below(2) * SPAN_ID_BYTES);
		item->ns = any();
		fill_text(item->name, sizeof(item->name));
		fill_text(item->peer, sizeof(item->peer));
	}
	for (unsigned i = 0; i < ledger->link_count; i++) {
		fill_tag(&sample->links[i].to, ledger);
		sample->links[i].via = (uint8_t)below(LINK_CHAIN + 1);
		sample->links[i].ns = any();
	}
	for (unsigned i = 0; i < ledger->slice_count; i++)
		sample->slices[i] = (struct ledger_slice){ any(), any(), (uint32_t)any(),
							   (uint8_t)below(STATE_UNKNOWN + 1),
							   (uint8_t)below(REASON_COUNT) };
}

static struct sample *new_sample(uint64_t seed)
{
	struct sample *sample = calloc(1, sizeof(*sample));
	struct ledger *ledger = &sample->ledger;

	random_state = seed * 0x9e3779b97f4a7c15;
	fill(ledger->trace_id, TRACE_ID_BYTES);
	fill(ledger->span_id, SPAN_ID_BYTES);
	ledger->start_unix_ns = any();
	ledger->wall_ns = any();
	ledger->pid = (uint32_t)any();
	ledger->revision = (uint16_t)any();
	ledger->grade = (uint8_t)below(GRADE_EXACT + 1);
	ledger->settled = below(2);
	ledger->is_local_root = below(2);
	ledger->slices_truncated = below(2);
	ledger->none_cause = (uint8_t)below(NONE_BEFORE_START + 1);
	ledger->uncertain_ns = any();
	ledger->cpu_ns = any();
	ledger->cpu_self_ns = any();
	ledger->forked_cpu_ns = any();
	ledger->preempted_ns = any();
	ledger->throttled_ns = any();
	ledger->yielded_ns = any();
	fill_split(&ledger->all);
	fill_split(&ledger->self);
	ledger->wait_count = (uint16_t)below(seed % 3 ? 4 : LEDGER_MAX_WAITS + 1);
	ledger->item_count = (uint16_t)below(seed % 3 ? 4 : LEDGER_MAX_ITEMS + 1);
	ledger->link_count = (uint16_t)below(seed % 3 ? 4 : LEDGER_MAX_LINKS + 1);
	ledger->slice_count = (uint16_t)below(seed % 3 ? 4 : LEDGER_MAX_SLICES + 1);
	ledger->waits = sample->waits;
	ledger->items = sample->items;
	ledger->links = sample->links;
	ledger->slices = sample->slices;
	fill_lists(sample);
	return sample;
}

static void assert_same_head(const struct ledger *a, const struct ledger *b)
{
	assert_memory_equal(a->trace_id, b->trace_id, TRACE_ID_BYTES);
	assert_memory_equal(a->span_id, b->span_id, SPAN_ID_BYTES);
	assert_true(a->start_unix_ns == b->start_unix_ns);
	assert_true(a->wall_ns == b->wall_ns);
	assert_int_equal(a->pid, b->pid);
	assert_int_equal(a->revision, b->revision);
	assert_int_equal(a->grade, b->grade);
	assert_int_equal(a->settled, b->settled);
	assert_int_equal(a->is_local_root, b->is_local_root);
	assert_int_equal(a->slices_truncated, b->slices_truncated);
	assert_int_equal(a->none_cause, b->none_cause);
	assert_true(a->uncertain_ns == b->uncertain_ns);
	assert_true(a->cpu_ns == b->cpu_ns);
	assert_true(a->cpu_self_ns == b->cpu_self_ns);
	assert_true(a->forked_cpu_ns == b->forked_cpu_ns);
	assert_true(a->preempted_ns == b->preempted_ns);
	assert_true(a->throttled_ns == b->throttled_ns);
	assert_true(a->yielded_ns == b->yielded_ns);
	assert_memory_equal(&a->all, &b->all, sizeof(a->all));
	assert_memory_equal(&a->self, &b->self, sizeof(a->self));
}

static void assert_same(const struct ledger *a, const struct ledger *b)
{
	assert_same_head(a, b);
	assert_int_equal(a->wait_count, b->wait_count);
	assert_int_equal(a->item_count, b->item_count);
	assert_int_equal(a->link_count, b->link_count);
	assert_int_equal(a->slice_count, b->slice_count);
	if (a->wait_count)
		assert_memory_equal(a->waits, b->waits, a->wait_count * sizeof(*a->waits));
	if (a->item_count)
		assert_memory_equal(a->items, b->items, a->item_count * sizeof(*a->items));
	if (a->link_count)
		assert_memory_equal(a->links, b->links, a->link_count * sizeof(*a->links));
	for (unsigned i = 0; i < a->slice_count; i++) { /* copies may differ in their padding */
		assert_true(a->slices[i].start_unix_ns == b->slices[i].start_unix_ns);
		assert_true(a->slices[i].ns == b->slices[i].ns);
		assert_int_equal(a->slices[i].tid, b->slices[i].tid);
		assert_int_equal(a->slices[i].state, b->slices[i].state);
		assert_int_equal(a->slices[i].reason, b->slices[i].reason);
	}
}

/* In a block of its own, so that ASan sees each byte read beyond. */
static int decode(const char *bytes, size_t len, struct arena *arena, struct ledger *out_ledger)
{
	char *copy = malloc(len ? len : 1);
	int rc;

	if (len)
		memcpy(copy, bytes, len);
	arena_init(arena, 0);
	rc = ledger_decode((struct str){ copy, len }, arena, out_ledger);
	free(copy);
	return rc;
}

static void every_field_comes_back(void **unused)
{
	(void)unused;
	for (uint64_t seed = 1; seed <= 2000; seed++) {
		struct sample *sample = new_sample(seed);
		struct ledger read;
		struct arena arena;
		struct buf bytes;

		buf_init(&bytes, 0);
		ledger_encode(&sample->ledger, &bytes);
		assert_int_equal(buf_error(&bytes), 0);
		assert_int_equal(decode(bytes.data, bytes.len, &arena, &read), 0);
		assert_same(&sample->ledger, &read);
		arena_fini(&arena);
		buf_fini(&bytes);
		free(sample);
	}
}

static void the_same_ledger_gives_the_same_bytes(void **unused)
{
	struct sample *sample = new_sample(3);
	struct buf first, second;
	struct ledger read;
	struct arena arena;

	(void)unused;
	buf_init(&first, 0);
	buf_init(&second, 0);
	ledger_encode(&sample->ledger, &first);
	assert_int_equal(decode(first.data, first.len, &arena, &read), 0);
	ledger_encode(&read, &second);
	assert_true(str_eq(buf_str(&first), buf_str(&second)));
	arena_fini(&arena);
	buf_fini(&first);
	buf_fini(&second);
	free(sample);
}

static void what_is_cut_anywhere_is_damaged(void **unused)
{
	(void)unused;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct sample *sample = new_sample(seed);
		struct ledger read = { .pid = 77 };
		struct arena arena;
		struct buf bytes;

		buf_init(&bytes, 0);
		ledger_encode(&sample->ledger, &bytes);
		for (size_t len = 0; len < bytes.len; len++) {
			assert_int_equal(decode(bytes.data, len, &arena, &read), -EBADMSG);
			assert_int_equal(read.pid, 77);
			arena_fini(&arena);
		}
		buf_append_byte(&bytes, 0);
		assert_int_equal(decode(bytes.data, bytes.len, &arena, &read), -EBADMSG);
		arena_fini(&arena);
		buf_fini(&bytes);
		free(sample);
	}
}

/* A change may make another valid ledger; then that one must hold its limits and come back. */
static void check_changed(const char *bytes, size_t len)
{
	struct ledger read, again;
	struct arena arena, arena_again;
	struct buf second;
	int rc = decode(bytes, len, &arena, &read);

	assert_true(rc == 0 || rc == -EBADMSG || rc == -EPROTO);
	if (rc == 0) {
		assert_true(read.wait_count <= LEDGER_MAX_WAITS);
		assert_true(read.item_count <= LEDGER_MAX_ITEMS);
		assert_true(read.link_count <= LEDGER_MAX_LINKS);
		assert_true(read.slice_count <= LEDGER_MAX_SLICES);
		buf_init(&second, 0);
		ledger_encode(&read, &second);
		assert_int_equal(decode(second.data, second.len, &arena_again, &again), 0);
		assert_same(&read, &again);
		arena_fini(&arena_again);
		buf_fini(&second);
	}
	arena_fini(&arena);
}

static void random_damage_never_breaks_out(void **unused)
{
	(void)unused;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct sample *sample = new_sample(seed);
		struct buf bytes;

		buf_init(&bytes, 0);
		ledger_encode(&sample->ledger, &bytes);
		for (int round = 0; round < 200; round++) {
			char *copy = malloc(bytes.len);

			memcpy(copy, bytes.data, bytes.len);
			for (uint64_t changes = 1 + below(4); changes > 0; changes--)
				copy[below(bytes.len)] = (char)random_u64();
			check_changed(copy, bytes.len);
			free(copy);
		}
		buf_fini(&bytes);
		free(sample);
	}
}

static void a_newer_version_is_told_from_damage(void **unused)
{
	struct sample *sample = new_sample(1);
	struct ledger read;
	struct arena arena;
	struct buf bytes;

	(void)unused;
	buf_init(&bytes, 0);
	ledger_encode(&sample->ledger, &bytes);
	bytes.data[0]++;
	assert_int_equal(decode(bytes.data, bytes.len, &arena, &read), -EPROTO);
	arena_fini(&arena);
	assert_int_equal(decode(bytes.data, 1, &arena, &read), -EPROTO);
	arena_fini(&arena);
	bytes.data[0] = 0;
	assert_int_equal(decode(bytes.data, bytes.len, &arena, &read), -EBADMSG);
	arena_fini(&arena);
	buf_fini(&bytes);
	free(sample);
}

static void a_typical_ledger_is_small(void **unused)
{
	struct ledger_wait wait = {
		.reason = REASON_NET,
		.syscall = 45,
		.count = 3,
		.ns = 540000000,
		.self_ns = 540000000,
		.longest_ns = 500000000,
		.target = { .kind = TARGET_INET4, .port = 5432, .address = { 10, 0, 0, 5 } }
	};
	struct ledger ledger = { .start_unix_ns = 1763798400000000000,
				 .wall_ns = 612000000,
				 .pid = 4242,
				 .revision = 1,
				 .grade = GRADE_EXACT,
				 .settled = true,
				 .cpu_ns = 38000000,
				 .all = { .running_ns = 72000000 },
				 .wait_count = 1,
				 .waits = &wait };
	struct buf bytes;

	(void)unused;
	ledger.all.blocked_ns[REASON_NET] = wait.ns;
	buf_init(&bytes, 0);
	ledger_encode(&ledger, &bytes);
	print_message("%zu bytes\n", bytes.len);
	assert_true(bytes.len <= 128);
	buf_fini(&bytes);
}

static void memory_that_runs_out_is_said(void **unused)
{
	struct sample *sample = new_sample(3);
	struct ledger read;
	struct arena arena;
	struct buf bytes;

	(void)unused;
	assert_true(sample->ledger.wait_count > 0);
	buf_init(&bytes, 0);
	ledger_encode(&sample->ledger, &bytes);
	arena_init(&arena, 1);
	assert_int_equal(ledger_decode(buf_str(&bytes), &arena, &read), -ENOMEM);
	arena_fini(&arena);
	buf_fini(&bytes);
	free(sample);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_comes_back),
		cmocka_unit_test(the_same_ledger_gives_the_same_bytes),
		cmocka_unit_test(what_is_cut_anywhere_is_damaged),
		cmocka_unit_test(random_damage_never_breaks_out),
		cmocka_unit_test(a_newer_version_is_told_from_damage),
		cmocka_unit_test(a_typical_ledger_is_small),
		cmocka_unit_test(memory_that_runs_out_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
