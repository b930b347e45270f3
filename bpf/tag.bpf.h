/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reads what the current thread publishes (tag.h). Its memory is hostile: every pointer goes
 * through a user read, which refuses kernel addresses and never sleeps. */
#pragma once

#include "bpf/vmlinux.h"

#include "bpf/tag.h"
#include "bpf/task.bpf.h"

enum tag_outcome {
	TAG_IS_NONE = 0,
	TAG_IS_SET,      /* read, valid, and not zero */
	TAG_IS_FAULTING, /* a page was not there */
	TAG_IS_INVALID,  /* a record whose `valid` is not 1: detached, or half written */
};

#define TAG_MAX_MODULE 65536 /* no process loads more libraries; keeps products small */

/* glibc: {capacity, -}, {generation, -}, then one 16-byte entry for each module. */
static __always_inline int tag_glibc_block(__u64 dtv, const struct tag_variable *variable,
					   __u64 *out_block)
{
	__u64 head[3];

	if (bpf_probe_read_user(head, sizeof(head), (void *)(dtv - 16)))
		return TAG_IS_FAULTING;
	if (variable->module > head[0] || head[2] < variable->generation)
		return TAG_IS_NONE;
	if (bpf_probe_read_user(out_block, 8, (void *)(dtv + 16ull * variable->module)))
		return TAG_IS_FAULTING;
	return *out_block == 0 || *out_block == ~0ull ? TAG_IS_NONE : TAG_IS_SET;
}

/* musl: the number of modules, then one 8-byte entry for each. */
static __always_inline int tag_musl_block(__u64 dtv, const struct tag_variable *variable,
					  __u64 *out_block)
{
	__u64 modules;

	if (bpf_probe_read_user(&modules, 8, (void *)dtv))
		return TAG_IS_FAULTING;
	if (variable->module > modules)
		return TAG_IS_NONE;
	if (bpf_probe_read_user(out_block, 8, (void *)(dtv + 8ull * variable->module)))
		return TAG_IS_FAULTING;
	return *out_block ? TAG_IS_SET : TAG_IS_NONE;
}

/* Out of line: the rare forms must not swell the common path. */
static __noinline int tag_dynamic_block(__u64 thread_pointer, const struct tag_variable *variable,
					__u64 *out_block)
{
	__u64 dtv;

	if (!variable || !out_block || variable->module == 0 || variable->module > TAG_MAX_MODULE)
		return TAG_IS_NONE;
	if (bpf_probe_read_user(&dtv, 8, (void *)(thread_pointer + 8)))
		return TAG_IS_FAULTING;
	if (variable->access == TAG_DTV_GLIBC)
		return tag_glibc_block(dtv, variable, out_block);
	if (variable->access == TAG_DTV_MUSL)
		return tag_musl_block(dtv, variable, out_block);
	return TAG_IS_NONE;
}

static __always_inline int tag_read_variable(__u64 thread_pointer,
					     const struct tag_variable *variable,
					     struct tag_record *out_record)
{
	__u64 block = thread_pointer, record;
	const __u64 *ids = (const __u64 *)out_record;

	if (variable->access != TAG_STATIC) {
		int outcome = tag_dynamic_block(thread_pointer, variable, &block);

		if (outcome != TAG_IS_SET)
			return outcome;
	}
	if (bpf_probe_read_user(&record, 8, (void *)(block + variable->offset)))
		return TAG_IS_FAULTING;
	if (!record)
		return TAG_IS_NONE;
	if (bpf_probe_read_user(out_record, sizeof(*out_record), (void *)record))
		return TAG_IS_FAULTING;
	if (out_record->valid != 1)
		return TAG_IS_INVALID;
	return (ids[0] | ids[1]) && ids[2] ? TAG_IS_SET : TAG_IS_NONE;
}

/* The first variable that is set wins; what kept another one from being read is told only if none
 * is. */
static __always_inline int tag_read(struct task_struct *current,
				    const struct tag_descriptor *descriptor,
				    struct tag_record *out_record)
{
	__u64 thread_pointer = task_thread_pointer(current);
	int worst = TAG_IS_NONE;

	if (!thread_pointer)
		return TAG_IS_NONE;
	for (__u32 i = 0; i < TAG_MAX_VARIABLES; i++) {
		if (i >= descriptor->count)
			break;
		int outcome =
			tag_read_variable(thread_pointer, &descriptor->variables[i], out_record);

		if (outcome == TAG_IS_SET)
			return TAG_IS_SET;
		if (outcome != TAG_IS_NONE && worst != TAG_IS_FAULTING)
			worst = outcome;
	}
	return worst;
}
