/* SPDX-License-Identifier: Apache-2.0 */
/* Says what a kernel and a service would say, a line at a time: for tests of the correlator.
 *
 * Unix time is monotonic time plus BUILDER_EPOCH_NS, which is odd: whole milliseconds would be
 * those of a coarse clock; each thread has a CPU clock that the builder keeps; the scheduler's
 * clock is the monotonic one less a constant. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "correlate/correlator.h"

#define BUILDER_EPOCH_NS 1700000000000000123ull
#define BUILDER_PID      10
#define BUILDER_SCHED_NS 123456789ull
#ifndef BUILDER_MAX_LEDGER
#define BUILDER_MAX_LEDGER 64
#endif
#ifndef BUILDER_MAX_SPANS
#define BUILDER_MAX_SPANS 1000 /* of a trace */
#endif
#define BUILDER_MAX_ITEMS LEDGER_MAX_ITEMS /* kept of each */
#define BUILDER_YOUNG_NS                                                                           \
	1000000000ull /* a process's traces do not settle before, if it has threads */
#define US 1000ull
#define MS 1000000ull

struct builder_thread {
	uint32_t pid, tid;
	uint64_t out_ns, exec_ns;
	uint64_t span;        /* published; 0: none */
	uint64_t unbooked_ns; /* of what it ran up to out_ns */
	bool seen, ticked;
};

struct builder {
	struct correlator *correlator;
	struct ledger ledgers[BUILDER_MAX_LEDGER]; /* the newest of each span; arrays not kept */
	struct ledger_wait first_wait[BUILDER_MAX_LEDGER];
	struct ledger_item items[BUILDER_MAX_LEDGER][BUILDER_MAX_ITEMS];
	struct ledger_link links[BUILDER_MAX_LEDGER][BUILDER_MAX_ITEMS];
	uint64_t drawn_ns[BUILDER_MAX_LEDGER]; /* the sum of its slices */
	size_t count;
	uint64_t trace;
	uint64_t steal_ns;          /* so much of the next slice, a hypervisor steals */
	uint64_t stolen_ns;         /* ... so far: the scheduler's clock stood still */
	uint64_t ahead_ns;          /* so much is booked ahead of the next slice's switch-in */
	uint64_t unbooked_ns;       /* so much of the next slice is booked after it */
	bool tells_stolen;          /* the kernel does */
	struct event_target target; /* of the wait that the next slice ends with; kind 0: none */
	struct event_waker waker;   /* who ended that before the next slice; tid 0: nobody */
};

/* Slices follow each other without a hole. */
static uint64_t builder_check_slices(const struct ledger *ledger)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < ledger->slice_count; i++) {
		const struct ledger_slice *slice = &ledger->slices[i];

		assert_true(i == 0 ||
			    slice->start_unix_ns == slice[-1].start_unix_ns + slice[-1].ns);
		sum += slice->ns;
	}
	assert_true(sum <= ledger->wall_ns);
	return sum;
}

static void builder_keep(const struct ledger *ledgers, size_t count, void *arg)
{
	struct builder *b = arg;

	for (size_t i = 0; i < count; i++) {
		size_t at = 0;

		assert_true(ledger_adds_up(&ledgers[i]));
		while (at < b->count &&
		       memcmp(b->ledgers[at].span_id, ledgers[i].span_id, SPAN_ID_BYTES) != 0)
			at++;
		assert_true(at < BUILDER_MAX_LEDGER);
		b->ledgers[at] = ledgers[i];
		if (ledgers[i].wait_count)
			b->first_wait[at] = ledgers[i].waits[0];
		for (uint16_t n = 0; n < MIN(ledgers[i].item_count, BUILDER_MAX_ITEMS); n++)
			b->items[at][n] = ledgers[i].items[n];
		for (uint16_t n = 0; n < MIN(ledgers[i].link_count, BUILDER_MAX_ITEMS); n++)
			b->links[at][n] = ledgers[i].links[n];
		b->drawn_ns[at] = builder_check_slices(&ledgers[i]);
		b->count = at == b->count ? at + 1 : b->count;
	}
}

static inline void builder_clock(struct builder *b, uint64_t mono)
{
	correlator_clock(b->correlator, mono - 20, BUILDER_EPOCH_NS + mono, mono + 20);
}

static inline void builder_init_reaching(struct builder *b, uint64_t reach_ns)
{
	struct correlator_options options = {
		.limit_bytes = 64 << 20,
		.settle_ns = 10000 * MS,
		.reach_ns = reach_ns,
		.max_trace_spans = BUILDER_MAX_SPANS,
		.on_ledgers = builder_keep,
		.arg = b,
	};

	const struct event_process process = { .pid = BUILDER_PID,
					       .ns_pid = BUILDER_PID,
					       .publish = PUBLISH_TAGS };

	memset(b, 0, sizeof(*b));
	b->trace = 1;
	assert_int_equal(correlator_new(&options, &b->correlator), 0);
	assert_int_equal(correlator_process(b->correlator, &process), 0);
}

static inline void builder_init(struct builder *b)
{
	builder_init_reaching(b, 60000 * MS);
}

static inline struct event_tag builder_tag(const struct builder *b, uint64_t span)
{
	struct event_tag tag = { 0 };

	if (span) {
		memcpy(tag.trace_id, &b->trace, sizeof(b->trace));
		memcpy(tag.span_id, &span, sizeof(span));
	}
	return tag;
}

static inline void builder_tail(struct event_slice *slice, uint32_t flag, bool is_there,
				const void *tail, size_t bytes)
{
	if (!is_there)
		return;
	slice->header.flags |= flag;
	memcpy((char *)slice + slice->header.bytes, tail, bytes);
	slice->header.bytes = (uint16_t)(slice->header.bytes + bytes);
}

/* The thread came on at `in` (woken at `waking`, 0: not) and leaves at `out`, publishing `span`
 * then. */
static inline void builder_slice(struct builder *b, struct builder_thread *t, uint64_t waking,
				 uint64_t in, uint64_t out, uint64_t span, uint32_t flags,
				 int32_t syscall)
{
	struct {
		struct event_slice slice;
		struct event_tag tags[2];
		uint8_t room[sizeof(struct event_target) + sizeof(struct event_waker)];
	} record;
	struct event_tag tag_in = builder_tag(b, t->span), tag_out = builder_tag(b, span);
	struct event_slice *s = &record.slice;
	unsigned tails = 0;

	memset(&record, 0, sizeof(record));
	s->header.kind = EVENT_SLICE;
	s->header.flags = flags | (b->tells_stolen ? 0 : EVENT_STOLEN_UNTOLD);
	s->pid = t->pid;
	s->tid = t->tid;
	s->prev_out_ns = t->out_ns;
	s->waking_ns = waking;
	s->in_ns = in;
	s->out_ns = out;
	s->exec_in_ns = t->exec_ns;
	s->exec_out_ns = t->exec_ns +=
		out - in - b->steal_ns + b->ahead_ns + t->unbooked_ns - b->unbooked_ns;
	s->exec_start_in_ns = in - BUILDER_SCHED_NS - b->stolen_ns - b->ahead_ns - t->unbooked_ns;
	b->stolen_ns += b->steal_ns;
	s->exec_start_out_ns = out - BUILDER_SCHED_NS - b->stolen_ns - b->unbooked_ns;
	t->unbooked_ns = b->unbooked_ns;
	b->steal_ns = b->ahead_ns = b->unbooked_ns = 0;
	s->syscall = syscall;
	s->state = syscall >= 0 ? 1 : 0;
	if (!t->seen)
		s->header.flags |= EVENT_FIRST;
	if (t->ticked)
		s->header.flags |= EVENT_AFTER_TICK;
	if (span) {
		s->header.flags |= EVENT_TAG_OUT;
		record.tags[tails++] = tag_out;
	}
	if (t->span == span) {
		s->header.flags |= EVENT_TAG_SAME;
	} else if (t->span) {
		s->header.flags |= EVENT_TAG_IN;
		record.tags[tails++] = tag_in;
	} else {
		s->header.flags |= EVENT_TAG_IN_NONE;
	}
	s->header.bytes = (uint16_t)(sizeof(*s) + tails * sizeof(struct event_tag));
	builder_tail(s, EVENT_TARGET, b->target.kind, &b->target, sizeof(b->target));
	builder_tail(s, EVENT_WAKER, b->waker.tid, &b->waker, sizeof(b->waker));
	memset(&b->target, 0, sizeof(b->target));
	memset(&b->waker, 0, sizeof(b->waker));
	assert_int_equal(correlator_record(b->correlator, &s->header), 0);
	t->out_ns = out;
	t->span = span;
	t->seen = true;
	t->ticked = flags & EVENT_TICK;
}

/* Switches on the CPU before, at 900 to 909 ms, so that its clock's distance is known. */
static inline void builder_warm_up(struct builder *b, struct builder_thread *t)
{
	for (uint64_t at = 900 * MS; at < 910 * MS; at += MS)
		builder_slice(b, t, at, at, at + 100 * US, 0, 0, 202);
}

/* Threads of the process, whose CPU's clock is known by then. */
static inline void builder_begin(struct builder *b, struct builder_thread *const *threads,
				 uint32_t count)
{
	builder_init(b);
	builder_clock(b, 500 * MS);
	for (uint32_t i = 0; i < count; i++) {
		*threads[i] = (struct builder_thread){ .pid = BUILDER_PID, .tid = 11 + i };
		builder_warm_up(b, threads[i]);
	}
}

static inline void builder_begin_two(struct builder *b, struct builder_thread *own,
				     struct builder_thread *other)
{
	builder_begin(b, (struct builder_thread *[]){ own, other }, 2);
}

/* At 3 s. */
static inline void builder_settle(struct builder *b)
{
	builder_clock(b, 3000 * MS);
	correlator_advance(b->correlator, 3000 * MS);
	correlator_settle_all(b->correlator);
}

/* A span of any kind; `pid` 0: of a process that nobody knows. */
struct builder_call {
	uint64_t id, parent, start, end;
	uint8_t kind; /* enum span_kind */
	const char *name, *peer;
	int64_t pid;
};

static inline void builder_add(struct builder *b, const struct builder_call *call)
{
	struct span span = { .start_unix_ns = BUILDER_EPOCH_NS + call->start,
			     .end_unix_ns = BUILDER_EPOCH_NS + call->end,
			     .name = str_of(call->name),
			     .peer = str_of(call->peer ? call->peer : ""),
			     .kind = call->kind };
	struct span_resource resource = { .bytes = call->pid ? STR("resource") : STR("stranger"),
					  .service_name = STR("shop"),
					  .process_pid = call->pid };
	struct span_batch batch = {
		.spans = &span, .resources = &resource, .span_count = 1, .resource_count = 1
	};

	memcpy(span.trace_id, &b->trace, sizeof(b->trace));
	memcpy(span.span_id, &call->id, sizeof(call->id));
	memcpy(span.parent_span_id, &call->parent, sizeof(call->parent));
	assert_int_equal(correlator_spans(b->correlator, &batch), 0);
}

static inline void builder_span(struct builder *b, uint64_t id, uint64_t parent, uint64_t start,
				uint64_t end)
{
	const struct builder_call call = { .id = id,
					   .parent = parent,
					   .start = start,
					   .end = end,
					   .kind = SPAN_KIND_INTERNAL,
					   .name = "work",
					   .pid = BUILDER_PID };

	builder_add(b, &call);
}

static inline const struct ledger *builder_ledger(const struct builder *b, uint64_t span)
{
	for (size_t i = 0; i < b->count; i++) {
		if (memcmp(b->ledgers[i].span_id, &span, sizeof(span)) == 0)
			return &b->ledgers[i];
	}
	fail_msg("no ledger for span %llu", (unsigned long long)span);
	return NULL;
}

static inline const struct ledger_item *builder_item(const struct builder *b, uint64_t span,
						     unsigned index)
{
	const struct ledger *ledger = builder_ledger(b, span);

	assert_true(index < ledger->item_count);
	return &b->items[ledger - b->ledgers][index];
}

static inline const struct ledger_link *builder_link(const struct builder *b, uint64_t span,
						     unsigned index)
{
	const struct ledger *ledger = builder_ledger(b, span);

	assert_true(index < ledger->link_count);
	return &b->links[ledger - b->ledgers][index];
}
