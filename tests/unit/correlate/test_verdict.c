/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "correlate/ledger.h"

#define MS 1000000ull

static void assert_judged(const struct ledger *ledger, const struct ledger_code *code,
			  enum ledger_verdict expected, const char *text)
{
	enum ledger_verdict verdict;
	struct buf buf;

	buf_init(&buf, 0);
	verdict = ledger_judge(ledger, code, &buf);
	buf_append_byte(&buf, 0);
	assert_int_equal(buf_error(&buf), 0);
	assert_string_equal(buf.data, text);
	assert_string_equal(ledger_verdict_name(verdict), ledger_verdict_name(expected));
	buf_fini(&buf);
}

static void assert_verdict(const struct ledger *ledger, enum ledger_verdict expected,
			   const char *text)
{
	assert_judged(ledger, NULL, expected, text);
}

static struct ledger_wait wait_for_database(void)
{
	return (struct ledger_wait){
		.reason = REASON_NET,
		.syscall = SYS_recvfrom,
		.ns = 540 * MS,
		.target = { .kind = TARGET_INET4, .port = 5432, .address = { 10, 0, 0, 5 } },
	};
}

/* The incident review of the design, section 4. */
static struct ledger reference(struct ledger_wait waits[2])
{
	waits[0] = wait_for_database();
	waits[1] = (struct ledger_wait){ .reason = REASON_LOCK,
					 .syscall = SYS_futex,
					 .ns = 18 * MS,
					 .target = { .kind = TARGET_FUTEX, .id = 0x7f10 } };
	return (struct ledger){
		.grade = GRADE_EXACT,
		.wall_ns = 612 * MS,
		.cpu_ns = 38 * MS,
		.all = { .running_ns = 38 * MS,
			 .runnable_ns = 13 * MS,
			 .blocked_ns = { [REASON_NET] = 540 * MS,
					 [REASON_LOCK] = 18 * MS,
					 [REASON_SLEEP] = 3 * MS } },
		.wait_count = 2,
		.waits = waits,
	};
}

static void the_database_is_to_blame_in_the_reference_case(void **unused)
{
	struct ledger_wait waits[2];
	struct ledger ledger = reference(waits);

	(void)unused;
	assert_true(ledger_adds_up(&ledger));
	assert_verdict(&ledger, VERDICT_WAITING,
		       "92 % waiting: 540 ms (88 %) for the network (10.0.0.5:5432); "
		       "leave the CPU code alone");
}

static void the_thread_that_ended_the_wait_is_named(void **unused)
{
	struct ledger_wait waits[2];
	struct ledger ledger = reference(waits);

	(void)unused;
	waits[0].waker_count = 1;
	waits[0].wakers[0] =
		(struct ledger_waker){ .kind = WAKER_NETWORK, .comm = "postgres", .ns = 539 * MS };
	assert_verdict(&ledger, VERDICT_WAITING, /* not over loopback: chance */
		       "92 % waiting: 540 ms (88 %) for the network (10.0.0.5:5432); "
		       "leave the CPU code alone");
	waits[0].target.address[0] = 127;
	assert_verdict(&ledger, VERDICT_WAITING,
		       "92 % waiting: 540 ms (88 %) for the network (127.0.0.5:5432), "
		       "woken by postgres; leave the CPU code alone");
	waits[0].wakers[0].ns = 270 * MS;
	assert_verdict(&ledger, VERDICT_WAITING, /* it ended no more than half */
		       "92 % waiting: 540 ms (88 %) for the network (127.0.0.5:5432); "
		       "leave the CPU code alone");
	waits[0].wakers[0].ns++;
	waits[0].wakers[0].kind = WAKER_TIMER;
	assert_verdict(&ledger, VERDICT_WAITING, /* on whose back a timer ran is chance */
		       "92 % waiting: 540 ms (88 %) for the network (127.0.0.5:5432), "
		       "until it timed out; leave the CPU code alone");
}

/* Each of a pool's threads ended a part of the waits, which lie at several places in the code. */
static void threads_of_one_name_are_one_waker(void **unused)
{
	struct ledger_wait waits[3];
	struct ledger ledger = reference(waits);

	(void)unused;
	ledger.wait_count = 3;
	for (unsigned i = 0; i < 3; i += 2) {
		waits[i] = wait_for_database();
		waits[i].ns = 270 * MS;
		waits[i].stack = i;
		waits[i].waker_count = 1;
		waits[i].wakers[0] = (struct ledger_waker){
			.kind = WAKER_THREAD, .comm = "worker", .tid = 7 + i, .ns = 200 * MS
		};
	}
	assert_verdict(&ledger, VERDICT_WAITING,
		       "92 % waiting: 540 ms (88 %) for the network (10.0.0.5:5432), "
		       "woken by worker; leave the CPU code alone");
	waits[2].wakers[0].comm[0] = 'W';
	assert_verdict(&ledger, VERDICT_WAITING, /* neither has half */
		       "92 % waiting: 540 ms (88 %) for the network (10.0.0.5:5432); "
		       "leave the CPU code alone");
}

/* Wherever it stands among those who ended less. */
static void who_ended_most_is_found_among_many(void **unused)
{
	struct ledger_wait waits[2];
	struct ledger ledger = reference(waits);

	(void)unused;
	waits[0].waker_count = LEDGER_MAX_WAKERS;
	for (unsigned main = 0; main < LEDGER_MAX_WAKERS; main++) {
		for (unsigned i = 0; i < LEDGER_MAX_WAKERS; i++) {
			waits[0].wakers[i] = (struct ledger_waker){ .kind = WAKER_THREAD,
								    .comm = "a",
								    .ns = 33 * MS };
			waits[0].wakers[i].comm[0] = (char)('a' + i);
		}
		waits[0].wakers[main] = (struct ledger_waker){ .kind = WAKER_THREAD,
							       .comm = "postgres",
							       .ns = 271 * MS };
		assert_verdict(&ledger, VERDICT_WAITING,
			       "92 % waiting: 540 ms (88 %) for the network (10.0.0.5:5432), "
			       "woken by postgres; leave the CPU code alone");
	}
}

static void who_had_the_lock_comes_before_who_woke(void **unused)
{
	struct ledger_wait wait = { .reason = REASON_LOCK, .ns = 90, .waker_count = 2 };
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .wall_ns = 100,
				 .all = { .running_ns = 10, .blocked_ns = { [REASON_LOCK] = 90 } },
				 .wait_count = 1,
				 .waits = &wait };

	(void)unused;
	wait.wakers[0] = (struct ledger_waker){ .kind = WAKER_THREAD, .comm = "last", .ns = 90 };
	wait.wakers[1] = (struct ledger_waker){ .kind = HOLDER_HELD, .comm = "owner", .ns = 46 };
	assert_verdict(&ledger, VERDICT_WAITING,
		       "90 % waiting: 90 ns (90 %) for a lock, held by owner; "
		       "leave the CPU code alone");
	wait.wakers[1].ns = 45;
	assert_verdict(&ledger, VERDICT_WAITING, /* half of it, no more */
		       "90 % waiting: 90 ns (90 %) for a lock, woken by last; "
		       "leave the CPU code alone");
	wait.wakers[1] = (struct ledger_waker){ .kind = HOLDER_RELEASED, .comm = "rel", .ns = 90 };
	assert_verdict(&ledger, VERDICT_WAITING, /* since when it had the lock nobody knows */
		       "90 % waiting: 90 ns (90 %) for a lock, woken by last; "
		       "leave the CPU code alone");
}

static void whom_the_server_waited_for_is_told_behind_it(void **unused)
{
	struct ledger_wait wait = { .reason = REASON_NET, .ns = 90, .waker_count = 2 };
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .wall_ns = 100,
				 .all = { .running_ns = 10, .blocked_ns = { [REASON_NET] = 90 } },
				 .wait_count = 1,
				 .waits = &wait };

	(void)unused;
	wait.wakers[0] = (struct ledger_waker){ .kind = WAKER_THREAD, .comm = "server", .ns = 90 };
	wait.wakers[1] = (struct ledger_waker){ .kind = HOLDER_BEHIND, .comm = "owner", .ns = 46 };
	assert_verdict(&ledger, VERDICT_WAITING,
		       "90 % waiting: 90 ns (90 %) for the network, woken by server, which waited "
		       "for owner; leave the CPU code alone");
	wait.wakers[1].ns = 45;
	assert_verdict(&ledger, VERDICT_WAITING,
		       "90 % waiting: 90 ns (90 %) for the network, woken by server; "
		       "leave the CPU code alone");
	wait.wakers[0].ns = 45;
	wait.wakers[1].ns = 90;
	assert_verdict(&ledger, VERDICT_WAITING, /* one of several */
		       "90 % waiting: 90 ns (90 %) for the network; leave the CPU code alone");
}

static struct str name_of(uint64_t stack, void *names)
{
	const char *name = ((const char **)names)[stack];

	return name ? str_of(name) : (struct str){ 0 };
}

static void code_that_has_most_of_the_wait_is_named(void **unused)
{
	const char *names[] = { NULL, "sql.(*DB).QueryContext", "sql.(*Tx).Commit" };
	struct ledger_code code = { name_of, names, NULL, NULL };
	struct ledger_wait waits[4];
	struct ledger ledger = reference(waits);

	(void)unused;
	ledger.wait_count = 4;
	for (unsigned i = 0; i < 4; i += i ? 1 : 2) { /* 0, 2, 3: the lock's stays */
		waits[i] = wait_for_database();
		waits[i].ns = 180 * MS;
		waits[i].stack = 1;
	}
	waits[3].stack = 2;
	assert_judged(&ledger, &code, VERDICT_WAITING,
		      "92 % waiting: 540 ms (88 %) for the network (10.0.0.5:5432) in "
		      "sql.(*DB).QueryContext; leave the CPU code alone");
	waits[0].stack = 0; /* nobody knows: no function has half of it */
	assert_judged(&ledger, &code, VERDICT_WAITING,
		      "92 % waiting: 540 ms (88 %) for the network (10.0.0.5:5432); "
		      "leave the CPU code alone");
}

static void waits_told_apart_by_their_call_are_one(void **unused)
{
	struct ledger_wait waits[3];
	struct ledger ledger = reference(waits);

	(void)unused;
	waits[0].ns = 300 * MS;
	waits[2] = wait_for_database();
	waits[2].syscall = SYS_poll;
	waits[2].ns = 240 * MS;
	waits[2].target.aux = 40000; /* another connection */
	ledger.wait_count = 3;
	assert_verdict(&ledger, VERDICT_WAITING,
		       "92 % waiting: 540 ms (88 %) for the network (10.0.0.5:5432); "
		       "leave the CPU code alone");
	waits[2].target.port = 6379;
	assert_verdict(&ledger, VERDICT_WAITING,
		       "92 % waiting: 540 ms (88 %) for the network (mostly 10.0.0.5:5432); "
		       "leave the CPU code alone");
	waits[0].ns = 200 * MS;
	waits[2].ns = 200 * MS;
	assert_verdict(&ledger, VERDICT_WAITING,
		       "92 % waiting: 540 ms (88 %) for the network; leave the CPU code alone");
}

static void many_small_waits_outweigh_one_larger(void **unused)
{
	struct ledger_wait waits[2];
	struct ledger ledger = reference(waits);

	(void)unused;
	waits[0].ns = 10 * MS; /* one of 54 peers */
	assert_verdict(&ledger, VERDICT_WAITING,
		       "92 % waiting: 540 ms (88 %) for the network; leave the CPU code alone");
}

static void an_unknown_reason_names_its_system_call(void **unused)
{
	struct ledger_wait wait = { .reason = REASON_OTHER, .syscall = SYS_msgrcv, .ns = 90 };
	struct ledger ledger = { .grade = GRADE_BOUNDED,
				 .wall_ns = 100,
				 .all = { .running_ns = 10, .blocked_ns = { [REASON_OTHER] = 90 } },
				 .wait_count = 1,
				 .waits = &wait };

	(void)unused;
	assert_verdict(&ledger, VERDICT_WAITING,
		       "90 % waiting: 90 ns (90 %) for something else (syscall msgrcv); "
		       "leave the CPU code alone");
	wait.syscall = SYS_read;
	wait.target = (struct event_target){ .kind = TARGET_ANON, .name = "[eventfd]" };
	assert_verdict(&ledger, VERDICT_WAITING,
		       "90 % waiting: 90 ns (90 %) for something else (syscall read of eventfd); "
		       "leave the CPU code alone");
}

static void waiting_says_what_else_took_a_fifth(void **unused)
{
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .wall_ns = 1000,
				 .all = { .running_ns = 200,
					  .runnable_ns = 194,
					  .blocked_ns = { [REASON_DISK] = 412 },
					  .elsewhere_ns = 194 } };

	(void)unused;
	assert_verdict(&ledger, VERDICT_WAITING,
		       "41 % waiting: 412 ns (41 %) for the disk; leave the CPU code alone");
	ledger.all.runnable_ns = ledger.all.elsewhere_ns = 200;
	ledger.all.blocked_ns[REASON_DISK] = 400;
	assert_verdict(&ledger, VERDICT_WAITING,
		       "40 % waiting: 400 ns (40 %) for the disk, 20 % ready but without a CPU, "
		       "20 % queued or async; leave the CPU code alone");
}

static void starved_says_what_took_the_cpu(void **unused)
{
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .wall_ns = 100 * MS,
				 .all = { .running_ns = 40 * MS,
					  .runnable_ns = 40 * MS,
					  .blocked_ns = { [REASON_NET] = 20 * MS } } };

	(void)unused;
	assert_verdict(&ledger, VERDICT_STARVED,
		       "40 % starved of CPU: 40 ms ready to run but not given a CPU; "
		       "find what else runs there");
	ledger.preempted_ns = 30 * MS;
	assert_verdict(&ledger, VERDICT_STARVED,
		       "40 % starved of CPU: 40 ms ready to run, 30 ms of it pushed off the CPU; "
		       "find what else runs there");
	ledger.preempted_ns = 5 * MS;
	ledger.throttled_ns = 35 * MS;
	assert_verdict(&ledger, VERDICT_STARVED,
		       "40 % starved of CPU: 40 ms ready to run, 35 ms of it held back by a CPU "
		       "quota; raise the quota");
	ledger.throttled_ns = 0;
	ledger.yielded_ns = 35 * MS;
	assert_verdict(&ledger, VERDICT_STARVED,
		       "40 % starved of CPU: 40 ms ready to run, 35 ms of it given up by "
		       "sched_yield; let it wait for what it spins for");
}

static void starved_needs_a_fifth_and_more_than_blocked(void **unused)
{
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .wall_ns = 100 * MS,
				 .all = { .running_ns = 80 * MS, .runnable_ns = 20 * MS },
				 .self = { .running_ns = 80 * MS } };

	(void)unused;
	assert_verdict(&ledger, VERDICT_CPU_BOUND, "80 % on CPU: 80 ms (80 %) in its own code");
	ledger.all.runnable_ns++;
	ledger.wall_ns++;
	assert_verdict(&ledger, VERDICT_STARVED,
		       "20 % starved of CPU: 20 ms ready to run but not given a CPU; "
		       "find what else runs there");
	ledger.all.blocked_ns[REASON_SLEEP] = 20 * MS + 1;
	ledger.wall_ns += 20 * MS + 1;
	assert_verdict(&ledger, VERDICT_MIXED,
		       "mixed: 67 % on CPU, 17 % waiting, most in sleeps it asked for, "
		       "17 % ready but without a CPU");
}

static void queued_names_its_largest_item(void **unused)
{
	struct ledger_item items[] = {
		{ .kind = ITEM_QUEUED, .ns = 20 * MS },
		{ .kind = ITEM_CHILD, .ns = 50 * MS, .name = "SELECT\norders", .peer = "db" },
	};
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .wall_ns = 100 * MS,
				 .all = { .running_ns = 30 * MS, .elsewhere_ns = 70 * MS },
				 .item_count = 2,
				 .items = items };

	(void)unused;
	assert_verdict(&ledger, VERDICT_QUEUED,
		       "70 % queued or async: 50 ms (50 %) in the call SELECT?orders to db");
	items[1].span_id[0] = ledger.span_id[0] = 7; /* it is a call itself */
	assert_verdict(&ledger, VERDICT_QUEUED,
		       "70 % queued or async: 50 ms (50 %) awaiting the answer of db");
	items[1].peer[0] = 0;
	assert_verdict(&ledger, VERDICT_QUEUED,
		       "70 % queued or async: 50 ms (50 %) awaiting the answer");
	ledger.span_id[0] = 8;
	assert_verdict(&ledger, VERDICT_QUEUED,
		       "70 % queued or async: 50 ms (50 %) in the call SELECT?orders");
	items[0].ns = 60 * MS;
	assert_verdict(&ledger, VERDICT_QUEUED,
		       "70 % queued or async: 60 ms (60 %) before any thread was seen with it: "
		       "queued or awaited");
	items[0].kind = ITEM_UNCOVERED;
	assert_verdict(&ledger, VERDICT_QUEUED,
		       "70 % queued or async: 60 ms (60 %) with no thread and no call of its own: "
		       "awaited or queued");
	ledger.item_count = 0;
	assert_verdict(&ledger, VERDICT_QUEUED, "70 % queued or async: 70 ms on no thread");
}

static void calls_of_one_name_are_one(void **unused)
{
	struct ledger_item items[] = {
		{ .kind = ITEM_UNCOVERED, .ns = 15 * MS },
		{ .kind = ITEM_CHILD, .ns = 11 * MS, .name = "GET", .peer = "db" },
		{ .kind = ITEM_CHILD, .ns = 10 * MS, .name = "SELECT", .peer = "db" },
		{ .kind = ITEM_CHILD, .ns = 10 * MS, .name = "GET", .peer = "db" },
		{ .kind = ITEM_CHILD, .ns = 10 * MS, .name = "GET", .peer = "cache" },
	};
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .wall_ns = 100 * MS,
				 .all = { .running_ns = 44 * MS, .elsewhere_ns = 56 * MS },
				 .item_count = 5,
				 .items = items };

	(void)unused;
	assert_verdict(&ledger, VERDICT_QUEUED,
		       "56 % queued or async: 21 ms (21 %) in the calls GET to db");
}

static struct str serialize(const struct ledger *ledger, void *arg)
{
	(void)ledger;
	(void)arg;
	return STR("serialize");
}

static void cpu_bound_names_the_dominant_subtree(void **unused)
{
	const char *names[] = { NULL, "json.dumps" };
	struct ledger_code code = { name_of, names, serialize, NULL };
	struct ledger_stack stack = { 1, 951 * MS, 0 };
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .wall_ns = 2000 * MS,
				 .cpu_ns = 1900 * MS,
				 .all = { .running_ns = 1900 * MS, .runnable_ns = 100 * MS },
				 .self = { .running_ns = 100 * MS } };

	(void)unused;
	assert_verdict(&ledger, VERDICT_CPU_BOUND, "95 % on CPU: 1.8 s (90 %) in its child spans");
	assert_judged(&ledger, &code, VERDICT_CPU_BOUND,
		      "95 % on CPU: 1.8 s (90 %) in its child spans, most in serialize");
	ledger.stack_count = 1;
	ledger.stacks = &stack;
	assert_judged(&ledger, &code, VERDICT_CPU_BOUND,
		      "95 % on CPU: 1.8 s (90 %) in its child spans, most in serialize: "
		      "json.dumps");
	code.subtree = NULL;
	assert_judged(&ledger, &code, VERDICT_CPU_BOUND,
		      "95 % on CPU: 1.8 s (90 %) in its child spans, most in json.dumps");
	ledger.self.running_ns = 950 * MS; /* half of it */
	assert_verdict(&ledger, VERDICT_CPU_BOUND, "95 % on CPU: 950 ms (48 %) in its own code");
	ledger.self.running_ns = 1234 * MS;
	ledger.cpu_ns = 7600 * MS;
	assert_verdict(&ledger, VERDICT_CPU_BOUND,
		       "95 % on CPU: 1.23 s (62 %) in its own code, "
		       "7.6 s of CPU on several threads");
}

static void cpu_bound_names_its_code(void **unused)
{
	const char *names[] = { NULL, "report.py: rank", "report.py: render" };
	struct ledger_code code = { name_of, names, NULL, NULL };
	struct ledger_stack stacks[] = { { 2, 45 * MS, 45 * MS }, { 1, 30 * MS, 30 * MS } };
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .wall_ns = 100 * MS,
				 .cpu_ns = 80 * MS,
				 .all = { .running_ns = 80 * MS, .runnable_ns = 20 * MS },
				 .self = { .running_ns = 80 * MS },
				 .stack_count = 2,
				 .stacks = stacks };

	(void)unused;
	assert_judged(&ledger, &code, VERDICT_CPU_BOUND,
		      "80 % on CPU: 80 ms (80 %) in its own code, most in report.py: render");
	stacks[0].self_ns = 30 * MS;
	assert_judged(&ledger, &code, VERDICT_CPU_BOUND,
		      "80 % on CPU: 80 ms (80 %) in its own code");
}

static void mixed_says_all_its_parts(void **unused)
{
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .wall_ns = 1000,
				 .all = { .running_ns = 400,
					  .runnable_ns = 5,
					  .blocked_ns = { [REASON_DISK] = 591 },
					  .elsewhere_ns = 4 } };

	(void)unused;
	assert_verdict(&ledger, VERDICT_MIXED,
		       "mixed: 40 % on CPU, 59 % waiting, most for the disk, "
		       "1 % ready but without a CPU");
	ledger.all.blocked_ns[REASON_DISK] = 0;
	ledger.all.unknown_ns = 591 - 191;
	ledger.all.elsewhere_ns += 191;
	assert_verdict(&ledger, VERDICT_MIXED,
		       "mixed: 40 % on CPU, 0 % waiting, 1 % ready but without a CPU, "
		       "20 % queued or async");
}

static void without_figures_there_is_no_verdict(void **unused)
{
	struct ledger ledger = { .grade = GRADE_NONE,
				 .none_cause = NONE_NO_KERNEL,
				 .wall_ns = 100 };

	(void)unused;
	assert_verdict(&ledger, VERDICT_NONE, "no figures: spanwise has no eBPF rights here");
	ledger.grade = GRADE_EXACT;
	ledger.wall_ns = 0;
	assert_verdict(&ledger, VERDICT_NONE, "no figures: the span has no length");
	ledger.grade = GRADE_PARTIAL;
	ledger.wall_ns = 100;
	ledger.all = (struct ledger_split){ .running_ns = 20, .unknown_ns = 80 };
	assert_verdict(&ledger, VERDICT_NONE, "80 % was not observed: no verdict");
}
static void times_of_all_sizes_stay_sane(void **unused)
{
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .wall_ns = UINT64_MAX,
				 .all = { .running_ns = UINT64_MAX },
				 .self = { .running_ns = UINT64_MAX } };

	(void)unused;
	assert_verdict(&ledger, VERDICT_CPU_BOUND,
		       "100 % on CPU: 18446744074 s (100 %) in its own code");
	ledger.wall_ns = ledger.all.running_ns = ledger.self.running_ns = 999499;
	assert_verdict(&ledger, VERDICT_CPU_BOUND, "100 % on CPU: 999 us (100 %) in its own code");
	ledger.wall_ns = ledger.all.running_ns = ledger.self.running_ns = 999500;
	assert_verdict(&ledger, VERDICT_CPU_BOUND, "100 % on CPU: 1 ms (100 %) in its own code");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_database_is_to_blame_in_the_reference_case),
		cmocka_unit_test(the_thread_that_ended_the_wait_is_named),
		cmocka_unit_test(threads_of_one_name_are_one_waker),
		cmocka_unit_test(who_ended_most_is_found_among_many),
		cmocka_unit_test(who_had_the_lock_comes_before_who_woke),
		cmocka_unit_test(whom_the_server_waited_for_is_told_behind_it),
		cmocka_unit_test(code_that_has_most_of_the_wait_is_named),
		cmocka_unit_test(waits_told_apart_by_their_call_are_one),
		cmocka_unit_test(many_small_waits_outweigh_one_larger),
		cmocka_unit_test(an_unknown_reason_names_its_system_call),
		cmocka_unit_test(waiting_says_what_else_took_a_fifth),
		cmocka_unit_test(starved_says_what_took_the_cpu),
		cmocka_unit_test(starved_needs_a_fifth_and_more_than_blocked),
		cmocka_unit_test(queued_names_its_largest_item),
		cmocka_unit_test(calls_of_one_name_are_one),
		cmocka_unit_test(cpu_bound_names_the_dominant_subtree),
		cmocka_unit_test(cpu_bound_names_its_code),
		cmocka_unit_test(mixed_says_all_its_parts),
		cmocka_unit_test(without_figures_there_is_no_verdict),
		cmocka_unit_test(times_of_all_sizes_stay_sane),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
