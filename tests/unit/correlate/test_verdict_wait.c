/* SPDX-License-Identifier: Apache-2.0 */
/* How the one wait of a span is put into words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "correlate/ledger.h"

#define MS 1000000ull

static void assert_said(enum ledger_reason reason, int32_t syscall,
			const struct event_target *target, uint8_t waker, const char *text)
{
	struct ledger_wait wait = {
		.reason = reason,
		.syscall = syscall,
		.ns = 90 * MS,
		.target = *target,
		.waker_count = 1,
		.wakers[0] = { .kind = waker, .comm = "postgres", .ns = 89 * MS },
	};
	struct ledger ledger = { .grade = GRADE_EXACT,
				 .wall_ns = 100 * MS,
				 .all = { .running_ns = 10 * MS },
				 .wait_count = 1,
				 .waits = &wait };
	struct buf said, expected;

	ledger.all.blocked_ns[reason] = 90 * MS;
	buf_init(&said, 0);
	buf_init(&expected, 0);
	ledger_judge(&ledger, NULL, &said);
	buf_append_byte(&said, '\0');
	buf_printf(&expected, "90 %% waiting: 90 ms (90 %%) %s; leave the CPU code alone", text);
	buf_append_byte(&expected, '\0');
	assert_string_equal(said.data, expected.data);
	buf_fini(&said);
	buf_fini(&expected);
}

static const struct event_target none = { .kind = TARGET_NONE },
				 far = { .kind = TARGET_INET4,
					 .port = 5432,
					 .address = { 10, 0, 0, 5 } },
				 file = { .kind = TARGET_FILE, .id = 7, .name = "table" };

/* The last one is how a dual-stack socket says it. */
static void who_sent_is_named_in_each_form_of_loopback(void **unused)
{
	static const struct event_target forms[] = {
		{ .kind = TARGET_INET4, .port = 5432, .address = { 127, 0, 0, 1 } },
		{ .kind = TARGET_INET6, .port = 5432, .address = { [15] = 1 } },
		{ .kind = TARGET_INET6,
		  .port = 5432,
		  .address = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 } },
	};

	(void)unused;
	assert_said(REASON_NET, SYS_recvfrom, &forms[0], WAKER_NETWORK,
		    "for the network (127.0.0.1:5432), woken by postgres");
	assert_said(REASON_NET, SYS_recvfrom, &forms[1], WAKER_NETWORK,
		    "for the network ([::1]:5432), woken by postgres");
	assert_said(REASON_NET, SYS_recvfrom, &forms[2], WAKER_NETWORK,
		    "for the network (127.0.0.1:5432), woken by postgres");
	assert_said(REASON_NET, SYS_recvfrom, &far, WAKER_NETWORK,
		    "for the network (10.0.0.5:5432)");
}

static void what_a_timer_ended_did_not_come_in_time_but_for_sleeps(void **unused)
{
	(void)unused;
	assert_said(REASON_NET, SYS_poll, &far, WAKER_TIMER,
		    "for the network (10.0.0.5:5432), until it timed out");
	assert_said(REASON_LOCK, SYS_futex, &none, WAKER_TIMER, "for a lock, until it timed out");
	assert_said(REASON_POLL, SYS_epoll_wait, &none, WAKER_TIMER, "for events"); /* a timer's */
	assert_said(REASON_SLEEP, SYS_nanosleep, &none, WAKER_TIMER, "in sleeps it asked for");
	assert_said(REASON_DISK, SYS_write, &file, WAKER_TIMER, /* too much is to be written */
		    "for the disk (file table 7 on 0:0)");
}

static void a_lock_of_the_kernels_is_none_of_the_programs(void **unused)
{
	(void)unused;
	assert_said(REASON_LOCK, SYS_mmap | LEDGER_KERNEL_IN_CALL, &none, WAKER_THREAD,
		    "for a lock of the kernel's, woken by postgres");
	assert_said(REASON_LOCK, LEDGER_KERNEL_NO_CALL, &none, WAKER_THREAD,
		    "for a lock of the kernel's, woken by postgres");
	assert_said(REASON_LOCK, SYS_flock, &none, WAKER_THREAD, "for a lock, woken by postgres");
}

static void pages_are_read_in_from_a_file_else_memory_may_be_short(void **unused)
{
	(void)unused;
	assert_said(REASON_FAULT, -1, &file, WAKER_DISK,
		    "for pages to be read in (file table 7 on 0:0)");
	assert_said(REASON_FAULT, -1, &none, WAKER_DISK, "for pages to be read in or freed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_sent_is_named_in_each_form_of_loopback),
		cmocka_unit_test(what_a_timer_ended_did_not_come_in_time_but_for_sleeps),
		cmocka_unit_test(a_lock_of_the_kernels_is_none_of_the_programs),
		cmocka_unit_test(pages_are_read_in_from_a_file_else_memory_may_be_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
