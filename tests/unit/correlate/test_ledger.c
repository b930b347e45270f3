/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "correlate/ledger.h"

#define MS 1000000ull

static struct ledger sample(void)
{
	return (struct ledger){
		.grade = GRADE_EXACT,
		.wall_ns = 100 * MS,
		.cpu_ns = 25 * MS,
		.all = { .running_ns = 30 * MS,
			 .runnable_ns = 5 * MS,
			 .blocked_ns = { [REASON_NET] = 40 * MS, [REASON_OTHER] = 10 * MS },
			 .elsewhere_ns = 8 * MS,
			 .unknown_ns = 7 * MS },
		.self = { .running_ns = 30 * MS, .blocked_ns = { [REASON_NET] = 1 * MS } },
	};
}

static void assert_text(struct buf *buf, const char *expected)
{
	buf_append_byte(buf, 0);
	assert_int_equal(buf_error(buf), 0);
	assert_string_equal(buf->data, expected);
	buf_fini(buf);
}

static void assert_target(struct event_target target, const char *expected)
{
	struct buf buf;

	buf_init(&buf, 0);
	ledger_target_text(&target, &buf);
	assert_text(&buf, expected);
}

static void assert_decided(uint8_t reason, int32_t syscall, const char *expected)
{
	struct ledger_wait wait = { .reason = reason, .syscall = syscall };
	struct buf buf;

	buf_init(&buf, 0);
	ledger_decided_by(&wait, &buf);
	assert_text(&buf, expected);
}

static void every_value_has_a_name_and_damaged_ones_too(void **unused)
{
	(void)unused;
	assert_string_equal(ledger_reason_name(REASON_LOCK), "lock");
	assert_string_equal(ledger_reason_name(REASON_IO_URING), "io_uring");
	assert_string_equal(ledger_reason_name(REASON_COUNT), "other");
	assert_string_equal(ledger_grade_name(GRADE_NONE), "none");
	assert_string_equal(ledger_grade_name(GRADE_EXACT), "exact");
	assert_string_equal(ledger_grade_name((enum ledger_grade)99), "none");
	assert_string_equal(ledger_verdict_name(VERDICT_CPU_BOUND), "cpu_bound");
	assert_string_equal(ledger_verdict_name((enum ledger_verdict)99), "none");
	assert_string_equal(ledger_none_text(NONE_FOREIGN),
			    "no figures: the span was made on another node");
	assert_string_equal(ledger_none_text((enum ledger_none)99), "no figures");
}

static void the_parts_add_up_to_the_wall(void **unused)
{
	struct ledger ledger = sample();

	(void)unused;
	assert_int_equal(ledger_blocked_ns(&ledger.all), 50 * MS);
	assert_true(ledger_adds_up(&ledger));
	ledger.all.unknown_ns++;
	assert_false(ledger_adds_up(&ledger));
	ledger.wall_ns++;
	assert_true(ledger_adds_up(&ledger));
}

static void no_part_of_self_exceeds_that_of_all(void **unused)
{
	struct ledger ledger = sample();
	uint64_t *parts[] = { &ledger.self.running_ns,
			      &ledger.self.runnable_ns,
			      &ledger.self.blocked_ns[REASON_NET],
			      &ledger.self.blocked_ns[REASON_LOCK],
			      &ledger.self.elsewhere_ns,
			      &ledger.self.unknown_ns };

	(void)unused;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t kept = *parts[i];

		*parts[i] = 40 * MS + 1;
		assert_false(ledger_adds_up(&ledger));
		*parts[i] = kept;
		assert_true(ledger_adds_up(&ledger));
	}
}

static void a_sum_that_wraps_around_does_not_add_up(void **unused)
{
	struct ledger ledger = { .grade = GRADE_EXACT, .wall_ns = 10 };

	(void)unused;
	ledger.all.running_ns = UINT64_MAX;
	ledger.all.blocked_ns[REASON_DISK] = 11;
	assert_false(ledger_adds_up(&ledger));
}

static void a_ledger_without_figures_adds_up(void **unused)
{
	struct ledger ledger = { .grade = GRADE_NONE, .wall_ns = 10 };

	(void)unused;
	assert_true(ledger_adds_up(&ledger));
	ledger.grade = GRADE_PARTIAL;
	assert_false(ledger_adds_up(&ledger));
}

static void the_ratio_is_negative_where_there_is_none(void **unused)
{
	struct ledger ledger = sample();

	(void)unused;
	assert_float_equal(ledger_ratio(&ledger), 0.25, 1e-9);
	ledger.wall_ns = 0;
	assert_true(ledger_ratio(&ledger) < 0);
	ledger = sample();
	ledger.grade = GRADE_NONE;
	assert_true(ledger_ratio(&ledger) < 0);
}

static void targets_read_as_people_name_them(void **unused)
{
	struct event_target inet6 = { .kind = TARGET_INET6, .port = 443 };
	struct event_target mapped = { .kind = TARGET_INET6, .port = 5432 };

	(void)unused;
	inet_pton(AF_INET6, "2001:db8::1", inet6.address);
	inet_pton(AF_INET6, "::ffff:10.0.0.5", mapped.address);
	assert_target((struct event_target){ .kind = TARGET_NONE }, "");
	assert_target((struct event_target){ .kind = TARGET_INET4,
					     .port = 5432,
					     .address = { 10, 0, 0, 5 } },
		      "10.0.0.5:5432");
	assert_target(inet6, "[2001:db8::1]:443");
	assert_target(mapped, "10.0.0.5:5432");
	assert_target((struct event_target){ .kind = TARGET_INET4, .aux = 8080 }, "own port 8080");
	assert_target((struct event_target){ .kind = TARGET_INET6, .aux = 8080 }, "own port 8080");
	assert_target((struct event_target){ .kind = TARGET_INET4 }, "unbound socket");
	assert_target((struct event_target){ .kind = TARGET_SOCKET, .aux = AF_INET, .id = 1 },
		      "raw socket, protocol 1");
	assert_target((struct event_target){ .kind = TARGET_SOCKET, .aux = AF_PACKET, .id = 77 },
		      "packet socket");
}

static void targets_without_an_address_do_as_well(void **unused)
{
	(void)unused;
	assert_target((struct event_target){ .kind = TARGET_FUTEX, .id = 0x7f00deadbeef },
		      "futex 0x7f00deadbeef");
	assert_target((struct event_target){ .kind = TARGET_PIPE, .id = 1234 }, "pipe 1234");
	assert_target((struct event_target){ .kind = TARGET_PIPE, .id = 9, .name = "bills.fifo" },
		      "pipe bills.fifo 9");
	assert_target((struct event_target){ .kind = TARGET_CHAR, .id = 6 }, "device 6");
	assert_target(
		(struct event_target){
			.kind = TARGET_CHAR, .id = 6, .aux = 136 << 20 | 3, .name = "3" },
		"device pts/3");
	assert_target(
		(struct event_target){
			.kind = TARGET_CHAR, .id = 9, .aux = 10 << 20 | 200, .name = "tun" },
		"device tun 10:200");
	assert_target((struct event_target){ .kind = TARGET_UNIX, .id = 77 }, "unix socket 77");
	assert_target((struct event_target){ .kind = TARGET_FILE, .id = 9, .aux = 259 << 20 | 3 },
		      "file 9 on 259:3");
	assert_target((struct event_target){ .kind = TARGET_FILE, .id = 9, .name = "jour\tnal" },
		      "file jour?nal 9 on 0:0");
	assert_target(
		(struct event_target){ .kind = TARGET_UNIX, .id = 7, .name = ".s.PGSQL.5432" },
		"unix socket .s.PGSQL.5432 7");
	assert_target((struct event_target){ .kind = TARGET_CHILD, .id = 42 }, "child 42");
	assert_target((struct event_target){ .kind = TARGET_CHILD }, "any child");
	assert_target((struct event_target){ .kind = TARGET_ANON }, "epoll");
	assert_target((struct event_target){ .kind = TARGET_ANON, .name = TARGET_TIMERFD },
		      "timerfd");
	assert_target((struct event_target){ .kind = TARGET_ANON, .name = "inotify" }, "inotify");
	assert_target((struct event_target){ .kind = TARGET_ANON, .name = "]" }, "]");
	assert_target((struct event_target){ .kind = TARGET_FUTEX_SHARED,
					     .id = 0x40,
					     .address = { 12, [8] = 3 } },
		      "shared futex 12+0x40 on 0:3");
	assert_target((struct event_target){ .kind = TARGET_FUTEX, .id = 0x40, .port = 1 },
		      "futex 0x40 or 1 other");
	assert_target((struct event_target){ .kind = TARGET_FUTEX, .id = 0x40, .port = 3 },
		      "futex 0x40 or 3 others");
	assert_target((struct event_target){ .kind = TARGET_FILE, .name = "b/settings.yml" },
		      "file b/settings.yml");
	assert_target((struct event_target){ .kind = TARGET_SOCKET, .aux = AF_NETLINK },
		      "netlink socket");
	assert_target((struct event_target){ .kind = TARGET_SOCKET, .aux = 250 }, "socket");
	assert_target((struct event_target){ .kind = TARGET_SEMAPHORE, .id = 5 },
		      "semaphore set 5");
	assert_target((struct event_target){ .kind = TARGET_QUEUE, .id = 5 }, "queue 5");
	assert_target((struct event_target){ .kind = TARGET_QUEUE, .name = "jobs" }, "queue jobs");
	assert_target((struct event_target){ .kind = 200 }, "");
}

static void what_decided_a_reason_is_named(void **unused)
{
	(void)unused;
	assert_decided(REASON_NET, SYS_recvfrom, "syscall recvfrom");
	assert_decided(REASON_OTHER, 9999, "syscall 9999");
	assert_decided(REASON_FAULT, -1, "page fault");
	assert_decided(REASON_FAULT, SYS_futex, "page fault");
	assert_decided(REASON_OTHER, -1, "state D");
	assert_decided(REASON_PIPE, SYS_ioctl | LEDGER_KERNEL_IN_CALL,
		       "kernel frames in syscall ioctl");
	assert_decided(REASON_SIGNAL, SYS_read | LEDGER_KERNEL_IN_CALL,
		       "kernel frames in syscall read");
	assert_decided(REASON_LOCK, LEDGER_KERNEL_NO_CALL, "kernel frames");
	assert_decided(REASON_SIGNAL, LEDGER_FROZEN, "frozen by a cgroup");
	assert_decided(REASON_SIGNAL, SYS_pause, "syscall pause");
	assert_decided(REASON_SIGNAL, SYS_read, "state T");
	assert_decided(REASON_SIGNAL, -1, "state T");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_has_a_name_and_damaged_ones_too),
		cmocka_unit_test(the_parts_add_up_to_the_wall),
		cmocka_unit_test(no_part_of_self_exceeds_that_of_all),
		cmocka_unit_test(a_sum_that_wraps_around_does_not_add_up),
		cmocka_unit_test(a_ledger_without_figures_adds_up),
		cmocka_unit_test(the_ratio_is_negative_where_there_is_none),
		cmocka_unit_test(targets_read_as_people_name_them),
		cmocka_unit_test(targets_without_an_address_do_as_well),
		cmocka_unit_test(what_decided_a_reason_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
