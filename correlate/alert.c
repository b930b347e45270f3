/* SPDX-License-Identifier: Apache-2.0 */
#include "correlate/alert.h"

#include <assert.h>

#include "collector/base/macros.h"

static uint64_t blocked_sum(const struct alert_measure *measure)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < REASON_COUNT; i++)
		sum += measure->blocked_ns[i];
	return sum;
}

static double share(uint64_t part, uint64_t of)
{
	return of ? (double)part / (double)of : 0;
}

static double figure_of(const struct alert_term *term, const struct alert_measure *measure)
{
	switch (term->figure) {
	case FIGURE_RATIO:
		return share(measure->cpu_ns, measure->wall_sum_ns);
	case FIGURE_RUNNABLE:
		return share(measure->runnable_ns, measure->wall_sum_ns);
	case FIGURE_BLOCKED:
		return share(blocked_sum(measure), measure->wall_sum_ns);
	case FIGURE_BLOCKED_REASON:
		return share(measure->blocked_ns[term->which], measure->wall_sum_ns);
	case FIGURE_ELSEWHERE:
		return share(measure->elsewhere_ns, measure->wall_sum_ns);
	case FIGURE_ERRORS:
		return share(measure->errors, measure->spans);
	case FIGURE_WALL:
		return (double)measure->wall_ns[term->which];
	}
	return 0;
}

/* Enough spans, and of enough of them the time is known. */
static enum alert_judgement judge_data(const struct alert_rule *rule,
				       const struct alert_measure *measure)
{
	if (!measure || measure->spans < rule->min_count)
		return ALERT_NO_DATA;
	if (!alert_rule_needs_figures(rule))
		return ALERT_CLEAR;
	if (measure->covered == 0 || measure->wall_sum_ns == 0 ||
	    share(measure->covered, measure->spans) < rule->min_coverage)
		return ALERT_LOW_COVERAGE;
	return ALERT_CLEAR;
}

static const struct alert_measure *
baseline(const struct alert_rule *rule, const struct alert_input *input, enum alert_against against)
{
	const struct alert_measure *measure =
		against == AGAINST_HOUR ? input->hour : input->yesterday;

	if (judge_data(rule, measure) == ALERT_CLEAR)
		return measure;
	return against == AGAINST_BEFORE ? baseline(rule, input, AGAINST_HOUR) : NULL;
}

/* -1: nothing to compare with. */
static double bound_of(const struct alert_rule *rule, const struct alert_input *input,
		       const struct alert_term *term)
{
	const struct alert_measure *measure;

	if (term->against == AGAINST_VALUE)
		return term->value;
	measure = baseline(rule, input, term->against);
	return measure ? term->value * figure_of(term, measure) : -1;
}

static bool holds(const struct alert_term *term, double figure, double bound, double margin)
{
	return term->is_above ? figure > bound / (1 + margin) : figure < bound * (1 + margin);
}

void alert_judge(const struct alert_rule *rule, const struct alert_input *input,
		 struct alert_verdict *out_verdict)
{
	enum alert_judgement judgement = judge_data(rule, input->window);

	*out_verdict = (struct alert_verdict){ .judgement = judgement };
	if (judgement != ALERT_CLEAR)
		return;
	judgement = ALERT_HOLDS;
	for (unsigned i = 0; i < rule->term_count; i++) {
		const struct alert_term *term = &rule->terms[i];
		double figure = figure_of(term, input->window);
		double bound = bound_of(rule, input, term);

		out_verdict->figures[i] = figure;
		out_verdict->bounds[i] = MAX(bound, 0);
		if (bound < 0) {
			out_verdict->judgement = ALERT_NO_BASELINE;
			return;
		}
		if (!holds(term, figure, bound, rule->hysteresis))
			judgement = ALERT_CLEAR;
		else if (judgement == ALERT_HOLDS && !holds(term, figure, bound, 0))
			judgement = ALERT_NEAR;
	}
	out_verdict->judgement = judgement;
}

static enum alert_change move(struct alert_life *life, enum alert_state state, uint64_t now)
{
	static const bool moves[ALERT_STATE_COUNT][ALERT_STATE_COUNT] = {
		/* INACTIVE PENDING FIRING RESOLVED NO_DATA LOW_COVERAGE */
		[ALERT_STATE_INACTIVE] = { 0, 1, 1, 0, 1, 1 },
		[ALERT_STATE_PENDING] = { 1, 0, 1, 0, 1, 1 },
		[ALERT_STATE_FIRING] = { 0, 0, 0, 1, 1, 1 },
		[ALERT_STATE_RESOLVED] = { 1, 1, 1, 0, 1, 1 },
		[ALERT_STATE_NO_DATA] = { 1, 1, 1, 0, 0, 1 },
		[ALERT_STATE_LOW_COVERAGE] = { 1, 1, 1, 0, 1, 0 },
	};

	if (life->state == state)
		return ALERT_SAME;
	assert(moves[life->state][state]);
	life->state = state;
	life->since_unix_ns = now;
	return ALERT_MOVED;
}

/* A clock that was set back starts no alert and ends none. */
static uint64_t elapsed(uint64_t from, uint64_t now)
{
	return now > from ? now - from : 0;
}

static enum alert_change fire(struct alert_life *life, uint64_t now)
{
	move(life, ALERT_STATE_FIRING, now);
	life->fired_unix_ns = now;
	life->ended_unix_ns = 0;
	life->better_unix_ns = 0;
	return ALERT_FIRED;
}

/* What an alert is that neither fires nor is about to. */
static enum alert_state rest(enum alert_judgement judgement)
{
	switch (judgement) {
	case ALERT_NO_DATA:
	case ALERT_NO_BASELINE:
		return ALERT_STATE_NO_DATA;
	case ALERT_LOW_COVERAGE:
		return ALERT_STATE_LOW_COVERAGE;
	default:
		return ALERT_STATE_INACTIVE;
	}
}

static enum alert_change step_firing(const struct alert_rule *rule, enum alert_judgement judgement,
				     uint64_t now, struct alert_life *life)
{
	enum alert_state next = rest(judgement);

	if (judgement == ALERT_HOLDS || judgement == ALERT_NEAR) {
		life->better_unix_ns = 0;
		return ALERT_SAME;
	}
	if (!life->better_unix_ns)
		life->better_unix_ns = now;
	if (elapsed(life->better_unix_ns, now) < rule->keep_ns)
		return ALERT_SAME;
	life->ended_unix_ns = now;
	move(life, next == ALERT_STATE_INACTIVE ? ALERT_STATE_RESOLVED : next, now);
	return ALERT_ENDED;
}

enum alert_change alert_step(const struct alert_rule *rule, enum alert_judgement judgement,
			     uint64_t now_unix_ns, struct alert_life *life)
{
	if (life->state == ALERT_STATE_FIRING)
		return step_firing(rule, judgement, now_unix_ns, life);
	if (judgement == ALERT_HOLDS) {
		if (life->state != ALERT_STATE_PENDING && rule->for_ns)
			return move(life, ALERT_STATE_PENDING, now_unix_ns);
		if (rule->for_ns && elapsed(life->since_unix_ns, now_unix_ns) < rule->for_ns)
			return ALERT_SAME;
		return fire(life, now_unix_ns);
	}
	if (life->state == ALERT_STATE_RESOLVED && rest(judgement) == ALERT_STATE_INACTIVE &&
	    elapsed(life->since_unix_ns, now_unix_ns) < ALERT_RESOLVED_NS)
		return ALERT_SAME;
	return move(life, rest(judgement), now_unix_ns);
}

const char *alert_state_name(enum alert_state state)
{
	static const char *const names[] = {
#define X(symbol, name) [ALERT_STATE_##symbol] = name,
		ALERT_STATES(X)
#undef X
	};

	return state < ALERT_STATE_COUNT ? names[state] : "inactive";
}
