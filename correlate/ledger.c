/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/ledger.h"

#include <arpa/inet.h>
#include <inttypes.h>

#include "collector/base/macros.h"
#include "correlate/reason.h"

static const char *const reason_names[REASON_COUNT] = {
#define X(symbol, name, meaning) [REASON_##symbol] = (name),
	LEDGER_REASONS(X)
#undef X
};

static const char *const grade_names[] = {
	[GRADE_NONE] = "none",       [GRADE_PARTIAL] = "partial", [GRADE_INFERRED] = "inferred",
	[GRADE_BOUNDED] = "bounded", [GRADE_EXACT] = "exact",
};

static const char *const none_texts[] = {
	[NONE_NOT_SET] = "no figures",
	[NONE_NO_PROCESS] = "no figures: nobody knows which process made the span",
	[NONE_NO_TAGS] = "no figures: its process does not publish which span its threads work for",
	[NONE_FOREIGN] = "no figures: the span was made on another node",
	[NONE_NO_KERNEL] = "no figures: spanwise has no eBPF rights here",
	[NONE_BEFORE_START] = "no figures: the span ended before spanwise watched",
};

static const char *const verdict_names[] = {
	[VERDICT_NONE] = "none",           [VERDICT_STARVED] = "starved",
	[VERDICT_QUEUED] = "queued",       [VERDICT_WAITING] = "waiting",
	[VERDICT_CPU_BOUND] = "cpu_bound", [VERDICT_MIXED] = "mixed",
};

const char *ledger_reason_name(enum ledger_reason reason)
{
	return (unsigned)reason < REASON_COUNT ? reason_names[reason] : "other";
}

const char *ledger_grade_name(enum ledger_grade grade)
{
	return (unsigned)grade < ARRAY_LEN(grade_names) ? grade_names[grade] : "none";
}

const char *ledger_none_text(enum ledger_none cause)
{
	return (unsigned)cause < ARRAY_LEN(none_texts) ? none_texts[cause] : none_texts[0];
}

const char *ledger_verdict_name(enum ledger_verdict verdict)
{
	return (unsigned)verdict < ARRAY_LEN(verdict_names) ? verdict_names[verdict] : "none";
}

/* Sums that may come from a damaged file do not wrap around to a right answer: they stop at the
 * top. */
static uint64_t add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

uint64_t ledger_blocked_ns(const struct ledger_split *split)
{
	uint64_t sum = 0;

	for (int reason = 0; reason < REASON_COUNT; reason++)
		sum = add(sum, split->blocked_ns[reason]);
	return sum;
}

static uint64_t sum_split(const struct ledger_split *split)
{
	uint64_t sum = ledger_blocked_ns(split);

	sum = add(sum, split->running_ns);
	sum = add(sum, split->runnable_ns);
	sum = add(sum, split->elsewhere_ns);
	return add(sum, split->unknown_ns);
}

/* Part by part: each instant of self is one of all, in the same state. */
static bool is_within(const struct ledger_split *self, const struct ledger_split *all)
{
	for (int reason = 0; reason < REASON_COUNT; reason++) {
		if (self->blocked_ns[reason] > all->blocked_ns[reason])
			return false;
	}
	return self->running_ns <= all->running_ns && self->runnable_ns <= all->runnable_ns &&
	       self->elsewhere_ns <= all->elsewhere_ns && self->unknown_ns <= all->unknown_ns;
}

bool ledger_adds_up(const struct ledger *ledger)
{
	uint64_t sum = sum_split(&ledger->all);

	if (ledger->grade == GRADE_NONE && sum == 0) /* no figures, so none is wrong */
		return sum_split(&ledger->self) == 0;
	return sum == ledger->wall_ns && is_within(&ledger->self, &ledger->all);
}

bool ledger_stacks_add_up(const struct ledger *ledger)
{
	struct ledger_split all = { 0 }, self = { 0 };

	for (unsigned i = 0; i < ledger->wait_count; i++) {
		const struct ledger_wait *wait = &ledger->waits[i];

		all.blocked_ns[wait->reason] = add(all.blocked_ns[wait->reason], wait->ns);
		self.blocked_ns[wait->reason] = add(self.blocked_ns[wait->reason], wait->self_ns);
	}
	for (unsigned i = 0; i < ledger->stack_count; i++) {
		all.running_ns = add(all.running_ns, ledger->stacks[i].ns);
		self.running_ns = add(self.running_ns, ledger->stacks[i].self_ns);
	}
	return all.running_ns == ledger->all.running_ns &&
	       self.running_ns == ledger->self.running_ns &&
	       memcmp(all.blocked_ns, ledger->all.blocked_ns, sizeof(all.blocked_ns)) == 0 &&
	       memcmp(self.blocked_ns, ledger->self.blocked_ns, sizeof(self.blocked_ns)) == 0;
}

double ledger_ratio(const struct ledger *ledger)
{
	if (ledger->grade == GRADE_NONE || ledger->wall_ns == 0)
		return -1;
	return (double)ledger->cpu_ns / (double)ledger->wall_ns;
}

/* A socket that listens has no peer; its own port is what people know it by. */
static void put_peer(int family, const struct event_target *target, struct buf *out)
{
	bool is_alone = target->port == 0 && hex_is_zero(target->address, sizeof(target->address));
	char text[INET6_ADDRSTRLEN];

	if (is_alone && target->aux == 0)
		buf_append_text(out, "unbound socket");
	else if (is_alone)
		buf_printf(out, "own port %u", target->aux);
	else if (inet_ntop(family, target->address, text, sizeof(text)))
		buf_printf(out, family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, target->port);
}

/* ::ffff:10.0.0.5 is how a dual-stack socket says 10.0.0.5: people look for the latter. */
static void put_inet6(const struct event_target *target, struct buf *out)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct event_target inet4 = *target;

	if (memcmp(target->address, mapped, sizeof(mapped)) != 0) {
		put_peer(AF_INET6, target, out);
		return;
	}
	memset(inet4.address, 0, sizeof(inet4.address));
	memcpy(inet4.address, target->address + sizeof(mapped), 4);
	put_peer(AF_INET, &inet4, out);
}

/* A name is whatever somebody called it. */
static void put_text(const char *name, size_t bytes, struct buf *out)
{
	for (size_t i = 0; i < bytes && name[i]; i++) {
		unsigned char byte = (unsigned char)name[i];

		buf_append(out, byte < ' ' || byte >= 0x7f ? "?" : &name[i], 1);
	}
}

/* "NAME (inode)", as far as the kernel knows them. */
static void put_name(const struct event_target *target, struct buf *out)
{
	put_text(target->name, sizeof(target->name), out);
	buf_append_text(out, target->name[0] ? " " : "");
}

/* "[eventfd]" is what the kernel calls one; only of epoll is no name told. */
static void put_anon(const struct event_target *target, struct buf *out)
{
	size_t bytes = strnlen(target->name, sizeof(target->name));

	if (!bytes)
		buf_append_text(out, "epoll");
	else if (target->name[0] == '[' && target->name[bytes - 1] == ']')
		put_text(target->name + 1, bytes - 2, out);
	else
		put_text(target->name, bytes, out);
}

/* Of futex_waitv(): any of them ends the wait. */
static void put_others(const struct event_target *target, struct buf *out)
{
	if (target->port)
		buf_printf(out, " or %u other%s", target->port, target->port > 1 ? "s" : "");
}

static void put_shared_futex(const struct event_target *target, struct buf *out)
{
	uint64_t inode;
	uint32_t device;

	memcpy(&inode, target->address, sizeof(inode));
	memcpy(&device, target->address + sizeof(inode), sizeof(device));
	buf_printf(out, "shared futex %" PRIu64 "+0x%" PRIx64 " on %u:%u", inode,
		   (uint64_t)target->id, device >> 20, device & 0xfffff);
	put_others(target, out);
}

/* The kernel's own dev_t: 12 bits major, 20 bits minor. What was a path only has neither. */
static void put_file(const struct event_target *target, struct buf *out)
{
	buf_append_text(out, "file ");
	if (target->id == 0 && target->aux == 0) {
		put_text(target->name, sizeof(target->name), out);
		return;
	}
	put_name(target, out);
	buf_printf(out, "%" PRIu64 " on %u:%u", (uint64_t)target->id, target->aux >> 20,
		   target->aux & 0xfffff);
}

/* What stands in a folder has a name beside its number. */
static void put_numbered(const char *kind, const struct event_target *target, struct buf *out)
{
	buf_append_text(out, kind);
	put_name(target, out);
	buf_printf(out, "%" PRIu64, (uint64_t)target->id);
}

#define PTS_MAJOR 136

/* A terminal of a program's (/dev/pts/3) is known by its number, others by name and number. Of one
 * without a number (recordings of earlier versions) the inode is all there is. */
static void put_device(const struct event_target *target, struct buf *out)
{
	uint32_t major = target->aux >> 20, minor = target->aux & 0xfffff;

	if (major == PTS_MAJOR) {
		buf_printf(out, "device pts/%u", minor);
	} else if (target->aux) {
		buf_append_text(out, "device ");
		put_name(target, out);
		buf_printf(out, "%u:%u", major, minor);
	} else {
		put_numbered("device ", target, out);
	}
}

/* A raw socket has a protocol in place of a port. */
static void put_family(const struct event_target *target, struct buf *out)
{
	static const struct {
		uint32_t family;
		const char *name;
	} names[] = { { AF_NETLINK, "netlink " }, { AF_PACKET, "packet " },
		      { AF_VSOCK, "vsock " },     { AF_ALG, "crypto " },
		      { AF_INET, "raw " },        { AF_BLUETOOTH, "bluetooth " },
		      { AF_INET6, "raw " },       { AF_CAN, "CAN " } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (names[i].family == target->aux)
			buf_append_text(out, names[i].name);
	}
	buf_append_text(out, "socket");
	if (target->aux == AF_INET || target->aux == AF_INET6)
		buf_printf(out, ", protocol %" PRIu64, (uint64_t)target->id);
}

static void put_queue(const struct event_target *target, struct buf *out)
{
	buf_append_text(out, "queue ");
	if (target->name[0])
		put_text(target->name, sizeof(target->name), out);
	else
		buf_printf(out, "%" PRIu64, (uint64_t)target->id);
}

void ledger_target_text(const struct event_target *target, struct buf *out)
{
	uint64_t id = target->id;

	switch ((enum event_target_kind)target->kind) {
	case TARGET_NONE:
		break;
	case TARGET_FUTEX:
		buf_printf(out, "futex 0x%" PRIx64, id);
		put_others(target, out);
		break;
	case TARGET_INET4:
		put_peer(AF_INET, target, out);
		break;
	case TARGET_INET6:
		put_inet6(target, out);
		break;
	case TARGET_UNIX:
		put_numbered("unix socket ", target, out);
		break;
	case TARGET_PIPE:
		put_numbered("pipe ", target, out);
		break;
	case TARGET_FILE:
		put_file(target, out);
		break;
	case TARGET_CHAR:
		put_device(target, out);
		break;
	case TARGET_ANON:
		put_anon(target, out);
		break;
	case TARGET_SOCKET:
		put_family(target, out);
		break;
	case TARGET_SEMAPHORE:
		buf_printf(out, "semaphore set %" PRIu64, id);
		break;
	case TARGET_QUEUE:
		put_queue(target, out);
		break;
	case TARGET_CHILD:
		if (id)
			buf_printf(out, "child %" PRIu64, id);
		else
			buf_append_text(out, "any child");
		break;
	case TARGET_FUTEX_SHARED:
		put_shared_futex(target, out);
		break;
	}
}

void ledger_decided_by(const struct ledger_wait *wait, struct buf *out)
{
	bool is_kernel = wait->syscall >= LEDGER_KERNEL_IN_CALL;
	int32_t call = is_kernel ? wait->syscall & ~LEDGER_KERNEL_IN_CALL : wait->syscall;
	const char *name = reason_syscall_name(call);

	if (wait->reason == REASON_FAULT)
		buf_append_text(out, "page fault");
	else if (wait->syscall == LEDGER_KERNEL_NO_CALL)
		buf_append_text(out, "kernel frames");
	else if (wait->syscall == LEDGER_FROZEN)
		buf_append_text(out, "frozen by a cgroup");
	else if (wait->reason == REASON_SIGNAL && !is_kernel &&
		 !reason_syscall_waits_for_signal(call))
		buf_append_text(out, "state T"); /* stopped or traced, in whatever call */
	else if (call < 0)
		buf_append_text(out, "state D");
	else if (name)
		buf_printf(out, "%ssyscall %s", is_kernel ? "kernel frames in " : "", name);
	else
		buf_printf(out, "%ssyscall %d", is_kernel ? "kernel frames in " : "", call);
}
