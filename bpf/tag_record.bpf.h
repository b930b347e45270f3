/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The record of OTEP 4947, which several forms lead to, and what became of reading one. */
#pragma once

#include "bpf/vmlinux.h"

#include "bpf/tag.h"
#include "bpf/task.bpf.h"

enum tag_outcome {
	TAG_IS_NONE = 0,
	TAG_IS_SET,      /* read, valid, and not zero */
	TAG_IS_FAULTING, /* a page was not there */
	TAG_IS_INVALID,  /* a record whose `valid` is not 1: detached, or half written ... */
	TAG_IS_CLEARED,  /* ... or, as it says itself, detached for sure */
};

static __always_inline int tag_judge_record(const struct tag_record *record)
{
	const __u64 *ids = (const __u64 *)record;

	if (record->valid != 1)
		return !(ids[0] | ids[1] | ids[2]) && record->trace_flags & TAG_SHOWS_NONE
			       ? TAG_IS_CLEARED
			       : TAG_IS_INVALID;
	return (ids[0] | ids[1]) && ids[2] ? TAG_IS_SET : TAG_IS_NONE;
}

static __always_inline int tag_read_record(__u64 address, struct tag_record *out_record)
{
	if (bpf_probe_read_user(out_record, sizeof(*out_record), (void *)address))
		return TAG_IS_FAULTING;
	return tag_judge_record(out_record);
}
