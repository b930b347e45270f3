/* SPDX-License-Identifier: Apache-2.0 */
/* Where the files of a running program may be: gone, replaced, in memory only, or on a file system
 * that nobody else sees. What is found is where the program says its variable is. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/process_look.h"
#include "tests/context/reference.h"
#include "tests/context/subject.h"

#define PROGRAM CONTEXT_SUBJECTS "/glibc/exe_stripped"
#define OTHER   CONTEXT_SUBJECTS "/glibc/exe_aligned"
#define OPENER  CONTEXT_SUBJECTS "/glibc/opener"
#define LIBRARY CONTEXT_SUBJECTS "/glibc/libdynamic_big.so"

/* As a name of its own, so that a copy of another inode is put in its place. */
static void copy(const char *from, int to_fd)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	struct stat status;

	assert_true(fd >= 0 && fstat(fd, &status) == 0);
	assert_int_equal(sendfile(to_fd, fd, NULL, (size_t)status.st_size), status.st_size);
	assert_int_equal(fchmod(to_fd, 0755), 0);
	close(fd);
}

static void make_copy(const char *from, char *path)
{
	int fd;

	strcpy(path, "/tmp/spanwise-places-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	copy(from, fd);
	close(fd);
}

/* Every thread that has a variable has it there. */
static void check_found(const struct subject *subject)
{
	struct process_variables variables = { 0 };
	struct process_looker looker;
	struct event_process process;
	uint64_t address;

	assert_int_equal(process_looker_init(&looker, 256), 0);
	assert_int_equal(process_look(&looker, (uint32_t)subject->pid, &process, &variables), 0);
	process_looker_fini(&looker);
	if (process.publish != PUBLISH_TAGS || variables.descriptor.count != 1)
		fail_msg("%u variables: \"%s\"", variables.descriptor.count, process.variable);
	for (uint32_t i = 0; i < subject->thread_count; i++) {
		const struct subject_thread *thread = &subject->threads[i];

		if (thread->count == 0)
			continue;
		assert_int_equal(reference_address(thread->tid, &variables.descriptor.variables[0],
						   &address),
				 0);
		assert_int_equal(address, thread->addresses[0]);
	}
}

static void start(struct subject *subject, const char *program, const char *library)
{
	const char *arguments[] = { program, library, NULL };

	subject_start(subject, arguments);
	assert_true(subject_read_until(subject, "ready"));
}

static void program_that_was_deleted_is_found(void **state)
{
	struct subject subject;
	char path[64];

	(void)state;
	make_copy(PROGRAM, path);
	start(&subject, path, NULL);
	unlink(path);
	check_found(&subject);
	subject_stop(&subject);
}

/* As an update does it: under the old name is another program now, with its variable elsewhere. */
static void program_that_was_replaced_is_read_as_it_runs(void **state)
{
	struct subject subject;
	char path[64], newer[64];

	(void)state;
	make_copy(PROGRAM, path);
	make_copy(OTHER, newer);
	start(&subject, path, NULL);
	assert_int_equal(rename(newer, path), 0);
	check_found(&subject);
	subject_stop(&subject);
	unlink(path);
}

static void library_that_was_replaced_is_read_as_it_runs(void **state)
{
	struct subject subject;
	char path[64], newer[64];

	(void)state;
	make_copy(LIBRARY, path);
	make_copy(CONTEXT_SUBJECTS "/glibc/libdescriptor.so", newer);
	start(&subject, OPENER, path);
	assert_int_equal(rename(newer, path), 0);
	check_found(&subject);
	subject_stop(&subject);
	unlink(path);
}

/* Under its name, deleted, and no file at all. */
static void program_and_library_in_memory_are_found(void **state)
{
	int program = memfd_create("program", MFD_CLOEXEC);
	int library = memfd_create("library", MFD_CLOEXEC);
	char program_path[64], library_path[64];
	struct subject subject;

	(void)state;
	assert_true(program >= 0 && library >= 0);
	copy(OPENER, program);
	copy(LIBRARY, library);
	snprintf(program_path, sizeof(program_path), "/proc/%d/fd/%d", getpid(), program);
	snprintf(library_path, sizeof(library_path), "/proc/%d/fd/%d", getpid(), library);
	start(&subject, program_path, library_path);
	check_found(&subject);
	subject_stop(&subject);
	close(program);
	close(library);
}

/* As in a container: an overlay in a mount namespace of its own. */
static void files_of_an_overlay_of_its_own_are_found(void **state)
{
	static const char script[] =
		"cd $0 && mount -t tmpfs none . && cd $0 && mkdir lower upper work merged && cp $1 "
		"$2 lower && "
		"mount -t overlay none -o lowerdir=lower,upperdir=upper,workdir=work merged "
		"2>/dev/null && "
		"exec merged/opener $0/merged/libdynamic_big.so";
	char folder[] = "/tmp/spanwise-places-XXXXXX";
	const char *arguments[] = { "/usr/bin/unshare",
				    "--mount",
				    "/bin/sh",
				    "-c",
				    script,
				    folder,
				    OPENER,
				    LIBRARY,
				    NULL };
	struct subject subject;
	bool is_there;

	(void)state;
	assert_non_null(mkdtemp(folder));
	subject_start(&subject, arguments);
	is_there = subject_read_until(&subject, "ready");
	if (is_there)
		check_found(&subject);
	subject_stop(&subject);
	rmdir(folder);
	if (!is_there)
		skip(); /* no rights to mount, or no overlays */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(program_that_was_deleted_is_found),
		cmocka_unit_test(program_that_was_replaced_is_read_as_it_runs),
		cmocka_unit_test(library_that_was_replaced_is_read_as_it_runs),
		cmocka_unit_test(program_and_library_in_memory_are_found),
		cmocka_unit_test(files_of_an_overlay_of_its_own_are_found),
	};

	return cmocka_run_group_tests_name("places", tests, NULL, NULL);
}
