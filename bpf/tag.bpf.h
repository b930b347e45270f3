/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reads what the current thread publishes, whatever its form (tag.h). Its memory is hostile: every
 * pointer goes through a user read, which refuses kernel addresses and never sleeps. */
#pragma once

#include "bpf/maps.bpf.h"
#include "bpf/tag_labels.bpf.h"
#include "bpf/tag_nodejs.bpf.h"

/* What a thread keeps of its process's descriptor, for the form that nearly all have. */
struct tag_reader {
	__s64 offset; /* from TP, if is_plain */
	__u32 generation;
	__u8 is_plain;     /* else the descriptor is looked up each time */
	__u8 is_near;      /* this thread's record lay right behind the variable */
	__u8 has_changes;  /* the process's threads keep logs of changes */
	__u8 is_asked : 1; /* this thread's record was looked at for a log ... */
	__u8 is_news : 1;  /* ... that the descriptor does not know of yet */
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

/* The address of the variable in this thread. */
static __always_inline int
tag_find_variable(__u64 thread_pointer, const struct tag_variable *variable, __u64 *out_address)
{
	__u64 block = thread_pointer;

	if (variable->access != TAG_STATIC) {
		int outcome = tag_dynamic_block(thread_pointer, variable, &block);

		if (outcome != TAG_IS_SET)
			return outcome;
	}
	*out_address = block + variable->offset;
	return TAG_IS_SET;
}

/* Elastic's agent: ids beside flags, none of them aligned. */
__noinline int tag_read_elastic(__u64 address, struct tag_desk *desk, struct tag_record *out_record)
{
	if (!desk || !out_record)
		return TAG_IS_NONE;
	struct tag_elastic *elastic = &desk->elastic;

	if (bpf_probe_read_user(elastic, sizeof(*elastic), (void *)address))
		return TAG_IS_FAULTING;
	if (!elastic->valid)
		return TAG_IS_INVALID;
	if (!elastic->has_trace)
		return TAG_IS_NONE;
	__builtin_memcpy(out_record->trace_id, elastic->trace_id, sizeof(elastic->trace_id));
	__builtin_memcpy(out_record->span_id, elastic->span_id, sizeof(elastic->span_id));
	return labels_judge(out_record);
}

/* What the variable at `address` leads to, in the forms that are not OTEP 4947's. Functions
 * that are global the verifier looks at once, and not once for each way to them. */
__noinline int tag_read_form(__u64 address, const struct tag_descriptor *descriptor,
			     struct tag_desk *desk, struct tag_record *out_record)
{
	__u64 pointer;

	if (!descriptor || !desk || !out_record)
		return TAG_IS_NONE;
	if (descriptor->form == TAG_FORM_NODEJS)
		return tag_read_nodejs(address, desk, out_record);
	if (descriptor->form == TAG_FORM_GO)
		return tag_read_go(address, &descriptor->go, desk, out_record);
	if (bpf_probe_read_user(&pointer, 8, (void *)address))
		return TAG_IS_FAULTING;
	if (!pointer)
		return TAG_IS_NONE;
	return descriptor->form == TAG_FORM_ELASTIC ? tag_read_elastic(pointer, desk, out_record)
						    : tag_read_labels(pointer, desk, out_record);
}

/* The record, and the head of the log of changes that lies behind it and its attributes. A read of
 * both costs no more than one. */
static __always_inline int tag_read_both(__u64 address, bool has_changes, struct tag_reading *out)
{
	int outcome;

	if (has_changes && !bpf_probe_read_user(out, sizeof(*out), (void *)address)) {
		out->is_there = 1;
		outcome = tag_judge_record(&out->record);
		if (!out->record.attrs_bytes)
			return outcome;
	} else {
		outcome = tag_read_record(address, &out->record);
		out->is_there = outcome != TAG_IS_FAULTING;
	}
	out->changes.signature = 0;
	if (!has_changes || !out->is_there)
		return outcome;
	address += TAG_CHANGES_OFFSET + ((__u64)(out->record.attrs_bytes + 3) & ~7ull);
	if (bpf_probe_read_user(&out->changes, sizeof(out->changes), (void *)address))
		out->changes.signature = 0;
	return outcome;
}

/* OTEP 4947's own form: the variable points to the record. */
static __always_inline int tag_follow(__u64 address, bool has_changes, struct tag_reading *out)
{
	__u64 record;

	if (bpf_probe_read_user(&record, 8, (void *)address))
		return TAG_IS_FAULTING;
	return record ? tag_read_both(record, has_changes, out) : TAG_IS_NONE;
}

/* A program says late that it keeps logs, in its process context; the first record of a thread
 * shows it at once. */
static __always_inline int tag_ask(__u64 address, struct tag_reader *reader,
				   struct tag_reading *reading)
{
	int outcome = tag_read_both(address, true, reading);

	if (!reading->is_there)
		return outcome;
	reader->is_asked = 1;
	reader->has_changes = reading->changes.signature == TAG_CHANGES_SIGNATURE;
	reader->is_news = reader->has_changes;
	return outcome;
}

/* What nearly all do: one variable, at a fixed distance from TP. Many writers keep the record right
 * behind it, and a read of user memory costs the same for 36 bytes as for 8. To where it is read,
 * matters: what is no part of the thread's stack costs 10 to 30 ns more, and no frame of 64 bytes
 * or more is, since 6.13. Hence a function of its own. */
static __noinline int tag_read_plain(__u64 address, struct tag_reader *reader,
				     struct tag_reading *out)
{
	struct {
		__u64 pointer;
		struct tag_record record;
	} near;
	__u32 bytes = sizeof(near.pointer) + (reader->is_near ? sizeof(near.record) : 0);

	if (bpf_probe_read_user(&near, bytes, (void *)address))
		return TAG_IS_FAULTING;
	if (!near.pointer)
		return TAG_IS_NONE;
	if (!reader->is_asked)
		return tag_ask(near.pointer, reader, out);
	if (!reader->is_near || near.pointer != address + sizeof(near.pointer)) {
		reader->is_near = near.pointer == address + sizeof(near.pointer);
		if (bpf_probe_read_user(&near.record, sizeof(near.record), (void *)near.pointer))
			return TAG_IS_FAULTING;
	}
	out->is_there = 1;
	out->record = near.record;
	return tag_judge_record(&near.record);
}

/* The same, of a thread that keeps a log, with that one's head. */
static __noinline int tag_read_logged(__u64 address, struct tag_reader *reader,
				      struct tag_reading *out)
{
	struct {
		__u64 pointer;
		struct tag_reading reading;
	} near;
	__u32 bytes = sizeof(near.pointer) + (reader->is_near ? sizeof(near.reading) : 0);

	if (bpf_probe_read_user(&near, bytes, (void *)address))
		return TAG_IS_FAULTING;
	if (!near.pointer)
		return TAG_IS_NONE;
	if (!reader->is_near || near.pointer != address + sizeof(near.pointer) ||
	    near.reading.record.attrs_bytes) {
		reader->is_near = near.pointer == address + sizeof(near.pointer);
		return tag_read_both(near.pointer, true, out);
	}
	*out = near.reading;
	out->is_there = 1;
	return tag_judge_record(&near.reading.record);
}

/* The rare forms, out of line. The first variable that is set wins; what kept another one from
 * being read is told only if none is. */
__noinline int tag_read_rare(__u64 thread_pointer, __u32 pid, __u32 user, struct tag_reading *out)
{
	struct tag_descriptor *descriptor = bpf_map_lookup_elem(&descriptors, &pid);
	struct tag_desk *desk = this_desk(user);
	int worst = TAG_IS_NONE;

	if (!descriptor || !desk || !out)
		return TAG_IS_NONE;
	__builtin_memset(out, 0, sizeof(*out));
	for (__u32 i = 0; i < TAG_MAX_VARIABLES && i < descriptor->count; i++) {
		__u64 address;
		int outcome =
			tag_find_variable(thread_pointer, &descriptor->variables[i], &address);

		if (outcome == TAG_IS_SET)
			outcome = descriptor->form == TAG_FORM_RECORD
					  ? tag_follow(address, descriptor->has_changes, out)
					  : tag_read_form(address, descriptor, desk, &out->record);
		if (outcome == TAG_IS_SET)
			return TAG_IS_SET;
		if (outcome != TAG_IS_NONE && worst != TAG_IS_FAULTING)
			worst = outcome;
	}
	return worst;
}

/* To the reading at the user's desk: `is_there` and `changes.signature` are set in any case. */
static __always_inline int tag_read(struct task_struct *current, struct tag_reader *reader,
				    enum tag_desk_user user, struct tag_reading *out)
{
	__u64 thread_pointer = task_thread_pointer(current);

	out->is_there = 0;
	out->changes.signature = 0;
	if (!thread_pointer)
		return TAG_IS_NONE;
	if (!reader->is_plain)
		return tag_read_rare(thread_pointer, LOAD(current, tgid), user, out);
	return reader->has_changes ? tag_read_logged(thread_pointer + reader->offset, reader, out)
				   : tag_read_plain(thread_pointer + reader->offset, reader, out);
}

static __always_inline bool same_tag(const void *a, const void *b)
{
	const __u64 *left = a, *right = b;

	return left[0] == right[0] && left[1] == right[1] && left[2] == right[2];
}

/* Takes over what the process's descriptor says. Rare, hence not inline. */
static __noinline int tag_renew_reader(struct tag_reader *reader, __u32 pid)
{
	/* Before the descriptor: one that is replaced meanwhile is taken over at the next hook. */
	__u32 generation = *(volatile __u32 *)&shared.generation;
	struct tag_descriptor *descriptor = bpf_map_lookup_elem(&descriptors, &pid);

	if (!reader)
		return 0;
	reader->generation = generation;
	reader->is_plain = descriptor && descriptor->is_plain;
	if (descriptor && descriptor->has_changes) /* who keeps a log does not end it */
		reader->has_changes = 1;
	if (reader->is_plain)
		reader->offset = descriptor->variables[0].offset;
	return 0;
}
