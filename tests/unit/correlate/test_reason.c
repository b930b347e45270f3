/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "correlate/reason.h"

#define S     0x1u
#define D     0x2u
#define NOFD  TARGET_NONE
#define WAKEK 0x100u
#define FREEZ 0x2000u

struct expectation {
	uint32_t state;
	int32_t syscall;
	bool iowait;
	uint8_t target;
	enum ledger_reason reason;
};

static void check(const struct expectation *expected, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct event_target target = { .kind = expected[i].target };
		enum ledger_reason reason =
			reason_of(expected[i].state, expected[i].syscall, expected[i].iowait,
				  target.kind == NOFD ? NULL : &target);

		if (reason != expected[i].reason)
			fail_msg("line %zu: state %#x syscall %d target %u: %s", i,
				 expected[i].state, expected[i].syscall, target.kind,
				 ledger_reason_name(reason));
		if (target.kind == NOFD) /* a target that says nothing is as good as none */
			assert_int_equal(reason, reason_of(expected[i].state, expected[i].syscall,
							   expected[i].iowait, &target));
	}
}

static void calls_that_mean_one_thing_need_no_target(void **unused)
{
	static const struct expectation table[] = {
		{ S | FREEZ, SYS_futex, false, NOFD, REASON_LOCK },
		{ S | FREEZ, SYS_futex, false, TARGET_FUTEX, REASON_LOCK },
		{ S, 449, false, NOFD, REASON_LOCK },
		{ S, 455, false, NOFD, REASON_LOCK },
		{ S, SYS_flock, false, TARGET_FILE, REASON_LOCK },
		{ S, SYS_fcntl, false, TARGET_FILE, REASON_LOCK },
		{ S, SYS_epoll_wait, false, TARGET_ANON, REASON_POLL },
		{ S, SYS_epoll_pwait, false, NOFD, REASON_POLL },
		{ S, 441, false, NOFD, REASON_POLL },
		{ S | FREEZ, SYS_nanosleep, false, NOFD, REASON_SLEEP },
		{ S | FREEZ, SYS_clock_nanosleep, false, NOFD, REASON_SLEEP },
		{ S, SYS_wait4, false, NOFD, REASON_CHILD },
		{ S, SYS_waitid, false, NOFD, REASON_CHILD },
		{ S, SYS_rt_sigtimedwait, false, NOFD, REASON_SIGNAL },
		{ S, SYS_pause, false, NOFD, REASON_SIGNAL },
		{ S, SYS_rt_sigsuspend, false, NOFD, REASON_SIGNAL },
		{ S, 426, false, NOFD, REASON_IO_URING },
		{ S, SYS_accept4, false, NOFD, REASON_NET },
		{ S, SYS_connect, false, NOFD, REASON_NET },
		{ S, SYS_recvfrom, false, NOFD, REASON_NET },
		{ S, SYS_sendmsg, false, TARGET_UNIX, REASON_NET },
		{ D, SYS_fsync, false, NOFD, REASON_DISK },
		{ S, SYS_semop, false, NOFD, REASON_LOCK },
		{ S, SYS_semtimedop, false, TARGET_SEMAPHORE, REASON_LOCK },
		{ S, SYS_msgrcv, false, NOFD, REASON_PIPE },
		{ S, SYS_msgsnd, false, TARGET_QUEUE, REASON_PIPE },
		{ S, SYS_mq_timedreceive, false, TARGET_QUEUE, REASON_PIPE },
		{ S, SYS_mq_timedsend, false, NOFD, REASON_PIPE },
	};

	(void)unused;
	check(table, ARRAY_LEN(table));
}

/* Wherever it was: a lock that it had asked for is not what keeps it. */
static void who_is_held_from_outside_waits_for_a_signal(void **unused)
{
	static const uint32_t states[] = { 0x4, 0x8, EVENT_STATE_FROZEN,
					   S | FREEZ | EVENT_STATE_FROZEN };

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		const struct expectation table[] = {
			{ states[i], -1, false, NOFD, REASON_SIGNAL },
			{ states[i], SYS_futex, false, TARGET_FUTEX, REASON_SIGNAL },
			{ states[i], SYS_read, false, TARGET_PIPE, REASON_SIGNAL },
		};

		check(table, ARRAY_LEN(table));
	}
}

static void what_a_cgroup_froze_says_so(void **unused)
{
	static const struct event_target none;
	const struct slice slice = { .state = S | EVENT_STATE_FROZEN,
				     .syscall = SYS_futex,
				     .target = &none };
	int32_t syscall;

	(void)unused;
	assert_int_equal(reason_of_slice(&slice, &syscall), REASON_SIGNAL);
	assert_int_equal(syscall, LEDGER_FROZEN);
}

/* Meanwhile the kernel takes it for frozen. */
static void what_a_signal_stopped_no_cgroup_froze(void **unused)
{
	static const struct event_target none;
	struct slice slice = { .state = 0x4 | EVENT_STATE_FROZEN,
			       .syscall = SYS_futex,
			       .target = &none };
	int32_t syscall;

	(void)unused;
	assert_int_equal(reason_of_slice(&slice, &syscall), REASON_SIGNAL);
	assert_int_equal(syscall, SYS_futex);
	slice.state = 0x8 | WAKEK | EVENT_STATE_FROZEN; /* traced */
	assert_int_equal(reason_of_slice(&slice, &syscall), REASON_SIGNAL);
	assert_int_equal(syscall, SYS_futex);
}

static void one_polled_socket_is_the_network_and_several_are_poll(void **unused)
{
	static const struct expectation table[] = {
		{ S, SYS_poll, false, TARGET_INET4, REASON_NET },
		{ S, SYS_ppoll, false, TARGET_INET6, REASON_NET },
		{ S, SYS_poll, false, TARGET_UNIX, REASON_NET },
		{ S, SYS_poll, false, TARGET_PIPE, REASON_PIPE },
		{ S, SYS_select, false, TARGET_INET4, REASON_NET },
		{ S, SYS_pselect6, false, TARGET_PIPE, REASON_PIPE },
		{ S, SYS_poll, false, TARGET_CHILD, REASON_CHILD },
		{ S, SYS_poll, false, TARGET_FILE, REASON_POLL },
		{ S, SYS_poll, false, TARGET_ANON, REASON_POLL },
		{ S, SYS_poll, false, NOFD, REASON_POLL },
		{ S, SYS_ppoll, false, NOFD, REASON_POLL },
		{ S, SYS_select, false, NOFD, REASON_POLL },
		{ S, SYS_pselect6, false, NOFD, REASON_POLL },
	};

	(void)unused;
	check(table, ARRAY_LEN(table));
}

static enum ledger_reason reason_of_anon(int32_t syscall, const char *name)
{
	struct event_target target = { .kind = TARGET_ANON };

	strncpy(target.name, name, sizeof(target.name) - 1);
	return reason_of(S, syscall, false, &target);
}

static void descriptors_of_timers_and_signals_and_of_nothing_tell_what_they_are(void **unused)
{
	(void)unused;
	assert_int_equal(reason_of_anon(SYS_read, TARGET_TIMERFD), REASON_SLEEP);
	assert_int_equal(reason_of_anon(SYS_poll, TARGET_TIMERFD), REASON_SLEEP);
	assert_int_equal(reason_of_anon(SYS_read, TARGET_SIGNALFD), REASON_SIGNAL);
	assert_int_equal(reason_of_anon(SYS_poll, TARGET_TIME), REASON_SLEEP);
	assert_int_equal(reason_of_anon(SYS_pselect6, TARGET_TIME), REASON_SLEEP);
	assert_int_equal(reason_of_anon(SYS_read, "[eventfd]"), REASON_OTHER);
	assert_int_equal(reason_of_anon(SYS_epoll_wait, ""), REASON_POLL);
}

static void the_descriptor_decides_for_read_and_write(void **unused)
{
	static const int32_t calls[] = { SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_splice };

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		const struct expectation table[] = {
			{ S, calls[i], false, TARGET_INET4, REASON_NET },
			{ S, calls[i], false, TARGET_UNIX, REASON_NET },
			{ S, calls[i], false, TARGET_SOCKET, REASON_NET },
			{ S, calls[i], false, TARGET_PIPE, REASON_PIPE },
			{ S, calls[i], false, TARGET_CHAR, REASON_PIPE },
			{ D | WAKEK, calls[i], false, TARGET_FILE, REASON_DISK },
			{ D | WAKEK, calls[i], true, TARGET_FILE, REASON_DISK },
			{ S, calls[i], false, TARGET_ANON, REASON_OTHER },
			{ S, calls[i], false, NOFD, REASON_OTHER },
		};

		check(table, ARRAY_LEN(table));
	}
}

static enum ledger_reason reason_of_device(int32_t syscall, uint32_t major, uint32_t minor)
{
	const struct event_target target = { .kind = TARGET_CHAR, .aux = major << 20 | minor };

	return reason_of(S, syscall, false, &target);
}

static void a_terminal_is_a_pipe_a_tunnel_the_network_and_other_devices_neither(void **unused)
{
	(void)unused;
	assert_int_equal(reason_of_device(SYS_read, 136, 3), REASON_PIPE); /* pts/3 */
	assert_int_equal(reason_of_device(SYS_read, 5, 2), REASON_PIPE);   /* ptmx */
	assert_int_equal(reason_of_device(SYS_poll, 4, 64), REASON_PIPE);  /* ttyS0 */
	assert_int_equal(reason_of_device(SYS_read, 10, 200), REASON_NET);
	assert_int_equal(reason_of_device(SYS_read, 1, 11), REASON_OTHER); /* kmsg */
	assert_int_equal(reason_of_device(SYS_ioctl, 195, 0), REASON_OTHER);
	assert_int_equal(reason_of_device(SYS_poll, 1, 11), REASON_POLL);
}

static void getevents_is_a_disk_unless_it_polls(void **unused)
{
	static const struct expectation table[] = {
		{ S, SYS_io_getevents, false, NOFD, REASON_DISK },
		{ S, SYS_io_getevents, false, TARGET_INET4, REASON_POLL },
		{ S, 333, false, TARGET_ANON, REASON_POLL },
	};

	(void)unused;
	check(table, ARRAY_LEN(table));
}

static void iowait_outside_of_an_io_call_is_a_page_fault(void **unused)
{
	static const struct expectation table[] = {
		{ D | WAKEK, -1, true, NOFD, REASON_FAULT },
		{ D | WAKEK, SYS_futex, true, NOFD, REASON_FAULT },
		{ D, SYS_epoll_wait, true, NOFD, REASON_FAULT },
		{ D, SYS_fsync, true, NOFD, REASON_DISK },
		{ D, SYS_openat, true, NOFD, REASON_DISK },
		{ S, 426, true, NOFD, REASON_IO_URING },
		{ D, -1, false, NOFD, REASON_OTHER },
		{ S, -1, false, NOFD, REASON_OTHER },
	};

	(void)unused;
	check(table, ARRAY_LEN(table));
}

static void uninterruptible_waits_mean_more_than_the_call(void **unused)
{
	static const struct expectation table[] = {
		{ D, SYS_openat, false, NOFD, REASON_DISK },
		{ S, SYS_openat, false, NOFD, REASON_OTHER }, /* the other end of a FIFO */
	};

	(void)unused;
	check(table, ARRAY_LEN(table));
}

/* Any fork may have to wait for a lock, or for memory. */
static void only_a_vfork_waits_for_its_child(void **unused)
{
	static const struct expectation table[] = {
		{ D | WAKEK | FREEZ, SYS_vfork, false, TARGET_CHILD, REASON_CHILD },
		{ D | WAKEK | FREEZ, SYS_clone, false, TARGET_CHILD, REASON_CHILD },
		{ D | WAKEK | FREEZ, SYS_clone3, false, TARGET_CHILD, REASON_CHILD },
		{ D | WAKEK, SYS_clone, false, NOFD, REASON_OTHER },
		{ D | WAKEK, SYS_clone3, false, NOFD, REASON_OTHER },
		{ D | WAKEK, SYS_vfork, false, NOFD, REASON_OTHER },
		{ D | WAKEK, SYS_fork, false, NOFD, REASON_OTHER },
	};

	(void)unused;
	check(table, ARRAY_LEN(table));
}

static void a_stopped_or_traced_thread_waits_for_a_signal_in_any_call(void **unused)
{
	static const struct expectation table[] = {
		{ 0x4, SYS_recvfrom, false, TARGET_INET4, REASON_SIGNAL },
		{ 0x8 | WAKEK, -1, false, NOFD, REASON_SIGNAL },
	};

	(void)unused;
	check(table, ARRAY_LEN(table));
}

static void a_restarted_call_is_other_unless_its_target_is_known(void **unused)
{
	static const struct expectation table[] = {
		{ S, SYS_restart_syscall, false, NOFD, REASON_OTHER },
		{ S, SYS_restart_syscall, false, TARGET_INET4, REASON_NET },
		{ S, SYS_restart_syscall, false, TARGET_FUTEX, REASON_LOCK },
	};

	(void)unused;
	check(table, ARRAY_LEN(table));
}

static void names_are_those_of_x86_64(void **unused)
{
	(void)unused;
	assert_string_equal(reason_syscall_name(0), "read");
	assert_string_equal(reason_syscall_name(SYS_recvfrom), "recvfrom");
	assert_string_equal(reason_syscall_name(SYS_futex), "futex");
	assert_string_equal(reason_syscall_name(SYS_epoll_pwait), "epoll_pwait");
	assert_string_equal(reason_syscall_name(SYS_vfork), "vfork");
	assert_string_equal(reason_syscall_name(426), "io_uring_enter");
	assert_string_equal(reason_syscall_name(455), "futex_wait");
}

static void unknown_numbers_have_no_name_and_are_other(void **unused)
{
	static const int32_t numbers[] = { -1, -2, INT32_MIN, 336, 400, 4096, INT32_MAX };

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		assert_null(reason_syscall_name(numbers[i]));
		assert_int_equal(reason_of(S, numbers[i], false, NULL), REASON_OTHER);
		assert_false(reason_syscall_waits_for_signal(numbers[i]));
	}
}

/* The kernel's stack decides where all else leaves it open, and nowhere else. */
static void the_kernels_stack_decides_what_is_open(void **state)
{
	const struct {
		uint32_t state;
		int32_t syscall;
		uint32_t flags, wait;
		enum ledger_reason reason;
		int32_t decided_by;
	} cases[] = {
		{ S, 16, 0, KERNEL_WAIT_PIPE, REASON_PIPE, 16 | LEDGER_KERNEL_IN_CALL }, /* ioctl */
		{ S, 219, 0, KERNEL_WAIT_SLEEP, REASON_SLEEP, 219 | LEDGER_KERNEL_IN_CALL },
		{ S, 16, 0, KERNEL_WAIT_UNKNOWN, REASON_OTHER, 16 },
		{ S, 232, 0, KERNEL_WAIT_LOCK, REASON_POLL, 232 }, /* epoll_wait says itself */
		/* a fault, at the map's lock */
		{ D, -1, 0, KERNEL_WAIT_LOCK, REASON_LOCK, LEDGER_KERNEL_NO_CALL },
		/* a futex's page on NFS */
		{ D, 202, 0, KERNEL_WAIT_NET, REASON_NET, 202 | LEDGER_KERNEL_IN_CALL },
		{ D, 202, 0, KERNEL_WAIT_LOCK, REASON_LOCK, 202 }, /* they agree */
		{ D, 0, EVENT_IOWAIT, KERNEL_WAIT_LOCK, REASON_DISK, 0 },
		/* write() from a page that has to be read first */
		{ D, 1, EVENT_IOWAIT, KERNEL_WAIT_FAULT, REASON_FAULT, 1 | LEDGER_KERNEL_IN_CALL },
		{ D, 44, EVENT_IOWAIT, KERNEL_WAIT_UNKNOWN, REASON_FAULT, 44 }, /* sendto() */
		{ D, 59, 0, KERNEL_WAIT_OTHER, REASON_OTHER, 59 | LEDGER_KERNEL_IN_CALL },
		{ 4, 16, 0, KERNEL_WAIT_LOCK, REASON_SIGNAL, 16 }, /* stopped */
	};
	int32_t decided_by;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct slice slice = {
			.state = cases[i].state,
			.syscall = cases[i].syscall,
			.flags = cases[i].flags | cases[i].wait << EVENT_KERNEL_WAIT_SHIFT,
		};

		assert_int_equal(reason_of_slice(&slice, &decided_by), cases[i].reason);
		assert_int_equal(decided_by, cases[i].decided_by);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_that_mean_one_thing_need_no_target),
		cmocka_unit_test(who_is_held_from_outside_waits_for_a_signal),
		cmocka_unit_test(what_a_cgroup_froze_says_so),
		cmocka_unit_test(what_a_signal_stopped_no_cgroup_froze),
		cmocka_unit_test(one_polled_socket_is_the_network_and_several_are_poll),
		cmocka_unit_test(
			descriptors_of_timers_and_signals_and_of_nothing_tell_what_they_are),
		cmocka_unit_test(the_descriptor_decides_for_read_and_write),
		cmocka_unit_test(
			a_terminal_is_a_pipe_a_tunnel_the_network_and_other_devices_neither),
		cmocka_unit_test(getevents_is_a_disk_unless_it_polls),
		cmocka_unit_test(iowait_outside_of_an_io_call_is_a_page_fault),
		cmocka_unit_test(uninterruptible_waits_mean_more_than_the_call),
		cmocka_unit_test(only_a_vfork_waits_for_its_child),
		cmocka_unit_test(a_stopped_or_traced_thread_waits_for_a_signal_in_any_call),
		cmocka_unit_test(a_restarted_call_is_other_unless_its_target_is_known),
		cmocka_unit_test(names_are_those_of_x86_64),
		cmocka_unit_test(unknown_numbers_have_no_name_and_are_other),
		cmocka_unit_test(the_kernels_stack_decides_what_is_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
