/* SPDX-License-Identifier: Apache-2.0 */
/* One trace, laid over the threads that carried it. Built when a trace settles, gone afterwards.
 *
 *   nodes     the trace's spans, mapped to CLOCK_MONOTONIC, with their place in the tree
 *   lanes     the slices of the threads concerned, unpacked, for the time of the trace
 *   segments  stretches of one lane in one state, each with the innermost span that owned it
 *
 *   join_init -> join_place -> join_overlay -> sweep, for each node -> join_fini
 *
 * Internal to correlate/. */
#pragma once

#include "collector/base/arena.h"
#include "correlate/doubt.h"
#include "correlate/model.h"
#include "correlate/reason.h"
#include "correlate/stint.h"

/* Kernel records and clock readings that came later after the trace's end than this tell it
 * nothing: it is settled then, and must not depend on when. */
#define JOIN_AHEAD_NS (25 * NS_PER_MS)

struct stretch {
	uint64_t from_ns, to_ns;
};

/* Of all slices of a lane before one. */
struct lane_sums {
	uint64_t lost_ns, ran_ns;
};

/* The nodes that the tags of a slice name; -1: none of the trace. */
struct lane_meant {
	int32_t in, out;
};

/* Slices of a lane that are alike, each in a stint of its own. */
struct lane_run {
	uint32_t first, end;
	uint64_t ran_ns;
	bool is_plain; /* all of them are STINT_PLAIN */
};

struct lane {
	struct thread *thread;
	struct process *process;
	struct stint *stints;      /* owned; each has the place of its first slice */
	const struct cpu_lag *lag; /* borrowed: what the stints are measured with ... */
	uint64_t until_ns;         /* ... and until when it may be asked */
	struct slice *slices; /* owned; the first one may end before the trace begins: it gives the
				 reason of the wait after it */
	uint32_t count, cap;
	struct lane_run *runs; /* owned; the first one is none */
	uint32_t run_count, run_cap;
	struct lane_sums *sums;                /* owned: before each slice; NULL: there are few */
	struct lane_meant *meant;              /* owned: of each slice; NULL: not asked yet */
	uint32_t first_segment, segment_count; /* of the join's, while these stand by lanes */
	bool shows_others;                     /* tags of other traces, while this one lasts */
	bool takes_turns;                      /* turns.c: no tag pins what it does on a CPU */
	struct company claim;                  /* when the trace claims the thread; to 0: never */
	struct stretch
		*company; /* within that, when others do, too: apart, in order; in the arena */
	uint32_t company_count;
	uint64_t within_ns;     /* of aside.c: another trace lay within a span; 0: none */
	uint64_t crossed_ns;    /* ... and ended after it; 0: none */
	uint64_t open_until_ns; /* its state after the last slice is known up to here */
};

/* A node was seen on a thread. */
struct sighting {
	int32_t next; /* of the same node; -1: none */
	struct thread *thread;
	uint64_t first_ns, last_ns;
	const struct observation *observation;
};

struct node {
	struct trace_span *span;
	struct process *process;
	int32_t parent;                  /* within the same process; -1: a local root */
	int32_t adopted_by;              /* where its parent is missing: adopt.c; -1: nobody */
	int32_t any_parent;              /* wherever; -1: not in the trace */
	int32_t first_child, next_child; /* by start, wherever they are; -1: none */
	uint32_t place;                  /* in by_start */
	uint32_t first_place;            /* the least of its own and of those below it */
	uint32_t depth;
	uint32_t enter,
		leave; /* numbering of the tree: X lies below Y if Y.enter <= X.enter < Y.leave */
	uint64_t a_ns, b_ns;   /* CLOCK_MONOTONIC, half open */
	uint64_t bound_ns;     /* error of these */
	uint64_t skew_ns;      /* ... and what other clocks say against them */
	uint64_t astray_ns;    /* of that, by how much all of it may have been earlier or later */
	uint64_t before_ns;    /* of that, how long before the machine was started it began */
	uint64_t cut_ns;       /* what a coarse clock may have cut off each of them */
	uint64_t grain_ns;     /* ... and off its children's, too */
	uint64_t uncertain_ns; /* of its time, what may have been another's */
	uint64_t passed_ns;    /* ... and what goes on to its ancestors; modulo 2^64 */
	uint32_t sure_in, owner_in;       /* the last cut in which it was sure; it, or one below it,
					     may own a part */
	uint32_t doubted_in;              /* the last piece of a cut that puts it in doubt */
	const struct stint *doubted;      /* the last one of which it owns only a part */
	int32_t sightings;                /* first one; -1: never observed */
	const struct mark *begun, *ended; /* NULL: not known */
	struct lane
		*placed; /* never observed: the thread that must have, or may have, carried it */
	const struct lane
		*aside_on; /* of enclose.c: the lane that was asked last, NULL: none ... */
	bool is_aside;     /* ... and whether it showed something else, too early */
	bool is_marked;    /* never observed, but it was that thread that began and ended it */
	bool is_split;     /* never observed, and no thread can have begun and ended it */
	bool is_contested; /* whose it is, is a guess: several processes show it, or none does */
	bool is_instant;   /* its clock stood still meanwhile, for nobody knows how long */
	bool inferred;
	bool partial;
	uint8_t none_cause;
};

/* What has left the timelines, of one span on one thread. */
struct folded {
	const struct observation *observation;
	int32_t owner; /* node; -1: it was never exported */
};

/* Who had a lock while somebody waited for it; or who made a thread go on which then ended a wait,
 * but carries no span itself. */
struct hold {
	uint64_t from_ns, to_ns;
	struct event_waker who;
	uint8_t kind; /* enum ledger_holder_kind, or HOLD_BEHIND */
};

#define HOLD_BEHIND 0xff

#define JOIN_MAX_LOOKS 4096 /* at threads that want a lock, too, for one trace */

/* What stands in the slices of a lane, both of which outlive it. */
struct wait {
	const struct slice *before; /* ends with it, and tells what for */
	const struct slice *after; /* NULL: it goes on; else tells who ended it, with EVENT_WAKER */
	uint64_t raw_ns;
	int32_t decided_by; /* as ledger_wait.syscall */
	uint8_t reason;
	uint8_t hold_count; /* of join->holds */
	bool is_like;       /* the one before it, but for its times; neither has any of these */
	uint32_t first_hold;
};

/* What it was for: of several, which came. */
static inline const struct event_target *wait_target(const struct wait *wait)
{
	return wait->after && wait->after->flags & SLICE_READY ? wait->after->ready
							       : wait->before->target;
}

#define SWEEP_MAX_LANES 1024                    /* that carry one span at the same instant */
#define SWEEP_FEW_LANES 8                       /* are swept side by side (sweep_lanes.c) */
#define PICTURE_ROOM    (4 * LEDGER_MAX_SLICES) /* before the picture is thinned out */

struct segment;

/* A stretch of it: sweep_picture_what. */
struct picture_piece {
	uint64_t what;
	uint64_t ns;
};

/* sweep_picture.c. */
struct picture {
	uint64_t start_unix_ns;
	uint32_t count;
	uint64_t least_ns; /* all that were shorter have gone to their neighbours */
	bool is_truncated;
	struct picture_piece pieces[PICTURE_ROOM];
	uint8_t lengths[PICTURE_ROOM]; /* while it is thinned out */
};

/* Where the arrays of a ledger grow, and of a sweep: as large as they may become, hence one for all
 * ledgers. */
struct ledger_room {
	const struct segment *active[SWEEP_MAX_LANES];
	struct ledger_wait waits[LEDGER_MAX_WAITS];
	struct ledger_item items[LEDGER_MAX_ITEMS];
	struct ledger_link links[LEDGER_MAX_LINKS];
	struct ledger_slice slices[LEDGER_MAX_SLICES];
	struct picture picture;
	struct ledger_stack stacks[LEDGER_MAX_STACKS];
};

enum segment_why { WHY_WOKEN = 0, WHY_PREEMPTED, WHY_THROTTLED, WHY_YIELDED };

/* enum segment_why of what comes after this slice. */
static inline uint8_t segment_why(const struct slice *before)
{
	if (!(before->flags & EVENT_PREEMPTED))
		return WHY_WOKEN;
	return reason_syscall_is_yield(before->syscall) ? WHY_YIELDED : WHY_PREEMPTED;
}

struct segment {
	uint64_t start_ns, end_ns;
	uint64_t cpu_ns;
	uint64_t since_ns; /* when its wait began: the latest to block decides */
	uint64_t stack;    /* of STATE_RUNNING: where a tick found it */
	struct thread *thread;
	int32_t carrier; /* node */
	int32_t wait;    /* of STATE_BLOCKED; of SEGMENT_ROUNDS the place in join->rounds */
	uint8_t state;   /* enum ledger_state, or SEGMENT_ROUNDS */
	uint8_t why;     /* of STATE_RUNNABLE */
	uint32_t enter;  /* the carrier's: it is asked of each, by each span above */
};

/* Not one stretch, but all those of slices that are alike. */
#define SEGMENT_ROUNDS 255

/* What a thread ran that nobody looked at there: found from a slice on, that one not counted, and
 * how far from it; stack 0: nothing. */
struct look {
	uint64_t stack;
	uint32_t steps;
};

/* Slices of a thread that goes round, all in one span, and what is the same for all of them. */
struct rounds {
	struct thread *thread;
	const struct slice *first, *end; /* of its lane */
	int32_t owner;
	int32_t decided_by;
	uint8_t reason;
	bool is_preempted;
	uint8_t why;               /* enum segment_why, between them */
	uint64_t stack;            /* that each of them tells; else, ... */
	struct look behind, ahead; /* ... from the first and from the last one on, another's */
};

/* The tag that was asked for last, and the node with that id: from slice to slice it is the same.
 */
struct meaning {
	const struct event_tag *tag;
	const struct thread *thread;
	int32_t node;
	bool is_seen; /* the node, on that thread */
};

/* The time asked for last in which no span begins or ends. */
struct calm {
	const struct process *process; /* NULL: none was asked for */
	uint64_t from_ns, to_ns;
	int32_t only;  /* the node of that process that is open then; -1: none, or several */
	bool is_empty; /* none */
};

enum join_turns { TURNS_NOT_ASKED = 0, TURNS_NOT_SEEN, TURNS_SEEN };

struct join {
	struct model *model;
	struct trace *trace;
	struct node *nodes;
	uint32_t *by_id;    /* node indexes sorted by span id */
	uint32_t *by_start; /* ... by a_ns */
	uint32_t *by_depth; /* ... parents first */
	uint64_t *latest;   /* of by_start: the greatest b_ns, as a tree (join.c) */
	uint32_t leaves;    /* ... of that tree */
	uint32_t count;
	int32_t *calls; /* client and producer spans, by `enter` */
	uint32_t call_count;
	int32_t *children_room, *calls_room; /* for one sweep at a time, as large as they may be */
	struct sighting *sightings;
	uint32_t sighting_count;
	const struct mark **hidden; /* of begun.c, by span; in the arena */
	uint32_t hidden_count;
	const struct observation **seen; /* of adopt.c, by span; NULL: no parent is missing */
	uint32_t seen_count;
	struct folded *folded;
	uint32_t folded_count;
	uint64_t *folded_ns; /* of owners with a lesser `enter`; NULL: not asked yet */
	const struct observation **forked; /* by processes that were */
	uint32_t forked_count;
	struct lane **lanes;
	uint32_t lane_count, lane_cap;
	struct segment *segments;
	uint32_t segment_count, segment_cap;
	uint64_t *segment_max_end; /* of the sorted segments; NULL: they stand by lanes */
	struct rounds *rounds;
	uint32_t rounds_count, rounds_cap;
	struct wait *waits;
	uint32_t wait_count, wait_cap;
	struct hold *holds;
	uint32_t hold_count, hold_cap;
	uint32_t looks_left; /* of holder.c, at threads that want a lock, too */
	struct arena arena;
	struct meaning *meaning; /* in the arena */
	struct calm calm;
	uint64_t *edges;         /* in the arena: all a_ns and b_ns, sorted; NULL: not asked yet */
	uint64_t from_ns, to_ns; /* of all nodes */
	struct skews *skews;     /* in the arena: of skew.c */
	uint64_t cut_ns;         /* of any node, at most */
	uint32_t cuts;           /* slices that were cut so far ... */
	uint32_t pieces;         /* ... into so many that were weighed */
	uint32_t crowded;        /* ... of which too many spans were open to weigh them */
	uint32_t limits[CORRELATOR_LIMITS]; /* how often each of them bit */
	struct stretch *crowds; /* in the arena: when so many are open; NULL: not asked yet */
	uint32_t crowd_count;
	bool out_of_memory;
	struct lesson *lessons; /* owned: what it teaches */
	uint8_t turns;          /* enum join_turns: of interleave.c */
	bool is_guessed;        /* whose spans they are, of some */
};

/* -EAGAIN: the clock map cannot place the trace yet. */
int join_init(struct join *join, struct model *model, struct trace *trace);
/* When the trace has settled: what it tells of processes, and of its claims. */
void join_learn(struct join *join);
void join_fini(struct join *join);
/* lane.c: lanes that are not needed any more; and at the end of the model. */
void lane_put_back(struct model *model, struct lane *lane);
void lanes_fini(struct model *model);
int32_t join_find(const struct join *join, const uint8_t span_id[SPAN_ID_BYTES]);
/* NULL: it has none yet. */
struct lane *join_find_lane(const struct join *join, const struct thread *thread);
/* NULL: out of memory. */
struct lane *join_lane(struct join *join, struct thread *thread);
const struct sighting *join_sighting(const struct join *join, int32_t node,
				     const struct thread *thread);
/* The run that begins with that slice; NULL: none does. */
static inline const struct lane_run *lane_run_at(const struct lane *lane, const struct slice *slice)
{
	const struct lane_run *run = slice->run ? &lane->runs[slice->run] : NULL;

	return run && slice == lane->slices + run->first ? run : NULL;
}

/* Index of the first slice that ends after `time_ns`; the count: none. */
uint32_t lane_first_after(const struct lane *lane, uint64_t time_ns);
/* The slice that is on the CPU at `time_ns`; NULL: none. */
const struct slice *lane_on_cpu(const struct lane *lane, uint64_t time_ns);
/* The first slice that is on the CPU within [time_ns, time_ns + cut_ns]: when a span may have begun
 * or ended whose clock is coarse. */
const struct slice *lane_on_cpu_about(const struct lane *lane, uint64_t time_ns, uint64_t cut_ns);
/* ... at that edge of the span, which may lie beyond a switch as far as its clock tells. */
const struct slice *lane_ran_at_edge(const struct lane *lane, const struct node *node,
				     uint64_t edge_ns);
/* How much of [from, to) lies between records of which some were lost, or where a rebuilt switch-in
 * may really have been: the thread may have done anything then. */
uint64_t lane_lost_ns(const struct lane *lane, uint64_t from_ns, uint64_t to_ns);
/* How much of [from, to) the thread was on a CPU, or may have been. */
uint64_t lane_ran_ns(const struct lane *lane, uint64_t from_ns, uint64_t to_ns);
/* What the tags of its slices name, where these are so many that each span of a long trace would
 * look for them again. */
void lane_find_meant(const struct join *join, struct lane *lane);
int32_t lane_meant_in(const struct join *join, const struct lane *lane, const struct slice *slice);
int32_t lane_meant_out(const struct join *join, const struct lane *lane, const struct slice *slice);
/* A thread of it put spans aside, at about that time. */
bool join_takes_turns(const struct join *join, const struct process *process);
/* owner.c: told by a span's tags, or those of others of this trace with the same resource (what a
 * resource claims may be its master's, from before a fork); else by what the resource claims; else
 * by earlier ones with the same resource; or by the parent. */
void owner_find(struct join *join);

/* tree.c. false: out of memory. */
bool tree_find_parents(struct join *join);
/* Depths, and the enter/leave numbering; needs the processes. */
bool tree_number(struct join *join);
/* Children and calls; needs by_start. */
bool tree_list(struct join *join);
/* adopt.c: whose parents are missing; needs by_start, and numbers the tree anew. false: out of
 * memory. */
bool adopt_orphans(struct join *join);
/* ... and were not adopted. */
void adopt_doubt(struct join *join);
/* interleave.c: or one put a span of this trace aside for another one of it, and came back. */
bool join_has_turns(struct join *join);
/* aside.c: lanes that must have put a span of the trace aside, by when it ended, take turns. */
void join_find_put_aside(struct join *join);
/* ... and where another trace lay within a span of it, the process is known for that. */
void aside_learn(struct join *join);
/* lesson.c: how a process, or a thread of it, works at that time. `thread` NULL: any. */
void lesson_note(struct join *join, enum lesson_kind kind, struct process *process,
		 struct thread *thread, uint64_t from_ns, uint64_t to_ns);
/* When all is noted: what the trace taught before, and does not any more, is taken back. */
void lessons_settle(struct join *join);
/* lend.c: threads that carry another's span, beside it, or after it. */
void lend_learn(struct join *join);
bool lend_may_be(const struct join *join, const struct node *node);
bool lend_may_be_handed_on(const struct join *join, const struct node *node);
bool lend_may_be_apart(const struct node *node);
/* Roots of the process are ended by other threads than carried them. */
bool lend_may_be_left(const struct node *node);
/* Threads of the process take up spans again that they have put aside for the parent. */
bool lend_may_be_resumed(const struct process *process, uint64_t from_ns, uint64_t to_ns);
/* One tag of another trace at both ends, and nobody in the process puts spans aside. (Of the same
 * trace it might be a task that was put aside.) */
bool join_is_pinned(const struct join *join, const struct process *process,
		    const struct slice *slice);
/* Makes room for so many items, or for one more. false: out of memory. */
bool join_reserve(void **array, uint32_t count, uint32_t *cap, size_t item_bytes);
bool join_grow(void **array, uint32_t count, uint32_t *cap, size_t item_bytes);
struct wait *join_add_wait(struct join *join, int32_t *out_index);
/* One after the other for each wait, whose `first_hold` is set. */
void join_add_hold(struct join *join, struct wait *wait, const struct hold *hold);
struct segment *join_add_segment(struct join *join);
/* The next one that overlaps [from, to), by start, from the place on, which goes behind it; -1:
 * there is none. */
int32_t join_next_overlapping(const struct join *join, const struct process *process,
			      uint32_t *place, uint64_t from_ns, uint64_t to_ns);
/* Those, by start. Returns the number of candidates written. */
uint32_t join_overlapping(const struct join *join, const struct process *process, uint64_t from_ns,
			  uint64_t to_ns, int32_t *out_nodes, uint32_t max);

static inline bool node_is_below(const struct join *join, int32_t below, int32_t above)
{
	const struct node *x = &join->nodes[below], *y = &join->nodes[above];

	return x->process == y->process && x->enter >= y->enter && x->enter < y->leave;
}

static inline bool node_is_active(const struct node *node, uint64_t time_ns)
{
	return node->a_ns <= time_ns && time_ns < node->b_ns;
}

/* skew.c: clocks that are not the machine's. */
/* Moves spans to when they were. false: out of memory. */
bool skew_find(struct join *join);
void skew_learn(struct join *join);
/* grain.c: the edges of spans whose clock is coarse. */
bool join_find_grain(struct join *join); /* false: out of memory */
void join_doubt_grain(struct join *join);

/* stint.c: those of a lane. */
bool stint_find(struct lane *lane);
/* That of a slice of the lane. */
const struct stint *lane_stint(const struct lane *lane, const struct slice *slice);
/* CPU time of a whole slice. */
static inline uint64_t lane_cpu_ns(const struct lane *lane, const struct slice *slice)
{
	if (slice->stint == STINT_PLAIN)
		return slice->booked_ns;
	return stint_cpu_between(&lane->stints[slice->stint], slice->in_ns, slice->out_ns);
}

/* mark.c: who began and ended them. */
void join_find_marks(struct join *join);
/* begun.c: the marks of spans that nobody exported. false: out of memory. */
bool begun_find(struct join *join);
/* The exported span in which such a one was begun that was there at `before_ns`, or the one that it
 * was begun in; -1: nobody has marked that. */
int32_t begun_within(const struct join *join, const struct process *process,
		     const uint8_t span_id[SPAN_ID_BYTES], uint64_t before_ns);
/* overlay_marked.c: the lane of a span that was never observed, which the thread began and ended
 * with nothing else in between; NULL: that is not known. */
struct lane *join_marked_lane(struct join *join, int32_t index);

/* place.c: finds threads for spans that were never observed. */
void join_place(struct join *join);

/* company.c: other traces that claim the same threads. First, after placing, this one's claims. */
void company_claim(struct join *join);
/* How long this trace and another one both claim the lane within [from, to). */
uint64_t company_overlap_ns(const struct lane *lane, uint64_t from_ns, uint64_t to_ns);
/* Another trace claims that thread then. */
bool company_is_there(const struct join *join, const struct thread *thread, uint64_t from_ns,
		      uint64_t to_ns);
/* Another trace's claim of that thread begins then. */
bool company_begins(const struct join *join, const struct thread *thread, uint64_t from_ns,
		    uint64_t to_ns);
bool company_is_of(const struct company *company, const struct trace *trace);
/* Of two claims, the thread ended one's own span within the other's, and that one later: when it
 * did; 0: it did not. */
uint64_t company_crossed_ns(const struct company *one, const struct company *another);
/* When the trace has settled: others will know of its claims, and who was settled without is
 * settled again. */
void company_note(struct join *join);

/* behind.c: who stood behind a wait, if it is long enough to ask, and its reason, or the one that
 * ended it as `after` tells, such that there is something to ask. */
bool behind_is_asked(const struct join *join, uint8_t reason, const struct slice *after,
		     uint64_t ns);
void behind_find(struct join *join, const struct lane *lane, uint64_t from_ns, uint64_t to_ns,
		 struct wait *wait);
/* holder.c, for behind.c: who had the lock that a wait is for, as far as wake-ups show. */
void holder_find(struct join *join, const struct lane *lane, uint64_t from_ns, uint64_t to_ns,
		 struct wait *wait);

/* overlay.c: lanes into segments: by lanes where these are few, else sorted by start. */
void join_overlay(struct join *join);
/* segments.c: false: they do not stand by lanes one after the other, or there are many lanes. */
bool segments_are_by_lanes(const struct join *join);
void segments_sort(struct join *join);
/* overlay_steady.c: rounds into stretches. */
void rounds_spread(struct join *join);
/* The code that ran is not the same for all. */
static inline bool rounds_has_looks(const struct rounds *rounds)
{
	return rounds->behind.stack || rounds->ahead.stack;
}

/* What of a slice of them was running. */
uint64_t rounds_stack(const struct rounds *rounds, const struct slice *slice);
/* Until when it was blocked before that slice. */
static inline uint64_t rounds_woken_ns(const struct rounds *rounds, const struct slice *slice)
{
	uint64_t start = slice[-1].out_ns;

	if (rounds->is_preempted)
		return start;
	return slice->waking_ns ? MIN(MAX(slice->waking_ns, start), slice->in_ns) : slice->in_ns;
}

static inline struct wait rounds_wait(const struct rounds *rounds, const struct slice *slice)
{
	return (struct wait){ .before = slice - 1,
			      .after = slice,
			      .raw_ns = rounds_woken_ns(rounds, slice) - slice[-1].out_ns,
			      .decided_by = rounds->decided_by,
			      .reason = rounds->reason };
}

/* sweep.c: the ledger of one node; its arrays grow in `room`, and then live in join->arena. */
void sweep_node(struct join *join, int32_t index, struct ledger_room *room,
		struct ledger *out_ledger);
