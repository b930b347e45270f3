/* SPDX-License-Identifier: Apache-2.0 */
/* The waits of a ledger, and who ended them. */
#include <string.h>

#include "collector/base/macros.h"
#include "storage/pack_ledger.h"

enum wakers_form { WAKERS_NONE, WAKERS_OF_PARENT, WAKERS_LISTED /* their number - 1 on top */ };

static void code_waker(struct pack_ledger *at, struct ledger_waker *waker, uint64_t left_ns)
{
	struct pack_waker who = { .pid = waker->pid, .tid = waker->tid, .kind = waker->kind };

	memcpy(who.comm, waker->comm, strnlen(waker->comm, sizeof(who.comm) - 1));
	pack_list_code(&at->trace->lists->wakers, at->coder, COLUMN_WAKER_KIND, &who);
	waker->pid = who.pid;
	waker->tid = who.tid;
	waker->kind = who.kind;
	memcpy(waker->comm, who.comm, sizeof(waker->comm));
	pack_ledger_tag(at, &waker->tag);
	pack_ledger_guess(at, &left_ns, 1, &waker->ns);
}

static void code_wakers(struct pack_ledger *at, struct ledger_wait *wait,
			const struct ledger_wait *like)
{
	size_t bytes = wait->waker_count * sizeof(*wait->wakers);
	uint8_t form = wait->waker_count ? (uint8_t)(WAKERS_LISTED + wait->waker_count - 1)
					 : (uint8_t)WAKERS_NONE;
	uint64_t left_ns = wait->ns;

	if (!at->coder->is_reading && like && form && wait->waker_count == like->waker_count &&
	    memcmp(wait->wakers, like->wakers, bytes) == 0)
		form = WAKERS_OF_PARENT;
	coder_byte(at->coder, COLUMN_DETAIL, &form, WAKERS_LISTED + LEDGER_MAX_WAKERS - 1);
	if (form == WAKERS_OF_PARENT) {
		if (!like) {
			coder_fail(at->coder);
			return;
		}
		wait->waker_count = like->waker_count;
		memcpy(wait->wakers, like->wakers, sizeof(wait->wakers));
		return;
	}
	wait->waker_count = form == WAKERS_NONE ? 0 : (uint8_t)(form - WAKERS_LISTED + 1);
	for (unsigned i = 0; i < wait->waker_count; i++) {
		code_waker(at, &wait->wakers[i], left_ns);
		left_ns -= wait->wakers[i].ns;
	}
}

static struct pack_kind kind_of(const struct ledger_wait *wait)
{
	return (struct pack_kind){
		.target = wait->target,
		.stack = wait->stack,
		.syscall = wait->syscall,
		.reason = wait->reason,
	};
}

static int find_wait(const struct pack_ledger *at, const struct ledger_wait *wait)
{
	struct pack_kind kind = kind_of(wait), other;

	for (int i = 0; !at->coder->is_reading && at->parent && i < at->parent->wait_count; i++) {
		other = kind_of(&at->parent->waits[i]);
		if (memcmp(&kind, &other, sizeof(kind)) == 0)
			return i;
	}
	return -1;
}

static void code_kind(struct pack_ledger *at, struct ledger_wait *wait,
		      const struct ledger_wait *like)
{
	struct pack_kind kind = kind_of(like ? like : wait);

	if (!like)
		pack_lists_kind(at->trace->lists, at->coder, COLUMN_DETAIL_KIND, &kind);
	wait->target = kind.target;
	wait->stack = kind.stack;
	wait->syscall = kind.syscall;
	wait->reason = kind.reason;
}

/* The longest slice that was blocked so, of at most this length. */
static uint64_t longest_slice(const struct ledger *ledger, uint8_t reason, uint64_t most_ns)
{
	uint64_t longest_ns = 0;

	for (unsigned i = 0; i < ledger->slice_count; i++) {
		const struct ledger_slice *slice = &ledger->slices[i];

		if (slice->state == STATE_BLOCKED && slice->reason == reason &&
		    slice->ns <= most_ns)
			longest_ns = MAX(longest_ns, slice->ns);
	}
	return longest_ns;
}

/* Per reason: what the waits so far have left, and the length of the last one less 1. */
struct left {
	uint64_t ns, self_ns, below_ns;
};

static void code_wait(struct pack_ledger *at, struct ledger_wait *wait, int *before,
		      struct left *lefts)
{
	int match = pack_ledger_match(at, COLUMN_DETAIL, find_wait(at, wait),
				      at->parent ? at->parent->wait_count : 0, before);
	const struct ledger_wait *like = match < 0 ? NULL : &at->parent->waits[match];
	uint64_t count = wait->count;
	struct left *left;

	code_kind(at, wait, like);
	if (at->coder->error)
		return;
	left = &lefts[wait->reason];
	pack_ledger_guess(at,
			  (uint64_t[]){ like ? like->ns : left->ns, left->ns,
					longest_slice(at->ledger, wait->reason, left->below_ns) },
			  3, &wait->ns);
	pack_ledger_guess(at, (uint64_t[]){ 1, like ? like->count : 1 }, 2, &count);
	if (count > UINT32_MAX)
		coder_fail(at->coder);
	wait->count = (uint32_t)count;
	pack_ledger_guess(at,
			  (uint64_t[]){ wait->ns, like ? like->longest_ns : wait->ns,
					longest_slice(at->ledger, wait->reason, wait->ns) },
			  3, &wait->longest_ns);
	pack_ledger_guess(at, (uint64_t[]){ wait->ns, 0, left->self_ns }, 3, &wait->self_ns);
	left->ns -= wait->ns;
	left->self_ns -= wait->self_ns;
	left->below_ns = wait->ns - 1;
	code_wakers(at, wait, like);
}

void pack_ledger_waits(struct pack_ledger *at)
{
	struct ledger *ledger = at->ledger;
	struct left lefts[REASON_COUNT];
	int before = -1;

	for (unsigned i = 0; i < REASON_COUNT; i++)
		lefts[i] = (struct left){ ledger->all.blocked_ns[i], ledger->self.blocked_ns[i],
					  UINT64_MAX };
	ledger->waits = pack_ledger_list(at, COLUMN_DETAIL, ledger->waits, &ledger->wait_count,
					 LEDGER_MAX_WAITS, sizeof(*ledger->waits));
	for (unsigned i = 0; i < ledger->wait_count && !at->coder->error; i++)
		code_wait(at, &ledger->waits[i], &before, lefts);
}
