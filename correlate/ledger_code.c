/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/ledger.h"

#include <assert.h>

#include "collector/base/macros.h"
#include "collector/base/wire.h"
#include "correlate/ledger_code.h"

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
	buf_append_byte(out, LEDGER_VERSION);
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
