/* SPDX-License-Identifier: Apache-2.0 */
/* Spans and ledgers on disk, found again by trace, by operation or by time.
 *
 * One writer thread, one that keeps order, many readers. Every call may block on the disk, so none
 * may be made from a loop thread. Failures are negative errno: -ENOSPC the disk or the map is full,
 * -EPROTO the folder is of a newer version (-EPROTOTYPE: of an older one), -EEXIST it belongs to
 * something else, -EBUSY another spanwise has it, -EBADMSG damaged. What store_commit has accepted
 * survives kill -9 and power loss. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "correlate/ledger.h"
#include "otlp/span.h"
#include "storage/omit.h"

struct store;
struct buf;

struct store_options {
	const char *path;
	uint64_t max_bytes;   /* oldest parts go when the folder exceeds it */
	uint64_t max_age_ns;  /* ... or are older than this, by commit time */
	uint64_t part_ns;     /* a part covers this much commit time; 1 hour */
	uint64_t index_bytes; /* memory of the youngest index run; 8 MiB */
	uint64_t map_bytes;   /* address space of a part; 0: chosen by max_bytes */
	bool read_only;       /* for command line tools on a folder nobody serves */
};

/* `now_unix_ns` everywhere: the caller's clock; the store has none. `out_message` gets a sentence
 * for the operator when opening fails. */
int store_open(const struct store_options *options, uint64_t now_unix_ns, struct store **out_store,
	       struct buf *out_message);
void store_close(struct store *store);

/* What one group commit writes: batches of spans, and settled ledgers. Either may be absent. All or
 * nothing. */
struct store_ledger_rows {
	const struct ledger *ledgers;
	size_t count;
};

/* A stack with names (collector/base/frame.h). */
struct store_stack {
	uint64_t id;
	struct str frames;
};

struct store_group {
	const struct span_batch *const *batches;
	size_t batch_count;
	/* By batch, then by resource: why its spans will never have figures (enum ledger_none).
	 * They are settled by this commit, and get a ledger of revision 1 that says so; another may
	 * follow all the same. 0, or NULL for the batch or for all: they are not. */
	const uint8_t *const *none_causes;
	const struct store_ledger_rows *rows;
	size_t row_count;
	/* Stacks whose names came after ledgers that wanted them. */
	const struct store_stack *stacks;
	size_t stack_count;
	/* Of the ledgers' stacks, those that this part does not have are asked for. False: not
	 * known now. NULL: nobody knows any. */
	bool (*find_stack)(uint64_t id, struct buf *out_frames, void *arg);
	void *find_arg;
};

int store_commit(struct store *store, const struct store_group *group, uint64_t now_unix_ns);

/* Ends the part that takes commits, when its time is over. Writer thread, now and then. */
int store_end_part(struct store *store, uint64_t now_unix_ns);

/* Drops whole parts by age and bytes, and packs parts that are over, a bounded piece a call. One
 * thread, now and then; commits go on meanwhile. 1: there is more to pack, call again when idle; 0:
 * all is done. */
int store_keep(struct store *store, uint64_t now_unix_ns);

/* Both, for whoever has one thread only. */
int store_maintain(struct store *store, uint64_t now_unix_ns);

/* Where a span stands in the order of a search. */
struct store_position {
	uint8_t pass;  /* 1: behind all that have a ledger, because it has none */
	uint64_t rank; /* by the sort; greater comes first */
	uint64_t start_unix_ns;
	uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES];
};

/* A stored span with its newest ledger. Everything is borrowed during the visit. */
struct store_span {
	struct span span; /* slices point into the database; resource and scope are below */
	struct span_resource resource;
	struct span_scope scope;
	struct str service; /* resource.service_name, or "unknown_service" */
	bool has_ledger;    /* false: not settled yet */
	struct ledger ledger;
	struct store_position position; /* in a search */
};

/* Visits the spans of one trace, oldest commit first, each once (a resent duplicate is skipped),
 * until `visit` returns non-zero; that value is then returned. -ENOENT: no such trace. -E2BIG: it
 * has more than a million spans. */
int store_each_of_trace(struct store *store, const uint8_t trace_id[TRACE_ID_BYTES],
			int (*visit)(const struct store_span *span, void *arg), void *arg);

enum store_sort { STORE_SORT_START, STORE_SORT_WALL, STORE_SORT_RATIO, STORE_SORT_BLOCKED };

/* Empty strings and zero values: no condition. */
struct store_query {
	struct str service;
	struct str operation;
	uint64_t from_unix_ns; /* on the span's start, half open */
	uint64_t to_unix_ns;   /* 0: no end */
	uint64_t min_wall_ns;
	const uint8_t *first_trace; /* trace ids from here to there, both included; NULL: any */
	const uint8_t *last_trace;
	double max_ratio; /* negative: no condition; spans without figures never match */
	int reason;       /* enum ledger_reason, -1: any */
	int grade;        /* enum ledger_grade, -1: any */
	int status;       /* enum span_status, -1: any */
	int kind;         /* enum span_kind, -1: any */
	enum store_sort
		sort;   /* START: newest first; WALL, BLOCKED: largest first; RATIO: lowest first */
	bool any_order; /* the best are chosen by `sort`, but visited as they lie: faster */
	const struct store_position *after; /* only what comes behind it; NULL: all */
	size_t limit;
	unsigned omit;             /* enum store_omit */
	uint64_t deadline_mono_ns; /* give up then; 0: never */
	uint64_t (*mono_ns)(void); /* the caller's clock for the deadline */
	/* Evaluated last, on the span's own bytes (attributes), without its ledger; NULL: all
	 * match. */
	bool (*match)(const struct store_span *span, void *arg);
	void *match_arg;
};

/* The best `limit` spans in order; equals by newest start, then by ids. Sorted by ratio or blocked,
 * spans without figures come after the others, those without a ledger last. `out_truncated` (may be
 * NULL): the deadline cut the search short. -EINVAL: a limit of 0 or of more than a million. */
int store_search(struct store *store, const struct store_query *query,
		 int (*visit)(const struct store_span *span, void *arg), void *arg,
		 bool *out_truncated);

#define STORE_MAX_WALLS 200000

/* Appends the wall (uint64_t, ns) of each settled span that the query selects, in no order; limit
 * and sort are ignored. -E2BIG: they are more than STORE_MAX_WALLS. */
int store_walls(struct store *store, const struct store_query *query, struct buf *out_walls,
		bool *out_truncated);

/* Distinct (service, operation, kind) of the live parts, sorted, with the number of spans. */
int store_each_operation(struct store *store,
			 int (*visit)(struct str service, struct str operation, uint8_t kind,
				      uint64_t spans, void *arg),
			 void *arg);

struct rollup_cell;

/* Empty strings and zeros: no condition. Whole minutes: `from` is rounded down, `to` up. */
struct store_rollup_query {
	struct str service;
	struct str operation;
	uint64_t from_unix_ns; /* on the span's end, half open */
	uint64_t to_unix_ns;   /* 0: no end */
	uint64_t by_ns;        /* 0: one for all the time; else one for each so many, of minutes */
	uint64_t deadline_mono_ns; /* 0: none */
	uint64_t (*mono_ns)(void); /* the caller's clock for the deadline */
};

struct store_rollup {
	struct str service;
	struct str operation;  /* "(other)": those of its service beyond 2,000 */
	uint8_t kind;          /* enum span_kind; 255 of "(other)" */
	uint64_t from_unix_ns; /* of its time; 0 without by_ns */
	const struct rollup_cell *cell;
	/* Spans to choose examples from, beside those of the cell; none with by_ns. */
	const struct rollup_example *candidates;
	unsigned candidate_count;
};

/* Visits what is known of each operation, from settled ledgers, in no order; everything is borrowed
 * during the visit. -ETIMEDOUT: the deadline. */
int store_each_rollup(struct store *store, const struct store_rollup_query *query,
		      int (*visit)(const struct store_rollup *rollup, void *arg), void *arg);

/* Spans stored without any ledger (the daemon died before they settled), youngest part first, as
 * batches that may be handed to correlator_spans. Parts whose last commit was before `from_unix_ns`
 * are left alone. A batch is borrowed during its visit. Called once at start. */
int store_each_unsettled(struct store *store, uint64_t from_unix_ns,
			 int (*visit)(const struct span_batch *batch, void *arg), void *arg);

/* Names of stacks, for one answer: one thread, and not across a network wait. Begin with zeros. */
struct store_stacks {
	struct store *store;   /* borrowed */
	uint64_t near_unix_ns; /* when the ledger that names them was made, roughly: looked at first
				*/
	struct view *view;     /* owned, as the next; NULL: not needed yet */
	struct stack_groups *groups;
	size_t last; /* the part that had one */
};

/* Appends the frames of a stack that some ledger names. -ENOENT: not stored. */
int store_stack(struct store_stacks *stacks, uint64_t id, struct buf *out_frames);
void store_stacks_fini(struct store_stacks *stacks);

/* Gives the pages of all mapped files back to the kernel. Any thread. */
int store_forget_pages(struct store *store);

struct store_stats {
	uint64_t parts, bytes, blocks, spans, ledgers;
	uint64_t commits, sync_ns, oldest_unix_ns;
	uint64_t parts_dropped, spans_dropped;
	uint64_t index_bytes;
};

void store_stats(struct store *store, struct store_stats *out_stats);
