/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/correlate/player.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "tests/unit/correlate/shortener.h"

#define STEP_NS        (10 * MS)
#define DEFAULT_SETTLE (10000 * MS)
#define DEFAULT_REACH  (60000 * MS)
#define MUCH_LATER_NS  (45000 * MS) /* the last trace settles within the timelines' reach */
#define NOT_YET        UINT64_MAX
#define RESTART_NS     MS /* what the time of day may be slewed by before it is first read again */
#define CLOCK_READ_NS  30

const struct play play_in_time = { .order = PLAY_IN_TIME };

struct player {
	const struct schedule *schedule;
	const struct play *how;
	struct outcome *outcome;
	struct correlator *correlator;
	struct shortener shortener;
	struct wall wall;
	uint64_t *arrivals; /* of each span */
	uint32_t next_record, next_clock, next_life, next_description;
	bool was_restarted;
};

/* ---- out */

static int32_t span_by_id(const struct schedule *s, const uint8_t *id)
{
	for (uint32_t i = 0; i < s->span_count; i++) {
		if (memcmp(&s->spans[i].id, id, SPAN_ID_BYTES) == 0)
			return (int32_t)i;
	}
	return -1;
}

/* Each reason's waits make up its time. */
static bool waits_add_up(const struct ledger *ledger)
{
	uint64_t sums[REASON_COUNT] = { 0 };

	for (uint16_t i = 0; i < ledger->wait_count; i++)
		sums[ledger->waits[i].reason] += ledger->waits[i].ns;
	return ledger->grade == GRADE_NONE ||
	       memcmp(sums, ledger->all.blocked_ns, sizeof(sums)) == 0;
}

static void keep(const struct ledger *ledgers, size_t count, void *arg)
{
	struct player *player = arg;
	struct outcome *outcome = player->outcome;

	for (size_t i = 0; i < count; i++) {
		struct ledger copy = ledgers[i];
		int32_t index = span_by_id(player->schedule, copy.span_id);
		struct kept *to = index >= 0 ? &outcome->spans[index] : NULL;

		if (!ledger_adds_up(&copy) || !waits_add_up(&copy))
			outcome->wrong_sums++;
		if (!to || !player->schedule->spans[index].is_exported) {
			outcome->strangers++;
			continue;
		}
		if (to->is_there && !player->was_restarted && to->ledger.revision >= copy.revision)
			outcome->strangers++;
		to->ledger = copy;
		to->is_there = true;
		copy.revision = 0;
		buf_clear(&to->code);
		ledger_encode(&copy, &to->code);
	}
}

/* ---- in */

static void feed_processes(struct player *player)
{
	for (uint32_t i = 0; i < player->schedule->process_count; i++) {
		const struct true_process *process = &player->schedule->processes[i];
		struct event_process news = {
			.pid = process->pid,
			.ns_pid = process->pid,
			.publish = process->publishes ? PUBLISH_TAGS : PUBLISH_NOTHING,
		};

		if (!process->is_forked && !process->is_foreign)
			correlator_process(player->correlator, &news);
	}
}

static void tell_clock(struct player *player, uint64_t now_ns)
{
	correlator_clock(player->correlator, now_ns - CLOCK_READ_NS, wall_at(&player->wall, now_ns),
			 now_ns + CLOCK_READ_NS);
}

/* What the probe could not hand over, it counts; while it was down, nobody does. */
static void feed_loss(struct player *player, uint64_t now_ns)
{
	const struct schedule *s = player->schedule;
	uint64_t count = 0, from_ns = now_ns - STEP_NS;

	for (uint32_t i = 0; !player->how->gap_to_ns && i < s->record_count; i++) {
		uint64_t out_ns = s->records[i].slice.out_ns;

		count += s->records[i].is_dropped && out_ns > from_ns && out_ns <= now_ns;
	}
	correlator_loss(player->correlator, from_ns, now_ns, count);
}

/* As BPF tells them: some at a time, before the slice. */
static void feed_changes(struct player *player, const struct record *record)
{
	for (uint32_t at = 0; at < record->change_count; at += EVENT_MAX_CHANGES) {
		uint32_t count = MIN(record->change_count - at, EVENT_MAX_CHANGES);
		struct event_changes news = {
			.header = { .kind = EVENT_CHANGES,
				    .bytes = (uint16_t)EVENT_CHANGES_BYTES(count) },
			.pid = record->slice.pid,
			.tid = record->slice.tid,
			.count = count,
			.is_first = at == 0,
		};

		memcpy(news.changes, record->changes + at, count * sizeof(*news.changes));
		correlator_record(player->correlator, &news.header);
	}
}

static void feed_unfollowed(struct player *player, const struct record *record)
{
	const struct event_life life = {
		.header = { .kind = EVENT_UNFOLLOWED, .bytes = sizeof(life) },
		.pid = record->slice.pid,
		.tid = record->slice.tid,
		.time_ns = record->slice.out_ns,
	};

	correlator_record(player->correlator, &life.header);
}

static void feed_record(struct player *player, const struct record *record)
{
	if (record->is_refused) {
		feed_unfollowed(player, record);
		return;
	}
	feed_changes(player, record);
	shortener_tell(&player->shortener, &record->slice);
}

/* All that were told before the next record. */
static void feed_lives(struct player *player)
{
	const struct schedule *s = player->schedule;

	for (; player->next_life < s->life_count &&
	       s->lives[player->next_life].first_record <= player->next_record;
	     player->next_life++)
		correlator_record(player->correlator, &s->lives[player->next_life].event.header);
}

/* What the probe tells of those that became another program. */
static void feed_descriptions(struct player *player, uint64_t now_ns)
{
	const struct schedule *s = player->schedule;

	for (; player->next_description < s->life_count; player->next_description++) {
		const struct life_record *life = &s->lives[player->next_description];
		struct event_process news = { .pid = life->event.pid,
					      .ns_pid = life->event.pid,
					      .seen_ns = life->described_ns,
					      .publish = PUBLISH_TAGS };

		if (life->described_ns > now_ns)
			return;
		if (life->described_ns)
			correlator_process(player->correlator, &news);
	}
}

static void feed_records(struct player *player, uint64_t now_ns)
{
	const struct schedule *s = player->schedule;

	for (;
	     player->next_clock < s->clock_count && s->clocks[player->next_clock].time_ns <= now_ns;
	     player->next_clock++)
		correlator_record(player->correlator, &s->clocks[player->next_clock].event.header);
	for (; player->next_record < s->record_count; player->next_record++) {
		const struct record *record = &s->records[player->next_record];

		if (record->slice.out_ns > now_ns)
			return;
		feed_lives(player);
		feed_descriptions(player, record->slice.out_ns);
		if (!record->is_dropped)
			feed_record(player, record);
	}
}

static uint64_t exported_ns(const struct player *player, const struct true_span *span,
			    uint64_t time_ns)
{
	uint64_t unix_ns = wall_told(&player->wall, player->how->sdk, span->start_ns, time_ns);

	if (!player->how->grain_ns ||
	    (player->how->coarse_process && player->how->coarse_process != span->process))
		return unix_ns;
	return unix_ns - unix_ns % player->how->grain_ns;
}

static void feed_span(struct player *player, uint32_t index)
{
	const struct schedule *s = player->schedule;
	const struct true_span *from = &s->spans[index];
	const struct true_process *process = &s->processes[from->process];
	char bytes[32];
	bool says_pid = from->library ? process->libraries_say_pid : process->says_pid;
	struct span_resource resource = { .service_name = STR("shop"),
					  .process_pid = says_pid ? process->pid : 0 };
	struct span span = { .start_unix_ns = exported_ns(player, from, from->start_ns),
			     .end_unix_ns = exported_ns(player, from, from->end_ns),
			     .name = STR("work"),
			     .peer = STR("there"),
			     .kind = from->kind };
	struct span_batch batch = {
		.spans = &span, .resources = &resource, .span_count = 1, .resource_count = 1
	};

	resource.bytes.data = bytes;
	resource.bytes.len = (size_t)snprintf(bytes, sizeof(bytes), "resource %u, library %u",
					      from->process, from->library);
	memcpy(span.trace_id, &from->trace, sizeof(from->trace));
	memcpy(span.span_id, &from->id, sizeof(from->id));
	if (from->parent >= 0)
		memcpy(span.parent_span_id, &s->spans[from->parent].id, SPAN_ID_BYTES);
	correlator_spans(player->correlator, &batch);
}

static void feed_spans(struct player *player, uint64_t now_ns)
{
	const struct schedule *s = player->schedule;
	bool is_backward = player->how->order == PLAY_SHUFFLED;

	for (uint32_t n = 0; n < s->span_count; n++) {
		uint32_t i = is_backward ? s->span_count - 1 - n : n;

		if (player->arrivals[i] > now_ns)
			continue;
		feed_span(player, i);
		player->arrivals[i] = NOT_YET;
	}
}

/* Each process at its own pace. */
static uint64_t batch_ns(uint32_t process, uint64_t end_ns)
{
	uint64_t pace_ns = (1 + process % 8) * 130 * MS;

	return end_ns + pace_ns - end_ns % pace_ns;
}

static void plan_arrivals(struct player *player, uint64_t end_ns)
{
	const struct schedule *s = player->schedule;
	struct rng rng = { (s->seed ^ player->how->shuffle << 32) | 1 };

	for (uint32_t i = 0; i < s->span_count; i++) {
		const struct true_span *span = &s->spans[i];
		uint64_t *at = &player->arrivals[i];

		*at = span->end_ns;
		if (player->how->order == PLAY_LATE)
			*at = end_ns;
		if (player->how->order == PLAY_MUCH_LATER)
			*at = end_ns + MUCH_LATER_NS;
		if (player->how->order == PLAY_SHUFFLED)
			*at += rng_scale(&rng, 0, 500 * MS);
		if (player->how->order == PLAY_BATCHED)
			*at = batch_ns(span->process, span->end_ns);
		if (player->how->order == PLAY_ROOTS_LATE && span->parent < 0)
			*at = end_ns + 1000 * MS;
		if (player->how->order == PLAY_ROOTS_MUCH_LATER && span->parent < 0)
			*at = end_ns + MUCH_LATER_NS;
		if (!span->is_exported || !span->end_ns)
			*at = NOT_YET;
	}
}

static uint64_t settle_ns(const struct play *how)
{
	return how->settle_ns ? how->settle_ns : DEFAULT_SETTLE;
}

static void start(struct player *player)
{
	const struct play *how = player->how;
	struct correlator_options options = {
		.limit_bytes = 64 << 20,
		.settle_ns = settle_ns(how),
		.reach_ns = how->reach_ns ? how->reach_ns : DEFAULT_REACH,
		.max_trace_spans = 1000,
		.on_ledgers = keep,
		.arg = player,
	};

	if (correlator_new(&options, &player->correlator) < 0)
		abort();
	shortener_init(&player->shortener, player->correlator);
	feed_processes(player);
}

/* They stood in the old probe's ring when it went. */
static void forget_records(struct player *player)
{
	const struct schedule *s = player->schedule;

	while (player->next_record < s->record_count &&
	       s->records[player->next_record].slice.out_ns < player->how->gap_to_ns)
		player->next_record++;
}

/* The next one is told of nothing but the time and what runs; of the spans that the last one had
 * acknowledged, those come again that have no ledger. */
static void restart(struct player *player, uint64_t now_ns)
{
	const struct schedule *s = player->schedule;

	shortener_fini(&player->shortener);
	correlator_free(player->correlator);
	player->was_restarted = true;
	forget_records(player);
	start(player);
	tell_clock(player, now_ns);
	correlator_gap(player->correlator, 0, player->how->gap_to_ns);
	for (uint32_t i = 0; i < s->span_count; i++) {
		if (player->arrivals[i] == NOT_YET && s->spans[i].is_exported &&
		    s->spans[i].end_ns && s->spans[i].end_ns < player->how->gap_from_ns &&
		    !player->outcome->spans[i].is_there)
			feed_span(player, i);
	}
}

/* true: the daemon is down. */
static bool be_restarted(struct player *player, uint64_t now_ns)
{
	const struct play *how = player->how;

	if (!how->is_restart || now_ns < how->gap_from_ns || player->was_restarted)
		return false;
	if (now_ns < how->gap_from_ns + STEP_NS && how->is_clean)
		correlator_settle_all(player->correlator);
	if (now_ns < how->gap_to_ns)
		return true;
	restart(player, now_ns);
	return false;
}

static void step(struct player *player, uint64_t now_ns)
{
	if (be_restarted(player, now_ns))
		return;
	if (player->how->order == PLAY_EARLY)
		feed_spans(player, now_ns);
	feed_loss(player, now_ns);
	feed_records(player, now_ns);
	tell_clock(player, now_ns);
	if (player->how->order != PLAY_EARLY)
		feed_spans(player, now_ns);
	correlator_advance(player->correlator, now_ns);
}

static void run(struct player *player)
{
	uint64_t end_ns = player->schedule->now_ns + 600 * MS, last_ns = end_ns + 1500 * MS;

	plan_arrivals(player, end_ns);
	if (player->how->gap_to_ns && !player->how->is_restart)
		correlator_gap(player->correlator, player->how->gap_from_ns,
			       player->how->gap_to_ns);
	tell_clock(player, SCHEDULE_START_NS - 100 * MS);
	if (player->how->order == PLAY_MUCH_LATER || player->how->order == PLAY_ROOTS_MUCH_LATER)
		last_ns += MUCH_LATER_NS;
	for (uint64_t now = SCHEDULE_START_NS; now <= last_ns; now += STEP_NS) {
		if (player->how->order == PLAY_TWICE && now >= end_ns && now < end_ns + STEP_NS)
			plan_arrivals(player, end_ns);
		step(player, now);
	}
	correlator_advance(player->correlator, last_ns + settle_ns(player->how));
	correlator_settle_all(player->correlator);
	correlator_stats(player->correlator, &player->outcome->stats);
}

struct outcome play(const struct schedule *schedule, const struct play *how)
{
	struct outcome outcome = {
		.span_count = schedule->span_count,
	};
	struct player player = { .schedule = schedule,
				 .how = how,
				 .outcome = &outcome,
				 .wall = how->wall ? *how->wall : wall_even() };

	outcome.edges_ns =
		how->grain_ns + wall_strays_ns(&player.wall) + (how->is_restart ? RESTART_NS : 0);
	outcome.spans = calloc(schedule->span_count + 1, sizeof(*outcome.spans));
	player.arrivals = calloc(schedule->span_count + 1, sizeof(*player.arrivals));
	assert(outcome.spans && player.arrivals);
	start(&player);
	run(&player);
	shortener_fini(&player.shortener);
	correlator_free(player.correlator);
	free(player.arrivals);
	return outcome;
}

void outcome_free(struct outcome *outcome)
{
	for (uint32_t i = 0; i < outcome->span_count; i++)
		buf_fini(&outcome->spans[i].code);
	free(outcome->spans);
	outcome->spans = NULL;
}
