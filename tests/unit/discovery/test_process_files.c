/* SPDX-License-Identifier: Apache-2.0 */
/* Opens what a child has mapped in a mount namespace of its own, where we see other files. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf/process_files.h"

static const char text[] = "what only the child sees";

struct child {
	char directory[64], file[80];
	pid_t pid;
	int directory_fd; /* of /proc/PID */
	struct process_maps maps;
	const struct maps_module *module; /* the file */
};

/* In the child: 0 when the file is mapped, else an exit status. */
static int hide_file(const struct child *child)
{
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", child->directory, "tmpfs", 0, NULL) < 0)
		return 77;
	fd = open(child->file, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, text, sizeof(text)) != sizeof(text))
		return 1;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED;
}

static void run_child(const struct child *child, int ready, int orders)
{
	char order, status = (char)hide_file(child);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (write(ready, &status, 1) != 1 || status)
		_exit(1);
	while (read(orders, &order, 1) == 1) {
		unlink(child->file);
		if (order == 'p' && mkfifo(child->file, 0600) < 0)
			_exit(2);
		if (order == 'd' && mkdir(child->file, 0700) < 0)
			_exit(2);
		if (order == 's' && symlink("/dev/zero", child->file) < 0)
			_exit(2);
		if (order == 'f' && close(open(child->file, O_CREAT | O_RDWR, 0600)) < 0)
			_exit(2);
		if (write(ready, &order, 1) != 1)
			_exit(3);
		if (order == 'd')
			rmdir(child->file);
	}
	_exit(0);
}

static void read_maps(struct child *child)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d", (int)child->pid);
	child->directory_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = openat(child->directory_fd, "maps", O_RDONLY | O_CLOEXEC);
	process_maps_init(&child->maps);
	assert_int_equal(process_maps_read(&child->maps, fd), 0);
	close(fd);
	for (size_t i = 0; i < child->maps.module_count; i++)
		if (strcmp(process_maps_path(&child->maps, &child->maps.modules[i]), child->file) ==
		    0)
			child->module = &child->maps.modules[i];
	assert_non_null(child->module);
}

static void start_child(struct child *child, int out_pipes[2])
{
	int ready[2], orders[2];
	char status;

	*child = (struct child){ .directory = "/tmp/spanwise-files-XXXXXX" };
	assert_non_null(mkdtemp(child->directory));
	snprintf(child->file, sizeof(child->file), "%s/hidden.so", child->directory);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(orders), 0);
	child->pid = fork();
	if (child->pid == 0) {
		close(orders[1]);
		run_child(child, ready[1], orders[0]);
	}
	close(ready[1]);
	close(orders[0]);
	out_pipes[0] = ready[0];
	out_pipes[1] = orders[1];
	assert_int_equal(read(ready[0], &status, 1), 1);
	if (status == 77) {
		rmdir(child->directory);
		skip(); /* not allowed to make a mount namespace */
	}
	assert_int_equal(status, 0);
	read_maps(child);
}

static void stop_child(struct child *child, const int pipes[2])
{
	close(pipes[0]);
	close(pipes[1]);
	waitpid(child->pid, NULL, 0);
	process_maps_fini(&child->maps);
	close(child->directory_fd);
	rmdir(child->directory);
}

static void check_content(int fd)
{
	char content[sizeof(text)];

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, content, sizeof(content), 0), sizeof(content));
	assert_string_equal(content, text);
	close(fd);
}

static int open_file(const struct child *child, bool no_map_files)
{
	int path_fd =
		process_files_find(child->directory_fd, &child->maps, child->module, &no_map_files);
	int fd = path_fd < 0 ? path_fd : process_files_reopen(path_fd);

	if (path_fd >= 0)
		close(path_fd);
	return fd;
}

static int open_by_path(const struct child *child)
{
	return open_file(child, true);
}

static void file_of_another_mount_namespace_is_opened(void **state)
{
	struct child child;
	int pipes[2];

	(void)state;
	start_child(&child, pipes);
	check_content(open_file(&child, false));
	check_content(open_by_path(&child));
	stop_child(&child, pipes);
}

/* Whatever a hostile process puts into the file's place is not opened, nor waited for. */
static void what_took_the_files_place_is_refused(void **state)
{
	static const struct {
		char order;
		int error;
	} cases[] = { { 'p', -ENOEXEC }, { 'd', -ENOEXEC }, { 's', -ENOEXEC }, { 'f', -ESTALE } };
	struct child child;
	int pipes[2];

	(void)state;
	start_child(&child, pipes);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char done;

		assert_int_equal(write(pipes[1], &cases[i].order, 1), 1);
		assert_int_equal(read(pipes[0], &done, 1), 1);
		assert_true(open_by_path(&child) < 0);
		if (cases[i].order != 'd') /* gone again by now */
			assert_int_equal(open_by_path(&child), cases[i].error);
	}
	stop_child(&child, pipes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_of_another_mount_namespace_is_opened),
		cmocka_unit_test(what_took_the_files_place_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
