/* SPDX-License-Identifier: Apache-2.0 */
/* Every form of thread-local storage x glibc and musl: what discovery says is where the programs
 * themselves say their variable is. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bpf/discovery.h"
#include "collector/base/macros.h"
#include "collector/clock.h"
#include "tests/context/reference.h"
#include "tests/context/subject.h"

#define DEADLINE_NS (300 * NS_PER_SEC)
#define RESCAN_MS   200

/* What was told last about each process that matters here. */
struct report {
	struct event_process process;
	struct tag_descriptor descriptor;
	bool has_descriptor;
	uint32_t times;
};

struct watcher {
	struct discovery *discovery;
	struct report reports[2]; /* of pids[i] */
	uint32_t pids[2];
};

struct matrix_case {
	const char *libc;
	const char *program;
	const char *libraries[2];
	const char *form; /* part of event_process.variable */
	bool is_lazy;     /* an idle thread has no block */
	bool has_loader;  /* run through the loader, named */
};

static void on_process(const struct event_process *process, const struct tag_descriptor *descriptor,
		       void *arg)
{
	struct watcher *watcher = arg;

	for (size_t i = 0; i < ARRAY_LEN(watcher->pids); i++) {
		struct report *report = &watcher->reports[i];

		if (!watcher->pids[i] || process->pid != watcher->pids[i])
			continue;
		report->process = *process;
		report->has_descriptor = descriptor != NULL;
		report->descriptor = descriptor ? *descriptor : (struct tag_descriptor){ 0 };
		report->times++;
	}
}

static void start_watching(struct watcher *watcher, uint32_t pid)
{
	const struct discovery_options options = {
		.max_processes = 4096,
		.rescan_ms = RESCAN_MS,
		.on_process = on_process,
		.arg = watcher,
	};

	*watcher = (struct watcher){ .pids = { pid } };
	assert_int_equal(discovery_new(&options, &watcher->discovery), 0);
}

static void stop_watching(struct watcher *watcher)
{
	discovery_free(watcher->discovery);
}

static void run_once(struct watcher *watcher)
{
	int wait_ms = discovery_run(watcher->discovery, clock_mono_ns(), 20 * NS_PER_MS);
	struct timespec pause = { 0, (long)(MIN(wait_ms, 10) * (long)NS_PER_MS) };

	assert_true(wait_ms >= 0);
	nanosleep(&pause, NULL);
}

/* Runs until `count` variables are known of process `index`. */
static const struct report *wait_for_variables(struct watcher *watcher, int index, uint32_t count)
{
	uint64_t deadline_ns = clock_mono_ns() + DEADLINE_NS;
	const struct report *report = &watcher->reports[index];

	while (report->descriptor.count != count) {
		run_once(watcher);
		if (clock_mono_ns() > deadline_ns)
			fail_msg("%u variables, not %u: \"%s\"", report->descriptor.count, count,
				 report->process.variable);
	}
	return report;
}

static void check_address(const struct tag_descriptor *descriptor, pid_t tid, uint64_t expected)
{
	for (uint32_t i = 0; i < descriptor->count; i++) {
		uint64_t address;

		if (reference_address(tid, &descriptor->variables[i], &address) == 0 &&
		    address == expected)
			return;
	}
	fail_msg("no variable of the descriptor is at %lx in thread %d", (unsigned long)expected,
		 tid);
}

static void check_idle(const struct tag_descriptor *descriptor, pid_t tid, bool is_lazy)
{
	for (uint32_t i = 0; i < descriptor->count; i++) {
		uint64_t address;

		assert_int_equal(reference_address(tid, &descriptor->variables[i], &address),
				 is_lazy ? -ENODATA : 0);
	}
}

static void check_threads(const struct subject *subject, const struct tag_descriptor *descriptor,
			  bool is_lazy)
{
	for (uint32_t i = 0; i < subject->thread_count; i++) {
		const struct subject_thread *thread = &subject->threads[i];

		for (uint32_t k = 0; k < thread->count; k++)
			check_address(descriptor, thread->tid, thread->addresses[k]);
		if (thread->count == 0)
			check_idle(descriptor, thread->tid, is_lazy);
	}
}

static void start_case(struct subject *subject, const struct matrix_case *wanted, const char *flag)
{
	char program[512], libraries[2][512];
	const char *arguments[6] = { 0 };
	int count = 0;

	snprintf(program, sizeof(program), "%s/%s/%s", CONTEXT_SUBJECTS, wanted->libc,
		 wanted->program);
	if (access(program, X_OK) < 0) {
		print_message("%s was not built: no musl-gcc, or no gold\n", program);
		skip();
	}
	if (wanted->has_loader)
		arguments[count++] = strcmp(wanted->libc, "musl") == 0
					     ? "/lib/ld-musl-x86_64.so.1"
					     : "/lib64/ld-linux-x86-64.so.2";
	arguments[count++] = program;
	if (flag)
		arguments[count++] = flag;
	for (int i = 0; i < 2 && wanted->libraries[i]; i++) {
		snprintf(libraries[i], sizeof(libraries[i]), "%s/%s/%s", CONTEXT_SUBJECTS,
			 wanted->libc, wanted->libraries[i]);
		arguments[count++] = libraries[i];
	}
	subject_start(subject, arguments);
}

static void check_form(const struct report *report, const char *form)
{
	assert_int_equal(report->process.publish, PUBLISH_TAGS);
	if (!strstr(report->process.variable, form))
		fail_msg("\"%s\" does not say \"%s\"", report->process.variable, form);
}

static uint32_t variables_of(const struct matrix_case *wanted)
{
	return wanted->libraries[1] ? 2 : 1;
}

/* The process ran before we did. */
static void variable_is_where_the_program_says(void **state)
{
	const struct matrix_case *wanted = *state;
	const struct report *report;
	struct subject subject;
	struct watcher watcher;

	start_case(&subject, wanted, NULL);
	assert_true(subject_read_until(&subject, "ready"));
	start_watching(&watcher, (uint32_t)subject.pid);
	report = wait_for_variables(&watcher, 0, variables_of(wanted));
	check_form(report, wanted->form);
	check_threads(&subject, &report->descriptor, wanted->is_lazy);
	stop_watching(&watcher);
	subject_stop(&subject);
}

/* The process, and then its library, come while we watch; threads are older than the library. */
static void library_that_comes_late_is_found(void **state)
{
	const struct matrix_case *wanted = *state;
	const struct report *report;
	struct subject subject;
	struct watcher watcher;

	start_watching(&watcher, 0);
	run_once(&watcher);
	start_case(&subject, wanted, "--late");
	watcher.pids[0] = (uint32_t)subject.pid;
	discovery_on_fork(watcher.discovery, (uint32_t)getpid(), (uint32_t)subject.pid);
	discovery_on_exec(watcher.discovery, (uint32_t)subject.pid);
	assert_true(subject_read_until(&subject, "waiting"));
	while (watcher.reports[0].times == 0)
		run_once(&watcher);
	assert_false(watcher.reports[0].has_descriptor);
	subject_go(&subject);
	assert_true(subject_read_until(&subject, "ready"));
	discovery_on_mapping(watcher.discovery, (uint32_t)subject.pid);
	report = wait_for_variables(&watcher, 0, variables_of(wanted));
	check_form(report, wanted->form);
	check_threads(&subject, &report->descriptor, wanted->is_lazy);
	stop_watching(&watcher);
	subject_stop(&subject);
}

static const struct matrix_case pie = { "glibc", "exe_pie", { 0 }, "local exec", false, false };

/* No hint at all came: rescans find it. */
static void process_that_no_hint_named_is_found(void **state)
{
	struct subject subject;
	struct watcher watcher;

	(void)state;
	start_watching(&watcher, 0);
	run_once(&watcher);
	start_case(&subject, &pie, NULL);
	watcher.pids[0] = (uint32_t)subject.pid;
	assert_true(subject_read_until(&subject, "ready"));
	wait_for_variables(&watcher, 0, 1);
	stop_watching(&watcher);
	subject_stop(&subject);
}

static void exec_replaces_what_was_known(void **state)
{
	const char *arguments[] = { CONTEXT_SUBJECTS "/glibc/exe_pie", "--exec",
				    CONTEXT_SUBJECTS "/glibc/exe_no_pie", NULL };
	const struct report *report;
	struct tag_descriptor before;
	struct subject subject;
	struct watcher watcher;

	(void)state;
	subject_start(&subject, arguments);
	assert_true(subject_read_until(&subject, "waiting"));
	start_watching(&watcher, (uint32_t)subject.pid);
	before = wait_for_variables(&watcher, 0, 1)->descriptor;
	subject.thread_count = 0;
	subject_go(&subject);
	assert_true(subject_read_until(&subject, "ready"));
	discovery_on_exec(watcher.discovery, (uint32_t)subject.pid);
	report = &watcher.reports[0];
	while (!strstr(report->process.executable, "exe_no_pie"))
		run_once(&watcher);
	assert_true(report->has_descriptor);
	assert_memory_not_equal(&before, &report->descriptor, sizeof(before));
	check_threads(&subject, &report->descriptor, false);
	stop_watching(&watcher);
	subject_stop(&subject);
}

/* The kernel forgets the descriptor at exec, so it must be told again though nothing differs. */
static void same_program_again_is_told_again(void **state)
{
	const char *arguments[] = { CONTEXT_SUBJECTS "/glibc/exe_pie", "--exec",
				    CONTEXT_SUBJECTS "/glibc/exe_pie", NULL };
	struct subject subject;
	struct watcher watcher;
	uint32_t times;

	(void)state;
	subject_start(&subject, arguments);
	assert_true(subject_read_until(&subject, "waiting"));
	start_watching(&watcher, (uint32_t)subject.pid);
	wait_for_variables(&watcher, 0, 1);
	times = watcher.reports[0].times;
	subject_go(&subject);
	assert_true(subject_read_until(&subject, "ready"));
	discovery_on_exec(watcher.discovery, (uint32_t)subject.pid);
	while (watcher.reports[0].times == times)
		run_once(&watcher);
	assert_true(watcher.reports[0].has_descriptor);
	stop_watching(&watcher);
	subject_stop(&subject);
}

static void forked_child_has_its_own_entry(void **state)
{
	const struct matrix_case *wanted = *state;
	const struct report *report;
	struct subject subject;
	struct watcher watcher;

	start_case(&subject, wanted, "--fork");
	assert_true(subject_read_until(&subject, "ready"));
	if (!subject.child)
		assert_true(subject_read_until(&subject, "ready")); /* the child was first */
	start_watching(&watcher, (uint32_t)subject.pid);
	watcher.pids[1] = (uint32_t)subject.child;
	discovery_on_fork(watcher.discovery, (uint32_t)subject.pid, (uint32_t)subject.child);
	wait_for_variables(&watcher, 0, 1);
	report = wait_for_variables(&watcher, 1, 1);
	assert_memory_equal(&report->descriptor, &watcher.reports[0].descriptor,
			    sizeof(report->descriptor));
	check_address(&report->descriptor, subject.child, subject.threads[0].addresses[0]);
	stop_watching(&watcher);
	subject_stop(&subject);
}

static void end_is_told(void **state)
{
	struct subject subject;
	struct watcher watcher;

	(void)state;
	start_case(&subject, &pie, NULL);
	assert_true(subject_read_until(&subject, "ready"));
	start_watching(&watcher, (uint32_t)subject.pid);
	wait_for_variables(&watcher, 0, 1);
	kill(subject.pid, SIGKILL);
	waitpid(subject.pid, NULL, 0);
	while (!watcher.reports[0].process.gone) /* by a rescan; no hint came */
		run_once(&watcher);
	assert_false(watcher.reports[0].has_descriptor);
	stop_watching(&watcher);
	subject_stop(&subject);
}

/* A file that is gone from its path is read through its mapping. */
static void deleted_library_is_found(void **state)
{
	char copy[] = "/tmp/spanwise-context-XXXXXX", command[1024];
	const char *arguments[] = { CONTEXT_SUBJECTS "/glibc/opener", copy, NULL };
	const struct report *report;
	struct subject subject;
	struct watcher watcher;
	int fd = mkstemp(copy);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(command, sizeof(command), "cp %s/glibc/libdynamic_big.so %s", CONTEXT_SUBJECTS,
		 copy);
	assert_int_equal(system(command), 0);
	subject_start(&subject, arguments);
	assert_true(subject_read_until(&subject, "ready"));
	unlink(copy);
	start_watching(&watcher, (uint32_t)subject.pid);
	report = wait_for_variables(&watcher, 0, 1);
	check_threads(&subject, &report->descriptor, true);
	stop_watching(&watcher);
	subject_stop(&subject);
}

static void process_of_32_bits_is_told_with_its_reason(void **state)
{
	static const struct matrix_case small = { "glibc", "exe_32bit", { 0 }, "", false, false };
	struct subject subject;
	struct watcher watcher;

	(void)state;
	start_case(&subject, &small, NULL);
	if (!subject_read_until(&subject, "ready")) {
		subject_stop(&subject);
		skip(); /* a kernel without 32-bit programs */
	}
	start_watching(&watcher, (uint32_t)subject.pid);
	while (watcher.reports[0].times == 0)
		run_once(&watcher);
	assert_int_equal(watcher.reports[0].process.publish, PUBLISH_UNSUPPORTED);
	assert_string_equal(watcher.reports[0].process.variable, "a 32-bit process");
	stop_watching(&watcher);
	subject_stop(&subject);
}

/* clang-format off */
static struct matrix_case matrix[] = {
#define PROGRAM(libc, program) { libc, program, { NULL }, "local exec, static", false, false }
#define LINKED(libc, program, form) { libc, program, { NULL }, form, false, false }
#define OPENED(libc, library, form, is_lazy) { libc, "opener", { library, NULL }, form, is_lazy, false }
#define OPENED_TWO(libc, one, other, form, is_lazy) { libc, "opener", { one, other }, form, is_lazy, false }
#define BOTH(EACH) EACH("glibc"), EACH("musl")
#define PROGRAMS(libc)                                                                             \
	PROGRAM(libc, "exe_pie"), PROGRAM(libc, "exe_no_pie"), PROGRAM(libc, "exe_aligned"),       \
	PROGRAM(libc, "exe_static_pie"), PROGRAM(libc, "exe_static_pie_hidden"), PROGRAM(libc, "exe_not_exported"), PROGRAM(libc, "exe_static"), PROGRAM(libc, "exe_sysv_hash"), \
	PROGRAM(libc, "exe_stripped"), PROGRAM(libc, "exe_static_pie_stripped"), PROGRAM(libc, "exe_gold"), \
	LINKED(libc, "linked_initial", "initial exec, static"),                                    \
	LINKED(libc, "linked_descriptor", "TLSDESC, static"),                                      \
	LINKED(libc, "linked_dynamic", "general dynamic, dynamic")
	BOTH(PROGRAMS),
	LINKED("glibc", "extern_plain", "link map, static"),
	OPENED("glibc", "libinitial.so", "initial exec, static", false),
	OPENED("glibc", "libdescriptor.so", "TLSDESC, static", false),
	OPENED("glibc", "libdescriptor_big.so", "TLSDESC, dynamic", true),
	OPENED("glibc", "libdynamic.so", "general dynamic, dynamic", true),
	OPENED("glibc", "libdynamic_big.so", "general dynamic, dynamic", true),
	OPENED("glibc", "libbound.so", "TLSDESC, static", false),
	OPENED("glibc", "libbound_dynamic.so", "general dynamic, dynamic", true),
	OPENED("glibc", "libstripped.so", "TLSDESC, static", false),
	OPENED("glibc", "libversioned.so", "TLSDESC, static", false),
	OPENED("glibc", "libprotected.so", "TLSDESC, static", false),
	OPENED("glibc", "libweak.so", "general dynamic, dynamic", true),
	OPENED("glibc", "libgold.so", "general dynamic, dynamic", true),
	OPENED_TWO("glibc", "libdynamic.so", "libdescriptor_big.so", "dynamic", true),
	OPENED("musl", "libdescriptor.so", "TLSDESC, dynamic", false),
	OPENED("musl", "libdescriptor_big.so", "TLSDESC, dynamic", false),
	OPENED("musl", "libdynamic.so", "general dynamic, dynamic", false),
	OPENED("musl", "libdynamic_big.so", "general dynamic, dynamic", false),
	OPENED("musl", "libbound.so", "TLSDESC, dynamic", false),
	OPENED("musl", "libbound_dynamic.so", "general dynamic, dynamic", false),
	OPENED("musl", "libstripped.so", "TLSDESC, dynamic", false),
	OPENED("musl", "libversioned.so", "TLSDESC, dynamic", false),
	OPENED("musl", "libprotected.so", "TLSDESC, dynamic", false),
	OPENED("musl", "libweak.so", "general dynamic, dynamic", false),
	OPENED_TWO("musl", "libdynamic.so", "libdescriptor_big.so", "dynamic", false),
	{ "glibc", "exe_pie", { NULL }, "local exec, static", false, true },
	{ "glibc", "linked_descriptor", { NULL }, "TLSDESC, static", false, true },
	{ "glibc", "opener", { "libdynamic.so", NULL }, "general dynamic, dynamic", true, true },
	{ "musl", "exe_pie", { NULL }, "local exec, static", false, true },
	{ "musl", "linked_dynamic", { NULL }, "general dynamic, dynamic", false, true },
	{ "musl", "opener", { "libdynamic.so", NULL }, "general dynamic, dynamic", false, true },
};
/* clang-format on */

static const char *name_of(const struct matrix_case *wanted, const char *claim)
{
	static char names[2 * ARRAY_LEN(matrix)][160];
	static size_t count;

	snprintf(names[count], sizeof(names[0]), "%s: %s %s%s%s%s%s", claim, wanted->libc,
		 wanted->program, wanted->libraries[0] ? " " : "",
		 wanted->libraries[0] ? wanted->libraries[0] : "",
		 wanted->libraries[1] ? " and another" : "",
		 wanted->has_loader ? " by its loader" : "");
	return names[count++];
}

int main(void)
{
	struct CMUnitTest tests[2 * ARRAY_LEN(matrix) + 8];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(matrix); i++) {
		tests[count++] = (struct CMUnitTest){
			.name = name_of(&matrix[i], "variable is where the program says"),
			.test_func = variable_is_where_the_program_says,
			.initial_state = &matrix[i],
		};
		if (matrix[i].libraries[0] && !matrix[i].has_loader)
			tests[count++] = (struct CMUnitTest){
				.name = name_of(&matrix[i], "library that comes late is found"),
				.test_func = library_that_comes_late_is_found,
				.initial_state = &matrix[i],
			};
	}
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(process_that_no_hint_named_is_found);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(exec_replaces_what_was_known);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(same_program_again_is_told_again);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test_prestate(
		forked_child_has_its_own_entry, (void *)(uintptr_t)&pie);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(end_is_told);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(deleted_library_is_found);
	tests[count++] =
		(struct CMUnitTest)cmocka_unit_test(process_of_32_bits_is_told_with_its_reason);
	return _cmocka_run_group_tests("context", tests, count, NULL, NULL);
}
