/* SPDX-License-Identifier: Apache-2.0 */
/* A trace: what services exported of it, and where it was seen.
 *
 *   trace --< observation (thread, span id: first and last time seen; totals of what was folded)
 *     `-----< trace_span (what the service exported)
 *     `-----< mark (where a thread says that it begins or ends a span)
 *
 * Internal to correlate/. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "correlate/correlator.h"
#include "correlate/ledger.h"

struct lesson;
struct model;
struct process;
struct thread;

#define FOLD_MAX_WAITS     16
#define TRACE_HOLD_NS      60000000000ull  /* a settled trace stays known so long, for late spans */
#define TRACE_UNCLAIMED_NS 600000000000ull /* seen in a thread, but no span has come */
#define TRACE_UNSAMPLED_NS 15000000000ull  /* ... nor will: none was exported in that time */

struct fold_wait {
	uint8_t reason;
	int32_t syscall;
	uint32_t count;
	uint64_t ns;
	uint64_t longest_ns;
	uint64_t stack; /* STACK_FOLDED: of several */
	struct event_target target;
	struct ledger_waker waker; /* the one that ended most, approximately: the first seen */
};

/* What left the timelines while its trace was not settled. */
struct fold {
	uint64_t first_ns, last_ns;
	uint64_t cpu_ns;
	uint64_t preempted_ns, throttled_ns, yielded_ns;
	uint64_t uncertain_ns;
	uint64_t doubted_in_ns; /* the last stint of which it may own only a part */
	struct ledger_split split;
	uint32_t wait_count;
	bool lost;
	struct fold_wait waits[FOLD_MAX_WAITS];
};

struct observation {
	struct observation *next; /* of the trace */
	struct thread *thread;
	uint8_t span_id[SPAN_ID_BYTES];
	bool inherited;
	uint64_t first_ns, last_ns;
	struct fold *fold; /* owned; NULL: nothing was folded */
};

/* What the thread did between a mark and the change that it belongs to. */
enum mark_between { MARK_UNKNOWN = 0, MARK_NOTHING, MARK_ANOTHER, MARK_TURN };

/* A thread began a span then, or ended it: mark.c. */
struct mark {
	struct mark *next; /* of the trace */
	struct trace *trace;
	struct thread *thread;
	uint8_t span_id[SPAN_ID_BYTES];
	uint8_t within_id[SPAN_ID_BYTES]; /* what the thread showed of the trace, is_within */
	uint64_t time_ns;
	uint64_t left_ns;  /* until then the thread showed it, with nothing in between; 0: not so */
	uint64_t shown_ns; /* ... from then on */
	uint8_t since_left;  /* enum mark_between */
	uint8_t until_shown; /* ... */
	bool is_within;
	uint32_t turn; /* of the thread */
};

/* Where spans come from, as they say themselves. */
struct trace_source {
	uint64_t resource_key; /* hash of what identifies the process */
	int64_t process_pid;
	struct process *process; /* NULL: not known */
	bool is_anonymous;       /* they name no instance, process, container or host */
};

struct trace_span {
	uint8_t span_id[SPAN_ID_BYTES];
	uint8_t parent_id[SPAN_ID_BYTES];
	uint64_t start_unix_ns, end_unix_ns;
	uint64_t backward_ns;  /* so much before its start it claims to have ended: length 0 */
	uint64_t resource_key; /* hash of what identifies the process */
	int64_t process_pid;
	int64_t thread_id;
	struct process *process; /* holds a ref; NULL: not known */
	char *label;             /* owned: name, NUL, peer, NUL */
	uint32_t flags;
	uint8_t kind;
	bool settled;
	bool is_anonymous; /* its resource names no instance, process, container or host */
	bool is_disputed;  /* another one with its id has come */
};

enum trace_list { LIST_NONE = 0, LIST_PENDING, LIST_FRESH, LIST_AWAKE };

struct trace_queue {
	struct trace *oldest, *newest;
};

struct trace {
	uint8_t id[TRACE_ID_BYTES];
	struct trace *previous, *next; /* of the pending ones, by last news; of the fresh ones, by
					  when they settled; or of the others that do not rest */
	struct observation *observations; /* owned; the newest first */
	uint32_t observation_count;
	bool is_indexed;          /* they are many: observation.c */
	struct mark *marks;       /* owned; the newest first */
	struct trace_span *spans; /* owned */
	uint32_t span_count, span_cap;
	uint32_t *table; /* owned: one more than a span's place, by its id; NULL: there are few */
	uint32_t table_cap;
	bool is_mixed;          /* the spans are not in order */
	struct lesson *lessons; /* owned: what it taught when it settled last ... */
	uint8_t taken_back;     /* ... other than before, so often */
	uint32_t unsettled;
	uint16_t revision; /* of the last settling; 0: none yet */
	uint8_t rounds;    /* it has settled so often at settled_ns; not kept at rest */
	uint8_t list;
	bool dirty; /* to be looked at: is it complete? */
	bool again; /* settled, but something was learned since: first in the list */
	bool over_limit;
	uint64_t lesson;  /* of relearn.c, when it settled last */
	bool is_guessed;  /* which process made a span of it was learned from others, or is unknown
			   */
	uint64_t news_ns; /* when the last span came */
	uint64_t settled_ns;  /* when it settled last */
	uint64_t observed_ns; /* last time seen in a thread */
	uint64_t made_ns;
	uint64_t to_ns; /* when it was over, as it was settled last */
	size_t bytes;
};

/* trace.c: traces, their spans and observations. */
struct trace *trace_find_or_make(struct model *model, const uint8_t id[TRACE_ID_BYTES]);
/* It is awake then. */
struct trace *trace_find(struct model *model, const uint8_t id[TRACE_ID_BYTES]);
/* To read only, until the next look: trace_rest.h. */
const struct trace *trace_look(struct model *model, const uint8_t id[TRACE_ID_BYTES]);
struct observation *trace_observe(struct model *model, struct thread *thread,
				  const struct event_tag *tag, uint64_t time_ns);
/* ... at a time that is past by now, of which nothing more is to be learned. */
void trace_observe_at(struct model *model, struct thread *thread, const struct event_tag *tag,
		      uint64_t time_ns);
/* The same tag as at the observation right before, on the same thread. */
void trace_observe_on(struct model *model, struct thread *thread, const struct event_tag *tag,
		      uint64_t time_ns);
int trace_add_span(struct model *model, const struct span *span, const struct trace_source *source);
struct observation *trace_observation(const struct model *model, const struct trace *trace,
				      const struct thread *thread,
				      const uint8_t span_id[SPAN_ID_BYTES]);
/* Something was learned about a settled trace: its ledgers are computed again. */
void trace_settle_again(struct model *model, const uint8_t id[TRACE_ID_BYTES]);
void trace_list(struct model *model, struct trace *trace, enum trace_list list);
void trace_unlist(struct model *model, struct trace *trace);
void trace_free(struct model *model, struct trace *trace);
/* What it holds, and itself, but no more: who empties it has taken it out of lists. */
void trace_empty(struct model *model, struct trace *trace);
void trace_expire(struct model *model);
void traces_init(struct model *model);
void traces_fini(struct model *model);

/* trace_source.c */
uint64_t trace_resource_key(const struct span_resource *resource, const struct span *span);
/* Dear, and the same for all spans of one resource and process id, while nothing else is told. */
struct trace_source trace_source(const struct model *model, const struct span_resource *resource,
				 const struct span *span);

/* trace_spans.c. -1: there is no such span. */
int trace_span_index(const struct model *model, const struct trace *trace,
		     const uint8_t span_id[SPAN_ID_BYTES]);
int trace_spans_append(struct model *model, struct trace *trace, const struct trace_span *span);
void trace_spans_sort(const struct model *model, struct trace *trace);
void trace_spans_free(struct trace *trace);
/* A thread was seen with it. */
bool trace_carries(const struct trace *trace, const uint8_t span_id[SPAN_ID_BYTES]);
#define W3C_TOLD   0x100 /* flags of a span: it is told whether the parent is remote, ... */
#define W3C_REMOTE 0x300 /* ... and it is */
/* Its parent is of another process, or it has none. */
bool trace_is_root(const struct trace *trace, const struct trace_span *span);

/* observation.c: which threads carried which spans. add: false: out of memory. */
void observations_init(struct model *model);
void observations_fini(struct model *model);
bool observation_add(struct model *model, struct trace *trace, struct observation *o);
void observations_free(struct model *model, struct trace *trace);
