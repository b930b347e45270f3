/* SPDX-License-Identifier: Apache-2.0 */
/* Reads back the process context of OTEP 4719 through /proc/self/maps, as a reader does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "deploy/instrument/c/spanwise_context.h"

struct header {
	char signature[8];
	uint32_t version, payload_bytes;
	uint64_t published_at_ns, payload;
};

/* The one mapping of that name; NULL if there is none. */
static const struct header *find(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	const struct header *found = NULL;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (!strstr(line, "/memfd:OTEL_CTX") && !strstr(line, "[anon:OTEL_CTX]"))
			continue;
		assert_null(found);
		found = (const struct header *)(uintptr_t)strtoull(line, NULL, 16);
	}
	fclose(maps);
	return found;
}

static bool payload_has(const struct header *header, const char *text)
{
	return memmem((const void *)(uintptr_t)header->payload, header->payload_bytes, text,
		      strlen(text)) != NULL;
}

static void is_found_and_decodes(void **state)
{
	const struct header *header;

	(void)state;
	assert_null(find());
	assert_string_equal(spanwise_instance_id(), "");
	assert_int_equal(spanwise_process_init("shop", "11111111-2222"), 0);
	header = find();
	assert_non_null(header);
	assert_memory_equal(header->signature, "OTEL_CTX", 8);
	assert_int_equal(header->version, 2);
	assert_true(header->published_at_ns != 0);
	/* KeyValue {"service.name", AnyValue {"shop"}}, byte by byte. */
	assert_true(payload_has(header, "\x0a\x16\x0a\x0cservice.name\x12\x06\x0a\x04shop"));
	assert_true(payload_has(header, "\x0a\x13service.instance.id\x12\x0f\x0a\x0d"
					"11111111-2222"));
	assert_true(payload_has(header, "\x0a\x1athreadlocal.schema_version\x12\x10\x0a\x0e"
					"tlsdesc_v1_dev"));
	assert_true(payload_has(header, "\x0a\x1dthreadlocal.attribute_key_map\x12\x02\x2a"));
}

static void an_update_has_a_new_time_and_the_same_place(void **state)
{
	const struct header *header = find();
	uint64_t before = header->published_at_ns;

	(void)state;
	assert_int_equal(spanwise_process_init("a longer service name", NULL), 0);
	assert_ptr_equal(find(), header);
	assert_true(header->published_at_ns > before);
	assert_true(payload_has(header, "a longer service name"));
	assert_false(payload_has(header, "11111111-2222"));
	assert_int_equal(strlen(spanwise_instance_id()), 36);
	assert_true(payload_has(header, spanwise_instance_id()));
}

static void the_longest_values_fit_and_longer_ones_are_refused(void **state)
{
	char longest[SPANWISE_VALUE_MAX + 2];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[SPANWISE_VALUE_MAX + 1] = '\0';
	assert_int_equal(spanwise_process_init(longest, "id"), -E2BIG);
	assert_int_equal(spanwise_process_init("shop", longest), -E2BIG);
	longest[SPANWISE_VALUE_MAX] = '\0';
	assert_int_equal(spanwise_process_init(longest, longest), 0);
	assert_true(payload_has(find(), longest));
}

static int child_has_its_own(const char *parents_id)
{
	const struct header *header = find();

	if (!header || header->version != 2 || header->published_at_ns == 0)
		return 1;
	if (strcmp(spanwise_instance_id(), parents_id) == 0)
		return 2;
	return payload_has(header, spanwise_instance_id()) && payload_has(header, "shop") ? 0 : 3;
}

static void a_forked_child_publishes_an_identity_of_its_own(void **state)
{
	char parents_id[SPANWISE_VALUE_MAX + 1];
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(spanwise_process_init("shop", NULL), 0);
	snprintf(parents_id, sizeof(parents_id), "%s", spanwise_instance_id());
	child = fork();
	if (child == 0)
		_exit(child_has_its_own(parents_id));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(WIFEXITED(status));
	assert_string_equal(spanwise_instance_id(), parents_id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_found_and_decodes),
		cmocka_unit_test(an_update_has_a_new_time_and_the_same_place),
		cmocka_unit_test(the_longest_values_fit_and_longer_ones_are_refused),
		cmocka_unit_test(a_forked_child_publishes_an_identity_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
