/* SPDX-License-Identifier: Apache-2.0 */
/* Where a thread of a process keeps its current span, and in which form: resolved in user space,
 * read in BPF.
 *
 * A variable is thread-local. One process may have several (libraries that were loaded with
 * RTLD_LOCAL): the first that is set counts. All variables of a descriptor have one form. */
#pragma once

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define TAG_MAX_VARIABLES 4

/* What the variable holds; where a process has several forms, the first of these is taken. */
enum tag_form {
	TAG_FORM_RECORD = 0, /* otel_thread_ctx_v1 (OTEP 4947): a pointer to struct tag_record */
	TAG_FORM_NODEJS,     /* otel_thread_ctx_nodejs_v1: struct tag_nodejs */
	TAG_FORM_GO,         /* Go's current g; its labels as struct tag_go says */
	TAG_FORM_ELASTIC,    /* a pointer to struct tag_elastic */
	TAG_FORM_LABELS,     /* a pointer to a set of custom labels */
	TAG_FORMS,
};

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

/* Offsets inside Go's runtime structs: g -> m -> curg -> labels. */
struct tag_go {
	__u16 g_m;
	__u16 m_curg;
	__u16 g_labels;
	__u16 is_map; /* labels are a map (to Go 1.23); else a slice */
};

struct tag_descriptor {
	__u32 count;
	__u16 form;       /* enum tag_form */
	__u8 is_plain;    /* one static variable of OTEP 4947; set by programs_follow */
	__u8 has_changes; /* its threads keep logs of changes behind their records */
	struct tag_go go;
	struct tag_variable variables[TAG_MAX_VARIABLES];
};

/* In `trace_flags` of a record that is not valid and holds no ids: there is no span. Without it
 * such a record may be half written: its writer may have cleared the last ids, and be about to
 * write others (deploy/instrument/c/README.md). */
#define TAG_SHOWS_NONE 0x80

/* The record's head, as the OTEP lays it out. */
struct tag_record {
	__u8 trace_id[16];
	__u8 span_id[8];
	__u8 valid; /* exactly 1 */
	__u8 trace_flags;
	__u16 attrs_bytes;
};

#define TAG_CHANGES_SIGNATURE 0x31474e4843575053ull /* "SPWCHNG1" */
#define TAG_CHANGES_OFFSET    32                    /* from the record, if that has no attributes */

/* Exact mode: the head of the thread's log, a ring of struct event_change
 * (deploy/instrument/c/README.md). */
struct tag_changes {
	__u64 signature;
	__u64 ring; /* address */
	__u64 written;
	__u32 capacity; /* a power of two */
	__u32 reserved;
};

/* Both, as they lie in memory. */
struct tag_reading {
	struct tag_record record;
	__u32 is_there; /* in memory: padding; once read: the variable pointed to a record */
	struct tag_changes changes;
};

/* The variable of a Node add-on. Words of V8 are tagged: a pointer is one too high, a small integer
 * is shifted by 32. */
struct tag_nodejs {
	__u64 frame;         /* address of the isolate's current async context; 0: not active */
	__u64 storage;       /* address of a handle: the key of our entry in that context */
	__s32 storage_hash;  /* its identity hash */
	__u32 record_offset; /* of the record's address, in the entry's value; 0: an older form */
	__u64 undefined;     /* the isolate's undefined */
};

struct tag_elastic {
	__u8 minor_version[2];
	__u8 valid;
	__u8 has_trace;
	__u8 trace_flags;
	__u8 trace_id[16];
	__u8 span_id[8];
	__u8 transaction_id[8];
};

_Static_assert(sizeof(struct tag_variable) == 24, "shared with BPF");
_Static_assert(sizeof(struct tag_descriptor) == 112, "shared with BPF");
_Static_assert(sizeof(struct tag_record) == 28, "OTEP 4947");
_Static_assert(sizeof(struct tag_reading) == TAG_CHANGES_OFFSET + 32, "as its writers lay it out");
_Static_assert(sizeof(struct tag_nodejs) == 32, "as its writers lay it out");
_Static_assert(sizeof(struct tag_elastic) == 37, "as its writer lays it out");
