/* SPDX-License-Identifier: Apache-2.0 */
#include "types.h"

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
#include <cmocka.h>

struct btf *types_open(void)
{
	struct btf *types = btf__load_vmlinux_btf();

	assert_non_null(types);
	return types;
}

static __u32 name(struct btf *types, const char *text)
{
	int at = btf__add_str(types, text);

	assert_true(at > 0);
	return (__u32)at;
}

static bool is_called(const struct btf *types, __u32 offset, const char *text)
{
	return strcmp(btf__name_by_offset(types, offset), text) == 0;
}

/* What is asked for by name is a struct, or the typedef of a hook. */
void types_hide(struct btf *types, const char *type, const char *field)
{
	__u32 hidden = name(types, "hidden");

	for (__u32 id = 1; id < btf__type_cnt(types); id++) {
		struct btf_type *each = (struct btf_type *)btf__type_by_id(types, id);
		struct btf_member *member = btf_members(each);

		if ((!btf_is_struct(each) && !btf_is_typedef(each)) ||
		    !is_called(types, each->name_off, type))
			continue;
		if (!field)
			each->name_off = hidden;
		for (__u32 i = 0; field && i < btf_vlen(each); i++)
			if (is_called(types, member[i].name_off, field))
				member[i].name_off = hidden;
	}
}

void types_name_first(struct btf *types, const char *type, const char *field)
{
	__u32 named = name(types, field);
	int id = btf__find_by_name_kind(types, type, BTF_KIND_STRUCT);

	assert_true(id > 0);
	btf_members(btf__type_by_id(types, (__u32)id))->name_off = named;
}

void types_write(struct btf *types, char out_path[static TYPES_PATH_BYTES])
{
	__u32 bytes;
	const void *raw = btf__raw_data(types, &bytes);

	snprintf(out_path, TYPES_PATH_BYTES, "/tmp/spanwise-types-XXXXXX");
	int fd = mkstemp(out_path);

	assert_true(raw && fd >= 0);
	assert_int_equal(write(fd, raw, bytes), bytes);
	close(fd);
	btf__free(types);
}
