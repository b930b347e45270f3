/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that go round, told to three correlators: one takes the short ways for slices that are
 * alike, one is told them in short, too, and one cannot take any. Their ledgers are the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/buf.h"
#include "collector/base/macros.h"
#include "correlate/correlator.h"
#include "tests/unit/correlate/shortener.h"

#define SEEDS     400
#define PID       10
#define OTHER_PID 99
#define THREADS   3
#define US        1000ull
#define MS        1000000ull
#define EPOCH_NS  1700000000000000123ull
#define BEGIN_NS  (1000 * MS)
#define WORLD_NS  (20 * MS)
#define SCHED_NS  123456789ull

enum way { WAY_BRIEF, WAY_TOLD_IN_SHORT, WAY_LONG, WAY_LONG_TOLD_IN_SHORT, WAYS };

struct teller {
	uint64_t seed, state; /* of the random numbers */
	struct correlator *correlator;
	struct shortener shortener;
	struct buf ledgers;
	enum way way;
};

struct round_kind {
	uint32_t flags;
	uint32_t state;
	int32_t syscall;
	uint64_t stack;
	struct event_tag tag;
	struct event_target target;
	struct event_waker waker;
};

struct goer {
	uint32_t tid;
	uint64_t out_ns, exec_ns;
	bool ticked;
	struct event_tag tag;
};

static uint64_t draw(struct teller *teller, uint64_t below)
{
	teller->state ^= teller->state << 13;
	teller->state ^= teller->state >> 7;
	teller->state ^= teller->state << 17;
	return teller->state % below;
}

static void on_ledgers(const struct ledger *ledgers, size_t count, void *arg)
{
	struct teller *teller = arg;

	for (size_t i = 0; i < count; i++) {
		assert_true(ledger_adds_up(&ledgers[i]));
		ledger_encode(&ledgers[i], &teller->ledgers);
	}
}

/* What a thread in exact mode told whose slice does not come: while it is waited for, each slice
 * is looked at as if it were the first. */
static void refuse_short_ways(struct teller *teller)
{
	struct event_changes changes = {
		.header = { EVENT_CHANGES, EVENT_CHANGES_BYTES(1), 0 },
		.pid = OTHER_PID,
		.tid = OTHER_PID,
		.count = 1,
		.is_first = 1,
	};

	assert_int_equal(correlator_record(teller->correlator, &changes.header), 0);
}

static void begin(struct teller *teller, uint64_t seed, enum way way)
{
	const struct event_process process = { .pid = PID, .ns_pid = PID, .publish = PUBLISH_TAGS };
	struct correlator_options options = {
		.limit_bytes = 64 << 20,
		.settle_ns = 10000 * MS,
		.reach_ns = 60000 * MS,
		.max_trace_spans = 1000,
		.on_ledgers = on_ledgers,
		.arg = teller,
	};

	*teller = (struct teller){ .seed = seed,
				   .state = seed * 0x9e3779b97f4a7c15ull | 1,
				   .way = way };
	buf_init(&teller->ledgers, 0);
	assert_int_equal(correlator_new(&options, &teller->correlator), 0);
	assert_int_equal(correlator_process(teller->correlator, &process), 0);
	correlator_clock(teller->correlator, BEGIN_NS, EPOCH_NS + BEGIN_NS, BEGIN_NS);
	shortener_init(&teller->shortener, teller->correlator);
	if (way == WAY_LONG || way == WAY_LONG_TOLD_IN_SHORT)
		refuse_short_ways(teller);
}

/* A span; by the seed also its child; or none, and one of another trace: then turns are taken. */
static struct event_tag draw_tag(struct teller *teller)
{
	uint64_t which = draw(teller, 1 + teller->seed % 4);
	struct event_tag tag = { { 1 }, { 1 } };

	if (which == 1)
		tag.span_id[0] = 2;
	else if (which == 2)
		tag.trace_id[0] = 2;
	else if (which == 3)
		tag = (struct event_tag){ 0 };
	return tag;
}

static struct round_kind draw_kind(struct teller *teller)
{
	static const int32_t syscalls[] = { 0, 1, 7, 202, 230 };
	bool is_preempted = draw(teller, 3) == 0;
	struct round_kind kind = {
		.flags = is_preempted ? EVENT_PREEMPTED : 0,
		.state = is_preempted && draw(teller, 4) ? 0 : 1,
		.syscall = syscalls[draw(teller, ARRAY_LEN(syscalls))],
		.stack = draw(teller, 2) ? STACK_FIRST_ID + draw(teller, 3) : 0,
		.tag = draw_tag(teller),
	};

	if (kind.syscall == 202)
		kind.target = (struct event_target){ .kind = TARGET_FUTEX, .id = 64 };
	if (!is_preempted && draw(teller, 4))
		kind.waker = (struct event_waker){ .pid = PID,
						   .tid = 11 + (uint32_t)draw(teller, THREADS),
						   .tag = draw_tag(teller) };
	if (draw(teller, 20) == 0)
		kind.flags |= draw(teller, 2) ? EVENT_TICK : EVENT_TAG_OUT_UNKNOWN;
	return kind;
}

static void put_tail(struct event_slice *slice, uint32_t flag, bool is_there, const void *tail,
		     size_t bytes)
{
	if (!is_there)
		return;
	slice->header.flags |= flag;
	memcpy((char *)slice + slice->header.bytes, tail, bytes);
	slice->header.bytes = (uint16_t)(slice->header.bytes + bytes);
}

static bool is_none(const struct event_tag *tag)
{
	return !tag->trace_id[0];
}

static void put_tails(struct event_slice *slice, const struct goer *goer,
		      const struct round_kind *kind)
{
	bool is_same = memcmp(&goer->tag, &kind->tag, sizeof(kind->tag)) == 0;

	put_tail(slice, EVENT_TAG_OUT, !is_none(&kind->tag), &kind->tag, sizeof(kind->tag));
	if (is_same && !is_none(&kind->tag))
		slice->header.flags |= EVENT_TAG_SAME;
	else if (is_none(&goer->tag))
		slice->header.flags |= EVENT_TAG_IN_NONE;
	else
		put_tail(slice, EVENT_TAG_IN, true, &goer->tag, sizeof(goer->tag));
	put_tail(slice, EVENT_TARGET, kind->target.kind, &kind->target, sizeof(kind->target));
	put_tail(slice, EVENT_WAKER, kind->waker.tid, &kind->waker, sizeof(kind->waker));
	put_tail(slice, EVENT_STACK_ID, kind->stack, &kind->stack, sizeof(kind->stack));
}

static int tell(struct teller *teller, const struct event_slice *slice)
{
	if (teller->way == WAY_TOLD_IN_SHORT || teller->way == WAY_LONG_TOLD_IN_SHORT)
		return shortener_tell(&teller->shortener, slice);
	return correlator_record(teller->correlator, &slice->header);
}

static void go_round(struct teller *teller, struct goer *goer, const struct round_kind *kind)
{
	struct {
		struct event_slice slice;
		uint8_t room[2 * sizeof(struct event_tag) + sizeof(struct event_target) +
			     sizeof(struct event_waker) + sizeof(uint64_t)];
	} record = { 0 };
	uint64_t away = goer->ticked ? 0 : draw(teller, 60 * US), lag = draw(teller, 2 * US);
	struct event_slice *s = &record.slice;

	s->header = (struct event_header){ EVENT_SLICE, sizeof(*s), kind->flags };
	if (goer->ticked)
		s->header.flags |= EVENT_AFTER_TICK;
	s->pid = PID;
	s->tid = s->cpu = goer->tid;
	s->prev_out_ns = goer->out_ns;
	s->in_ns = goer->out_ns + away;
	s->waking_ns = !goer->ticked && kind->waker.tid ? goer->out_ns + draw(teller, away + 1) : 0;
	s->out_ns = s->in_ns + 1 + draw(teller, 60 * US);
	s->exec_in_ns = goer->exec_ns;
	goer->exec_ns += s->out_ns - s->in_ns;
	s->exec_out_ns = goer->exec_ns;
	s->exec_start_in_ns = s->in_ns - SCHED_NS - (draw(teller, 4) ? 0 : lag);
	s->exec_start_out_ns = s->out_ns - SCHED_NS;
	s->state = kind->state;
	s->syscall = kind->syscall;
	put_tails(s, goer, kind);
	assert_int_equal(tell(teller, s), 0);
	goer->out_ns = s->out_ns;
	goer->tag = kind->tag;
	goer->ticked = kind->flags & EVENT_TICK;
}

static void tell_clocks(struct teller *teller, uint64_t time_ns)
{
	struct event_clock clock = { .header = { EVENT_CLOCK, sizeof(clock), 0 },
				     .before_ns = time_ns,
				     .sched_ns = time_ns - SCHED_NS,
				     .after_ns = time_ns + 100 };

	for (clock.cpu = 11; clock.cpu < 11 + THREADS; clock.cpu++)
		assert_int_equal(correlator_record(teller->correlator, &clock.header), 0);
}

static void export_span(struct teller *teller, uint8_t trace, uint8_t id, uint8_t parent)
{
	uint64_t start = BEGIN_NS + draw(teller, WORLD_NS / 2);
	struct span span = {
		.start_unix_ns = EPOCH_NS + start,
		.end_unix_ns = EPOCH_NS + start + draw(teller, WORLD_NS / 2),
		.trace_id = { trace },
		.span_id = { id },
		.parent_span_id = { parent },
		.kind = SPAN_KIND_INTERNAL,
	};
	struct span_resource resource = { .bytes = STR("resource"), .process_pid = PID };
	struct span_batch batch = {
		.spans = &span, .resources = &resource, .span_count = 1, .resource_count = 1
	};

	assert_int_equal(correlator_spans(teller->correlator, &batch), 0);
}

static struct goer *furthest_behind(struct goer *goers)
{
	struct goer *goer = goers;

	for (size_t i = 1; i < THREADS; i++)
		goer = goers[i].out_ns < goer->out_ns ? &goers[i] : goer;
	return goer;
}

/* Some times in one way. */
static void go_on(struct teller *teller, struct goer *goer)
{
	struct round_kind kind = draw_kind(teller);
	uint64_t times = kind.flags & EVENT_TICK ? 1 : 1 + draw(teller, 40);

	for (uint64_t i = 0; i < times; i++)
		go_round(teller, goer, &kind);
}

static void play(struct teller *teller, uint64_t seed, enum way way)
{
	struct goer goers[THREADS] = { 0 }, *goer;
	bool is_told = seed / 4 % 2;
	uint64_t told_ns = 0;

	begin(teller, seed, way);
	for (uint32_t i = 0; i < THREADS; i++) {
		struct round_kind first = { .flags = EVENT_FIRST, .state = 1 };

		goers[i] = (struct goer){ .tid = 11 + i, .out_ns = BEGIN_NS - 10 * MS };
		go_round(teller, &goers[i], &first);
	}
	while ((goer = furthest_behind(goers))->out_ns < BEGIN_NS + WORLD_NS) {
		if (is_told && goer->out_ns > told_ns + 5 * MS)
			tell_clocks(teller, told_ns = goer->out_ns);
		go_on(teller, goer);
	}
	export_span(teller, 1, 1, 0);
	export_span(teller, 1, 2, 1);
	if (seed % 4 >= 2)
		export_span(teller, 2, 1, 0);
	correlator_clock(teller->correlator, BEGIN_NS + 2 * WORLD_NS,
			 EPOCH_NS + BEGIN_NS + 2 * WORLD_NS, BEGIN_NS + 2 * WORLD_NS);
	correlator_settle_all(teller->correlator);
	correlator_free(teller->correlator);
	shortener_fini(&teller->shortener);
}

static void rounds_are_weighed_together_as_each_alone(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct teller tellers[WAYS];

		for (enum way way = 0; way < WAYS; way++)
			play(&tellers[way], seed, way);
		assert_true(tellers[0].ledgers.len > 0);
		assert_true(tellers[WAY_TOLD_IN_SHORT].shortener.told_in_short > 0);
		for (enum way way = 1; way < WAYS; way++) {
			if (!str_eq(buf_str(&tellers[0].ledgers), buf_str(&tellers[way].ledgers)))
				fail_msg("seed %llu, way %d: other ledgers",
					 (unsigned long long)seed, (int)way);
		}
		for (enum way way = 0; way < WAYS; way++)
			buf_fini(&tellers[way].ledgers);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rounds_are_weighed_together_as_each_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
