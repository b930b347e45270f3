/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at processes of our own making: ourselves, with strange things mapped, and children. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "bpf/elf_tls.h"
#include "bpf/process_look.h"
#include "tests/unit/discovery/elf_builder.h"

#define FAKE_OFFSET (-152)

static int start(void **state)
{
	static struct process_looker looker;

	*state = &looker;
	return process_looker_init(&looker, 256);
}

static int stop(void **state)
{
	process_looker_fini(*state);
	return 0;
}

static struct event_process look_at(struct process_looker *looker, pid_t pid,
				    struct process_variables *out_variables)
{
	struct event_process process = { 0 };

	*out_variables = (struct process_variables){ 0 };
	assert_int_equal(process_look(looker, (uint32_t)pid, &process, out_variables), 0);
	return process;
}

struct mapping {
	void *at;
	size_t bytes;
};

static struct mapping map_code(int fd, size_t bytes)
{
	struct mapping mapping = { mmap(NULL, bytes, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0),
				   bytes };

	assert_true(mapping.at != MAP_FAILED);
	close(fd);
	return mapping;
}

static void unmap(struct mapping mapping)
{
	munmap(mapping.at, mapping.bytes);
}

/* A library that nobody loaded, whose slots say what a loader would have written. */
static struct mapping map_library(const char *variable)
{
	struct elf_builder elf;

	elf_builder_init(&elf);
	elf_builder_name(&elf, 1, 1, variable, STT_TLS, 0x10);
	elf.slots[2] = 0x1000;
	elf.slots[3] = (uint64_t)FAKE_OFFSET;
	return map_code(elf_builder_file(&elf, sizeof(elf)), sizeof(elf));
}

static void process_without_variable_publishes_nothing(void **state)
{
	struct process_variables variables;
	struct event_process process = look_at(*state, getpid(), &variables);

	assert_int_equal(process.publish, PUBLISH_NOTHING);
	assert_int_equal(process.pid, getpid());
	assert_true(variables.is_complete);
	assert_string_equal(process.variable, "");
}

static void unnamed_file_is_read_through_its_mapping(void **state)
{
	struct mapping library = map_library("otel_thread_ctx_v1");
	struct process_variables variables;
	struct event_process process = look_at(*state, getpid(), &variables);

	assert_int_equal(process.publish, PUBLISH_TAGS);
	assert_string_equal(process.variable,
			    "otel_thread_ctx_v1 in /memfd:elf (TLSDESC, static, TP-152)");
	assert_int_equal(variables.descriptor.count, 1);
	assert_int_equal(variables.descriptor.variables[0].offset, FAKE_OFFSET);
	unmap(library);
}

/* Without the right to open mappings, the file that is nowhere any more is read in memory. */
static void image_in_memory_says_the_same(void **state)
{
	struct process_looker *looker = *state;
	struct mapping library = map_library("otel_thread_ctx_v1");
	struct process_variables variables;
	struct event_process process;

	looker->no_map_files = true;
	process = look_at(looker, getpid(), &variables);
	looker->no_map_files = false;
	assert_int_equal(process.publish, PUBLISH_TAGS);
	assert_int_equal(variables.descriptor.count, 1);
	assert_int_equal(variables.descriptor.variables[0].offset, FAKE_OFFSET);
	unmap(library);
}

static void library_that_went_is_forgotten(void **state)
{
	struct process_looker *looker = *state;
	struct mapping library = map_library("otel_thread_ctx_v1");
	struct process_variables variables;
	struct event_process process = look_at(looker, getpid(), &variables);

	unmap(library);
	assert_int_equal(process_look(looker, (uint32_t)getpid(), &process, &variables), 0);
	assert_int_equal(process.publish, PUBLISH_NOTHING);
	assert_int_equal(variables.descriptor.count, 0);
}

static void slot_that_is_empty_is_looked_at_again(void **state)
{
	struct process_looker *looker = *state;
	struct process_variables variables;
	struct event_process process;
	struct elf_builder elf;
	struct mapping library;
	struct elf_builder *image;

	elf_builder_init(&elf);
	library = map_code(elf_builder_file(&elf, sizeof(elf)), sizeof(elf));
	process = look_at(looker, getpid(), &variables);
	assert_int_equal(process.publish, PUBLISH_NOTHING);
	assert_false(variables.is_complete);
	assert_non_null(strstr(process.variable, "not relocated yet"));
	image = library.at;
	assert_int_equal(mprotect(library.at, library.bytes, PROT_READ | PROT_WRITE), 0);
	image->slots[1] = (uint64_t)(FAKE_OFFSET + 8); /* another variable's, initial exec */
	assert_int_equal(mprotect(library.at, library.bytes, PROT_READ | PROT_EXEC), 0);
	assert_int_equal(process_look(looker, (uint32_t)getpid(), &process, &variables), 0);
	assert_int_equal(variables.descriptor.count, 1);
	assert_int_equal(variables.descriptor.variables[0].offset, FAKE_OFFSET);
	unmap(library);
}

/* A loader maps the code first, and the data over it afterwards. */
static void half_mapped_library_is_looked_at_again(void **state)
{
	static char file[0x4000];
	struct elf_builder *elf = (void *)file;
	struct process_looker *looker = *state;
	struct process_variables variables;
	struct event_process process;
	void *image, *data;
	int fd;

	elf_builder_init(elf);
	elf->slots[2] = 0x1000;
	elf->slots[3] = (uint64_t)FAKE_OFFSET;
	elf->programs[0].p_filesz = elf->programs[0].p_memsz = sizeof(file);
	elf->programs[1].p_offset = elf->programs[1].p_vaddr = 0x3000;
	memcpy(file + 0x3000, elf->dynamic, sizeof(elf->dynamic));
	fd = elf_builder_file(file, sizeof(file));
	image = mmap(NULL, sizeof(file), PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	assert_true(image != MAP_FAILED);
	data = (char *)image + 0x3000;
	assert_true(mmap(data, 0x1000, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0x2000) == data);
	process = look_at(looker, getpid(), &variables);
	assert_int_equal(process.publish, PUBLISH_NOTHING);
	assert_true(mmap(data, 0x1000, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0x3000) == data);
	close(fd);
	assert_int_equal(process_look(looker, (uint32_t)getpid(), &process, &variables), 0);
	assert_int_equal(process.publish, PUBLISH_TAGS);
	assert_int_equal(variables.descriptor.count, 1);
	munmap(image, sizeof(file));
}

static void two_libraries_make_two_variables(void **state)
{
	struct mapping one = map_library("otel_thread_ctx_v1"), other;
	struct process_variables variables;
	struct elf_builder elf;

	elf_builder_init(&elf);
	elf.slots[2] = 0x1000;
	elf.slots[3] = (uint64_t)-64;
	other = map_code(elf_builder_file(&elf, sizeof(elf)), sizeof(elf));
	look_at(*state, getpid(), &variables);
	assert_int_equal(variables.descriptor.count, 2);
	unmap(one);
	unmap(other);
}

static void variable_of_another_form_is_told_with_its_form(void **state)
{
	static const struct {
		const char *name;
		uint32_t form;
	} others[] = {
		{ "otel_thread_ctx_nodejs_v1", TAG_FORM_NODEJS },
		{ "elastic_apm_profiling_correlation_tls_v1", TAG_FORM_ELASTIC },
		{ "custom_labels_current_set", TAG_FORM_LABELS },
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct mapping library = map_library(others[i].name);
		struct process_variables variables;
		struct event_process process = look_at(*state, getpid(), &variables);

		assert_int_equal(process.publish, PUBLISH_TAGS);
		assert_int_equal(variables.descriptor.form, others[i].form);
		assert_non_null(strstr(process.variable, others[i].name));
		unmap(library);
	}
}

static void best_form_is_taken(void **state)
{
	struct mapping nodejs = map_library("otel_thread_ctx_nodejs_v1");
	struct mapping native = map_library("otel_thread_ctx_v1");
	struct process_variables variables;

	look_at(*state, getpid(), &variables);
	assert_int_equal(variables.descriptor.form, TAG_FORM_RECORD);
	assert_int_equal(variables.descriptor.count, 1);
	unmap(native);
	unmap(nodejs);
}

/* Devices are never opened, garbage is skipped, and what lies beside it is still found. */
static void strange_mappings_do_no_harm(void **state)
{
	struct mapping library = map_library("otel_thread_ctx_v1");
	struct mapping device = map_code(open("/dev/zero", O_RDONLY), 4096);
	struct mapping garbage = map_code(elf_builder_file("garbage", 7), 4096);
	struct mapping magic = map_code(elf_builder_file(ELFMAG "\2\1", 6), 4096);
	struct process_variables variables;
	struct event_process process = look_at(*state, getpid(), &variables);

	assert_int_equal(process.publish, PUBLISH_TAGS);
	unmap(library);
	unmap(device);
	unmap(garbage);
	unmap(magic);
}

/* The mapping of a process context; its payload is borrowed. */
static uint64_t *map_context(const char *payload, size_t bytes)
{
	int fd = memfd_create("OTEL_CTX", MFD_CLOEXEC);
	uint64_t *header;

	assert_int_equal(ftruncate(fd, 4096), 0);
	header = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	assert_true(header != MAP_FAILED);
	close(fd);
	memcpy(header, "OTEL_CTX", 8);
	header[1] = 2 | (uint64_t)bytes << 32;
	header[2] = 1;
	header[3] = (uint64_t)(uintptr_t)payload;
	return header;
}

static void context_of_the_process_is_told(void **state)
{
	/* ProcessContext{1: Resource{1: {service.name: shop}}}, then a schema in field 2 */
	static const char payload[] =
		"\x0a\x18\x0a\x16\x0a\x0cservice.name\x12\x06\x0a\x04shop"
		"\x12\x23\x0a\x1athreadlocal.schema_version\x12\x05\x0a\x03new";
	uint64_t *header = map_context(payload, 26); /* without the schema */
	struct process_variables variables;
	struct event_process process = look_at(*state, getpid(), &variables);

	assert_string_equal(process.service_name, "shop");
	assert_int_equal(process.publish, PUBLISH_NOTHING);
	header[1] = 2 | (uint64_t)(sizeof(payload) - 1) << 32;
	process = look_at(*state, getpid(), &variables);
	assert_int_equal(process.publish, PUBLISH_UNSUPPORTED);
	assert_string_equal(process.variable, "schema \"new\" is not known");
	munmap(header, 4096);
}

/* The other library only has the variable. */
static void form_that_the_process_names_is_taken(void **state)
{
	static const char payload[] =
		"\x12\x2d\x0a\x1athreadlocal.schema_version\x12\x0f\x0a\x0dnodejs_v1_dev";
	struct mapping native = map_library("otel_thread_ctx_v1");
	struct mapping nodejs = map_library("otel_thread_ctx_nodejs_v1");
	uint64_t *header = map_context(payload, sizeof(payload) - 1);
	struct process_variables variables;

	look_at(*state, getpid(), &variables);
	assert_int_equal(variables.descriptor.form, TAG_FORM_NODEJS);
	assert_int_equal(variables.descriptor.count, 1);
	munmap(header, 4096);
	look_at(*state, getpid(), &variables);
	assert_int_equal(variables.descriptor.form, TAG_FORM_RECORD);
	unmap(native);
	unmap(nodejs);
}

static void process_that_ended_is_gone(void **state)
{
	struct process_variables variables = { 0 };
	struct event_process process;
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	assert_true(child > 0);
	waitid(P_PID, (id_t)child, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	assert_int_equal(process_look(*state, (uint32_t)child, &process, &variables), -EAGAIN);
	waitpid(child, NULL, 0);
	assert_int_equal(process_look(*state, (uint32_t)child, &process, &variables), -ESRCH);
}

static void kernel_thread_is_no_process(void **state)
{
	struct process_variables variables = { 0 };
	struct event_process process;

	if (getpgid(2) != 0)
		skip(); /* a pid namespace of our own: 2 is somebody else */
	assert_int_equal(process_look(*state, 2, &process, &variables), -ENOEXEC);
}

/* As a user without rights, looking at a process of root's. */
static void unreadable_process_is_told_with_its_error(void **state)
{
	pid_t child;
	int status;

	if (geteuid() != 0)
		skip();
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct process_variables variables = { 0 };
		struct event_process process = { 0 };
		int rc = setgid(65534) || setuid(65534);

		if (rc == 0)
			rc = process_look(*state, (uint32_t)getppid(), &process, &variables);
		_exit(rc || process.publish != PUBLISH_UNREADABLE ||
		      (process.error != -EACCES && process.error != -EPERM) || !process.comm[0]);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(process_without_variable_publishes_nothing),
		cmocka_unit_test(unnamed_file_is_read_through_its_mapping),
		cmocka_unit_test(image_in_memory_says_the_same),
		cmocka_unit_test(library_that_went_is_forgotten),
		cmocka_unit_test(slot_that_is_empty_is_looked_at_again),
		cmocka_unit_test(half_mapped_library_is_looked_at_again),
		cmocka_unit_test(two_libraries_make_two_variables),
		cmocka_unit_test(variable_of_another_form_is_told_with_its_form),
		cmocka_unit_test(best_form_is_taken),
		cmocka_unit_test(strange_mappings_do_no_harm),
		cmocka_unit_test(context_of_the_process_is_told),
		cmocka_unit_test(form_that_the_process_names_is_taken),
		cmocka_unit_test(process_that_ended_is_gone),
		cmocka_unit_test(kernel_thread_is_no_process),
		cmocka_unit_test(unreadable_process_is_told_with_its_error),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
