/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/ledger.h"

#include <errno.h>

#include "collector/base/arena.h"
#include "collector/base/wire.h"
#include "correlate/ledger_code.h"

/* Keeps its first error; what is read from then on is zero. */
struct decoder {
	struct wire_reader wire;
	struct arena *arena; /* borrowed */
	uint8_t version;
	int error;
};

static void fail(struct decoder *in, int error)
{
	if (!in->error)
		in->error = error;
	in->wire.at = in->wire.end;
}

static uint64_t get(struct decoder *in, uint64_t max)
{
	uint64_t value = 0;

	if (!wire_get_varint(&in->wire, &value) || value > max) {
		fail(in, -EBADMSG);
		return 0;
	}
	return value;
}

static uint64_t get_u64(struct decoder *in)
{
	return get(in, UINT64_MAX);
}

static uint32_t get_u32(struct decoder *in)
{
	return (uint32_t)get(in, UINT32_MAX);
}

static void get_bytes(struct decoder *in, void *out, size_t len)
{
	if ((size_t)(in->wire.end - in->wire.at) < len) {
		fail(in, -EBADMSG);
		return;
	}
	memcpy(out, in->wire.at, len);
	in->wire.at += len;
}

static uint8_t get_byte(struct decoder *in, unsigned max)
{
	uint8_t byte = 0;

	get_bytes(in, &byte, 1);
	if (byte <= max)
		return byte;
	fail(in, -EBADMSG);
	return 0;
}

/* `out` has room for the NUL; it is zero already. */
static void get_text(struct decoder *in, char *out, size_t size)
{
	size_t len = get(in, size - 1);

	get_bytes(in, out, len);
	if (strnlen(out, size) != len && !in->error)
		fail(in, -EBADMSG);
}

static void get_split(struct decoder *in, struct ledger_split *split)
{
	uint64_t mask;

	split->running_ns = get_u64(in);
	split->runnable_ns = get_u64(in);
	split->elsewhere_ns = get_u64(in);
	split->unknown_ns = get_u64(in);
	mask = get(in, (1ull << REASON_COUNT) - 1);
	for (unsigned reason = 0; reason < REASON_COUNT; reason++) {
		if (mask >> reason & 1)
			split->blocked_ns[reason] = get_u64(in);
	}
}

static void get_tag(struct decoder *in, const struct ledger *ledger, struct event_tag *tag)
{
	uint8_t form = get_byte(in, TAG_FULL);

	if (form == TAG_ZERO)
		return;
	if (form == TAG_OWN_TRACE)
		memcpy(tag->trace_id, ledger->trace_id, sizeof(tag->trace_id));
	else
		get_bytes(in, tag->trace_id, sizeof(tag->trace_id));
	get_bytes(in, tag->span_id, sizeof(tag->span_id));
}

static void get_target(struct decoder *in, struct event_target *target)
{
	uint8_t bits = get_byte(in, UINT8_MAX);

	target->kind = bits & 0xf;
	if (target->kind > TARGET_LAST)
		fail(in, -EBADMSG);
	if (bits & HAS_PORT)
		target->port = (uint16_t)get(in, UINT16_MAX);
	if (bits & HAS_AUX)
		target->aux = get_u32(in);
	if (bits & HAS_ID)
		target->id = get_u64(in);
	if (bits & HAS_ADDRESS)
		get_bytes(in, target->address, get(in, sizeof(target->address)));
}

static void get_waker(struct decoder *in, const struct ledger *ledger, struct ledger_waker *waker)
{
	waker->pid = get_u32(in);
	waker->tid = get_u32(in);
	waker->kind = get_byte(in, HOLDER_LAST);
	get_text(in, waker->comm, sizeof(waker->comm));
	get_tag(in, ledger, &waker->tag);
	waker->ns = get_u64(in);
}

static uint64_t get_stack(struct decoder *in)
{
	uint64_t stack = in->version >= 2 ? get_byte(in, STACK_FIRST_ID) : STACK_NOT_TAKEN;

	if (stack == STACK_FIRST_ID)
		get_bytes(in, &stack, sizeof(stack));
	return stack;
}

static void get_wait(struct decoder *in, const struct ledger *ledger, struct ledger_wait *wait)
{
	int64_t syscall;

	wait->reason = get_byte(in, REASON_COUNT - 1);
	syscall = wire_unzigzag(get(in, UINT32_MAX)); /* what fits is an int32_t */
	wait->syscall = (int32_t)syscall;
	wait->count = get_u32(in);
	wait->ns = get_u64(in);
	wait->self_ns = get_u64(in);
	wait->longest_ns = get_u64(in);
	wait->stack = get_stack(in);
	get_target(in, &wait->target);
	wait->waker_count = (uint8_t)get(in, LEDGER_MAX_WAKERS);
	for (unsigned i = 0; i < wait->waker_count; i++)
		get_waker(in, ledger, &wait->wakers[i]);
}

static void get_item(struct decoder *in, struct ledger_item *item)
{
	uint8_t bits = get_byte(in, UINT8_MAX);

	item->kind = (uint8_t)(bits & ~BITS_ITEM);
	if (item->kind < ITEM_CHILD || item->kind > ITEM_UNCOVERED)
		fail(in, -EBADMSG);
	if (bits & HAS_SPAN)
		get_bytes(in, item->span_id, SPAN_ID_BYTES);
	if (bits & HAS_SERVER)
		get_bytes(in, item->server_span_id, SPAN_ID_BYTES);
	item->ns = get_u64(in);
	get_text(in, item->name, sizeof(item->name));
	get_text(in, item->peer, sizeof(item->peer));
}

static void get_link(struct decoder *in, const struct ledger *ledger, struct ledger_link *link)
{
	link->via = get_byte(in, LINK_CHAIN);
	get_tag(in, ledger, &link->to);
	link->ns = get_u64(in);
}

static void get_slice(struct decoder *in, const struct ledger_slice *before,
		      struct ledger_slice *slice)
{
	uint64_t tid;
	uint8_t bits;

	slice->start_unix_ns =
		before->start_unix_ns + before->ns + (uint64_t)wire_unzigzag(get_u64(in));
	slice->ns = get_u64(in);
	tid = before->tid + (uint64_t)wire_unzigzag(get_u64(in));
	bits = get_byte(in, UINT8_MAX);
	slice->tid = (uint32_t)tid;
	slice->state = bits & 0xf;
	slice->reason = bits >> 4;
	if (tid > UINT32_MAX || slice->state > STATE_UNKNOWN || slice->reason >= REASON_COUNT)
		fail(in, -EBADMSG);
}

/* Reads a count and makes room for so many; NULL: none, or failed. */
static void *get_list(struct decoder *in, unsigned max, size_t size, uint16_t *out_count)
{
	uint16_t count = (uint16_t)get(in, max);
	void *list = count ? arena_alloc(in->arena, count * size) : NULL;

	if (count && !list)
		fail(in, -ENOMEM);
	*out_count = list ? count : 0;
	return list;
}

static void get_lists(struct decoder *in, struct ledger *ledger)
{
	struct ledger_slice blank = { .start_unix_ns = ledger->start_unix_ns };
	const struct ledger_slice *before = &blank;

	ledger->waits = get_list(in, LEDGER_MAX_WAITS, sizeof(*ledger->waits), &ledger->wait_count);
	for (unsigned i = 0; i < ledger->wait_count && !in->error; i++)
		get_wait(in, ledger, &ledger->waits[i]);
	ledger->items = get_list(in, LEDGER_MAX_ITEMS, sizeof(*ledger->items), &ledger->item_count);
	for (unsigned i = 0; i < ledger->item_count && !in->error; i++)
		get_item(in, &ledger->items[i]);
	ledger->links = get_list(in, LEDGER_MAX_LINKS, sizeof(*ledger->links), &ledger->link_count);
	for (unsigned i = 0; i < ledger->link_count && !in->error; i++)
		get_link(in, ledger, &ledger->links[i]);
	ledger->slices =
		get_list(in, LEDGER_MAX_SLICES, sizeof(*ledger->slices), &ledger->slice_count);
	for (unsigned i = 0; i < ledger->slice_count && !in->error; i++) {
		get_slice(in, before, &ledger->slices[i]);
		before = &ledger->slices[i];
	}
	if (in->version >= 2)
		ledger->stacks = get_list(in, LEDGER_MAX_STACKS, sizeof(*ledger->stacks),
					  &ledger->stack_count);
	for (unsigned i = 0; i < ledger->stack_count && !in->error; i++) {
		ledger->stacks[i].stack = get_stack(in);
		ledger->stacks[i].ns = get_u64(in);
		ledger->stacks[i].self_ns = get_u64(in);
	}
}

static void get_ledger(struct decoder *in, struct ledger *ledger)
{
	uint8_t bits;

	get_bytes(in, ledger->trace_id, TRACE_ID_BYTES);
	get_bytes(in, ledger->span_id, SPAN_ID_BYTES);
	ledger->start_unix_ns = get_u64(in);
	ledger->wall_ns = get_u64(in);
	ledger->pid = get_u32(in);
	ledger->revision = (uint16_t)get(in, UINT16_MAX);
	ledger->grade = get_byte(in, GRADE_EXACT);
	bits = get_byte(in, BITS_LEDGER);
	ledger->settled = bits & BIT_SETTLED;
	ledger->is_local_root = bits & BIT_LOCAL_ROOT;
	ledger->slices_truncated = bits & BIT_TRUNCATED;
	ledger->none_cause = get_byte(in, NONE_BEFORE_START);
	ledger->uncertain_ns = get_u64(in);
	ledger->cpu_ns = get_u64(in);
	ledger->cpu_self_ns = get_u64(in);
	ledger->forked_cpu_ns = get_u64(in);
	ledger->preempted_ns = get_u64(in);
	ledger->throttled_ns = get_u64(in);
	ledger->yielded_ns = in->version >= 3 ? get_u64(in) : 0;
	get_split(in, &ledger->all);
	get_split(in, &ledger->self);
	get_lists(in, ledger);
}

int ledger_decode(struct str bytes, struct arena *arena, struct ledger *out_ledger)
{
	struct decoder in = { .wire = wire_read(bytes), .arena = arena };
	struct ledger ledger = { 0 };
	uint8_t version = get_byte(&in, UINT8_MAX);

	if (in.error || version == 0)
		return -EBADMSG;
	if (version > LEDGER_VERSION)
		return -EPROTO;
	in.version = version;
	get_ledger(&in, &ledger);
	if (in.error)
		return in.error;
	if (in.wire.at != in.wire.end)
		return -EBADMSG;
	*out_ledger = ledger;
	return 0;
}
