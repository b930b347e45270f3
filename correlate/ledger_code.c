/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a ledger. Numbers are varints; what is mostly zero stands behind bits that say so:
 *
 *   version, trace id, span id, start, wall, pid, revision, grade, flags, cause,
 *   uncertain, cpu, cpu self, forked cpu, preempted, throttled, yielded, split of all,
 *   split of self, then waits, items, links, slices and stacks, each after its count
 *
 * Slices are coded against the one before. Version 1 had no stacks, version 2 not what was
 * yielded; what comes after version 3 may not be read by this code, so it is refused as what it
 * is. */
#include "correlate/ledger.h"

#include <assert.h>
#include <errno.h>

#include "collector/base/arena.h"
#include "collector/base/macros.h"
#include "collector/base/wire.h"

enum { VERSION = 3 };

enum ledger_bit { BIT_SETTLED = 1, BIT_LOCAL_ROOT = 2, BIT_TRUNCATED = 4, BITS_LEDGER = 7 };

/* Beside a target's kind, in the low four bits. */
enum target_bit { HAS_PORT = 1 << 4, HAS_AUX = 1 << 5, HAS_ID = 1 << 6, HAS_ADDRESS = 1 << 7 };

/* Beside an item's kind. */
enum item_bit { HAS_SPAN = 1 << 6, HAS_SERVER = 1 << 7, BITS_ITEM = HAS_SPAN | HAS_SERVER };

/* How a tag is written: most lie in the ledger's own trace. */
enum tag_form { TAG_ZERO = 0, TAG_OWN_TRACE = 1, TAG_FULL = 2 };

/* ---- encode ---- */

static void put_text(struct buf *out, const char *text, size_t size)
{
	size_t len = strnlen(text, size - 1);

	wire_put_varint(out, len);
	buf_append(out, text, len);
}

static void put_split(struct buf *out, const struct ledger_split *split)
{
	uint64_t mask = 0;

	wire_put_varint(out, split->running_ns);
	wire_put_varint(out, split->runnable_ns);
	wire_put_varint(out, split->elsewhere_ns);
	wire_put_varint(out, split->unknown_ns);
	for (unsigned reason = 0; reason < REASON_COUNT; reason++)
		mask |= (uint64_t)(split->blocked_ns[reason] != 0) << reason;
	wire_put_varint(out, mask);
	for (unsigned reason = 0; reason < REASON_COUNT; reason++) {
		if (split->blocked_ns[reason])
			wire_put_varint(out, split->blocked_ns[reason]);
	}
}

static void put_tag(struct buf *out, const struct ledger *ledger, const struct event_tag *tag)
{
	if (hex_is_zero(tag->trace_id, sizeof(tag->trace_id)) &&
	    hex_is_zero(tag->span_id, sizeof(tag->span_id))) {
		buf_append_byte(out, TAG_ZERO);
	} else if (memcmp(tag->trace_id, ledger->trace_id, sizeof(tag->trace_id)) == 0) {
		buf_append_byte(out, TAG_OWN_TRACE);
		buf_append(out, tag->span_id, sizeof(tag->span_id));
	} else {
		buf_append_byte(out, TAG_FULL);
		buf_append(out, tag->trace_id, sizeof(tag->trace_id));
		buf_append(out, tag->span_id, sizeof(tag->span_id));
	}
}

static void put_target(struct buf *out, const struct event_target *target)
{
	size_t address_len = sizeof(target->address);

	while (address_len > 0 && target->address[address_len - 1] == 0)
		address_len--;
	buf_append_byte(out, (uint8_t)(target->kind | (target->port ? HAS_PORT : 0) |
				       (target->aux ? HAS_AUX : 0) | (target->id ? HAS_ID : 0) |
				       (address_len ? HAS_ADDRESS : 0)));
	if (target->port)
		wire_put_varint(out, target->port);
	if (target->aux)
		wire_put_varint(out, target->aux);
	if (target->id)
		wire_put_varint(out, target->id);
	if (address_len) {
		wire_put_varint(out, address_len);
		buf_append(out, target->address, address_len);
	}
}

static void put_waker(struct buf *out, const struct ledger *ledger,
		      const struct ledger_waker *waker)
{
	wire_put_varint(out, waker->pid);
	wire_put_varint(out, waker->tid);
	buf_append_byte(out, waker->kind);
	put_text(out, waker->comm, sizeof(waker->comm));
	put_tag(out, ledger, &waker->tag);
	wire_put_varint(out, waker->ns);
}

/* Ids are hashes: a varint of one would be longer than it. */
static void put_stack(struct buf *out, uint64_t stack)
{
	buf_append_byte(out, (uint8_t)MIN(stack, STACK_FIRST_ID));
	if (stack >= STACK_FIRST_ID)
		buf_append(out, &stack, sizeof(stack));
}

static void put_wait(struct buf *out, const struct ledger *ledger, const struct ledger_wait *wait)
{
	assert(wait->waker_count <= LEDGER_MAX_WAKERS);
	buf_append_byte(out, wait->reason);
	wire_put_varint(out, wire_zigzag(wait->syscall));
	wire_put_varint(out, wait->count);
	wire_put_varint(out, wait->ns);
	wire_put_varint(out, wait->self_ns);
	wire_put_varint(out, wait->longest_ns);
	put_stack(out, wait->stack);
	put_target(out, &wait->target);
	wire_put_varint(out, wait->waker_count);
	for (unsigned i = 0; i < wait->waker_count; i++)
		put_waker(out, ledger, &wait->wakers[i]);
}

static void put_item(struct buf *out, const struct ledger_item *item)
{
	bool has_span = !hex_is_zero(item->span_id, SPAN_ID_BYTES);
	bool has_server = !hex_is_zero(item->server_span_id, SPAN_ID_BYTES);

	buf_append_byte(out, (uint8_t)(item->kind | (has_span ? HAS_SPAN : 0) |
				       (has_server ? HAS_SERVER : 0)));
	if (has_span)
		buf_append(out, item->span_id, SPAN_ID_BYTES);
	if (has_server)
		buf_append(out, item->server_span_id, SPAN_ID_BYTES);
	wire_put_varint(out, item->ns);
	put_text(out, item->name, sizeof(item->name));
	put_text(out, item->peer, sizeof(item->peer));
}

static void put_link(struct buf *out, const struct ledger *ledger, const struct ledger_link *link)
{
	buf_append_byte(out, link->via);
	put_tag(out, ledger, &link->to);
	wire_put_varint(out, link->ns);
}

/* `before`: the slice before, or a blank one that ends where the span starts. */
static void put_slice(struct buf *out, const struct ledger_slice *before,
		      const struct ledger_slice *slice)
{
	uint64_t pause_ns = slice->start_unix_ns - (before->start_unix_ns + before->ns);
	uint8_t bytes[3 * WIRE_VARINT_BYTES + 1], *at = bytes;

	at = wire_varint_at(at, wire_zigzag((int64_t)pause_ns));
	at = wire_varint_at(at, slice->ns);
	at = wire_varint_at(at, wire_zigzag((int64_t)slice->tid - before->tid));
	*at++ = (uint8_t)(slice->state | slice->reason << 4);
	buf_append(out, bytes, (size_t)(at - bytes));
}

static void put_lists(struct buf *out, const struct ledger *ledger)
{
	struct ledger_slice blank = { .start_unix_ns = ledger->start_unix_ns };
	const struct ledger_slice *before = &blank;

	wire_put_varint(out, ledger->wait_count);
	for (unsigned i = 0; i < ledger->wait_count; i++)
		put_wait(out, ledger, &ledger->waits[i]);
	wire_put_varint(out, ledger->item_count);
	for (unsigned i = 0; i < ledger->item_count; i++)
		put_item(out, &ledger->items[i]);
	wire_put_varint(out, ledger->link_count);
	for (unsigned i = 0; i < ledger->link_count; i++)
		put_link(out, ledger, &ledger->links[i]);
	wire_put_varint(out, ledger->slice_count);
	for (unsigned i = 0; i < ledger->slice_count; i++) {
		put_slice(out, before, &ledger->slices[i]);
		before = &ledger->slices[i];
	}
	wire_put_varint(out, ledger->stack_count);
	for (unsigned i = 0; i < ledger->stack_count; i++) {
		put_stack(out, ledger->stacks[i].stack);
		wire_put_varint(out, ledger->stacks[i].ns);
		wire_put_varint(out, ledger->stacks[i].self_ns);
	}
}

void ledger_encode(const struct ledger *ledger, struct buf *out)
{
	assert(ledger->wait_count <= LEDGER_MAX_WAITS && ledger->item_count <= LEDGER_MAX_ITEMS);
	assert(ledger->link_count <= LEDGER_MAX_LINKS && ledger->slice_count <= LEDGER_MAX_SLICES);
	buf_append_byte(out, VERSION);
	buf_append(out, ledger->trace_id, TRACE_ID_BYTES);
	buf_append(out, ledger->span_id, SPAN_ID_BYTES);
	wire_put_varint(out, ledger->start_unix_ns);
	wire_put_varint(out, ledger->wall_ns);
	wire_put_varint(out, ledger->pid);
	wire_put_varint(out, ledger->revision);
	buf_append_byte(out, ledger->grade);
	buf_append_byte(out, (uint8_t)((ledger->settled ? BIT_SETTLED : 0) |
				       (ledger->is_local_root ? BIT_LOCAL_ROOT : 0) |
				       (ledger->slices_truncated ? BIT_TRUNCATED : 0)));
	buf_append_byte(out, ledger->none_cause);
	wire_put_varint(out, ledger->uncertain_ns);
	wire_put_varint(out, ledger->cpu_ns);
	wire_put_varint(out, ledger->cpu_self_ns);
	wire_put_varint(out, ledger->forked_cpu_ns);
	wire_put_varint(out, ledger->preempted_ns);
	wire_put_varint(out, ledger->throttled_ns);
	wire_put_varint(out, ledger->yielded_ns);
	put_split(out, &ledger->all);
	put_split(out, &ledger->self);
	put_lists(out, ledger);
}

/* ---- decode ---- */

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
	if (version > VERSION)
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
