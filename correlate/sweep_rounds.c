/* SPDX-License-Identifier: Apache-2.0 */
/* Where all lanes of a span go round: from change to change with nothing but their times to look
 * at. What comes out is the same as stretch by stretch (sweep_lanes.c). */
#include "collector/base/macros.h"
#include "correlate/sweep_lanes.h"

/* One that goes round. */
struct goer {
	struct strand *strand;
	const struct rounds *rounds;
	const struct slice *slice; /* that ends next */
	uint64_t woken_ns, in_ns, out_ns;
	uint32_t depth;
	bool is_counted; /* the slice's CPU time */
	struct segment segment;
	struct wait wait;
};

struct goers {
	struct sweep *sweep;
	uint64_t limit_ns; /* then somebody else begins, or one has gone its last round */
	uint32_t count;
	struct goer all[SWEEP_FEW_LANES];
};

static inline void stand_at(struct goers *goers, struct goer *goer, const struct slice *slice)
{
	goer->slice = slice;
	goer->is_counted = false;
	goer->in_ns = slice->in_ns;
	goer->out_ns = slice->out_ns;
	goer->woken_ns = rounds_woken_ns(goer->rounds, slice);
	goer->wait.before = slice - 1;
	goer->wait.after = slice;
	goer->wait.raw_ns = goer->woken_ns - slice[-1].out_ns;
	if (slice + 1 == goer->rounds->end)
		goers->limit_ns = MIN(goers->limit_ns, slice->out_ns);
}

static void enter(struct goers *goers, struct strand *strand)
{
	const struct stretch_of *now = strand_now(strand);
	struct goer *goer = &goers->all[goers->count++];

	goer->strand = strand;
	goer->rounds = now->rounds;
	goer->segment = now->segment;
	goer->segment.why = now->rounds->why;
	goer->depth = goers->sweep->join->nodes[now->segment.carrier].depth;
	goer->wait = rounds_wait(now->rounds, now->slice);
	stand_at(goers, goer, now->slice);
	goer->is_counted = now->segment.state == STATE_RUNNING;
}

/* false: one of them is there that does not. */
static bool find_all(struct goers *goers, struct strands *strands, uint64_t time_ns)
{
	goers->sweep = strands->sweep;
	goers->count = 0;
	goers->limit_ns = strands->sweep->node->b_ns;
	for (uint32_t i = 0; i < strands->count; i++) {
		struct strand *strand = &strands->all[i];
		const struct stretch_of *now;

		while (!strand->is_over && strand_next(strand)->segment.start_ns <= time_ns)
			strand_go_on(strands->sweep, strand);
		now = strand_now(strand);
		if (strand->is_there && now->segment.end_ns > time_ns) {
			if (!now->rounds || now->rounds != strand->rounds)
				return false;
			enter(goers, strand);
		} else if (!strand->is_over) {
			goers->limit_ns =
				MIN(goers->limit_ns, strand_next(strand)->segment.start_ns);
		}
	}
	return goers->count;
}

static inline void count_cpu(const struct goers *goers, struct goer *goer)
{
	struct segment whole = { .start_ns = goer->in_ns,
				 .end_ns = goer->out_ns,
				 .cpu_ns = goer->slice->booked_ns,
				 .carrier = goer->segment.carrier,
				 .state = STATE_RUNNING };

	if (!goer->is_counted)
		sweep_take(goers->sweep, &whole);
	goer->is_counted = true;
}

/* ---- an instant */

static inline uint8_t state_at(const struct goer *goer, uint64_t time_ns)
{
	if (time_ns >= goer->in_ns)
		return STATE_RUNNING;
	return time_ns >= goer->woken_ns ? STATE_RUNNABLE : STATE_BLOCKED;
}

static inline void set_state(struct goer *goer, uint8_t state)
{
	struct segment *s = &goer->segment;

	s->state = state;
	s->since_ns = state == STATE_RUNNING ? goer->in_ns : goer->slice[-1].out_ns;
	s->start_ns = state == STATE_RUNNABLE ? goer->woken_ns : s->since_ns;
	s->stack = state == STATE_RUNNING ? rounds_stack(goer->rounds, goer->slice) : 0;
}

static inline bool is_over(const struct goer *goer, const struct goer *other)
{
	const struct segment *s = &goer->segment, *o = &other->segment;

	if (s->state != o->state)
		return sweep_rank(s->state) > sweep_rank(o->state);
	if (goer->depth != other->depth)
		return goer->depth > other->depth;
	return s->since_ns != o->since_ns ? s->since_ns > o->since_ns : strand_is_before(s, o);
}

/* When the state of one changes; while another one runs, when it runs itself. */
static inline uint64_t change_of(const struct goer *goer, uint64_t time_ns, bool is_hidden)
{
	if (time_ns < goer->woken_ns && !is_hidden)
		return goer->woken_ns;
	if (time_ns < goer->in_ns)
		return goer->in_ns;
	return is_hidden && goer->slice + 1 < goer->rounds->end ? goer->slice[1].in_ns
								: goer->out_ns;
}

static inline struct goer *decide(struct goers *goers, uint64_t time_ns)
{
	struct goer *best = NULL;

	for (uint32_t i = 0; i < goers->count; i++) {
		struct goer *goer = &goers->all[i];

		set_state(goer, state_at(goer, time_ns));
		if (!best || is_over(goer, best))
			best = goer;
	}
	return best;
}

static inline uint64_t until_when(const struct goers *goers, const struct goer *best,
				  uint64_t time_ns)
{
	bool runs = best->segment.state == STATE_RUNNING;
	uint64_t until = runs ? best->out_ns : UINT64_MAX;

	for (uint32_t i = 0; i < goers->count; i++) {
		if (!runs || &goers->all[i] != best)
			until = MIN(until, change_of(&goers->all[i], time_ns, runs));
	}
	return until;
}

/* Those whose slice is over go on to the next one. */
static inline void go_round(struct goers *goers, uint64_t time_ns)
{
	for (uint32_t i = 0; i < goers->count; i++) {
		struct goer *goer = &goers->all[i];

		while (goer->out_ns <= time_ns && goer->slice + 1 < goer->rounds->end) {
			count_cpu(goers, goer);
			stand_at(goers, goer, goer->slice + 1);
		}
	}
}

/* ---- one alone: what comes next is known */

const struct slice *sweep_rounds_sum(struct sweep *sweep, const struct rounds *rounds,
				     const struct slice *slice, const struct slice *last,
				     uint64_t until_ns)
{
	const struct segment like = {
		.thread = rounds->thread, .carrier = rounds->owner, .wait = -1, .why = rounds->why
	};
	const uint32_t tid = rounds->thread->tid;
	const uint64_t blocked = sweep_picture_what(STATE_BLOCKED, rounds->reason, tid);
	const uint64_t runnable = sweep_picture_what(STATE_RUNNABLE, 0, tid);
	const uint64_t running = sweep_picture_what(STATE_RUNNING, 0, tid);
	const struct wait wait = rounds_wait(rounds, slice);
	struct sweep_sums sums = { 0 };
	uint64_t start = slice[-1].out_ns;

	for (; slice < last && slice->out_ns <= until_ns; start = slice++->out_ns) {
		uint64_t woken = rounds_woken_ns(rounds, slice), waited = woken - start;
		uint64_t ran = slice->out_ns - slice->in_ns;

		sums.blocked_ns += waited;
		sums.runnable_ns += slice->in_ns - woken;
		sums.running_ns += ran;
		sums.cpu_ns += ran ? slice->booked_ns : 0;
		sums.longest_ns = MAX(sums.longest_ns, waited);
		sums.waits += waited > 0;
		sums.wait_ns = waited ? start : sums.wait_ns;
		sweep_picture_add(sweep, waited, blocked);
		sweep_picture_add(sweep, slice->in_ns - woken, runnable);
		sweep_picture_add(sweep, ran, running);
	}
	sweep_account_sums(sweep, &sums, &like, &wait, rounds->stack);
	return slice;
}

/* Is it at the begin of a round, and are all of them alike, up to the code that ran? */
static inline bool is_alone(const struct goers *goers, uint64_t time_ns)
{
	const struct goer *goer = &goers->all[0];

	return goers->count == 1 && time_ns == goer->slice[-1].out_ns && !goer->is_counted &&
	       goer->slice + 1 < goer->rounds->end && goer->out_ns < goers->limit_ns &&
	       !rounds_has_looks(goer->rounds);
}

/* Whole rounds, as long as they end before the limit. Returns when the next one begins. */
static uint64_t go_alone(struct goers *goers)
{
	struct goer *goer = &goers->all[0];
	/* the last one of all is a limit of its own */
	const struct slice *next = sweep_rounds_sum(goers->sweep, goer->rounds, goer->slice,
						    goer->rounds->end - 1, goers->limit_ns - 1);

	stand_at(goers, goer, next);
	return next[-1].out_ns;
}

/* ---- two of which one runs where the other leaves: what else they are at does not matter */

static inline void add_run(struct sweep *sweep, const struct slice *slice, uint64_t what,
			   struct sweep_sums *sums)
{
	uint64_t ran = slice->out_ns - slice->in_ns;

	sums->running_ns += ran;
	sums->cpu_ns += ran ? slice->booked_ns : 0;
	sweep_picture_add(sweep, ran, what);
}

static void end_turns(struct goers *goers, struct goer *goer, const struct slice *slice,
		      const struct sweep_sums *sums)
{
	static const struct wait none;
	const struct segment like = { .carrier = goer->segment.carrier };

	sweep_account_sums(goers->sweep, sums, &like, &none, goer->rounds->stack);
	stand_at(goers, goer, slice);
}

/* From the begin of a slice of the first one on; the last slice of each is left, as a limit of its
 * own. Returns until when. */
static uint64_t take_turns(struct goers *goers, struct goer *first, struct goer *second)
{
	const struct slice *one = first->slice, *last_one = first->rounds->end - 2;
	const struct slice *other = second->slice, *last_other = second->rounds->end - 2;
	const uint64_t what_one = sweep_picture_what(STATE_RUNNING, 0, first->rounds->thread->tid);
	const uint64_t what_other =
		sweep_picture_what(STATE_RUNNING, 0, second->rounds->thread->tid);
	struct sweep_sums sums_one = { 0 }, sums_other = { 0 };

	while (one < last_one && other < last_other && one->out_ns == other->in_ns &&
	       other->out_ns == one[1].in_ns && other->out_ns < goers->limit_ns) {
		add_run(goers->sweep, one++, what_one, &sums_one);
		add_run(goers->sweep, other++, what_other, &sums_other);
	}
	if (one == first->slice)
		return one->in_ns;
	end_turns(goers, first, one, &sums_one);
	end_turns(goers, second, other, &sums_other);
	return one->in_ns;
}

static bool may_take_turns(const struct goer *goer, uint64_t time_ns)
{
	return goer->in_ns >= time_ns && !goer->is_counted && !rounds_has_looks(goer->rounds);
}

static uint64_t go_in_turns(struct goers *goers, uint64_t time_ns)
{
	struct goer *first = &goers->all[0], *second = &goers->all[1];

	if (goers->count != 2 || !may_take_turns(first, time_ns) ||
	    !may_take_turns(second, time_ns))
		return time_ns;
	if (first->in_ns == time_ns)
		return take_turns(goers, first, second);
	if (second->in_ns == time_ns)
		return take_turns(goers, second, first);
	return time_ns;
}

/* ---- back to stretches */

static void leave(const struct goers *goers, struct goer *goer, uint64_t time_ns)
{
	struct strand *strand = goer->strand;
	struct stretch_of *now = strand_now(strand);
	uint8_t state = state_at(goer, time_ns);

	if (goer->in_ns < goers->sweep->node->b_ns && state == STATE_RUNNING)
		count_cpu(goers, goer);
	strand->rounds = goer->rounds;
	strand_make(goer->rounds, goer->slice, state, now);
	strand->slice = goer->slice;
	strand->state = state == STATE_BLOCKED ? STATE_RUNNABLE : STATE_RUNNING;
	if (state == STATE_RUNNING) {
		strand->state = STATE_BLOCKED;
		strand->rounds = ++strand->slice < goer->rounds->end ? goer->rounds : NULL;
	}
	strand_look_ahead(goers->sweep, strand);
}

uint64_t sweep_rounds(struct strands *strands, uint64_t time_ns)
{
	struct goers goers;

	if (!find_all(&goers, strands, time_ns))
		return time_ns;
	for (;;) {
		const struct goer *best;
		uint64_t until;

		if (is_alone(&goers, time_ns))
			time_ns = go_alone(&goers);
		else
			time_ns = go_in_turns(&goers, time_ns);
		best = decide(&goers, time_ns);
		until = until_when(&goers, best, time_ns);
		if (until >= goers.limit_ns)
			break;
		sweep_account(goers.sweep, time_ns, until, &best->segment, &best->wait);
		time_ns = until;
		go_round(&goers, time_ns);
	}
	for (uint32_t i = 0; i < goers.count; i++)
		leave(&goers, &goers.all[i], time_ns);
	return time_ns;
}
