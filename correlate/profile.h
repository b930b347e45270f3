/* SPDX-License-Identifier: Apache-2.0 */
/* A profile: amounts by stack, each distinct frame name and each distinct stack held once, as a
 * tree.
 *
 * A reader interns frames, walks from PROFILE_ROOT to the leaf, and adds the stack's values there;
 * it never holds the file. Children always have higher numbers than their parents. Memory grows
 * with what is distinct, up to a limit. Deterministic; not thread safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"
#include "correlate/profile_text.h"

#define PROFILE_MAX_TYPES 8
#define PROFILE_MAX_DEPTH 2048 /* frames of one stack; the leaf's side is cut beyond it */
#define PROFILE_MAX_NAME  4096 /* bytes of a frame's name that are kept */
#define PROFILE_MAX_BYTES ((size_t)3 << 30)
#define PROFILE_ROOT      0u
#define PROFILE_NONE      UINT32_MAX

enum profile_kind {
	PROFILE_CPU,
	PROFILE_OFF_CPU, /* waiting */
	PROFILE_WALL,    /* both at once */
	PROFILE_INUSE,   /* heap: what is reachable */
	PROFILE_ALLOC,   /* heap: what was ever allocated */
	PROFILE_OTHER,
};

struct profile_type {
	char name[40];      /* "cpu", "inuse_space" */
	char unit_name[24]; /* as the file has it */
	enum profile_unit unit;
	double factor; /* to be multiplied with values, to be in `unit` */
	enum profile_kind kind;
};

struct profile_frame {
	uint64_t offset; /* of its name in `text` */
	uint32_t len;
	uint32_t hash;
};

struct profile_node {
	uint32_t parent;
	uint32_t frame;
	uint32_t value; /* index into `values`, in steps of type_count; PROFILE_NONE: only passed
			   through */
};

/* What the reader noticed; everything here is said to the user. */
struct profile_notes {
	uint64_t stacks;         /* as they came, before equal ones were joined */
	uint64_t bad_records;    /* skipped: not in the format */
	uint64_t first_bad_line; /* 0: none, or the format has no lines */
	uint64_t cut_stacks;     /* deeper than PROFILE_MAX_DEPTH */
	uint64_t other_events;   /* perf script: of events other than the first */
	uint64_t inlined_frames;
	bool is_truncated; /* the file ends in the middle */
};

struct profile {
	struct profile_type types[PROFILE_MAX_TYPES];
	unsigned type_count;
	unsigned default_type;
	char period_type[40], period_unit[24];
	int64_t period; /* 0: not known */
	uint64_t time_unix_ns, duration_ns;
	struct profile_notes notes;

	struct profile_frame *frames; /* owned, as all below */
	uint32_t frame_count, frame_cap;
	char *text;
	size_t text_len, text_cap;
	struct profile_node *nodes;
	uint32_t node_count, node_cap;
	int64_t *values;
	uint32_t value_count, value_cap;
	uint32_t *frame_slots, *node_slots; /* hash tables of numbers; PROFILE_NONE: free */
	size_t frame_slot_count, node_slot_count;
	size_t bytes, limit_bytes;
};

/* `limit_bytes` 0: PROFILE_MAX_BYTES. -ENOMEM. */
int profile_init(struct profile *profile, size_t limit_bytes);
void profile_fini(struct profile *profile);

/* Another value that each stack has; before the first stack. -E2BIG: more than PROFILE_MAX_TYPES.
 */
int profile_add_type(struct profile *profile, struct str name, struct str unit);
/* What a type's name and unit say about its kind. */
enum profile_kind profile_kind_of(struct str name, struct str unit);
const char *profile_kind_name(enum profile_kind kind);
/* The type by this name; PROFILE_NONE. */
uint32_t profile_find_type(const struct profile *profile, const char *name);
/* The number of a sample: the "samples" or "contentions" beside `type`, or `type` divided by the
 * period; PROFILE_NONE where neither is there. */
uint32_t profile_count_type(const struct profile *profile, unsigned type);

/* The number of a frame's name. -ENOMEM; -EMSGSIZE: the limit. */
int profile_frame(struct profile *profile, struct str name, uint32_t *out_frame);
/* The child of `parent` with this frame; finds or makes. The same errors. */
int profile_child(struct profile *profile, uint32_t parent, uint32_t frame, uint32_t *out_node);
/* Adds type_count values to the stack that ends at `node`. Sums stop at the ends of int64. */
int profile_add(struct profile *profile, uint32_t node, const int64_t *values);

/* No more stacks will come: gives back what only adding needs. */
void profile_seal(struct profile *profile);

struct str profile_frame_name(const struct profile *profile, uint32_t frame);
/* 0 where the stack is only passed through. */
int64_t profile_self(const struct profile *profile, uint32_t node, unsigned type);
/* The sum over all stacks, in the type's unit. */
double profile_total(const struct profile *profile, unsigned type);
