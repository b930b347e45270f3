/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the overlay: what its files share. Internal to overlay*.c. */
#pragma once

#include "correlate/join.h"

#define OVERLAY_MAX_SPANS 512 /* of one trace and process that are weighed at once */

/* AWAY: others were seen with it, but the thread may have begun it, or ended it, with an ancestor
 * of it as its tag (overlay_handed.c). SUSPENDED: the thread carried it before and after, or a
 * child of it, and something else in this slice: it may have come to it in between. Such a span
 * owns nothing, but is in doubt. */
enum confidence { CANNOT = 0, AWAY, SUSPENDED, DOUBTFUL, SURE };

/* One slice, or a window of it where more are open than are weighed at once, and the spans that are
 * open within it. */
struct cut {
	struct join *join;
	const struct lane *lane;
	const struct slice *slice;
	int32_t owner_in,
		owner_out; /* what the tags at both ends mean; -1: nothing of this trace */
	const struct stint *stint;
	uint64_t from_ns, to_ns;
	uint64_t last_cpu_ns;
	uint32_t count;
	int32_t nodes[OVERLAY_MAX_SPANS];
	uint8_t confidence[OVERLAY_MAX_SPANS];
};

/* The tag of one of the slice's ends is that of the node, or of one below it. */
static inline bool cut_has(const struct join *join, int32_t tag_owner, int32_t node)
{
	return tag_owner >= 0 && node_is_below(join, tag_owner, node);
}

/* The node that a tag of that moment means; -1: nothing of this trace. */
int32_t overlay_meaning(const struct join *join, const struct lane *lane,
			const struct event_tag *tag, uint64_t time_ns);
/* Where those below it begin, in the order of starts; of -1: where all do. */
static inline uint32_t overlay_first_below(const struct join *join, int32_t owner)
{
	return owner < 0 ? 0 : join->nodes[owner].first_place;
}

/* CPU time of the slice from where it was asked last up to then. */
static inline uint64_t cut_take_cpu(struct cut *cut, uint64_t until_ns)
{
	uint64_t cpu = stint_cpu_until(cut->stint, until_ns);
	uint64_t taken = cpu - MIN(cpu, cut->last_cpu_ns);

	cut->last_cpu_ns = MAX(cpu, cut->last_cpu_ns);
	return taken;
}

/* The node, or the ancestor of it that is active then; -1: none. */
int32_t overlay_climb(const struct join *join, int32_t index, uint64_t time_ns);
/* The doubt is the span's, and that of every ancestor up to the first one that is sure; that one's
 * own share (self) is in doubt too. */
void overlay_doubt(struct join *join, int32_t index, int32_t sure_ancestor, uint64_t ns);
#ifdef SPANWISE_TELL_DOUBTS
#define overlay_doubt(join, index, sure_ancestor, ns)                                              \
	do {                                                                                       \
		int32_t from_ = (index), sure_ = (sure_ancestor);                                  \
		uint64_t doubt_ = (ns);                                                            \
                                                                                                   \
		for (int32_t at_ = from_; at_ >= 0;                                                \
		     at_ = at_ == sure_ ? -1 : (join)->nodes[at_].parent)                          \
			doubt_tell(&(join)->nodes[at_], doubt_);                                   \
		(overlay_doubt)((join), from_, sure_, doubt_);                                     \
	} while (0)
#endif
/* A stretch with one tag all along, given to the innermost span of the chain that is active: a tag
 * may be seen before its span's start or after its end. */
void overlay_emit_chain(struct join *join, const struct segment *like, uint64_t start, uint64_t end,
			int32_t index);
/* One that is `carrier`'s, whatever else is open. */
void overlay_emit(struct join *join, const struct segment *like, uint64_t start, uint64_t end,
		  int32_t carrier);

/* overlay_trust.c. Of an open span, in that slice. */
enum confidence overlay_trust(const struct cut *cut, int32_t index);

/* overlay_crowd.c. Finds who is open from cut->from_ns on, up to the slice's end or as far as no
 * more are than are weighed at once: whoever was not found begins with the last one that was, or
 * later. If that many are open at once, the count is OVERLAY_MAX_SPANS, and the window lasts until
 * less are. */
void crowd_window(struct cut *cut);
/* Such a window goes to whom its slice's tags mean. */
void crowd_own(struct cut *cut);
/* When all lanes are done: whoever was open in one is in doubt. */
void crowd_doubt(struct join *join);

/* overlay_doubt.c. When all lanes are done: the doubts to whom they concern. */
void overlay_pass_doubts(struct join *join);
void overlay_doubt_parts(struct cut *cut);
void overlay_doubt_unknown(struct cut *cut, const struct slice *before);
void overlay_doubt_lost_in(struct join *join, const struct lane *lane, const struct slice *slice);
void overlay_doubt_heads(struct join *join);
/* When it is known who may own the slice: those in whose context another one began in it, or may
 * have. false: there are none. */
bool overlay_suspect_above(struct cut *cut);
void overlay_doubt_awaited(struct join *join);

/* overlay_handed.c. The span is not known to have been this thread's, but may have been in that
 * stretch: at its start, or at its end. */
bool handed_from_here(const struct cut *cut, int32_t index, bool is_end,
		      struct stretch *out_stretch);
/* The thread shows it after its start, or before its end, but was busy at that edge, and may not be
 * the one that had it then. */
bool handed_by_another(const struct cut *cut, int32_t index, bool is_end);
/* The thread was off its CPU then, and so long before and after, for sure. */
bool handed_away(const struct lane *lane, const struct node *node, uint64_t time_ns,
		 uint64_t margin_ns);
/* Where spans are begun, or ended, by other threads than carry them: one of these was at hand. */
bool handed_apart(const struct cut *cut, int32_t index, bool is_end);
/* A root of which its thread shows what is below it, and which another one may have ended. */
bool handed_left(const struct cut *cut, int32_t index);
/* It is seen on another thread within the same slice: handed over, perhaps. But not where one of
 * its edges lies in the slice, at `edge_ns`, this thread shows it beyond, and that other one was
 * off its CPU then, as was everybody else: so it was this one that began it, or ended it.
 * UINT64_MAX: both edges do. */
bool handed_beside(const struct cut *cut, int32_t index, uint64_t edge_ns);
/* A piece of the slice is the owner's, or one's that is AWAY and lies below it. */
void handed_doubt(struct cut *cut, int32_t owner, uint64_t start, uint64_t end, uint64_t ns);
/* It is the owner's, unless the thread has put that one aside for what is around it, and has taken
 * it up again. */
void handed_doubt_resumed(struct cut *cut, int32_t owner, uint64_t ns);
/* The first that was seen with the span, or the last; NULL: none. */
const struct sighting *handed_seen_at(const struct join *join, const struct process *process,
				      int32_t index, bool is_end);
/* The thread was on a CPU at that edge of the span, and at nothing else that is known. */
bool handed_is_edge_of(const struct join *join, const struct thread *thread, int32_t index,
		       uint64_t edge_ns);

/* overlay_unseen.c. When all lanes are done: what threads may have had of spans that show none. */
void unseen_doubt(struct join *join);

/* enclose.c. The exported span that an unknown tag of the trace counts for; -1: none. */
int32_t enclose_unknown(const struct join *join, const struct lane *lane,
			const struct event_tag *tag, uint64_t time_ns);
/* It counts for the one in which it was begun, as that is marked. */
bool enclose_is_begun(const struct join *join, const struct lane *lane, const struct event_tag *tag,
		      uint64_t time_ns);
/* The exported span that the thread was in when it came, at `first_ns`, to something that was open
 * at `time_ns`; not that one, nor what is below it. -1: nothing tells. */
int32_t enclose_at(const struct join *join, const struct lane *lane, uint64_t first_ns,
		   uint64_t time_ns, int32_t except);
/* ... unless it is another one; from its begin to its end. */
void enclose_doubt_around(struct join *join, const struct lane *lane, uint64_t first_ns,
			  uint64_t from_ns, uint64_t to_ns, int32_t except);
/* ... where an unknown tag stands at an end of that stretch: of a slice that is cut; NULL: of a
 * wait. */
void enclose_doubt(struct join *join, const struct lane *lane, const struct event_tag *tag,
		   uint64_t from_ns, uint64_t to_ns, const struct cut *cut);

/* overlay_plain.c: the one node of the process that is open all along, while no other is; -1: there
 * is none, or more than one, or one begins or ends then. */
int32_t overlay_ask_only(struct join *join, const struct process *process, uint64_t from_ns,
			 uint64_t to_ns);
static inline int32_t overlay_only(struct join *join, const struct process *process,
				   uint64_t from_ns, uint64_t to_ns)
{
	const struct calm *calm = &join->calm;

	if (calm->process == process && calm->from_ns <= from_ns && to_ns <= calm->to_ns)
		return calm->only;
	return overlay_ask_only(join, process, from_ns, to_ns);
}

/* No node of the process is open then, nor begins or ends. */
static inline bool overlay_nobody(struct join *join, const struct process *process,
				  uint64_t from_ns, uint64_t to_ns)
{
	const struct calm *calm = &join->calm;

	return overlay_only(join, process, from_ns, to_ns) < 0 && calm->is_empty &&
	       calm->from_ns <= from_ns && to_ns <= calm->to_ns;
}

/* A slice on a CPU that needs no cutting: one tag, or none, all along while one span is open.
 * false: it is another, and nothing was done. */
bool overlay_plain(struct join *join, const struct lane *lane, const struct slice *before,
		   const struct slice *slice);
/* overlay_steady.c: slices from `first` on that are alike. Returns the first one that is not. */
uint32_t overlay_steady(struct join *join, const struct lane *lane, uint32_t first);
/* Of what it ran: where a tick found it, or who took its CPU; where nobody did, the look nearest to
 * it that found the thread at work with the same tag, with no wait in between. 0: none. `slice` is
 * the lane's. */
uint64_t overlay_stack_of(const struct lane *lane, const struct slice *slice);

/* Of the slice, for whoever owns it; the caller says how much CPU time. */
static inline struct segment cut_piece(const struct cut *cut)
{
	return (struct segment){
		.state = STATE_RUNNING,
		.thread = cut->lane->thread,
		.since_ns = cut->slice->in_ns,
		.stack = overlay_stack_of(cut->lane, cut->slice),
		.wait = -1,
	};
}

#define STACK_REACH 8 /* slices to either side, in which a look at the thread is sought */

struct look overlay_look_back(const struct lane *lane, const struct slice *slice);
struct look overlay_look_ahead(const struct lane *lane, const struct slice *slice);
/* Where its end was looked at; 0: it was not. */
static inline uint64_t overlay_stack_told(const struct slice *slice)
{
	bool is_told = slice->flags & (EVENT_TICK | EVENT_PREEMPTED);

	return is_told && !(slice->flags & SLICE_CHANGE) && slice->stack >= STACK_FIRST_ID
		       ? slice->stack
		       : 0;
}

/* overlay_told.c, for slices with EVENT_TOLD, of a span that the thread was seen with. */
enum confidence told_trust(struct join *join, const struct lane *lane, const struct slice *slice,
			   int32_t index);
/* No other thread of the process was on a CPU then, so it was this one that read the clock. */
bool told_is_alone(struct join *join, const struct lane *lane, const struct node *node,
		   uint64_t time_ns);
/* Another one may have: it was on a CPU, with an ancestor of the span as its tag, or, unless this
 * one has such a tag itself, `is_owned`, with nothing that is known. */
bool told_is_by_another(struct join *join, const struct lane *lane, int32_t index, uint64_t edge_ns,
			bool is_owned);
/* Off the CPU after `before`: on the way into a span, or out of it, the thread may have had to
 * wait. */
void told_doubt_wait(struct join *join, const struct lane *lane, const struct slice *before,
		     uint64_t end, int32_t owner);
/* At a change of the tag; `segment_count` segments were there before those that begin with it. */
void told_doubt_change(struct join *join, const struct lane *lane, uint64_t time_ns,
		       uint32_t segment_count);

/* overlay_marked.c. The span's start or end lies between those two, in which the thread that began
 * it, or ended it, did nothing else. */
bool marked_way(struct join *join, const struct lane *lane, int32_t index, uint64_t from_ns,
		uint64_t to_ns);
/* Another thread began it, or ended it, or this one did, and was at something else in between. */
bool marked_apart(const struct lane *lane, const struct node *node, bool is_end);
/* It may have been. */
bool marked_in_doubt(const struct lane *lane, const struct node *node, bool is_end);
/* Whose a stretch off the CPU is that shows `owner`: that of a span that the thread is about to
 * attach, or has just detached, or that nobody attaches. */
int32_t marked_owner(struct join *join, const struct lane *lane, uint64_t from_ns, uint64_t to_ns,
		     int32_t owner);

/* overlay_way.c. At that moment its thread, which does not show it there, was on the way from the
 * span's start to where it does, or from there to its end, and did nothing else. */
bool way_is_sure(struct join *join, const struct lane *lane, int32_t index, uint64_t time_ns);
/* Whose a stretch off the CPU is that shows `owner`: that of a span that the thread is on such a
 * way of. */
int32_t way_owner(struct join *join, const struct lane *lane, uint64_t from_ns, uint64_t to_ns,
		  int32_t owner);

/* overlay_wait.c. The stretch off the CPU before a slice; `before` is the slice before that. */
void overlay_wait_emit(struct join *join, const struct lane *lane, const struct slice *before,
		       const struct slice *after, uint64_t until);
/* Records were lost in between: what the thread did is not known. `before` NULL: nor since when. */
void overlay_wait_gap(struct join *join, const struct lane *lane, const struct slice *before,
		      const struct slice *after);
/* CPU time was booked that no record explains. */
void overlay_wait_hidden(struct join *join, const struct lane *lane, const struct slice *before,
			 const struct slice *slice);
/* After the newest record: still blocked, for the reason that stands there, or still running. */
void overlay_wait_open_end(struct join *join, const struct lane *lane);
