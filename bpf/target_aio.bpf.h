/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What io_getevents waits for where it is no disk: descriptors that were asked for news of
 * (IOCB_CMD_POLL: an event loop of Seastar's kind). The kernel keeps a list of what can be
 * cancelled, which reads and writes of files cannot. */
#pragma once

#include "bpf/target_file.bpf.h"

struct kioctx {
	unsigned long user_id;
	struct list_head active_reqs;
} __attribute__((preserve_access_index));

struct kioctx_table {
	unsigned int nr;
	struct kioctx *table[];
} __attribute__((preserve_access_index));

struct aio_kiocb {
	struct file *ki_filp;
	struct list_head ki_list;
} __attribute__((preserve_access_index));

struct mm_struct___aio {
	struct kioctx_table *ioctx_table;
} __attribute__((preserve_access_index));

/* The context that the user knows by the address of its ring, in which its index stands first. */
static __always_inline __u64 aio_context(struct task_struct *task, __u64 ring)
{
	struct mm_struct___aio *mm = (void *)BPF_CORE_READ(task, mm);
	struct kioctx *context = 0;
	__u32 index;

	if (!mm || !bpf_core_field_exists(mm->ioctx_table) ||
	    !bpf_core_field_exists(context->active_reqs) ||
	    bpf_probe_read_user(&index, sizeof(index), (void *)ring))
		return 0;
	struct kioctx_table *table = BPF_CORE_READ(mm, ioctx_table);

	if (!table || index >= BPF_CORE_READ(table, nr))
		return 0;
	__u64 places = (__u64)table + bpf_core_field_offset(struct kioctx_table, table);

	bpf_probe_read_kernel(&context, sizeof(context), (void *)(places + 8 * index));
	if (!context || BPF_CORE_READ(context, user_id) != ring)
		return 0;
	return (__u64)context;
}

/* Of one descriptor it is that one; of several, a poller. */
__noinline int target_aio(__u64 ring, struct event_target *target)
{
	__u64 context = aio_context(task_current(), ring);

	if (!target || !context)
		return 0;
	__u64 head = context + bpf_core_field_offset(struct kioctx, active_reqs);
	__u64 first = (__u64)BPF_CORE_READ((struct list_head *)head, next);
	__u64 last = (__u64)BPF_CORE_READ((struct list_head *)head, prev);

	if (!first || first == head)
		return 0;
	__u64 request = first - bpf_core_field_offset(struct aio_kiocb, ki_list);
	__u64 file = (__u64)BPF_CORE_READ((struct aio_kiocb *)request, ki_filp);

	if (first == last && file)
		target_file_at(file, target);
	else
		target->kind = TARGET_ANON;
	return 0;
}
