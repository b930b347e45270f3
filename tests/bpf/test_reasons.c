/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread waited for, and who ended it: a program that waits for everything, and knows. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "correlate/reason.h"
#include "harness.h"

static struct harness harness;

/* Blocked time of one wait, and how much of it is what it should be. */
struct sum {
	uint64_t right_ns, wrong_ns;
	enum ledger_reason wrong;
};

static bool is_of(const struct event_slice *slice, const struct harness_wait *wait)
{
	return slice->state != 0 && slice->out_ns > wait->before_ns &&
	       slice->out_ns < wait->after_ns;
}

static uint64_t blocked_ns(const struct event_slice *slice, const struct event_slice *next)
{
	uint64_t end_ns = next ? next->waking_ns ? next->waking_ns : next->in_ns : 0;

	return end_ns > slice->out_ns ? end_ns - slice->out_ns : 0;
}

static enum ledger_reason reason(const struct event_slice *slice)
{
	struct event_tails tails;

	assert_true(event_slice_tails(slice, &tails));
	return reason_of(slice->state, slice->syscall, slice->header.flags & EVENT_IOWAIT,
			 tails.target);
}

static struct sum sum_up(const struct harness_wait *wait)
{
	const struct event_slice *slice = NULL;
	struct sum sum = { 0 };

	while ((slice = harness_next_slice(&harness, wait->tid, slice))) {
		uint64_t ns = blocked_ns(slice, harness_next_slice(&harness, wait->tid, slice));

		if (!is_of(slice, wait))
			continue;
		if (reason(slice) == wait->identity) {
			sum.right_ns += ns;
			continue;
		}
		sum.wrong_ns += ns;
		sum.wrong = reason(slice);
	}
	return sum;
}

static void blocked_time_is_in_its_class(void **state)
{
	uint64_t right_ns = 0, wrong_ns = 0;

	(void)state;
	for (size_t i = 0; i < harness.wait_count; i++) {
		const struct harness_wait *wait = &harness.waits[i];
		struct sum sum = sum_up(wait);

		printf("  %-10s %-8s %9lu ns right %9lu ns wrong %s\n", wait->name,
		       ledger_reason_name((enum ledger_reason)wait->identity), sum.right_ns,
		       sum.wrong_ns, sum.wrong_ns ? ledger_reason_name(sum.wrong) : "");
		right_ns += sum.right_ns;
		wrong_ns += sum.wrong_ns;
	}
	assert_int_equal(harness.wait_count, 31);
	assert_true(right_ns >= 15 * 5000000ull); /* a busy machine may miss the time of a few */
	assert_true(wrong_ns * 100 <= right_ns + wrong_ns);
}

/* The target of the longest wait; on a busy machine, one for memory may be longer. */
static const struct event_target *target_of(const char *name)
{
	const struct harness_wait *wait = harness_wait(&harness, name);
	const struct event_slice *slice = NULL, *longest = NULL;
	uint64_t longest_ns = 0;

	while ((slice = harness_next_slice(&harness, wait->tid, slice))) {
		uint64_t ns = blocked_ns(slice, harness_next_slice(&harness, wait->tid, slice));

		if (is_of(slice, wait) && reason(slice) == wait->identity && ns > longest_ns) {
			longest = slice;
			longest_ns = ns;
		}
	}
	struct event_tails tails = { 0 };

	if (longest)
		event_slice_tails(longest, &tails);
	if (!tails.target)
		fail_msg("%s has no target", name);
	return tails.target;
}

static void check_kind(const char *name, uint32_t kind)
{
	assert_int_equal(target_of(name)->kind, kind);
}

static void targets_are_named(void **state)
{
	(void)state;
	check_kind("tcp", TARGET_INET4);
	check_kind("udp", TARGET_INET4);
	check_kind("accept", TARGET_INET4);
	check_kind("poll-one", TARGET_INET4);
	check_kind("unix", TARGET_UNIX);
	check_kind("pipe", TARGET_PIPE);
	check_kind("mutex", TARGET_FUTEX);
	check_kind("join", TARGET_FUTEX);
	check_kind("flock", TARGET_FILE);
	check_kind("child", TARGET_CHILD);
	assert_int_equal(target_of("child")->id, harness_wait(&harness, "child")->waker);
	check_kind("vfork", TARGET_CHILD);
	assert_int_equal(target_of("vfork")->id, harness_wait(&harness, "vfork")->waker);
}

/* "/tmp/spanwise-PID.sock" and "spanwise-waits-XXXXXX": a name is known by its end. */
static void names_are_those_of_files_and_sockets(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/spanwise-%d.sock", harness.pid);
	assert_string_equal(target_of("path")->name, path + strlen(path) - 15);
	assert_string_equal(target_of("unix")->name, ""); /* a pair has none */
	assert_int_equal(strlen(target_of("flock")->name), 15);
	assert_memory_equal(target_of("flock")->name, "se-waits-", 9);
}

/* Whoever maps it wherever. */
static void a_shared_lock_is_one_lock(void **state)
{
	const struct event_target *one = target_of("shared"), *other = target_of("again");

	(void)state;
	assert_int_equal(one->kind, TARGET_FUTEX_SHARED);
	assert_int_equal(one->id, 4096);
	assert_memory_equal(one, other, sizeof(*one));
}

/* What ended the waits under that tag: how many, and how many of them are laid at the spinners'
 * door.
 */
static void count_wakers(const char *name, size_t *out_ended, size_t *out_blamed)
{
	const struct harness_wait *wait = harness_wait(&harness, name);
	const struct event_slice *slice = NULL;

	*out_ended = *out_blamed = 0;
	while ((slice = harness_next_slice(&harness, wait->tid, slice))) {
		const struct event_slice *next = harness_next_slice(&harness, wait->tid, slice);
		struct event_tails tails;

		if (!is_of(slice, wait) || !next || !event_slice_tails(next, &tails) ||
		    !tails.waker)
			continue;
		(*out_ended)++;
		for (size_t i = 0; i < harness.name_count; i++)
			*out_blamed += (int)tails.waker->tid == harness.names[i].tid;
	}
}

static void innocent_threads_are_not_blamed(void **state)
{
	static const char *const names[] = { "timers", "disk", "network", "samples" };
	size_t ended[4], blamed[4], all = 0, wrong = 0;

	(void)state;
	harness_open(&harness, 4u << 20, 99);
	harness_run(&harness, "innocent");
	for (size_t i = 0; i < 4; i++) {
		count_wakers(names[i], &ended[i], &blamed[i]);
		printf("  %-8s %4zu waits ended, %zu blamed on a spinning thread\n", names[i],
		       ended[i], blamed[i]);
		all += ended[i];
		wrong += blamed[i];
	}
	/* of the others, few may have to wait at all; on an emulated machine, which says that it is
	 * slow, most timers are over before their threads sleep */
	assert_true(getenv("FLOW_PATIENCE_S") ? ended[0] > 0 && all >= 100 : ended[0] >= 100);
	assert_true(wrong * 100 <= all);
}

static bool write_text(const char *path, const char *name, const char *text)
{
	char file[128];

	snprintf(file, sizeof(file), "%s/%s", path, name);
	int fd = open(file, O_WRONLY);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

#define QUOTA_PERIOD_NS 50000000ull

/* A CPU cgroup of 20 % in its folder `path`: version 2 or 1. false: neither can be had. Its weight
 * is the largest, so that on a busy machine it is the quota that it waits for, and not others. */
static bool make_cgroup(char *path, size_t bytes)
{
	static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/cpu" };

	for (size_t i = 0; i < 2; i++) {
		write_text(roots[i], "cgroup.subtree_control", "+cpu");
		snprintf(path, bytes, "%s/spanwise-test-%d", roots[i], (int)getpid());
		if (mkdir(path, 0755) < 0)
			continue;
		if ((write_text(path, "cpu.max", "10000 50000") &&
		     write_text(path, "cpu.weight", "10000")) ||
		    (write_text(path, "cpu.cfs_period_us", "50000") &&
		     write_text(path, "cpu.cfs_quota_us", "10000") &&
		     write_text(path, "cpu.shares", "262144")))
			return true;
		rmdir(path);
	}
	return false;
}

/* What the scheduler itself says that it took from that cgroup, in ns. */
static uint64_t throttled_by_kernel(const char *path)
{
	char file[128], line[128];
	uint64_t value = 0, ns = 0;

	snprintf(file, sizeof(file), "%s/cpu.stat", path);
	FILE *stat = fopen(file, "re");

	while (stat && fgets(line, sizeof(line), stat)) {
		if (sscanf(line, "throttled_usec %lu", &value) == 1)
			ns = value * 1000;
		if (sscanf(line, "throttled_time %lu", &value) == 1)
			ns = value;
	}
	if (stat)
		fclose(stat);
	return ns;
}

/* Waits of the subject's first thread for a CPU: all of them, and those marked as a quota's. */
static void sum_up_runnable(uint64_t *out_runnable_ns, uint64_t *out_throttled_ns)
{
	const struct event_slice *slice = NULL, *before = NULL;

	*out_runnable_ns = *out_throttled_ns = 0;
	for (; (slice = harness_next_slice(&harness, harness.pid, slice)); before = slice) {
		if (!before || before->state != 0 || slice->in_ns < before->out_ns)
			continue;
		*out_runnable_ns += slice->in_ns - before->out_ns;
		if (slice->header.flags & EVENT_THROTTLED)
			*out_throttled_ns += slice->in_ns - before->out_ns;
	}
}

/* What a quota takes is not what others take: its waits are marked, and they are most of all.
 *
 * The scheduler counts for each CPU of the group, from where the quota ran out to where the next
 * period begins, and goes on when the thread has ended or moved to another CPU meanwhile: hence the
 * subject stays on one, and may have taken the last period's rest along. */
static void a_throttled_thread_says_so(void **state)
{
	uint64_t throttled_ns, runnable_ns;
	char path[64], pid[16];

	(void)state;
	if (!make_cgroup(path, sizeof(path)))
		skip(); /* nobody lets us make a cgroup with the CPU controller */
	harness_open(&harness, 1u << 20, 99);
	harness_start(&harness, "burn", true);
	snprintf(pid, sizeof(pid), "%d", harness.pid);
	assert_true(write_text(path, "cgroup.procs", pid));
	harness_play(&harness, true);
	uint64_t kernel_ns = throttled_by_kernel(path);

	rmdir(path);
	sum_up_runnable(&runnable_ns, &throttled_ns);
	printf("  %lu ms runnable, %lu ms of it throttled; %lu ms, says the scheduler\n",
	       runnable_ns / 1000000, throttled_ns / 1000000, kernel_ns / 1000000);
	assert_true(throttled_ns > QUOTA_PERIOD_NS);
	assert_true((throttled_ns + QUOTA_PERIOD_NS) * 10 >= kernel_ns * 9);
	assert_true(throttled_ns <= runnable_ns);
}

/* It may have to wait for its CPU as long as it likes: without a quota nothing is marked. */
static void nothing_is_throttled_without_a_quota(void **state)
{
	uint64_t throttled_ns, runnable_ns;

	(void)state;
	harness_open(&harness, 1u << 20, 99);
	harness_run(&harness, "crowd");
	sum_up_runnable(&runnable_ns, &throttled_ns);
	assert_true(runnable_ns > 0);
	assert_int_equal(throttled_ns, 0);
}

static int play_reasons(void **state)
{
	(void)state;
	harness_open(&harness, 4u << 20, 0);
	harness_run(&harness, "reasons");
	return 0;
}

static int close_harness(void **state)
{
	(void)state;
	harness_close(&harness);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest reasons[] = {
		cmocka_unit_test(blocked_time_is_in_its_class),
		cmocka_unit_test(targets_are_named),
		cmocka_unit_test(names_are_those_of_files_and_sockets),
		cmocka_unit_test(a_shared_lock_is_one_lock),
	};
	const struct CMUnitTest wakers[] = {
		cmocka_unit_test_teardown(innocent_threads_are_not_blamed, close_harness),
		cmocka_unit_test_teardown(a_throttled_thread_says_so, close_harness),
		cmocka_unit_test_teardown(nothing_is_throttled_without_a_quota, close_harness),
	};

	harness_init(&harness, argc, argv);
	int failed = cmocka_run_group_tests(reasons, play_reasons, close_harness) +
		     cmocka_run_group_tests(wakers, NULL, NULL);

	return harness_verdict(&harness, failed, argv);
}
