/* SPDX-License-Identifier: Apache-2.0 */
/* SDKs whose clocks are not the machine's: read once, when the process began, say, and the time of
 * day was set since.
 *
 * The tags tell. A span cannot start after it was first seen, nor has it ended before it was last
 * seen, if nobody works on in its context: so the process's clock, if it is one that goes on
 * evenly, is no less and no more ahead of CLOCK_MONOTONIC than any of its spans allows (`struct
 * clock_skew`). As long as the time of day lies between the two, the spans are taken to tell that.
 *
 *   Unix time less monotonic  -------|=========|-------------> time of day: it is ahead
 *                                  least     most
 *
 * Where it is not, the spans are moved to the middle between both, and in doubt by the rest; where
 * only the map's bound allows it, to the nearer one: nobody is seen before a span's start. That
 * they end too early may have another cause: an SDK that ends spans before it detaches them. Then
 * they do not start too early, too; and others are seen soon after their start, which a clock that
 * far behind does not allow. */
#include <stdlib.h>

#include "collector/base/macros.h"
#include "correlate/join.h"

#define MOST_CLOCKS 16   /* processes of a trace; of further ones each span is on its own */
#define LEAST_NS    5000 /* from a span's edge to its tag's: no skew */
#define NEWS_NS     1000 /* more of it is a lesson (relearn.c); less, too, ... */
#define SMALL_NEWS  64   /* ... so often: a million traces in any order do not narrow it as often */
#define MUCH        8    /* times what may contradict it */
#define MOST_SLICES 64   /* that are looked at for what a thread showed before */

/* What a span was taken to tell, by the time of day. */
struct told {
	int64_t taken_ns; /* its clock less CLOCK_MONOTONIC */
	uint64_t bound_ns;
	bool is_broken; /* that was set meanwhile */
};

/* What the time of day was, as far as no span tells against that. */
struct history {
	bool is_there;
	struct clock_range range;
};

struct skew_of {
	struct process *process;
	struct clock_skew skew, known; /* by this trace; by earlier ones, too */
	struct told told;              /* by the first of its spans */
	struct history history;
};

struct skews {
	struct skew_of all[MOST_CLOCKS];
	uint32_t count;
};

void skew_forget(struct clock_skew *skew)
{
	*skew = (struct clock_skew){ .range = { INT64_MIN, INT64_MAX }, .early_ns = UINT64_MAX };
}

static void add(struct clock_skew *to, const struct clock_skew *from)
{
	to->ahead_ns = MAX(to->ahead_ns, from->ahead_ns);
	to->behind_ns = MAX(to->behind_ns, from->behind_ns);
	to->range.least_ns = MAX(to->range.least_ns, from->range.least_ns);
	to->range.most_ns = MIN(to->range.most_ns, from->range.most_ns);
	to->early_ns = MIN(to->early_ns, from->early_ns);
	to->follows |= from->follows;
}

/* Spans can tell any time. */
static int64_t less(int64_t ns, int64_t by_ns)
{
	int64_t rest;

	if (__builtin_sub_overflow(ns, by_ns, &rest))
		return ns < 0 ? INT64_MIN : INT64_MAX;
	return rest;
}

static uint64_t beyond(uint64_t ns, uint64_t than_ns)
{
	return ns - MIN(ns, than_ns);
}

static uint64_t if_more(uint64_t ns, uint64_t than_ns)
{
	return ns > than_ns ? ns : 0;
}

/* One clock, read at any time, may have told all that. Threads tell when they change their tags, by
 * some us, which is little where a clock is far off. */
static bool is_one(const struct clock_skew *skew)
{
	int64_t apart = less(skew->range.least_ns, skew->range.most_ns);
	int64_t shown = (int64_t)(MAX(skew->ahead_ns, skew->behind_ns) / MUCH);

	return apart <= (int64_t)CHANGE_CLOCK_NS ||
	       apart <= MIN((int64_t)(CHANGE_CLOCK_NS + CHANGE_DOUBT_NS), shown);
}

static bool is_shown(const struct clock_skew *skew)
{
	return skew->ahead_ns || skew->behind_ns;
}

static struct told told_by(const struct node *node)
{
	return (struct told){ .taken_ns = (int64_t)(node->span->start_unix_ns - node->a_ns),
			      .bound_ns = node->bound_ns,
			      .is_broken = node->skew_ns };
}

static struct skew_of *find(struct skews *skews, const struct node *node)
{
	for (uint32_t i = 0; i < skews->count; i++) {
		if (skews->all[i].process == node->process)
			return &skews->all[i];
	}
	if (!node->process || skews->count == MOST_CLOCKS)
		return NULL;
	skews->all[skews->count] =
		(struct skew_of){ .process = node->process, .told = told_by(node) };
	skew_forget(&skews->all[skews->count].skew);
	return &skews->all[skews->count++];
}

/* ---- what tags show */

/* Nobody has to detach a span before the thread ends: it may have ended at any time before. */
static bool is_left_at_end(const struct sighting *sighting)
{
	return sighting->thread->dead && sighting->last_ns >= sighting->thread->last_out_ns;
}

/* What a span shows that was seen in its own process. */
static struct clock_skew look(const struct join *join, const struct node *node)
{
	uint64_t first = UINT64_MAX, last = 0, end = node->b_ns + node->cut_ns;
	struct clock_skew skew;

	skew_forget(&skew);
	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		const struct sighting *sighting = &join->sightings[s];

		if (sighting->thread->process != node->process)
			continue;
		first = MIN(first, sighting->first_ns);
		last = MAX(last, is_left_at_end(sighting) ? sighting->first_ns : sighting->last_ns);
	}
	if (first > last || node->span->end_unix_ns > INT64_MAX)
		return skew;
	skew.ahead_ns = if_more(beyond(node->a_ns, first), node->bound_ns);
	skew.behind_ns = if_more(beyond(last, end), node->bound_ns);
	skew.range.least_ns = (int64_t)(node->span->start_unix_ns - first);
	skew.range.most_ns = (int64_t)(node->span->end_unix_ns + node->cut_ns - last);
	return skew;
}

/* When the thread was seen last before that moment, since the other, with something else than the
 * span; 0: it was not. */
static uint64_t other_seen_ns(const struct node *node, struct thread *thread, uint64_t from_ns,
			      uint64_t to_ns)
{
	struct timeline_cursor cursor;
	const struct slice *slice;
	uint64_t seen = 0;

	timeline_seek(&thread->timeline, from_ns, &cursor);
	for (unsigned i = 0; i < MOST_SLICES && (slice = timeline_next(&cursor)); i++) {
		if (slice->in_ns >= to_ns)
			break;
		if (slice->in_ns > from_ns &&
		    memcmp(slice->tag_in->span_id, node->span->span_id, SPAN_ID_BYTES) != 0)
			seen = slice->in_ns;
		if (slice->out_ns > from_ns && slice->out_ns < to_ns &&
		    memcmp(slice->tag_out->span_id, node->span->span_id, SPAN_ID_BYTES) != 0)
			seen = slice->out_ns;
	}
	return seen;
}

/* Was something else on the thread that carried it first when it had begun? */
static void look_at_start(const struct join *join, const struct node *node, struct clock_skew *skew)
{
	const struct sighting *first = NULL;
	uint64_t other;

	for (int32_t s = node->sightings; s >= 0; s = join->sightings[s].next) {
		const struct sighting *sighting = &join->sightings[s];

		if (sighting->thread->process == node->process &&
		    (!first || sighting->first_ns < first->first_ns))
			first = sighting;
	}
	other = first ? other_seen_ns(node, first->thread, node->a_ns, first->first_ns) : 0;
	if (other <= node->a_ns + node->cut_ns + node->bound_ns + LEAST_NS)
		return;
	skew->early_ns = MIN(skew->early_ns, other - node->a_ns);
}

static void look_at_all(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		struct skew_of *of = find(join->skews, &join->nodes[i]);
		struct clock_skew its;

		if (!of)
			continue;
		its = look(join, &join->nodes[i]);
		add(&of->skew, &its);
	}
}

/* What earlier traces have shown, too. */
static void add_known(struct skews *skews)
{
	for (uint32_t i = 0; i < skews->count; i++) {
		skews->all[i].known = skews->all[i].skew;
		add(&skews->all[i].known, &skews->all[i].process->skew);
	}
}

/* Its clock is behind, or it detaches late: that is asked where nothing else tells. */
static void look_at_starts(struct join *join)
{
	for (uint32_t i = 0; i < join->count; i++) {
		struct skew_of *of = find(join->skews, &join->nodes[i]);

		if (of && of->known.behind_ns > LEAST_NS && is_one(&of->known))
			look_at_start(join, &join->nodes[i], &of->skew);
	}
}

/* ---- what that means */

/* How far the process's clock is ahead of what the node was taken to tell: the middle, and what it
 * may be off. */
struct move {
	int64_t ns;
	uint64_t doubt_ns;
	bool is_by_tags; /* wherever the clock map took it to be */
};

static struct move between(const struct clock_range *range)
{
	int64_t apart = less(range->most_ns, range->least_ns);

	return (struct move){ .ns = range->least_ns + apart / 2,
			      .doubt_ns = (uint64_t)llabs(apart / 2) + 1 };
}

static struct move to_tags(const struct clock_range *range)
{
	struct move by = between(range);

	by.is_by_tags = true;
	return by;
}

static struct clock_range relative(const struct clock_range *range, const struct told *told)
{
	return (struct clock_range){ less(range->least_ns, told->taken_ns),
				     less(range->most_ns, told->taken_ns) };
}

static struct history history_of(const struct clock_map *clocks, const struct clock_skew *skew)
{
	struct history history = { .is_there = false };

	if (!skew->follows)
		history.is_there = clock_map_history(clocks, &skew->range, &history.range);
	return history;
}

/* By the time of day, or by what that was before it was set; and up to `behind` it. */
static struct move move_by_history(const struct told *told, const struct history *history,
				   int64_t behind)
{
	struct clock_range range = { -behind, 0 }, was = relative(&history->range, told);

	if (history->is_there) {
		range.least_ns = MIN(range.least_ns, was.least_ns);
		range.most_ns = MAX(range.most_ns, was.most_ns);
	}
	if (less(range.most_ns, range.least_ns) <= (int64_t)told->bound_ns)
		return (struct move){ 0 };
	if (told->is_broken) /* there is no middle */
		return (struct move){ .doubt_ns = (uint64_t)less(range.most_ns, range.least_ns) };
	return between(&range);
}

/* Of clocks that are not one, or of one that runs away, what others have shown tells nothing of the
 * most that these may be ahead. */
static struct move move_of_several(const struct told *told, const struct clock_skew *skew,
				   const struct clock_skew *own)
{
	int64_t most_ns = MAX(less(own->range.most_ns, told->taken_ns), 0);

	return (struct move){ .doubt_ns = MIN(skew->ahead_ns, (uint64_t)most_ns) };
}

/* `own`: what its own trace shows; `skew`: earlier ones, too. */
static struct move move_of(const struct told *told, const struct clock_skew *skew,
			   const struct clock_skew *own, const struct history *history)
{
	struct clock_range range = relative(&skew->range, told);
	int64_t seen_behind = (int64_t)skew->behind_ns, behind = less(0, MIN(range.least_ns, 0));

	if (!is_one(skew))
		return move_of_several(told, skew, own);
	if (!is_shown(skew) && range.least_ns > (int64_t)CHANGE_CLOCK_NS)
		return (struct move){ .ns = range.least_ns, .doubt_ns = (uint64_t)range.least_ns };
	if (!is_shown(skew))
		return move_by_history(told, history, 0);
	if (skew->ahead_ns || (seen_behind > LEAST_NS && skew->early_ns <= (uint64_t)behind) ||
	    less(range.most_ns, range.least_ns) < seen_behind / 2)
		return to_tags(&range);
	return move_by_history(told, history, MIN(behind, seen_behind + LEAST_NS));
}

/* The map need not be asked for a time that is yet to come, by a clock that is ahead. */
static uint64_t bound_there(const struct clock_map *clocks, const struct node *node)
{
	uint64_t unix_ns, bound_a, bound_b;

	if (!clock_map_to_unix(clocks, node->a_ns, &unix_ns, &bound_a) ||
	    !clock_map_to_unix(clocks, node->b_ns, &unix_ns, &bound_b))
		return node->bound_ns;
	return MIN(node->bound_ns, bound_a + bound_b);
}

static void move(const struct clock_map *clocks, struct node *node, struct move by)
{
	if (by.ns > 0 && (uint64_t)by.ns > node->a_ns) /* before the machine was started */
		by = (struct move){ .doubt_ns = by.doubt_ns + (uint64_t)by.ns };
	node->a_ns -= (uint64_t)by.ns;
	node->b_ns -= (uint64_t)by.ns;
	if (by.is_by_tags) {
		node->bound_ns = bound_there(clocks, node);
		node->skew_ns -= node->before_ns;
	}
	node->astray_ns = by.doubt_ns;
	node->skew_ns += by.doubt_ns;
}

static void move_node(const struct join *join, struct node *node)
{
	const struct skew_of *of = find(join->skews, node);
	struct clock_skew own = look(join, node);
	struct told told = told_by(node);
	struct history history;
	struct move by;

	if (of) {
		by = move_of(&told, &of->known, &of->skew, &of->history);
	} else {
		history = history_of(&join->model->clocks, &own);
		by = move_of(&told, &own, &own, &history);
	}
	if (by.ns == 0 && is_one(&own)) /* and others tell nothing that explains it */
		by.doubt_ns = MAX(by.doubt_ns, own.ahead_ns);
	move(&join->model->clocks, node, by);
}

bool skew_find(struct join *join)
{
	join->skews = arena_alloc(&join->arena, sizeof(*join->skews));
	if (!join->skews)
		return false;
	look_at_all(join);
	add_known(join->skews);
	look_at_starts(join);
	add_known(join->skews);
	for (uint32_t i = 0; i < join->skews->count; i++) {
		struct skew_of *of = &join->skews->all[i];

		of->history = history_of(&join->model->clocks, &of->known);
	}
	for (uint32_t i = 0; i < join->count; i++)
		move_node(join, &join->nodes[i]);
	return true;
}

/* What is kept of what is known by now: an SDK that goes by the time of day has another clock since
 * that was set. One that tells this and that may have another one since a while. */
static void keep(struct process *process, const struct skew_of *of, uint64_t now_ns)
{
	bool is_mixed = !is_one(&of->known) && is_shown(&of->known);
	bool is_over = is_mixed && process->skew_mixed_ns &&
		       now_ns > process->skew_mixed_ns + TRACE_HOLD_NS;

	process->skew = is_over ? of->skew : of->known;
	if (!is_one(&of->known) && !is_mixed) {
		process->skew = of->skew;
		process->skew.follows = true;
	}
	if (!is_mixed || is_over)
		process->skew_mixed_ns = 0;
	else if (!process->skew_mixed_ns)
		process->skew_mixed_ns = now_ns;
}

/* By how much spans would lie elsewhere, or be in more doubt, or less. */
static uint64_t news_ns(const struct clock_map *clocks, const struct told *told,
			const struct clock_skew *was, const struct clock_skew *now)
{
	struct history history_was = history_of(clocks, was), history_now = history_of(clocks, now);
	struct clock_skew none; /* of a trace that shows nothing */
	struct move before, after;

	skew_forget(&none);
	before = move_of(told, was, &none, &history_was);
	after = move_of(told, now, &none, &history_now);
	return MAX(distance(before.doubt_ns, after.doubt_ns),
		   (uint64_t)llabs(less(before.ns, after.ns)));
}

void skew_learn(struct join *join)
{
	for (uint32_t i = 0; i < join->skews->count; i++) {
		const struct skew_of *of = &join->skews->all[i];
		struct process *process = of->process;
		uint64_t news;

		keep(process, of, join->model->now_ns);
		news = news_ns(&join->model->clocks, &of->told, &process->skew_taught,
			       &process->skew);
		if (news == 0 || (news <= NEWS_NS && process->skew_small_news == SMALL_NEWS))
			continue;
		process->skew_small_news += news <= NEWS_NS;
		process->skew_taught = process->skew;
		lessons_forget(join->model, process);
		relearn_process(join->model, process,
				join->from_ns - MIN(join->from_ns, TRACE_HOLD_NS));
	}
}
