/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "correlate/model.h"
#include "correlate/reason.h"

#define SLEEPS  0x1u
#define STOPPED 0x4u

static const struct event_target none, peer = { .kind = TARGET_INET4, .port = 5432 };

/* How it leaves, and what is made of that. */
static void follow(struct thread *thread, uint32_t state, int32_t syscall,
		   const struct event_target *target, enum ledger_reason reason)
{
	struct slice slice = { .state = state, .syscall = syscall, .target = target };
	int32_t decided_by;

	restart_follow(thread, &slice);
	assert_int_equal(reason_of_slice(&slice, &decided_by), reason);
}

static void a_call_that_was_stopped_goes_on_as_itself(void **unused)
{
	struct thread thread = { 0 };

	(void)unused;
	follow(&thread, SLEEPS, SYS_poll, &peer, REASON_NET);
	follow(&thread, STOPPED, SYS_poll, &peer, REASON_SIGNAL);
	follow(&thread, SLEEPS, SYS_restart_syscall, &none, REASON_NET);
	follow(&thread, STOPPED, SYS_restart_syscall, &none, REASON_SIGNAL); /* once more */
	follow(&thread, SLEEPS, SYS_restart_syscall, &none, REASON_NET);
	follow(&thread, SLEEPS, SYS_futex, &none, REASON_LOCK);
	follow(&thread, SLEEPS, SYS_restart_syscall, &none, REASON_OTHER); /* of what, nobody saw */
	follow(&thread, STOPPED, SYS_read, &peer, REASON_SIGNAL); /* the call of number 0 */
	follow(&thread, SLEEPS, SYS_restart_syscall, &none, REASON_NET);
	follow(&thread, SLEEPS, SYS_futex, &none, REASON_LOCK);
	assert_null(thread.restart);
}

static void a_preemption_in_between_changes_nothing(void **unused)
{
	struct thread thread = { 0 };
	struct slice slice = { .flags = EVENT_PREEMPTED, .syscall = -1, .target = &none };

	(void)unused;
	follow(&thread, STOPPED, SYS_clock_nanosleep, &none, REASON_SIGNAL);
	restart_follow(&thread, &slice);
	assert_int_equal(slice.syscall, -1);
	follow(&thread, SLEEPS, SYS_restart_syscall, &none, REASON_SLEEP);
	free(thread.restart);
}

/* A stop outside of any call is no call to go on with: what is told then is told as it comes. */
static void a_thread_that_was_stopped_at_work_has_no_call_to_go_on_with(void **unused)
{
	struct thread thread = { 0 };
	struct slice slice = { .state = SLEEPS, .syscall = SYS_restart_syscall, .target = &none };

	(void)unused;
	follow(&thread, STOPPED, SYS_poll, &peer, REASON_SIGNAL);
	follow(&thread, STOPPED, -1, &none, REASON_SIGNAL);
	restart_follow(&thread, &slice);
	assert_int_equal(slice.syscall, SYS_restart_syscall);
	assert_null(thread.restart);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_that_was_stopped_goes_on_as_itself),
		cmocka_unit_test(a_preemption_in_between_changes_nothing),
		cmocka_unit_test(a_thread_that_was_stopped_at_work_has_no_call_to_go_on_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
