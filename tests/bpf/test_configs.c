/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels that lack something load the programs all the same: what other kernels do not have of
 * this one's types is hidden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "collector/base/macros.h"
#include "types.h"

/* What a kernel may lack, for want of an option or of age: a type, or one of its fields. In two
 * parts, for where the first is missing nothing asks for the second. */
static const struct lacking {
	unsigned part;
	const char *type, *field, *option;
} lacking[] = {
	{ 1, "sock_common", "skc_v6_daddr", "CONFIG_IPV6" },
	{ 1, "inet_connection_sock", NULL, "CONFIG_INET" },
	{ 1, "unix_sock", NULL, "CONFIG_UNIX=y" },
	{ 1, "unix_address", NULL, "CONFIG_UNIX=y" },
	{ 1, "epitem", NULL, "CONFIG_EPOLL" },
	{ 1, "eventpoll", NULL, "CONFIG_EPOLL" },
	{ 1, "eventfd_ctx", NULL, "CONFIG_EVENTFD" },
	{ 1, "timerfd_ctx", NULL, "CONFIG_TIMERFD" },
	{ 1, "task_struct", "frozen", "CONFIG_CGROUPS" },
	{ 1, "mm_struct", "mm_lock_seq", "CONFIG_PER_VMA_LOCK" },
	{ 1, "vm_fault", "flags", "5.11" },
	{ 1, "time_namespace", NULL, "5.6" },
	{ 1, "sched_entity", "cfs_rq", "CONFIG_FAIR_GROUP_SCHED" },
	{ 1, "cfs_rq", "rq", "CONFIG_FAIR_GROUP_SCHED" },
	{ 2, "eventpoll", "rdllist", "what may become of it" },
	{ 2, "eventpoll", "rbr", "what may become of it" },
	{ 2, "cfs_rq", "throttle_count", "CONFIG_CFS_BANDWIDTH" },
	{ 2, "task_struct", "throttled", "CONFIG_CFS_BANDWIDTH" },
	{ 2, "mm_struct", "mm_mt", "6.1" },
};

/* The programs, as they were built: from the command line. */
static char **objects;

/* This kernel's types, but for what is lacking; for the caller to remove. */
static void write_types(unsigned part, char path[static TYPES_PATH_BYTES])
{
	struct btf *types = types_open();

	for (size_t i = 0; i < ARRAY_LEN(lacking); i++)
		if (lacking[i].part == part)
			types_hide(types, lacking[i].type, lacking[i].field);
	types_write(types, path);
}

static void assert_loads_without(unsigned part)
{
	char path[TYPES_PATH_BYTES];
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = path);

	write_types(part, path);
	for (char **object = objects; *object; object++) {
		struct bpf_object *opened = bpf_object__open_file(*object, &options);

		assert_non_null(opened);
		int status = bpf_object__load(opened);

		bpf_object__close(opened);
		if (status < 0)
			print_error("%s is not loaded: %s\n", *object, strerror(-status));
		assert_int_equal(status, 0);
	}
	unlink(path);
}

static void programs_load_without_what_options_bring(void **state)
{
	(void)state;
	assert_loads_without(1);
	assert_loads_without(2);
}

/* Those for kernels that do not have them. libbpf looks for a missing one among the modules', which
 * the worker has no right to. */
static void only_typed_programs_name_functions_of_the_kernel(void **state)
{
	(void)state;
	for (char **object = objects; *object; object++) {
		struct bpf_object *opened = bpf_object__open_file(*object, NULL);

		assert_non_null(opened);
		bool names = btf__find_by_name_kind(bpf_object__btf(opened), ".ksyms",
						    BTF_KIND_DATASEC) > 0;

		bpf_object__close(opened);
		assert_int_equal(names, strstr(*object, "sched.bpf.o") != NULL);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_typed_programs_name_functions_of_the_kernel),
		cmocka_unit_test(programs_load_without_what_options_bring),
	};

	if (geteuid() != 0 || argc < 2) {
		printf("skipped: needs root\n");
		return 77;
	}
	objects = argv + 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
