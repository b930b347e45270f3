/* SPDX-License-Identifier: Apache-2.0 */
/* When discovery looks and what it tells; where variables are is tested in tests/context. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bpf/discovery.h"
#include "collector/base/macros.h"

#define HOUR_MS (3600u * 1000)

struct told {
	uint32_t pid;   /* whose news are kept */
	uint32_t count; /* of all */
	uint32_t of_pid, gone;
	struct event_process last;
};

static void on_process(const struct event_process *process, const struct tag_descriptor *descriptor,
		       void *arg)
{
	struct told *told = arg;

	assert_true(descriptor == NULL || process->publish == PUBLISH_TAGS);
	told->count++;
	if (process->pid != told->pid)
		return;
	told->of_pid++;
	told->gone += process->gone;
	told->last = *process;
}

static struct discovery *open_discovery(const struct discovery_options *options)
{
	struct discovery *discovery;

	assert_int_equal(discovery_new(options, &discovery), 0);
	return discovery;
}

static struct discovery *new_discovery(struct told *told, uint32_t max_processes,
				       uint32_t rescan_ms)
{
	return open_discovery(&(struct discovery_options){
		.max_processes = max_processes,
		.rescan_ms = rescan_ms,
		.on_process = on_process,
		.arg = told,
	});
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

/* Runs until nothing is due at `now_ns`, which may lie in the future. */
static int drain(struct discovery *discovery, uint64_t now_ns)
{
	int wait_ms;

	do
		wait_ms = discovery_run(discovery, now_ns, NS_PER_SEC);
	while (wait_ms == 0);
	return wait_ms;
}

static pid_t start_child(void)
{
	pid_t child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(600);
		for (;;)
			pause();
	}
	assert_true(child > 0);
	return child;
}

static void end_child(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void first_run_sees_all_processes_and_tells_each_once(void **state)
{
	struct told told = { .pid = (uint32_t)getpid() };
	struct discovery *discovery = new_discovery(&told, 4096, HOUR_MS);
	struct discovery_stats stats;
	uint32_t count;

	(void)state;
	drain(discovery, clock_ns());
	assert_int_equal(told.of_pid, 1);
	assert_int_equal(told.last.publish, PUBLISH_NOTHING);
	discovery_stats(discovery, &stats);
	assert_true(stats.processes_seen >= 1);
	count = told.of_pid;
	drain(discovery, clock_ns() + 2ull * HOUR_MS * NS_PER_MS); /* nothing has changed */
	assert_int_equal(told.of_pid, count);
	discovery_free(discovery);
}

static void spent_budget_ends_the_run(void **state)
{
	struct told told = { 0 };
	struct discovery *discovery = new_discovery(&told, 4096, HOUR_MS);
	uint64_t now_ns = clock_ns();
	uint32_t before = 0;
	int wait_ms;

	(void)state;
	do {
		wait_ms = discovery_run(discovery, now_ns, 0);
		assert_true(told.count <= before + 1);
		before = told.count;
	} while (wait_ms == 0);
	discovery_free(discovery);
}

static void new_process_is_looked_at_three_times_and_then_by_rescan(void **state)
{
	struct told told = { .pid = (uint32_t)start_child() };
	struct discovery *discovery = new_discovery(&told, 4096, HOUR_MS);
	uint64_t now_ns;
	int wait_ms, long_waits = 0;

	(void)state;
	drain(discovery, clock_ns());
	discovery_on_exec(discovery, told.pid);
	now_ns = clock_ns();
	do {
		wait_ms = discovery_run(discovery, now_ns, NS_PER_SEC);
		now_ns += (uint64_t)wait_ms * NS_PER_MS;
		long_waits += wait_ms >= 50;
	} while (wait_ms < 1000 * 1000);
	assert_int_equal(long_waits, 3);  /* 50 ms, 500 ms, an hour */
	assert_int_equal(told.of_pid, 2); /* the kernel forgot it at exec, so it was told again */
	end_child((pid_t)told.pid);
	discovery_free(discovery);
}

/* What it is told of a process whose name has changed shows when it was looked at. */
static void process_that_maps_nothing_new_is_looked_at_less_often(void **state)
{
	const uint64_t hour_ns = HOUR_MS * NS_PER_MS, begin_ns = clock_ns();
	const uint64_t rescans[] = { 0, 1, 3, 7 }; /* then after 4 hours each */
	struct told told = { .pid = (uint32_t)getpid() };
	struct discovery *discovery = open_discovery(&(struct discovery_options){
		.max_processes = 4096,
		.rescan_ms = HOUR_MS,
		.tells_mappings = true,
		.on_process = on_process,
		.arg = &told,
	});

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rescans); i++)
		drain(discovery, begin_ns + rescans[i] * hour_ns + i * NS_PER_SEC);
	prctl(PR_SET_NAME, "calm");
	drain(discovery, begin_ns + 10 * hour_ns);
	assert_int_equal(told.of_pid, 1);
	drain(discovery, begin_ns + 12 * hour_ns);
	assert_int_equal(told.of_pid, 2);
	prctl(PR_SET_NAME, "stirred");
	discovery_on_mapping(discovery, told.pid);
	drain(discovery, begin_ns + 12 * hour_ns + NS_PER_SEC);
	assert_int_equal(told.of_pid, 3);
	discovery_free(discovery);
}

/* Whether those that were told are all that are counted, and `pid` is not among them. */
static bool counts_what_it_tells(pid_t pid)
{
	struct told told = { .pid = (uint32_t)pid };
	struct discovery *discovery = new_discovery(&told, 4096, HOUR_MS);
	struct discovery_stats stats;

	drain(discovery, clock_ns());
	assert_int_equal(told.of_pid, 0);
	discovery_stats(discovery, &stats);
	discovery_free(discovery);
	return stats.processes_seen == told.count;
}

/* Again where a process begins or ends just then: that is told, too. */
static void counts_all_but(pid_t pid)
{
	bool is_so = false;

	for (int tries = 0; !is_so && tries < 20; tries++)
		is_so = counts_what_it_tells(pid);
	assert_true(is_so);
}

static void kernel_threads_are_not_counted(void **state)
{
	(void)state;
	if (getpgid(2) != 0)
		skip(); /* a pid namespace of our own: 2 is somebody else */
	counts_all_but(2);
}

static void process_that_had_ended_is_not_counted(void **state)
{
	pid_t child = start_child();
	siginfo_t info;

	(void)state;
	kill(child, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	counts_all_but(child);
	waitpid(child, NULL, 0);
}

static void exit_is_told_once_and_after_the_last_slice(void **state)
{
	struct told told = { .pid = (uint32_t)start_child() };
	struct discovery *discovery = new_discovery(&told, 4096, HOUR_MS);

	(void)state;
	drain(discovery, clock_ns());
	end_child((pid_t)told.pid);
	discovery_on_exit(discovery, told.pid);
	drain(discovery, clock_ns());
	assert_int_equal(told.gone, 0); /* the kernel still needs the descriptor */
	drain(discovery, clock_ns() + 2 * NS_PER_SEC);
	assert_int_equal(told.gone, 1);
	discovery_on_exit(discovery, told.pid);
	drain(discovery, clock_ns() + 4 * NS_PER_SEC);
	assert_int_equal(told.gone, 1);
	discovery_free(discovery);
}

static void exit_that_was_missed_is_found_by_the_scan(void **state)
{
	struct told told = { .pid = (uint32_t)start_child() };
	struct discovery *discovery = new_discovery(&told, 4096, HOUR_MS);

	(void)state;
	drain(discovery, clock_ns());
	end_child((pid_t)told.pid);
	drain(discovery, clock_ns() + 2ull * HOUR_MS * NS_PER_MS);
	assert_int_equal(told.gone, 1);
	discovery_free(discovery);
}

/* A child with the pid that the kernel would give out only after all others. -1: not allowed to. */
static pid_t start_child_as(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&pid,
		.set_tid_size = 1,
	};
	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (child == 0) {
		alarm(600);
		for (;;)
			pause();
	}
	return child;
}

/* Two processes, one pid: the second is not taken for the first. */
static void pid_given_out_again_is_another_process(void **state)
{
	struct told told = { .pid = (uint32_t)start_child() };
	struct discovery *discovery = new_discovery(&told, 4096, HOUR_MS);
	const struct timespec tick = { 0, 20 * (long)NS_PER_MS }; /* start times count in 10 ms */
	uint64_t first_start_ns;

	(void)state;
	drain(discovery, clock_ns());
	assert_int_equal(told.of_pid, 1);
	first_start_ns = told.last.start_ns;
	end_child((pid_t)told.pid);
	nanosleep(&tick, NULL);
	if (start_child_as((pid_t)told.pid) < 0) {
		discovery_free(discovery);
		skip();
	}
	drain(discovery, clock_ns() + 2ull * HOUR_MS * NS_PER_MS);
	assert_int_equal(told.of_pid, 3);
	assert_int_equal(told.gone, 1);
	assert_int_equal(told.last.gone, 0);
	assert_true(told.last.start_ns > first_start_ns);
	end_child((pid_t)told.pid);
	discovery_free(discovery);
}

static void late_news_of_a_fork_make_nobody_gone(void **state)
{
	struct told told = { .pid = (uint32_t)start_child() };
	struct discovery *discovery = new_discovery(&told, 4096, HOUR_MS);

	(void)state;
	drain(discovery, clock_ns());
	discovery_on_fork(discovery, (uint32_t)getpid(), told.pid);
	drain(discovery, clock_ns() + NS_PER_SEC);
	assert_int_equal(told.gone, 0);
	assert_int_equal(told.of_pid, 2);
	end_child((pid_t)told.pid);
	discovery_free(discovery);
}

static void no_more_processes_are_remembered_than_allowed(void **state)
{
	struct told told = { 0 };
	struct discovery *discovery = new_discovery(&told, 2, HOUR_MS);
	struct discovery_stats stats;

	(void)state;
	drain(discovery, clock_ns());
	for (uint32_t pid = 1; pid < 1000; pid++)
		discovery_on_mapping(discovery, pid + 5000000); /* beyond pid_max: never there */
	discovery_stats(discovery, &stats);
	assert_true(stats.processes_seen <= 2);
	drain(discovery, clock_ns() + NS_PER_SEC);
	discovery_free(discovery);
}

/* However many hints come, the looks at one process keep their distance. */
static void flood_of_hints_makes_one_look(void **state)
{
	struct told told = { .pid = (uint32_t)start_child() };
	struct discovery *discovery = new_discovery(&told, 4096, HOUR_MS);
	int wait_ms;

	(void)state;
	drain(discovery, clock_ns());
	for (int i = 0; i < 100000; i++)
		discovery_on_mapping(discovery, told.pid);
	wait_ms = discovery_run(discovery, clock_ns() + 3 * NS_PER_SEC, NS_PER_SEC);
	assert_true(wait_ms > 0);
	assert_int_equal(told.of_pid, 1); /* and nothing new was seen */
	end_child((pid_t)told.pid);
	discovery_free(discovery);
}

static void half_built_or_nothing_is_freed(void **state)
{
	(void)state;
	discovery_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_run_sees_all_processes_and_tells_each_once),
		cmocka_unit_test(spent_budget_ends_the_run),
		cmocka_unit_test(new_process_is_looked_at_three_times_and_then_by_rescan),
		cmocka_unit_test(process_that_maps_nothing_new_is_looked_at_less_often),
		cmocka_unit_test(kernel_threads_are_not_counted),
		cmocka_unit_test(process_that_had_ended_is_not_counted),
		cmocka_unit_test(exit_is_told_once_and_after_the_last_slice),
		cmocka_unit_test(exit_that_was_missed_is_found_by_the_scan),
		cmocka_unit_test(pid_given_out_again_is_another_process),
		cmocka_unit_test(late_news_of_a_fork_make_nobody_gone),
		cmocka_unit_test(no_more_processes_are_remembered_than_allowed),
		cmocka_unit_test(flood_of_hints_makes_one_look),
		cmocka_unit_test(half_built_or_nothing_is_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
