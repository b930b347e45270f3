/* SPDX-License-Identifier: Apache-2.0 */
/* What the correlator knows: processes, their threads, and the traces that these carried.
 *
 *   process --< thread --< timeline of slices
 *                  |
 *   trace --< observation (trace.h)
 *
 * Internal to correlate/. One thread. Everything is owned by struct model. Pointers to processes
 * and threads are stable while something refers to them; `refs` counts that. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "correlate/again.h"
#include "correlate/clock_map.h"
#include "correlate/coarse_clock.h"
#include "correlate/correlator.h"
#include "correlate/cpu_lag.h"
#include "correlate/ledger.h"
#include "correlate/stint.h"
#include "correlate/timeline.h"
#include "correlate/trace.h"
#include "correlate/trace_set.h"

#define MODEL_MAX_GAPS    64
#define RECENT_THREADS    256
#define MODEL_SPARE_LANES 4
#define COMPANY_MAX       128         /* traces that claim a thread, remembered */
#define ROUNDS_GROWING    24          /* of an advance; then claims only grow ... */
#define ROUNDS_MAX        64          /* ... and then they are what they are */
#define TICK_GRACE_NS     25000000ull /* a running thread's slice is closed within two ticks */

/* Since when, and until when, spans are known to have been put aside; to 0: never. */
struct turns_period {
	uint64_t from_ns, to_ns;
};

/* Of skew.c: what the spans of a process showed of its clock. */
struct clock_skew {
	struct clock_range range;     /* if it goes on evenly */
	uint64_t ahead_ns, behind_ns; /* of the time of day, at least; 0: not shown */
	uint64_t early_ns; /* ... behind, by what a thread carried before a span; at least */
	bool follows;      /* ... when that was set */
};

/* How the threads of a process work; to 0: they were never seen to. */
struct habits {
	struct turns_period turns; /* any of them puts spans aside */
	struct turns_period
		crossed; /* ... and not as handlers do, which are over when they leave */
	struct turns_period
		nested; /* ... and other traces lay within spans, on threads that only do that */
	struct turns_period within; /* ... for others of the same trace */
	struct turns_period lent, handed, apart, left, resumed; /* of lend.c */
};

enum lesson_kind {
	LESSON_LENT,
	LESSON_HANDED,
	LESSON_APART,
	LESSON_LEFT,
	LESSON_RESUMED,
	LESSON_WITHIN,
	LESSON_NESTED, /* of a thread */
	LESSON_CROSSES /* ... */
};

/* Of lesson.c: what a trace taught of a process. */
struct lesson {
	struct lesson *next; /* of the trace */
	struct process *process;
	struct thread *thread; /* NULL: any */
	struct turns_period when;
	uint8_t kind; /* enum lesson_kind */
};

#define MOVED_KEPT 8

struct process {
	struct process *next; /* of all */
	uint32_t pid;
	uint32_t ns_pid;
	uint32_t publish; /* enum event_publish */
	uint32_t refs;
	uint16_t concern; /* a bit, of trace_place.concerns */
	bool gone;
	bool described;    /* an event_process has come ... */
	bool has_instance; /* ... and told of a service_instance_id */
	bool has_records;  /* a record has come */
	bool has_tags;     /* one of its threads has shown a tag of its own */
	bool forked;
	bool is_shared;             /* it has its maker's variable, and none of its own */
	uint64_t born_ns;           /* that fork; 0: not known */
	uint64_t made_ns;           /* when a thread was made last by one that showed a span */
	uint64_t first_ns, last_ns; /* of its records */
	uint64_t resumed_ns;        /* of the first one after the newest gap */
	uint64_t gone_ns;
	uint64_t tagged_ns;      /* since when it has tags */
	uint64_t hides_until_ns; /* relearn.c: its traces wait for one that is not whole; 0: no */
	uint8_t hides_trace[TRACE_ID_BYTES]; /* ... that one */
	struct habits habits, sure; /* the latter: but for what traces taught that are still there,
				       and may take it back */
	bool is_unlearned;          /* one has ... */
	bool is_to_teach_anew;      /* ... or all have to: its spans lie elsewhere by now */
	uint32_t sightings; /* spans seen on threads, from a minute after the last turn on ... */
	uint32_t doubted;   /* ... of which so many until a minute after what traces taught of turns
			     */
	uint64_t turned_ns; /* that turn, as tags showed; 0: none */
	struct turns_period blind;             /* of blind.c; to 0: never */
	struct turns_period moved[MOVED_KEPT]; /* of moved.c; the newest first; to 0: none */
	struct turns_period became; /* of became.c; to 0: never, UINT64_MAX: not watched since */
	struct clock_skew skew, skew_taught; /* the latter when it was a lesson last */
	uint32_t skew_small_news;
	uint64_t skew_mixed_ns;  /* since when no one clock tells all that; 0: one does */
	uint64_t lesson;         /* the last one of relearn.c; it concerns traces ... */
	uint64_t lesson_from_ns; /* ... that were seen here since then */
	struct thread *threads;
	char service_instance_id[64];
	char service_name[64];
	char container_id[72];
};

#define TURNS_WINDOWS 4

struct thread_habits {
	struct turns_period turns;
	struct turns_period nested; /* another trace lay within a span, as in habits.nested ... */
	bool crosses;               /* ... unless it is known to put those aside as well */
};

/* What a thread has shown: does it come back to spans that it had put aside? */
struct turns {
	/* In these, whoever was shown was put aside for one that came back, as a handler's span is
	 * that is over then; by time, and until `forgotten_ns` there were others. */
	struct turns_period windows[TURNS_WINDOWS];
	uint32_t window_count;
	uint64_t forgotten_ns;
	struct thread_habits habits, sure; /* as those of its process */
	uint8_t trace_id[TRACE_ID_BYTES];  /* shown last */
	uint64_t shown_ns;
	uint64_t other_ns;    /* when another trace than that was shown last */
	uint64_t idle_ns;     /* when it waited last without a tag ... */
	uint64_t polled_ns;   /* ... and not for another thread, as a pool's do for work */
	uint64_t believed_ns; /* enough was seen of it by then; 0: not yet */
	uint32_t sightings;   /* spans that it kept, since its last turn */
};

#define MARKS_PENDING 8

/* What a thread that marks spans did since its tag changed last. */
struct marking {
	struct mark
		*pending[MARKS_PENDING]; /* made since, and in its last turn; the newest first */
	struct event_tag left_tag;       /* what it showed before that change ... */
	uint64_t left_ns;                /* ... until then; 0: not known */
	uint32_t left_turn;
	bool left_is_last; /* it made no mark since */
	uint32_t turn;     /* counts what it came to without its tag changing */
};

/* A settled trace that claims a thread. */
struct company {
	uint8_t trace_id[TRACE_ID_BYTES];
	uint64_t from_ns, to_ns;         /* to 0: the place is free */
	uint64_t folded_ns;              /* what had left the timeline when it settled */
	uint64_t own_from_ns, own_to_ns; /* of aside.c: a span that the thread began and ended */
};

/* What a thread showed when it woke another one. */
struct glimpse {
	uint64_t time_ns;
	struct event_tag tag;
};

struct thread {
	struct thread *next;     /* of the process */
	struct process *process; /* borrowed; outlives its threads */
	uint32_t tid;
	uint32_t refs; /* observations, marks */
	bool dead;
	bool running; /* the last record was cut by a tick */
	bool seen;
	bool shows; /* of lend.c: a span of the trace at hand that was exported */
	/* it ran for the first time then; 0: that is not known */
	uint64_t begun_ns;
	/* of the newest slice */
	uint64_t last_in_ns, last_out_ns;
	uint32_t last_flags;
	struct event_last last;   /* its record */
	struct event_ready ready; /* of the wait since then, if that began at its out_ns */
	struct behind behind;     /* ... at behind_out_ns */
	uint64_t behind_out_ns;
	struct event_tag last_tag;
	uint64_t kept_since_ns;      /* it shows that since then, at each look of its own */
	uint64_t inherited_until_ns; /* a forked child shows its parent's tag until then */
	bool has_inherited;          /* the tag is known */
	bool has_makers;             /* all that it shows is inherited */
	bool shows_makers; /* it was born with a tag, so its maker's variable is its own, too */
	uint64_t folded_until_ns;
	struct stint fold_stint; /* of what was folded last */
	bool fold_is_mixed;      /* it has more than one tag */
	struct event_tag inherited_tag;
	struct event_tag maker_tag; /* what its maker showed then; zero: nothing that is known */
	struct glimpse *glimpses;   /* owned; by time: of glimpse.c */
	uint32_t glimpse_count, glimpse_cap;
	struct timeline timeline;
	struct observation *current; /* of last_tag; NULL: none */
	struct event_tag current_tag;
	struct turns turns;
	struct marking marking;
	struct restart *restart; /* owned; the call that it was stopped in, or NULL */
	struct company *company; /* owned; NULL, or COMPANY_MAX; the oldest is overwritten */
	unsigned company_next;
	uint64_t company_until_ns; /* nobody claims it later than that */
};

/* It shows that tag then because another process does, or did. */
static inline bool thread_inherits(const struct thread *thread, const struct event_tag *tag,
				   uint64_t time_ns)
{
	return time_ns < thread->inherited_until_ns &&
	       (thread->has_makers || tag_eq(tag, &thread->inherited_tag));
}

struct gap {
	uint64_t from_ns, to_ns;
};

struct model {
	struct correlator_options options;
	struct correlator_stats stats;
	struct clock_map clocks;
	struct coarse_clock coarse;
	struct cpu_lag lag;
	struct process *processes;
	struct map process_by_pid;             /* u32 -> struct process * */
	struct map thread_by_tid;              /* u32 -> struct thread * */
	struct thread *recent[RECENT_THREADS]; /* by tid: some of these, found without a search */
	struct trace_set traces;
	struct trace_shelf *shelves[2]; /* owned; of traces without spans, and others */
	struct trace_view *view;        /* of trace_rest.c; owned; NULL: not asked yet */
	struct map resources;           /* senders.c: resource_key -> struct senders */
	struct map observations;        /* observation.c: those of traces that have many */
	struct map changes;             /* tid -> struct change_log: until its slice comes */
	struct trace_queue pending;     /* first those that settle again, ... */
	struct trace *again;            /* ... up to this one; NULL: there are none */
	struct trace_queue fresh;       /* of relearn.c */
	struct trace_queue awake;       /* ... and neither, but not at rest */
	uint32_t processes_made;
	uint32_t sweeps; /* of trace_expire */
	struct gap gaps[MODEL_MAX_GAPS];
	unsigned gap_count;
	struct gap losses[MODEL_MAX_GAPS]; /* of loss.c: not all owned up to */
	unsigned loss_count;
	uint64_t lost, owned_up; /* records */
	uint64_t now_ns;
	uint64_t first_record_ns;
	uint64_t folded_ns; /* what was over by then has left the timelines */
	uint64_t last_sweep_ns;
	struct chunk_room chunks;                    /* of all timelines */
	struct lane *spare_lanes[MODEL_SPARE_LANES]; /* lane.c; owned: with room for slices */
	uint64_t lesson,
		lesson_told;   /* of relearn.c: the newest, and up to where traces know ... */
	uint64_t lesson_fresh; /* ... those that settled lately */
	unsigned relearn_left; /* what may be done for these until all are looked at */
	bool kernel;
	bool is_unlearned; /* of lesson.c: of any process */
};

#define MODEL_PAUSE_EVERY 64u /* traces */

/* In a walk over all traces, of which there may be some 100,000; `seen`: how many came before. */
static inline void model_pause(const struct model *model, unsigned seen)
{
	if (model->options.pause && seen % MODEL_PAUSE_EVERY == 0)
		model->options.pause();
}

/* Of the newest gap; 0: there was none. */
static inline uint64_t model_gap_end(const struct model *model)
{
	return model->gap_count ? model->gaps[model->gap_count - 1].to_ns : 0;
}

/* A slice that leaves in restart_syscall gets the call and the target of the one that was
 * interrupted. Of every slice, in order, before it is appended. */
void restart_follow(struct thread *thread, struct slice *slice);

/* world.c: processes and threads, records. */
int world_record(struct model *model, const struct event_header *record);
int world_process(struct model *model, const struct event_process *process);
/* Observes its tags and puts it into the thread's timeline. -ENOMEM: it is lost. */
int world_append(struct model *model, struct thread *thread, const struct slice *slice);
struct process *world_find_process(const struct model *model, uint32_t pid);
/* The thread that woke one of `process`, be it gone since; NULL: not followed. */
struct thread *world_find_waker(const struct model *model, struct process *process,
				const struct event_waker *waker);
/* Finds or makes it. NULL: out of memory. */
struct process *world_make_process(struct model *model, uint32_t pid);
/* No record is its any more: its id may name another one. */
void world_forget_thread(struct model *model, struct thread *thread);
void world_expire(struct model *model);
void world_fini(struct model *model);

/* Those of a thread that has ended are not found. */
struct thread *world_find_thread(struct model *model, uint32_t tid);

/* world_slice.c: false: what stands in the record cannot be. `out` borrows from it and from the
 * thread. */
bool world_slice(struct model *model, const struct thread *thread, const struct event_slice *record,
		 struct slice *out);

/* again.c: a slice of which nothing is new but its times, as most are. It follows thread->last.
 * false: it goes the long way, and nothing was done. */
bool again_take(struct model *model, struct thread *thread, const struct event_again *again);

/* became.c: processes that become another program in the middle of a span. */
bool became_another(struct model *model, struct process *process, const struct event_life *life);
void became_watched(struct model *model, struct process *process, uint64_t time_ns);
void became_described(struct process *process);

/* moved.c: processes whose writer was opened anew, elsewhere. */
void moved_note(struct model *model, struct process *process, const struct event_process *news);
bool moved_within(const struct process *process, uint64_t from_ns, uint64_t to_ns);

/* blind.c: threads that are not followed, for want of room. */
int blind_note(struct model *model, const struct event_life *life);
bool blind_within(const struct process *process, uint64_t from_ns, uint64_t to_ns);

/* skew.c: of a process that is new, or another program now. */
void skew_forget(struct clock_skew *skew);

/* loss.c: records that the kernel had no room for. */
void loss_note(struct model *model, uint64_t from_ns, uint64_t to_ns, uint64_t count);
void loss_own_up(struct model *model, uint64_t count);
void loss_forget(struct model *model);
/* Some of a thread of that process may be among them, for all that is known. */
bool loss_within(const struct model *model, const struct process *process, uint64_t from_ns,
		 uint64_t to_ns, bool is_seen);
/* ... or has not come yet: who was on a CPU then may be there still, and nothing tells of it before
 * it leaves, or a tick finds it. Traces wait for that, but for when the daemon ends, or memory is
 * short. */
bool loss_is_awaited(const struct model *model, const struct process *process, uint64_t to_ns);

/* changes.c: tags that changed within a slice. */
void changes_init(struct model *model);
void changes_fini(struct model *model);
int changes_take(struct model *model, const struct event_changes *record);
/* Appends the slice, in pieces where its tag changed. It becomes the last of them. */
int changes_append(struct model *model, struct thread *thread, struct slice *slice);

/* The slice from `end` on becomes the rest, which shows `tag` there; what was before is cut off. */
struct slice slice_cut_off(struct slice *rest, uint64_t end, const struct event_tag *tag);

/* senders.c: which processes send spans with a resource, as their threads have shown. Several do
 * at a time, or one after the other, where a service runs twice or is restarted. */
void senders_init(struct model *model);
void senders_fini(struct model *model);
void senders_note(struct model *model, uint64_t resource_key, struct process *process);
void senders_forget(struct model *model, const struct process *process);
bool senders_are_known(const struct model *model, uint64_t resource_key);
/* The one that lived then, or nearest to then. NULL: none is known, or more than one lived. */
struct process *senders_at(const struct model *model, uint64_t resource_key, uint64_t from_ns,
			   uint64_t to_ns);
/* After that lesson something was learned of them, or of the one that lived then. */
bool senders_teach(const struct model *model, uint64_t resource_key, uint64_t at_ns,
		   uint64_t lesson);

/* relearn.c: what was learned after traces had settled without it. */
void relearn_process(struct model *model, struct process *process, uint64_t from_ns);
/* Timelines still reach back to it: else what has left them would be unknown in new ledgers. */
bool relearn_reaches(const struct model *model, const struct trace *trace);
/* Lists the traces that this concerns to be settled again. false: there are none. Of all, now and
 * then; of those that settled within the last second, at once. */
bool relearn_revisit(struct model *model);
bool relearn_revisit_fresh(struct model *model);
/* What its first traces are told by may still change: it was seen with spans only just now. */
bool relearn_awaits(const struct model *model, const struct trace *trace);
void relearn_note_hidden(struct model *model, const struct trace *trace);
void relearn_note_whole(const struct trace *trace);

/* complete.c. -EAGAIN: more will come by itself, so look again soon. -ENOENT: a span is missing, so
 * wait for it. */
int complete_check(const struct model *model, const struct trace *trace);
/* Every thread that may have carried the trace is known up to then: it has left the CPU since, or a
 * tick would have told by now that it is there. */
bool complete_covers(const struct model *model, const struct trace *trace, uint64_t end_ns);

/* turns.c: threads that put a span aside for another trace, and come back to it. That one was over
 * by then, as a handler's is; or comes back itself; or the thread waited in between. */
enum turn_kind { TURN_NESTED, TURN_CROSSES, TURN_AFTER_WAIT };
void turns_show(struct model *model, struct thread *thread, const struct event_tag *tag,
		const struct observation *known, uint64_t time_ns);
void turns_note(struct model *model, struct thread *thread, enum turn_kind kind, uint64_t time_ns);
/* It was so then, by the spans of a trace, though no tag came back. true: that is news. */
bool turns_teach(struct thread *thread, enum turn_kind kind, uint64_t time_ns);
/* ... for good. */
void turns_keep(struct thread *thread, enum turn_kind kind, uint64_t time_ns);
void turns_idle(struct thread *thread, uint64_t time_ns, int32_t syscall);
/* What was put aside since it was shown last, if it is shown now, tells of a turn. */
static inline bool turns_may_show(const struct turns *turns, const struct observation *known)
{
	return known->last_ns < MAX(turns->other_ns, turns->idle_ns);
}
/* It has run since a span was seen with it first, and shows it still. What is seen but once shows
 * no turn, whatever the thread does. */
void turns_count_kept(struct thread *thread, uint64_t time_ns);
/* true: nothing was known within a minute of it. */
bool turns_extend(struct turns_period *period, uint64_t time_ns);
bool turns_taken(const struct turns_period *period, uint64_t from_ns, uint64_t to_ns);
bool turns_of_thread(const struct thread *thread, uint64_t from_ns, uint64_t to_ns);

/* Another span was seen on a thread of it; or a trace taught that they come back to spans. */
void turns_count(struct model *model, struct process *process, uint64_t time_ns);
void turns_recount(struct model *model, struct process *process);
/* No trace does any more. */
void turns_count_all(struct model *model, struct process *process);
/* So many were seen that, did its threads put spans aside, it would have shown. */
bool turns_are_none(const struct process *process);

/* lesson.c. What traces have taken back is made anew of what the others taught: of each process
 * that this takes no more looks at traces for than are left. */
void lessons_revise(struct model *model, unsigned *looks_left);
/* All that they taught of the process is to be taught anew. */
void lessons_forget(struct model *model, struct process *process);
/* The trace goes: what it taught stays; one of these. */
void lessons_keep(struct model *model, struct trace *trace);
void lesson_keep(const struct lesson *lesson);
void lessons_drop(struct model *model, struct lesson **lessons);

/* mark.c. What a thread logs: that a span begins or ends, while it shows `shown`; a change of its
 * tag; that it has come to something else without its tag changing; and that what it did is not
 * known. */
void mark_add(struct model *model, struct thread *thread, const struct event_tag *tag,
	      const struct event_tag *shown, uint64_t time_ns);
void mark_change(struct thread *thread, const struct event_tag *from, const struct event_tag *to,
		 uint64_t time_ns);
void mark_turn(struct thread *thread);
void mark_forget(struct thread *thread);
/* Becomes the trace's, as its newest. */
void mark_link(struct model *model, struct trace *trace, struct mark *mark);
void marks_free(struct trace *trace);

/* fold.c: what leaves the timelines. */
void fold_oldest_chunk(struct model *model, struct thread *thread);
