/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/kernel_types.h"

#include <stdio.h>
#include <string.h>

#include <bpf/btf.h>

bool kernel_types_have_hook(const struct btf *kernel, const char *name)
{
	char type[64];

	snprintf(type, sizeof(type), "btf_trace_%s", name);
	return btf__find_by_name_kind(kernel, type, BTF_KIND_TYPEDEF) > 0;
}

/* Then it has five parameters, the first of them hidden. */
bool kernel_types_pass_prev_state(const struct btf *kernel)
{
	int id = btf__find_by_name_kind(kernel, "btf_trace_sched_switch", BTF_KIND_TYPEDEF);
	const struct btf_type *type = id > 0 ? btf__type_by_id(kernel, id) : NULL;

	if (type)
		type = btf__type_by_id(kernel, type->type); /* the pointer */
	if (type && btf_is_ptr(type))
		type = btf__type_by_id(kernel, type->type);
	return type && btf_is_func_proto(type) && btf_vlen(type) >= 5;
}

/* The type of a struct's field, by name; "" if there is none. */
static const char *type_of_field(const struct btf *kernel, const char *name, const char *field)
{
	int id = btf__find_by_name_kind(kernel, name, BTF_KIND_STRUCT);
	const struct btf_type *type = id > 0 ? btf__type_by_id(kernel, id) : NULL;
	const struct btf_member *member = type ? btf_members(type) : NULL;

	for (__u32 i = 0; type && i < btf_vlen(type); i++, member++)
		if (!strcmp(btf__name_by_offset(kernel, member->name_off), field))
			return btf__name_by_offset(kernel,
						   btf__type_by_id(kernel, member->type)->name_off);
	return "";
}

/* A spinlock is then a mutex; and the ring had one up to 6.11 (8b62645b09f8), and in older stable
 * kernels until they took that over. */
bool kernel_types_ring_sleeps(const struct btf *kernel)
{
	return !strcmp(type_of_field(kernel, "spinlock", "lock"), "rt_mutex_base") &&
	       !strcmp(type_of_field(kernel, "bpf_ringbuf", "spinlock"), "spinlock_t");
}

static bool has_function(const struct btf *kernel, const char *name)
{
	return btf__find_by_name_kind(kernel, name, BTF_KIND_FUNC) > 0;
}

bool kernel_types_keep_cpu(const struct btf *kernel)
{
	return has_function(kernel, "bpf_preempt_disable") && has_function(kernel, "bpf_strcmp");
}

bool kernel_types_have_functions(const struct btf *kernel)
{
	return has_function(kernel, "bpf_rdonly_cast") &&
	       has_function(kernel, "bpf_preempt_disable") &&
	       has_function(kernel, "bpf_preempt_enable");
}

static void explain_no_btf(char *why, size_t why_bytes)
{
	snprintf(why, why_bytes,
		 "no /sys/kernel/btf/vmlinux that we may read: the kernel must be built with "
		 "CONFIG_DEBUG_INFO_BTF=y (all main distributions do since 2021), and /sys be "
		 "mounted");
}

static void explain_sleeping_ring(char *why, size_t why_bytes)
{
	snprintf(why, why_bytes,
		 "under PREEMPT_RT this kernel's BPF rings sleep where the scheduler must not: run "
		 "Linux 6.12 or newer, a stable one with the fix (Debian 12's 6.1 has it), or one "
		 "without PREEMPT_RT");
}

struct btf *kernel_types_open(char *why, size_t why_bytes)
{
	struct btf *kernel = btf__load_vmlinux_btf();

	if (!kernel) {
		explain_no_btf(why, why_bytes);
	} else if (kernel_types_ring_sleeps(kernel)) {
		explain_sleeping_ring(why, why_bytes);
		btf__free(kernel);
		kernel = NULL;
	}
	return kernel;
}
