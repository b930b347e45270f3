/* SPDX-License-Identifier: Apache-2.0 */
/* What a senior engineer would conclude, in one line. The rules, the first that fits:
 *
 *   no figures, or `unknown` the largest part            none
 *   runnable > 20 % of the wall and > blocked           starved
 *   elsewhere the largest part                          queued
 *   running < 30 %, and anything blocked                waiting
 *   running > 70 %                                      cpu_bound
 *   else                                                mixed */
#include "correlate/ledger.h"

#include "collector/base/macros.h"

#define STARVED_PERCENT   20
#define WAITING_PERCENT   30
#define CPU_BOUND_PERCENT 70
/* A target is named alone if it makes up so much of its reason; below half, it is not named. */
#define SOLE_PERCENT 90

/* What a wait of this reason is for, said after its time and share. */
static const char *const reason_phrases[REASON_COUNT] = {
	[REASON_LOCK] = "for a lock",
	[REASON_NET] = "for the network",
	[REASON_DISK] = "for the disk",
	[REASON_POLL] = "for events on several descriptors",
	[REASON_SLEEP] = "in sleeps it asked for",
	[REASON_PIPE] = "for a pipe or terminal",
	[REASON_FAULT] = "for pages to be read in",
	[REASON_CHILD] = "for a child process",
	[REASON_SIGNAL] = "for a signal, stopped or traced",
	[REASON_IO_URING] = "for io_uring",
	[REASON_OTHER] = "for something else",
};

/* Products of times and percentages pass 64 bits. */
static bool is_more_than(uint64_t part, unsigned percent, uint64_t whole)
{
	return (unsigned __int128)part * 100 > (unsigned __int128)whole * percent;
}

static bool is_less_than(uint64_t part, unsigned percent, uint64_t whole)
{
	return (unsigned __int128)part * 100 < (unsigned __int128)whole * percent;
}

static unsigned percent_of(uint64_t part, uint64_t whole)
{
	return (unsigned)(((unsigned __int128)part * 200 + whole) / ((unsigned __int128)whole * 2));
}

/* Three digits: what people say. */
static void put_time(struct buf *out, uint64_t ns)
{
	double value = (double)ns;

	if (ns < 1000)
		buf_printf(out, "%u ns", (unsigned)ns);
	else if (value < 999.5e3)
		buf_printf(out, "%.3g us", value / 1e3);
	else if (value < 999.5e6)
		buf_printf(out, "%.3g ms", value / 1e6);
	else if (value < 999.5e9)
		buf_printf(out, "%.3g s", value / 1e9);
	else
		buf_printf(out, "%.0f s", value / 1e9);
}

/* "540 ms (88 %)" */
static void put_part(struct buf *out, uint64_t part_ns, uint64_t wall_ns)
{
	put_time(out, part_ns);
	buf_printf(out, " (%u %%)", percent_of(part_ns, wall_ns));
}

/* Names and addresses come from strangers: what is not printable would break the line. */
static void put_clean(struct buf *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size && text[i]; i++)
		buf_append_byte(out, (uint8_t)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i]);
}

/* ---- the dominant wait ---- */

static enum ledger_reason dominant_reason(const struct ledger_split *split)
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

	return (target->kind == TARGET_INET4 && target->address[0] == 127) ||
	       (target->kind == TARGET_INET6 &&
		memcmp(target->address, last_of_inet6, sizeof(last_of_inet6)) == 0);
}

/* Who surely had the lock for most of the wait. */
static const struct ledger_waker *main_holder(const struct ledger_wait *wait)
{
	for (unsigned i = ledger_count_wakers(wait); i < wait->waker_count; i++) {
		const struct ledger_waker *holder = &wait->wakers[i];

		if (holder->kind == HOLDER_HELD && holder->comm[0] &&
		    is_more_than(holder->ns, 50, wait->ns))
			return holder;
	}
	return NULL;
}

/* Who ended most of the wait, if that is a thread: a network softirq runs on whoever's back it
 * finds, except over loopback. */
static void put_waker(struct buf *out, const struct ledger_wait *wait)
{
	const struct ledger_waker *waker = &wait->wakers[0], *holder = main_holder(wait);

	if (holder) {
		buf_append_text(out, ", held by ");
		put_clean(out, holder->comm, sizeof(holder->comm));
		return;
	}
	if (ledger_count_wakers(wait) == 0 || waker->comm[0] == 0 ||
	    !is_more_than(waker->ns, 50, wait->ns))
		return;
	if (waker->kind != WAKER_THREAD &&
	    !(waker->kind == WAKER_NETWORK && is_loopback(&wait->target)))
		return;
	buf_append_text(out, ", woken by ");
	put_clean(out, waker->comm, sizeof(waker->comm));
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
	for (unsigned i = 0; code && i < ledger->wait_count; i++) {
		struct str name;

		if (!is_like(&ledger->waits[i], like))
			continue;
		name = code->name(ledger->waits[i].stack, code->arg);
		if (name.len == 0 || !is_more_than(sum_in(ledger, like, code, name), 50, like_ns))
			continue;
		buf_append_text(out, " in ");
		put_clean(out, name.data, name.len);
		return;
	}
}

/* "for the network (10.0.0.5:5432) in Pool.query, woken by postgres" */
static void put_wait(struct buf *out, const struct ledger *ledger, enum ledger_reason reason,
		     const struct ledger_code *code)
{
	uint64_t reason_ns = ledger->all.blocked_ns[reason], wait_ns;
	const struct ledger_wait *wait = dominant_wait(ledger, reason, &wait_ns);

	buf_append_text(out, reason_phrases[reason]);
	if (!wait || is_less_than(wait_ns, 50, reason_ns))
		return;
	if (reason == REASON_OTHER || wait->target.kind != TARGET_NONE) {
		buf_append_text(out, is_less_than(wait_ns, SOLE_PERCENT, reason_ns) ? " (mostly "
										    : " (");
		if (reason == REASON_OTHER)
			ledger_decided_by(wait, out);
		else
			ledger_target_text(&wait->target, out);
		buf_append_byte(out, ')');
	}
	put_code(out, ledger, wait, wait_ns, code);
	put_waker(out, wait);
}

/* ---- the lines ---- */

static void say_starved(const struct ledger *ledger, const struct ledger_code *code,
			struct buf *out)
{
	uint64_t runnable_ns = ledger->all.runnable_ns;

	(void)code;
	buf_printf(out, "%u %% starved of CPU: ", percent_of(runnable_ns, ledger->wall_ns));
	put_time(out, runnable_ns);
	buf_append_text(out, " ready to run");
	if (is_more_than(ledger->throttled_ns, 50, runnable_ns)) {
		buf_append_text(out, ", ");
		put_time(out, ledger->throttled_ns);
		buf_append_text(out, " of it held back by a CPU quota; raise the quota");
	} else if (is_more_than(ledger->preempted_ns, 50, runnable_ns)) {
		buf_append_text(out, ", ");
		put_time(out, ledger->preempted_ns);
		buf_append_text(out, " of it pushed off the CPU; find what else runs there");
	} else {
		buf_append_text(out, " but not given a CPU; find what else runs there");
	}
}

static const struct ledger_item *largest_item(const struct ledger *ledger)
{
	const struct ledger_item *best = NULL;

	for (unsigned i = 0; i < ledger->item_count; i++) {
		if (!best || ledger->items[i].ns > best->ns)
			best = &ledger->items[i];
	}
	return best;
}

static void put_item(struct buf *out, const struct ledger *ledger, const struct ledger_item *item)
{
	put_part(out, item->ns, ledger->wall_ns);
	switch ((enum ledger_item_kind)item->kind) {
	case ITEM_CHILD:
		buf_append_text(out, " in the call ");
		put_clean(out, item->name, sizeof(item->name));
		if (item->peer[0]) {
			buf_append_text(out, " to ");
			put_clean(out, item->peer, sizeof(item->peer));
		}
		break;
	case ITEM_QUEUED:
		buf_append_text(out, " before any thread took it up: it was queued");
		break;
	case ITEM_UNCOVERED:
		buf_append_text(out, " with no thread and no call of its own: awaited or queued");
		break;
	}
}

static void say_queued(const struct ledger *ledger, const struct ledger_code *code, struct buf *out)
{
	const struct ledger_item *item = largest_item(ledger);

	(void)code;
	buf_printf(out, "%u %% queued or async: ",
		   percent_of(ledger->all.elsewhere_ns, ledger->wall_ns));
	if (item) {
		put_item(out, ledger, item);
	} else {
		put_time(out, ledger->all.elsewhere_ns);
		buf_append_text(out, " on no thread");
	}
}

static void say_waiting(const struct ledger *ledger, const struct ledger_code *code,
			struct buf *out)
{
	enum ledger_reason reason = dominant_reason(&ledger->all);

	buf_printf(out, "%u %% waiting",
		   percent_of(ledger_blocked_ns(&ledger->all), ledger->wall_ns));
	if (ledger->all.blocked_ns[reason]) {
		buf_append_text(out, ": ");
		put_part(out, ledger->all.blocked_ns[reason], ledger->wall_ns);
		buf_append_byte(out, ' ');
		put_wait(out, ledger, reason, code);
	}
	buf_append_text(out, "; leave the CPU code alone");
}

static uint64_t running_in(const struct ledger *ledger, const struct ledger_code *code,
			   struct str name)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ledger->stack_count; i++) {
		if (str_eq(code->name(ledger->stacks[i].stack, code->arg), name))
			sum += ledger->stacks[i].self_ns;
	}
	return sum;
}

/* ", most in json.dumps", where one function has more than half of its own time. */
static void put_running_code(struct buf *out, const struct ledger *ledger,
			     const struct ledger_code *code)
{
	for (unsigned i = 0; code && i < ledger->stack_count; i++) {
		struct str name = code->name(ledger->stacks[i].stack, code->arg);

		if (name.len == 0 ||
		    !is_more_than(running_in(ledger, code, name), 50, ledger->self.running_ns))
			continue;
		buf_append_text(out, ", most in ");
		put_clean(out, name.data, name.len);
		return;
	}
}

static void say_cpu_bound(const struct ledger *ledger, const struct ledger_code *code,
			  struct buf *out)
{
	uint64_t running_ns = ledger->all.running_ns;
	uint64_t self_ns = ledger->self.running_ns;

	buf_printf(out, "%u %% on CPU: ", percent_of(running_ns, ledger->wall_ns));
	if (is_less_than(self_ns, 50, running_ns)) {
		put_part(out, running_ns - self_ns, ledger->wall_ns);
		buf_append_text(out, " in its child spans");
	} else {
		put_part(out, self_ns, ledger->wall_ns);
		buf_append_text(out, " in its own code");
		put_running_code(out, ledger, code);
	}
	if (is_more_than(ledger->cpu_ns, 120, running_ns)) { /* lanes side by side */
		buf_append_text(out, ", ");
		put_time(out, ledger->cpu_ns);
		buf_append_text(out, " of CPU on several threads");
	}
}

static void say_mixed(const struct ledger *ledger, const struct ledger_code *code, struct buf *out)
{
	const struct ledger_split *all = &ledger->all;
	enum ledger_reason reason = dominant_reason(all);

	buf_printf(out, "mixed: %u %% on CPU, %u %% waiting",
		   percent_of(all->running_ns, ledger->wall_ns),
		   percent_of(ledger_blocked_ns(all), ledger->wall_ns));
	if (all->blocked_ns[reason]) {
		buf_append_text(out, ", most ");
		put_wait(out, ledger, reason, code);
	}
	if (percent_of(all->runnable_ns, ledger->wall_ns))
		buf_printf(out, ", %u %% ready but without a CPU",
			   percent_of(all->runnable_ns, ledger->wall_ns));
	if (percent_of(all->elsewhere_ns, ledger->wall_ns))
		buf_printf(out, ", %u %% queued or async",
			   percent_of(all->elsewhere_ns, ledger->wall_ns));
}

static void say_none(const struct ledger *ledger, const struct ledger_code *code, struct buf *out)
{
	(void)code;
	if (ledger->grade == GRADE_NONE)
		buf_append_text(out, ledger_none_text(ledger->none_cause));
	else if (ledger->wall_ns == 0)
		buf_append_text(out, "no figures: the span has no length");
	else
		buf_printf(out, "%u %% was not observed: no verdict",
			   percent_of(ledger->all.unknown_ns, ledger->wall_ns));
}

/* ---- the rules ---- */

static uint64_t largest_seen(const struct ledger *ledger)
{
	const struct ledger_split *all = &ledger->all;

	return MAX(MAX(all->running_ns, all->runnable_ns), ledger_blocked_ns(all));
}

static bool is_unseen(const struct ledger *ledger)
{
	return ledger->grade == GRADE_NONE || ledger->wall_ns == 0 ||
	       ledger->all.unknown_ns > MAX(largest_seen(ledger), ledger->all.elsewhere_ns);
}

static bool is_starved(const struct ledger *ledger)
{
	return is_more_than(ledger->all.runnable_ns, STARVED_PERCENT, ledger->wall_ns) &&
	       ledger->all.runnable_ns > ledger_blocked_ns(&ledger->all);
}

static bool is_queued(const struct ledger *ledger)
{
	return ledger->all.elsewhere_ns > largest_seen(ledger);
}

static bool is_waiting(const struct ledger *ledger)
{
	return ledger_blocked_ns(&ledger->all) &&
	       is_less_than(ledger->all.running_ns, WAITING_PERCENT, ledger->wall_ns);
}

static bool is_cpu_bound(const struct ledger *ledger)
{
	return is_more_than(ledger->all.running_ns, CPU_BOUND_PERCENT, ledger->wall_ns);
}

static bool is_any(const struct ledger *ledger)
{
	(void)ledger;
	return true;
}

/* The first that fits; the last one always does. */
static const struct rule {
	bool (*fits)(const struct ledger *ledger);
	void (*say)(const struct ledger *ledger, const struct ledger_code *code, struct buf *out);
	enum ledger_verdict verdict;
} rules[] = {
	{ is_unseen, say_none, VERDICT_NONE },
	{ is_starved, say_starved, VERDICT_STARVED },
	{ is_queued, say_queued, VERDICT_QUEUED },
	{ is_waiting, say_waiting, VERDICT_WAITING },
	{ is_cpu_bound, say_cpu_bound, VERDICT_CPU_BOUND },
	{ is_any, say_mixed, VERDICT_MIXED },
};

enum ledger_verdict ledger_judge(const struct ledger *ledger, const struct ledger_code *code,
				 struct buf *out_text)
{
	const struct rule *rule = rules;

	while (!rule->fits(ledger))
		rule++;
	rule->say(ledger, code, out_text);
	return rule->verdict;
}
