/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "bpf/process_identity.h"
#include "bpf/process_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void stat_is_read_past_any_name(void **state)
{
	struct event_process process = { 0 };
	struct process_state found = { 0 };

	(void)state;
	assert_int_equal(process_identity_parse_stat(
				 "77 (a) R (b\n) Z 1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 "
				 "4321 1000 10\n",
				 &process, &found),
			 0);
	assert_string_equal(process.comm, "a) R (b?");
	assert_true(found.is_zombie);
	assert_false(found.is_kernel_thread);
	assert_false(found.is_exiting);
	assert_int_equal(process.start_ns,
			 4321ull * (1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK)));
	assert_int_equal(
		process_identity_parse_stat("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 "
					    "0 0 20 0 1 0 5 0 0",
					    &process, &found),
		0);
	assert_true(found.is_kernel_thread);
}

static void damaged_stat_is_refused(void **state)
{
	static const char *const texts[] = { "", "1", "1 (", ")(", "1 (x)", "1 (x) R 1 2" };
	struct event_process process = { 0 };
	struct process_state found;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(process_identity_parse_stat(texts[i], &process, &found), -EBADMSG);
}

static void innermost_namespace_counts(void **state)
{
	struct event_process process = { .ns_pid = 9 };

	(void)state;
	process_identity_parse_status("Name:\tx\nNSpid:\t4711\t12\t1\nNSpgid:\t4711\n", &process);
	assert_int_equal(process.ns_pid, 1);
	process_identity_parse_status("Name:\tx\n", &process);
	assert_int_equal(process.ns_pid, 1);
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *container_of(const char *text, struct event_process *process)
{
	memset(process, 0, sizeof(*process));
	process_identity_parse_cgroup(text, process);
	return process->container_id;
}

static void container_is_found_in_every_runtimes_path(void **state)
{
	struct event_process process;

	(void)state;
	assert_string_equal(container_of("0::/system.slice/docker-" ID ".scope\n", &process), ID);
	assert_string_equal(container_of("12:cpu:/kubepods/besteffort/pod1234/" ID "\n", &process),
			    ID);
	assert_string_equal(
		container_of("0::/kubepods.slice/cri-containerd-" ID ".scope/init\n", &process),
		ID);
	assert_string_equal(container_of("0::/user.slice/user-0.slice\n", &process), "");
	assert_string_equal(container_of("0::/" ID "0\n", &process), "");
}

static void our_own_process_is_read(void **state)
{
	struct event_process process = { .pid = (uint32_t)getpid() };
	struct process_state found = { 0 };
	int fd = open("/proc/self", O_PATH | O_DIRECTORY);

	(void)state;
	assert_int_equal(process_identity_read(fd, &process, &found), 0);
	assert_true(process.start_ns > 0);
	assert_true(process.ns_pid > 0);
	assert_non_null(strstr(process.executable, "process_identity"));
	assert_false(found.is_kernel_thread);
	assert_false(found.is_zombie);
	close(fd);
}

static void who_has_ended_is_exiting(void **state)
{
	pid_t child = fork();
	char path[32];
	siginfo_t info;
	int fd;

	(void)state;
	if (child == 0)
		_exit(0);
	snprintf(path, sizeof(path), "/proc/%d", child);
	fd = open(path, O_PATH | O_DIRECTORY);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	assert_true(process_identity_is_exiting(fd));
	waitpid(child, NULL, 0);
	assert_true(process_identity_is_exiting(fd));
	close(fd);
	fd = open("/proc/self", O_PATH | O_DIRECTORY);
	assert_false(process_identity_is_exiting(fd));
	close(fd);
}

static void check_text(const char *in, size_t cap, const char *expected)
{
	char out[32];

	process_memory_text(out, cap, str_of(in));
	assert_string_equal(out, expected);
}

static void foreign_texts_become_printable(void **state)
{
	(void)state;
	check_text("plain", 32, "plain");
	check_text("plain", 4, "pla");
	check_text("a\033[1mb\n", 32, "a?[1mb?");
	check_text("gr\xc3\xbc\xc3\x9f", 32, "gr\xc3\xbc\xc3\x9f");
	check_text("gr\xc3\xbc", 4, "gr");                         /* no half character */
	check_text("\xc0\xaf \xed\xa0\x80", 32, "?? ???");         /* overlong, surrogate */
	check_text("\xf4\x90\x80\x80\xff\xe2\x82", 32, "???????"); /* too large, never, cut */
	check_text("\xc2\x9b", 32, "??");                          /* a control character of C1 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stat_is_read_past_any_name),
		cmocka_unit_test(damaged_stat_is_refused),
		cmocka_unit_test(innermost_namespace_counts),
		cmocka_unit_test(container_is_found_in_every_runtimes_path),
		cmocka_unit_test(our_own_process_is_read),
		cmocka_unit_test(who_has_ended_is_exiting),
		cmocka_unit_test(foreign_texts_become_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
