/* SPDX-License-Identifier: Apache-2.0 */
/* A profile: amounts by stack, each distinct frame name and each distinct stack held once; in the
 * end as a tree.
 *
 * A reader interns frames and whole stacks and adds values to these; it never holds the file. One
 * look-up a stack, not one a frame: large profiles are slow by the misses of the cache.
 * profile_seal sorts the stacks and makes the tree, in preorder: a node's descendants follow it at
 * once. Memory grows with what is distinct, up to a limit. Deterministic; not thread safe.
 *
 *   profile_init -> { profile_frame ..., profile_stack, profile_add } ... -> profile_seal
 *                -> anything that reads -> profile_fini */
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
	PROFILE_THREADS, /* how many threads or goroutines stand where */
	PROFILE_OTHER,
};

struct profile_type {
	char name[40];      /* "cpu", "inuse_space" */
	char unit_name[24]; /* as the file has it */
	enum profile_unit unit;
	double factor; /* to be multiplied with values, to be in `unit` */
	enum profile_kind kind;
	bool is_kind_guessed, is_unit_guessed; /* the format does not tell */
};

struct profile_frame {
	uint64_t offset; /* of its name in `text` */
	uint32_t hash;
	uint16_t len;
	uint8_t seen; /* PROFILE_SEEN_*, for formats that tell */
};

#define PROFILE_SEEN_REAL    1
#define PROFILE_SEEN_INLINED 2

struct profile_node {
	uint32_t parent;
	uint32_t frame;
	uint32_t value; /* index into `values`, in steps of type_count; PROFILE_NONE: only passed
			   through */
};

/* A distinct stack, until the tree is made; its values have its number. */
struct profile_stack {
	uint32_t start; /* of its frames in `path`, root first */
	uint32_t count;
	uint32_t hash;
};

/* What the reader noticed; everything here is said to the user. */
struct profile_notes {
	uint64_t stacks;         /* as they came, before equal ones were joined */
	uint64_t bad_records;    /* skipped: not in the format */
	uint64_t first_bad_line; /* 0: none, or the format has no lines */
	uint64_t cut_stacks;     /* deeper than PROFILE_MAX_DEPTH */
	uint64_t other_events;   /* perf script: of events other than the first */
	uint64_t inlined_frames;
	double waiting_share; /* > 0: so much of it ends where threads wait, so it is no CPU
				 profile */
	bool is_truncated;    /* the file ends in the middle */
	bool is_of_spans;     /* stacks of requests alone: no idle thread is among them */
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
	struct profile_stack *stacks; /* until profile_seal, as `path` and the slots */
	uint32_t stack_count, stack_cap;
	uint32_t *path;
	uint32_t path_count, path_cap;
	uint32_t *frame_slots, *stack_slots; /* hash tables of numbers; PROFILE_NONE: free */
	size_t frame_slot_count, stack_slot_count;
	struct profile_node *nodes; /* from profile_seal on */
	uint32_t node_count;
	int64_t *values;
	uint32_t value_count, value_cap;
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
/* What a number of a type counts: "samples", "goroutines"; NULL: it has a unit, or nobody knows. */
const char *profile_noun(const struct profile_type *type);
/* The share of a type's amount that ends where threads wait (parked, asleep, polling). -ENOMEM. */
int profile_waiting_share(const struct profile *profile, unsigned type, double *out_share);
/* The type by this name; PROFILE_NONE. */
uint32_t profile_find_type(const struct profile *profile, const char *name);
/* The number of a sample: the "samples" or "contentions" beside `type`, or `type` divided by the
 * period; PROFILE_NONE where neither is there. */
uint32_t profile_count_type(const struct profile *profile, unsigned type);

/* The number of a frame's name. -ENOMEM; -EMSGSIZE: the limit. */
int profile_frame(struct profile *profile, struct str name, uint32_t *out_frame);
/* It was seen as a function of its own, or inlined into its caller. */
void profile_note_frame(struct profile *profile, uint32_t frame, bool is_inlined);
/* Never seen but inlined: its code lies in its caller's. */
bool profile_frame_is_inlined(const struct profile *profile, uint32_t frame);
/* The number of a stack, root first; finds or makes. Frames beyond PROFILE_MAX_DEPTH are cut. The
 * same errors. */
int profile_stack(struct profile *profile, const uint32_t *frames, uint32_t count,
		  uint32_t *out_stack);
/* Adds type_count values to a stack. Sums stop at the ends of int64. */
void profile_add(struct profile *profile, uint32_t stack, const int64_t *values);

/* No more stacks will come: makes the tree, and gives back what only adding needs. -ENOMEM;
 * -EMSGSIZE: the limit. */
int profile_seal(struct profile *profile);

/* All nodes of a sealed profile, each after its parent, with the frames that lead to it. */
struct profile_walk {
	const struct profile *profile;
	uint32_t next, node, depth; /* frames[0 .. depth - 1]: root first */
	uint32_t nodes[PROFILE_MAX_DEPTH], frames[PROFILE_MAX_DEPTH];
};

void profile_walk_init(struct profile_walk *walk, const struct profile *profile);
bool profile_walk_next(struct profile_walk *walk);

struct str profile_frame_name(const struct profile *profile, uint32_t frame);
/* 0 where the stack is only passed through. */
int64_t profile_self(const struct profile *profile, uint32_t node, unsigned type);
/* The sum over all stacks, in the type's unit. */
double profile_total(const struct profile *profile, unsigned type);
