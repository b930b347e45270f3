/* SPDX-License-Identifier: Apache-2.0 */
/* The wait that dominates a ledger, in words: what for, where in the code, and who ended it. */
#include "correlate/verdict.h"

#include "collector/base/macros.h"

/* A target is named alone if it makes up so much of its reason; of half or less it is not named. */
#define SOLE_PERCENT 90

/* What a wait of this reason is for, said after its time and share. */
static const char *const reason_phrases[REASON_COUNT] = {
	[REASON_LOCK] = "for a lock",
	[REASON_NET] = "for the network",
	[REASON_DISK] = "for the disk",
	[REASON_POLL] = "for events",
	[REASON_SLEEP] = "in sleeps it asked for",
	[REASON_PIPE] = "for a pipe or terminal",
	[REASON_FAULT] = "for pages to be read in",
	[REASON_CHILD] = "for a child process",
	[REASON_SIGNAL] = "for a signal, stopped or traced",
	[REASON_IO_URING] = "for io_uring",
	[REASON_OTHER] = "for something else",
};

enum ledger_reason verdict_reason(const struct ledger_split *split)
{
	enum ledger_reason best = 0;

	for (int reason = 1; reason < REASON_COUNT; reason++) {
		if (split->blocked_ns[reason] > split->blocked_ns[best])
			best = reason;
	}
	return best;
}

static bool is_same_target(const struct event_target *a, const struct event_target *b)
{
	return a->kind == b->kind && a->port == b->port && a->aux == b->aux && a->id == b->id &&
	       memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

/* The own port tells connections apart; who is waited for is the peer. So a lock is the same one,
 * whoever has it. */
static bool is_same_peer(const struct event_target *a, const struct event_target *b)
{
	struct event_target twin = *a;

	if (((a->kind == TARGET_INET4 || a->kind == TARGET_INET6) && a->port != 0) ||
	    a->kind == TARGET_FUTEX || a->kind == TARGET_FUTEX_SHARED)
		twin.aux = b->aux;
	return is_same_target(&twin, b);
}

/* Waits that differ only in what decided them (poll, then recv) are one to the reader. */
static bool is_like(const struct ledger_wait *a, const struct ledger_wait *b)
{
	return a->reason == b->reason && is_same_peer(&a->target, &b->target);
}

static uint64_t sum_like(const struct ledger *ledger, const struct ledger_wait *like)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ledger->wait_count; i++) {
		const struct ledger_wait *wait = &ledger->waits[i];

		if (is_like(wait, like))
			sum += wait->ns;
	}
	return sum;
}

/* NULL: none of this reason was told apart. */
static const struct ledger_wait *dominant_wait(const struct ledger *ledger,
					       enum ledger_reason reason, uint64_t *out_ns)
{
	const struct ledger_wait *best = NULL;
	uint64_t best_ns = 0;

	for (unsigned i = 0; i < ledger->wait_count; i++) {
		uint64_t ns;

		if (ledger->waits[i].reason != reason)
			continue;
		ns = sum_like(ledger, &ledger->waits[i]);
		if (ns <= best_ns)
			continue;
		best = &ledger->waits[i];
		best_ns = ns;
	}
	*out_ns = best_ns;
	return best;
}

static bool is_loopback(const struct event_target *target)
{
	static const uint8_t last_of_inet6[16] = { [15] = 1 };
	static const uint8_t mapped[13] = { [10] = 0xff, [11] = 0xff, [12] = 127 };

	return (target->kind == TARGET_INET4 && target->address[0] == 127) ||
	       (target->kind == TARGET_INET6 &&
		(memcmp(target->address, last_of_inet6, sizeof(last_of_inet6)) == 0 ||
		 memcmp(target->address, mapped, sizeof(mapped)) == 0));
}

/* A pool's threads are one to the reader. */
static bool is_called_like(const struct ledger_waker *a, const struct ledger_waker *b)
{
	return a->kind == b->kind && memcmp(a->comm, b->comm, sizeof(a->comm)) == 0;
}

/* What those who are called like `who` had of the waits like this one, in the same role. */
static uint64_t sum_of(const struct ledger *ledger, const struct ledger_wait *like,
		       const struct ledger_waker *who)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ledger->wait_count; i++) {
		const struct ledger_wait *wait = &ledger->waits[i];

		for (unsigned k = 0; is_like(wait, like) && k < wait->waker_count; k++) {
			if (is_called_like(&wait->wakers[k], who))
				sum += wait->wakers[k].ns;
		}
	}
	return sum;
}

/* Who ended a wait, if that is a thread: a network softirq runs on whoever's back it finds, except
 * over loopback. Or who surely had the lock meanwhile, or was behind. */
static bool is_nameable(const struct ledger_wait *wait, const struct ledger_waker *waker)
{
	if (waker->comm[0] == 0)
		return false;
	return waker->kind == WAKER_THREAD || waker->kind == HOLDER_HELD ||
	       waker->kind == HOLDER_BEHIND ||
	       (waker->kind == WAKER_NETWORK && is_loopback(&wait->target));
}

/* A vote that who comes later may take away: who has more than half is left over. */
struct vote {
	const struct ledger_waker *best;
	uint64_t lead_ns;
};

static void cast_vote(struct vote *vote, const struct ledger_waker *waker)
{
	if (vote->best && is_called_like(vote->best, waker)) {
		vote->lead_ns += waker->ns;
	} else if (waker->ns > vote->lead_ns) {
		vote->lead_ns = waker->ns - vote->lead_ns;
		vote->best = waker;
	} else {
		vote->lead_ns -= waker->ns;
	}
}

/* Of more than half of the waits like this one; NULL: nobody. */
static const struct ledger_waker *main_one(const struct ledger *ledger,
					   const struct ledger_wait *like, uint64_t like_ns,
					   bool is_holder)
{
	struct vote vote = { 0 };

	for (unsigned i = 0; i < ledger->wait_count; i++) {
		const struct ledger_wait *wait = &ledger->waits[i];

		for (unsigned k = 0; is_like(wait, like) && k < wait->waker_count; k++) {
			if (ledger_is_holder(&wait->wakers[k]) == is_holder &&
			    is_nameable(wait, &wait->wakers[k]))
				cast_vote(&vote, &wait->wakers[k]);
		}
	}
	if (vote.best && is_more_than(sum_of(ledger, like, vote.best), 50, like_ns))
		return vote.best;
	return NULL;
}

/* Who sleeps asks for that, and so may an event loop; and where the kernel holds up who writes, or
 * takes memory, that is how it does so. What else a timer ended did not come in time. */
static bool has_time_limit(enum ledger_reason reason)
{
	return reason != REASON_SLEEP && reason != REASON_POLL && reason != REASON_DISK &&
	       reason != REASON_FAULT && reason != REASON_OTHER;
}

static bool is_timed_out(const struct ledger *ledger, const struct ledger_wait *like,
			 uint64_t like_ns)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ledger->wait_count; i++) {
		const struct ledger_wait *wait = &ledger->waits[i];

		for (unsigned k = 0; is_like(wait, like) && k < wait->waker_count; k++) {
			if (wait->wakers[k].kind == WAKER_TIMER)
				sum += wait->wakers[k].ns;
		}
	}
	return has_time_limit(like->reason) && is_more_than(sum, 50, like_ns);
}

static void put_one(struct buf *out, const char *role, const struct ledger_waker *one)
{
	buf_append_text(out, role);
	verdict_put_clean(out, one->comm, EVENT_COMM_BYTES);
}

static void put_waker(struct buf *out, const struct ledger *ledger, const struct ledger_wait *like,
		      uint64_t like_ns)
{
	const struct ledger_waker *holder = main_one(ledger, like, like_ns, true);
	const struct ledger_waker *waker = main_one(ledger, like, like_ns, false);

	/* who ended it may have had several before it */
	if (holder && holder->kind == HOLDER_BEHIND && !waker)
		holder = NULL;

	if (!holder && !waker) {
		if (is_timed_out(ledger, like, like_ns))
			buf_append_text(out, ", until it timed out");
		return;
	}
	if (waker && holder && holder->kind == HOLDER_BEHIND) {
		put_one(out, ", woken by ", waker);
		put_one(out, ", which waited for ", holder);
		return;
	}
	put_one(out, holder ? ", held by " : ", woken by ", holder ? holder : waker);
}

/* How much of the waits like this one was in the function that `name` says. */
static uint64_t sum_in(const struct ledger *ledger, const struct ledger_wait *like,
		       const struct ledger_code *code, struct str name)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ledger->wait_count; i++) {
		const struct ledger_wait *wait = &ledger->waits[i];

		if (is_like(wait, like) && str_eq(code->name(wait->stack, code->arg), name))
			sum += wait->ns;
	}
	return sum;
}

/* " in sql.(*DB).QueryContext", where one function has more than half of these waits. */
static void put_code(struct buf *out, const struct ledger *ledger, const struct ledger_wait *like,
		     uint64_t like_ns, const struct ledger_code *code)
{
	for (unsigned i = 0; code && code->name && i < ledger->wait_count; i++) {
		struct str name;

		if (!is_like(&ledger->waits[i], like))
			continue;
		name = code->name(ledger->waits[i].stack, code->arg);
		if (name.len == 0 || !is_more_than(sum_in(ledger, like, code, name), 50, like_ns))
			continue;
		buf_append_text(out, " in ");
		verdict_put_clean(out, name.data, name.len);
		return;
	}
}

static bool is_decided_by_kernel(const struct ledger_wait *wait)
{
	return wait->syscall >= LEDGER_KERNEL_IN_CALL || wait->syscall == LEDGER_KERNEL_NO_CALL;
}

/* What its reason is called, of the wait that has most of it. */
static const char *phrase_of(enum ledger_reason reason, const struct ledger_wait *wait)
{
	if (reason == REASON_LOCK && is_decided_by_kernel(wait))
		return "for a lock of the kernel's";
	if (reason == REASON_FAULT && wait->target.kind == TARGET_NONE)
		return "for pages to be read in or freed";
	return reason_phrases[reason];
}

void verdict_put_wait(struct buf *out, const struct ledger *ledger, enum ledger_reason reason,
		      const struct ledger_code *code)
{
	uint64_t reason_ns = ledger->all.blocked_ns[reason], wait_ns;
	const struct ledger_wait *wait = dominant_wait(ledger, reason, &wait_ns);

	if (!wait || !is_more_than(wait_ns, 50, reason_ns)) {
		buf_append_text(out, reason_phrases[reason]);
		return;
	}
	buf_append_text(out, phrase_of(reason, wait));
	if (reason == REASON_OTHER || wait->target.kind != TARGET_NONE) {
		buf_append_text(out, is_less_than(wait_ns, SOLE_PERCENT, reason_ns) ? " (mostly "
										    : " (");
		if (reason == REASON_OTHER)
			ledger_decided_by(wait, out);
		if (reason == REASON_OTHER && wait->target.kind != TARGET_NONE)
			buf_append_text(out, " of ");
		ledger_target_text(&wait->target, out);
		buf_append_byte(out, ')');
	}
	put_code(out, ledger, wait, wait_ns, code);
	put_waker(out, ledger, wait, wait_ns);
}
