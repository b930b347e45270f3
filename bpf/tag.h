/* SPDX-License-Identifier: Apache-2.0 */
/* Where a thread of a process keeps its current span (OTEP 4947): resolved in user space, read in
 * BPF.
 *
 * A variable `otel_thread_ctx_v1` is a thread-local pointer to a record. One process may have
 * several (libraries that were loaded with RTLD_LOCAL): the first that is not NULL and valid
 * counts. */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define TAG_MAX_VARIABLES 4

enum tag_access {
	TAG_STATIC = 1,    /* variable at TP + offset */
	TAG_DTV_GLIBC = 2, /* dtv at TP+8, entries of 16 bytes, [-1] capacity, [0] generation */
	TAG_DTV_MUSL = 3,  /* dtv at TP+8, entries of 8 bytes, [0] number of modules */
};

struct tag_variable {
	__u32 access;     /* enum tag_access */
	__u32 module;     /* of the DTV forms */
	__s64 offset;     /* from TP, or within the module's block */
	__u64 generation; /* glibc: entries of an older DTV generation are stale; 0: do not check */
};

struct tag_descriptor {
	__u32 count;
	__u32 pad;
	struct tag_variable variables[TAG_MAX_VARIABLES];
};

/* The record's head, as the OTEP lays it out. */
struct tag_record {
	__u8 trace_id[16];
	__u8 span_id[8];
	__u8 valid; /* exactly 1 */
	__u8 trace_flags;
	__u16 attrs_bytes;
};

_Static_assert(sizeof(struct tag_variable) == 24, "shared with BPF");
_Static_assert(sizeof(struct tag_descriptor) == 104, "shared with BPF");
_Static_assert(sizeof(struct tag_record) == 28, "OTEP 4947");
