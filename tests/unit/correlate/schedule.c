/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/correlate/schedule.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "otlp/span.h"

#define FRESH_LAG_NS    200
#define IDLE_LAG_NS     (5 * US) /* from the booking to the switch, where nobody comes next */
#define OLDEST_LAG_NS   (500 * US)
#define MAX_TICK_LAG_NS (4 * MS) /* the scheduler books a running thread at its own ticks only */
#define MAX_LATENCY_NS  (40 * US)
#define RETURN_NS       150 /* from the switch to the program */

struct wait_description {
	int32_t syscall;
	uint32_t state;
	uint32_t flags;
	uint8_t reason; /* enum ledger_reason */
	struct event_target target;
};

static const struct wait_description waits[WAIT_KINDS] = {
	[WAIT_FUTEX] = { 202, 1, 0, REASON_LOCK, { .kind = TARGET_FUTEX, .id = 0x7f001000 } },
	[WAIT_NET] = { 45,
		       1,
		       0,
		       REASON_NET,
		       { .kind = TARGET_INET4, .port = 5432, .address = { 10, 0, 0, 5 } } },
	[WAIT_SLEEP] = { 35, 1, 0, REASON_SLEEP, { .kind = TARGET_NONE } },
	[WAIT_PIPE] = { 0, 1, 0, REASON_PIPE, { .kind = TARGET_PIPE, .id = 4711 } },
	[WAIT_DISK] = { 17, 2, EVENT_IOWAIT, REASON_DISK, { .kind = TARGET_FILE, .id = 99 } },
	[WAIT_POLL] = { 232, 1, 0, REASON_POLL, { .kind = TARGET_ANON } },
};

enum ledger_reason schedule_reason(enum wait_kind kind)
{
	return (enum ledger_reason)waits[kind].reason;
}

/* ---- the truth */

/* The CPU's own clock, with what was taken from it. */
static uint64_t sched_clock(const struct true_cpu *cpu, uint64_t time_ns)
{
	return time_ns - cpu->base_ns -
	       (time_ns - SCHEDULE_START_NS / 2) * cpu->drift_ppm / 1000000;
}

/* The thread's CPU clock by a reading of the scheduler's. */
static uint64_t cpu_clock_at(const struct schedule *s, const struct true_thread *t,
			     const struct clock_reading *reading)
{
	const struct true_cpu *cpu = &s->cpus[t->cpu];

	return t->exec_ns + sched_clock(cpu, reading->time_ns) -
	       sched_clock(cpu, t->booked_from.time_ns) -
	       (reading->offset_ns - t->booked_from.offset_ns);
}

/* As the program reads it: that takes a new reading. */
static uint64_t cpu_clock(const struct schedule *s, const struct true_thread *t)
{
	const struct clock_reading now = { s->now_ns, s->cpus[t->cpu].offset_ns };

	return t->state == THREAD_ON_CPU ? cpu_clock_at(s, t, &now) : t->exec_ns;
}

static void end_stretch(const struct schedule *s, struct true_thread *t)
{
	struct stretch *last = t->stretch_count ? &t->stretches[t->stretch_count - 1] : NULL;

	if (!last)
		return;
	last->end_ns = s->now_ns;
	last->cpu_end_ns = cpu_clock(s, t);
}

static void begin_stretch(const struct schedule *s, struct true_thread *t, uint8_t state,
			  uint8_t reason, uint64_t since_ns)
{
	struct stretch next = {
		.start_ns = s->now_ns,
		.cpu_start_ns = t->stretch_count ? t->stretches[t->stretch_count - 1].cpu_end_ns
						 : t->exec_ns,
		.since_ns = since_ns,
		.span = t->depth ? t->stack[t->depth - 1] : -1,
		.state = state,
		.reason = reason,
	};

	t->stretches = schedule_grow(t->stretches, t->stretch_count, sizeof(next));
	t->stretches[t->stretch_count++] = next;
}

/* Another span on top of the stack. */
static void change_span(const struct schedule *s, struct true_thread *t)
{
	end_stretch(s, t);
	begin_stretch(s, t, STATE_RUNNING, 0, 0);
}

/* A span's edge cuts what all others do at that instant, so that no stretch lies across it. */
static void cut_stretches(const struct schedule *s)
{
	for (uint32_t i = 0; i < s->thread_count; i++) {
		if (s->threads[i].state == THREAD_ON_CPU)
			change_span(s, &s->threads[i]);
	}
}

/* What the scheduler did not book to this slice in the end was never on the thread's clock. */
static void clip_slice(struct true_thread *t)
{
	for (uint32_t i = t->slice_first_stretch; i < t->stretch_count; i++) {
		struct stretch *x = &t->stretches[i];

		x->cpu_start_ns = MIN(x->cpu_start_ns, t->exec_ns);
		x->cpu_end_ns = MIN(x->cpu_end_ns, t->exec_ns);
	}
}

/* ---- records */

static void append_tail(struct record *record, uint32_t flag, const void *tail, size_t bytes)
{
	struct event_header *header = &record->slice.header;

	memcpy(record->tails + header->bytes - sizeof(record->slice), tail, bytes);
	header->bytes = (uint16_t)(header->bytes + bytes);
	header->flags |= flag;
}

static void append_tags(const struct schedule *s, struct true_thread *t, struct record *record)
{
	struct event_tag out = schedule_tag(s, t->published), in = schedule_tag(s, t->cut_tag);
	uint32_t *flags = &record->slice.header.flags;

	if (t->published >= 0)
		append_tail(record, EVENT_TAG_OUT, &out, sizeof(out));
	if (!t->cut_tag_known) {
		/* the first look at this thread */
	} else if (t->cut_tag < 0) {
		*flags |= EVENT_TAG_IN_NONE;
	} else if (t->cut_tag == t->published) {
		*flags |= EVENT_TAG_SAME;
	} else {
		append_tail(record, EVENT_TAG_IN, &in, sizeof(in));
	}
	t->cut_tag = t->published;
	t->cut_tag_known = true;
}

/* What the thread logged itself goes with the record that ends the slice. */
static uint32_t take_changes(const struct schedule *s, struct true_thread *t, struct record *record)
{
	if (!s->processes[t->process].is_exact)
		return 0;
	record->changes = t->changes;
	record->change_count = t->change_count;
	t->changes = NULL;
	t->change_count = 0;
	return record->change_count ? EVENT_TOLD | EVENT_CHANGED : EVENT_TOLD;
}

/* Closes the record being built: booked so far is what the last reading says. */
static void emit_record(struct schedule *s, struct true_thread *t, uint32_t flags,
			const struct wait_description *wait)
{
	const struct clock_reading *reading = &s->cpus[t->cpu].reading;
	struct record *record;
	bool had_tag = t->cut_tag >= 0;

	if (!s->processes[t->process].publishes)
		return;
	s->records = schedule_grow(s->records, s->record_count, sizeof(*s->records));
	record = &s->records[s->record_count++];
	memset(record, 0, sizeof(*record));
	record->thread = (uint32_t)(t - s->threads);
	record->in_ns = t->cut_in_ns;
	flags |= s->knobs.tells_stolen ? 0 : EVENT_STOLEN_UNTOLD;
	flags |= take_changes(s, t, record);
	record->slice = (struct event_slice){
		.header = { EVENT_SLICE, sizeof(record->slice), t->cut_flags | flags },
		.pid = s->processes[t->process].pid,
		.tid = t->tid,
		.prev_out_ns = t->prev_out_ns,
		.waking_ns = t->waking_ns,
		.in_ns = t->cut_in_ns,
		.out_ns = s->now_ns,
		.exec_in_ns = t->cut_exec_in_ns,
		.exec_out_ns = cpu_clock_at(s, t, reading),
		.exec_start_in_ns = t->cut_exec_start_in_ns,
		.exec_start_out_ns =
			sched_clock(&s->cpus[t->cpu], reading->time_ns) - reading->offset_ns,
		.stolen_in_ns = s->knobs.tells_stolen ? t->cut_stolen_in_ns : 0,
		.stolen_out_ns = s->knobs.tells_stolen ? reading->offset_ns : 0,
		.cpu = t->cpu,
		.state = wait ? wait->state : 0,
		.syscall = wait ? wait->syscall : -1,
	};
	append_tags(s, t, record);
	if (wait && t->published >= 0 && wait->target.kind != TARGET_NONE)
		append_tail(record, EVENT_TARGET, &wait->target, sizeof(wait->target));
	if (t->has_waker && (had_tag || t->published >= 0))
		append_tail(record, EVENT_WAKER, &t->waker, sizeof(t->waker));
	t->prev_out_ns = s->now_ns;
	t->last_exec_out_ns = record->slice.exec_out_ns;
	t->cut_flags = 0;
	t->has_waker = false;
}

/* Between two readings of the other clock, of which one may have taken long. */
static void emit_clock(struct schedule *s, const struct true_cpu *cpu, uint64_t time_ns)
{
	struct clock_record *record;

	if (!s->knobs.tells_clock)
		return;
	s->clocks = schedule_grow(s->clocks, s->clock_count, sizeof(*s->clocks));
	record = &s->clocks[s->clock_count++];
	record->time_ns = time_ns;
	record->event = (struct event_clock){
		.header = { .kind = EVENT_CLOCK, .bytes = sizeof(record->event) },
		.cpu = (uint32_t)(cpu - s->cpus),
		.before_ns = time_ns - rng_scale(&s->clock_rng, 30, 5 * US),
		.sched_ns = sched_clock(cpu, time_ns),
		.after_ns = time_ns + rng_scale(&s->clock_rng, 30, 5 * US),
	};
}

static void begin_record(const struct schedule *s, struct true_thread *t)
{
	t->cut_in_ns = s->now_ns;
	t->cut_exec_in_ns = t->exec_ns;
	t->cut_exec_start_in_ns =
		sched_clock(&s->cpus[t->cpu], t->booked_from.time_ns) - t->booked_from.offset_ns;
	t->cut_stolen_in_ns = t->booked_from.offset_ns;
}

/* ---- the scheduler */

/* Never before the last time, nor while the CPU was not there. */
static void read_clock(const struct schedule *s, struct true_cpu *cpu, uint64_t ago_ns)
{
	uint64_t least = MAX(cpu->reading.time_ns, cpu->stolen_until_ns);

	if (!s->knobs.has_lag)
		ago_ns = 0;
	cpu->reading.time_ns = MAX(s->now_ns - ago_ns, least);
	cpu->reading.offset_ns = cpu->offset_ns;
}

/* A switch away from `t`. Once somebody was woken for this CPU, the reading that this took is used
 * again, now and then. */
static void read_clock_to_leave(struct schedule *s, struct true_cpu *cpu,
				const struct true_thread *t, bool is_waiting)
{
	uint64_t most_ns = is_waiting && rng_chance(&s->rng, 10) ? IDLE_LAG_NS : FRESH_LAG_NS;
	bool was_woken = cpu->reading.time_ns > MAX(t->in_ns, s->now_ns - OLDEST_LAG_NS);

	cpu->switched_ns = s->now_ns;
	if (!s->knobs.has_lag || !was_woken || !rng_chance(&s->rng, is_waiting ? 10 : 50))
		read_clock(s, cpu, rng_below(&s->rng, most_ns));
}

/* The hypervisor takes its time to bring back a CPU that was idle. */
static void steal_idle(struct schedule *s, struct true_cpu *cpu)
{
	uint64_t since = MAX(cpu->reading.time_ns, MAX(cpu->switched_ns, cpu->stolen_until_ns));

	if (!s->knobs.has_steal || !rng_chance(&s->rng, 20))
		return;
	cpu->offset_ns += rng_below(&s->rng, s->now_ns - since + 1);
	cpu->stolen_until_ns = s->now_ns;
}

/* A switch to `t`, from nobody: with the reading that its waking took, or a new one. */
static void read_clock_to_enter(struct schedule *s, struct true_cpu *cpu,
				const struct true_thread *t)
{
	bool was_read = t->woken_cpu == (uint32_t)(cpu - s->cpus) &&
			cpu->reading.time_ns >= t->waking_ns && t->waking_ns;

	if (cpu->switched_ns == s->now_ns) {
		if (cpu->reading.time_ns < t->waking_ns) /* it was fetched from another CPU */
			read_clock(s, cpu, 0);
		return;
	}
	steal_idle(s, cpu);
	if (!s->knobs.has_lag || !was_read || rng_chance(&s->rng, 40))
		read_clock(s, cpu, rng_below(&s->rng, FRESH_LAG_NS));
	cpu->switched_ns = s->now_ns;
}

static void enter(struct schedule *s, struct true_thread *t, uint32_t cpu)
{
	end_stretch(s, t);
	t->cpu = cpu;
	s->cpus[cpu].thread = (int32_t)(t - s->threads);
	t->in_ns = t->turn_ns = s->now_ns;
	t->run_left_ns += RETURN_NS;
	t->is_stolen = false;
	read_clock_to_enter(s, &s->cpus[cpu], t);
	t->booked_from = s->cpus[cpu].reading;
	t->state = THREAD_ON_CPU;
	t->slice_first_stretch = t->stretch_count;
	begin_stretch(s, t, STATE_RUNNING, 0, 0);
	begin_record(s, t);
}

/* `wait` NULL: it still wants to run. */
static void leave(struct schedule *s, struct true_thread *t, uint32_t flags,
		  const struct wait_description *wait)
{
	struct true_cpu *cpu = &s->cpus[t->cpu];

	end_stretch(s, t);
	read_clock_to_leave(s, cpu, t, wait);
	emit_record(s, t, flags, wait);
	t->exec_ns = cpu_clock_at(s, t, &cpu->reading);
	t->state = wait ? THREAD_BLOCKED : THREAD_READY;
	clip_slice(t);
	begin_stretch(s, t, wait ? STATE_BLOCKED : STATE_RUNNABLE, wait ? wait->reason : (uint8_t)0,
		      s->now_ns);
	t->waking_ns = 0;
	cpu->thread = -1;
}

static void preempt(struct schedule *s, struct true_thread *t)
{
	leave(s, t, EVENT_PREEMPTED, NULL);
	t->ready_ns = s->now_ns;
}

static void tick(struct schedule *s, struct true_thread *t)
{
	struct true_cpu *cpu = &s->cpus[t->cpu];

	if (t->cut_in_ns == s->now_ns)
		return;
	read_clock(s, cpu, rng_below(&s->rng, MAX_TICK_LAG_NS));
	emit_clock(s, cpu, s->now_ns);
	emit_record(s, t, EVENT_TICK, NULL);
	t->waking_ns = 0;
	t->cut_flags = EVENT_AFTER_TICK;
	t->cut_in_ns = s->now_ns;
	t->cut_exec_in_ns = t->last_exec_out_ns;
	t->cut_exec_start_in_ns = sched_clock(cpu, cpu->reading.time_ns) - cpu->reading.offset_ns;
	t->cut_stolen_in_ns = cpu->reading.offset_ns;
}

/* On a CPU that may run it its clock is read. */
static void choose_cpu(struct schedule *s, struct true_thread *t)
{
	t->woken_cpu = t->pinned_cpu >= 0 ? (uint32_t)t->pinned_cpu
					  : (uint32_t)rng_below(&s->rng, s->knobs.cpus);
	read_clock(s, &s->cpus[t->woken_cpu], 0);
}

static void wake(struct schedule *s, struct true_thread *t, const struct true_thread *waker)
{
	end_stretch(s, t);
	t->state = THREAD_READY;
	begin_stretch(s, t, STATE_RUNNABLE, 0, s->now_ns);
	t->waking_ns = s->now_ns;
	t->ready_ns = s->now_ns + rng_scale(&s->rng, 0, MAX_LATENCY_NS);
	choose_cpu(s, t);
	t->waits_for = -1;
	t->wake_ns = SCHEDULE_NEVER;
	t->has_waker = true;
	t->waker = (struct event_waker){ .kind = WAKER_TIMER };
	if (waker) {
		t->waker.kind = WAKER_THREAD;
		t->waker.pid = s->processes[waker->process].pid;
		t->waker.tid = waker->tid;
		t->waker.tag = schedule_tag(s, waker->published);
	}
}

static void set_flag(struct schedule *s, const struct true_thread *by, uint32_t flag)
{
	s->flags[flag] = 1;
	for (uint32_t i = 0; i < s->thread_count; i++) {
		struct true_thread *t = &s->threads[i];

		if (t->state == THREAD_BLOCKED && t->waits_for == (int64_t)flag)
			wake(s, t, by);
	}
}

/* ---- the programs */

/* The clock is read `early_ns` before the tag shows; in the same slice, and after all that the
 * program read before. */
static void publish(const struct schedule *s, struct true_thread *t, int32_t span,
		    uint64_t early_ns)
{
	t->published = span;
	t->read_ns = MAX(s->now_ns - early_ns, MAX(t->read_ns, t->cut_in_ns));
	if (!s->processes[t->process].is_exact)
		return;
	t->changes = schedule_grow(t->changes, t->change_count, sizeof(*t->changes));
	t->changes[t->change_count++] =
		(struct event_change){ .time_ns = t->read_ns, .tag = schedule_tag(s, span) };
}

/* The child has its parent's memory, and so its tag; what it will do for that span is nobody's. */
static void fork_child(struct schedule *s, const struct true_thread *parent,
		       struct true_thread *child)
{
	struct fork_record record = {
		.event = { .header = { .kind = EVENT_FORK, .bytes = sizeof(record.event) },
			   .pid = s->processes[parent->process].pid,
			   .tid = parent->tid,
			   .other_pid = s->processes[child->process].pid,
			   .time_ns = s->now_ns },
		.first_record = s->record_count,
	};

	s->forks = schedule_grow(s->forks, s->fork_count, sizeof(record));
	s->forks[s->fork_count++] = record;
	child->state = THREAD_READY;
	child->published = child->cut_tag = parent->published;
	child->cut_tag_known = true;
	child->ready_ns = s->now_ns + rng_scale(&s->rng, 0, MAX_LATENCY_NS);
}

/* One that takes no time. */
static void do_instantly(struct schedule *s, struct true_thread *t, const struct op *op)
{
	switch (op->kind) {
	case OP_SET:
		set_flag(s, t, op->flag);
		break;
	case OP_START:
		s->spans[op->span].start_ns = t->read_ns = s->now_ns;
		cut_stretches(s);
		break;
	case OP_END:
		s->spans[op->span].end_ns = t->read_ns = s->now_ns;
		cut_stretches(s);
		break;
	case OP_PUSH:
		assert(t->depth < SCHEDULE_MAX_STACK);
		t->stack[t->depth++] = op->span;
		change_span(s, t);
		break;
	case OP_POP:
		assert(t->depth > 0 && t->stack[t->depth - 1] == op->span);
		t->depth--;
		change_span(s, t);
		break;
	case OP_PUBLISH:
		publish(s, t, op->span, op->ns);
		break;
	case OP_FORK:
		fork_child(s, t, &s->threads[op->thread]);
		break;
	default:
		assert(false); /* takes time */
	}
}

static void block(struct schedule *s, struct true_thread *t, const struct op *op)
{
	leave(s, t, waits[op->wait].flags, &waits[op->wait]);
	if (op->kind == OP_BLOCK)
		t->wake_ns = s->now_ns + op->ns;
	else
		t->waits_for = op->flag;
}

static void finish(struct schedule *s, struct true_thread *t, bool dies)
{
	static const struct wait_description death = { .syscall = 60, .state = 0x80 };

	leave(s, t, dies ? EVENT_DEAD : 0, dies ? &death : &waits[WAIT_FUTEX]);
	t->wake_ns = SCHEDULE_NEVER;
	t->state = THREAD_DONE;
}

/* Until the thread needs time, or has left the CPU. */
static void go_on(struct schedule *s, struct true_thread *t)
{
	while (t->state == THREAD_ON_CPU && !t->run_left_ns) {
		const struct op *op = &t->ops[t->at];

		if (t->at == t->op_count) {
			finish(s, t, false);
			return;
		}
		t->at++;
		if (op->kind == OP_RUN || op->kind == OP_STOLEN) {
			t->run_left_ns = op->ns;
			t->is_stolen = op->kind == OP_STOLEN;
			change_span(s, t); /* a stolen stretch has its own pace */
		} else if (op->kind == OP_BLOCK || (op->kind == OP_WAIT && !s->flags[op->flag])) {
			block(s, t, op);
		} else if (op->kind == OP_EXIT) {
			finish(s, t, true);
		} else if (op->kind != OP_WAIT) {
			do_instantly(s, t, op);
		}
	}
}

/* ---- time */

static bool may_run(const struct true_thread *t, uint32_t cpu)
{
	return t->state == THREAD_READY && (t->pinned_cpu < 0 || (uint32_t)t->pinned_cpu == cpu);
}

/* The one that has waited longest. */
static struct true_thread *next_for(struct schedule *s, uint32_t cpu, uint64_t by_ns)
{
	struct true_thread *best = NULL;

	for (uint32_t i = 0; i < s->thread_count; i++) {
		struct true_thread *t = &s->threads[i];

		if (may_run(t, cpu) && t->ready_ns <= by_ns &&
		    (!best || t->ready_ns < best->ready_ns))
			best = t;
	}
	return best;
}

/* The hypervisor has taken it: nothing happens there before it is back. */
static bool is_away(const struct schedule *s, const struct true_cpu *cpu)
{
	const struct true_thread *t = cpu->thread >= 0 ? &s->threads[cpu->thread] : NULL;

	return t && t->is_stolen && t->run_left_ns;
}

static uint64_t next_event(struct schedule *s)
{
	uint64_t next = SCHEDULE_NEVER;

	for (uint32_t i = 0; i < s->thread_count; i++) {
		const struct true_thread *t = &s->threads[i];

		if (t->state == THREAD_BLOCKED && t->waits_for < 0)
			next = MIN(next, t->wake_ns);
		if (t->state == THREAD_ON_CPU)
			next = MIN(next, s->now_ns + t->run_left_ns);
	}
	for (uint32_t i = 0; i < s->knobs.cpus; i++) {
		const struct true_cpu *cpu = &s->cpus[i];
		const struct true_thread *waiting = next_for(s, i, SCHEDULE_NEVER);

		if (is_away(s, cpu))
			continue;
		if (cpu->thread >= 0)
			next = MIN(next, cpu->next_tick_ns);
		if (!waiting)
			continue;
		if (cpu->thread < 0)
			next = MIN(next, MAX(waiting->ready_ns, s->now_ns));
		else
			next = MIN(next, MAX(MAX(waiting->ready_ns, s->now_ns + 1),
					     s->threads[cpu->thread].turn_ns + SCHEDULE_TURN_NS));
	}
	return next;
}

static void pass_time(struct schedule *s, uint64_t until_ns)
{
	uint64_t ns = until_ns - s->now_ns;

	for (uint32_t i = 0; i < s->knobs.cpus; i++) {
		struct true_cpu *cpu = &s->cpus[i];
		struct true_thread *t = cpu->thread >= 0 ? &s->threads[cpu->thread] : NULL;

		for (; !t && cpu->next_tick_ns <= until_ns; cpu->next_tick_ns += SCHEDULE_TICK_NS)
			emit_clock(s, cpu, cpu->next_tick_ns);
		if (!t)
			continue;
		t->run_left_ns -= ns;
		if (t->is_stolen) {
			cpu->offset_ns += ns;
			cpu->stolen_until_ns = until_ns;
		}
	}
	s->now_ns = until_ns;
}

static void serve_cpu(struct schedule *s, uint32_t index)
{
	struct true_cpu *cpu = &s->cpus[index];
	struct true_thread *t = cpu->thread >= 0 ? &s->threads[cpu->thread] : NULL;

	if (is_away(s, cpu))
		return;
	if (t && cpu->next_tick_ns <= s->now_ns) {
		tick(s, t);
		cpu->next_tick_ns += SCHEDULE_TICK_NS;
	}
	if (t)
		go_on(s, t);
	if (cpu->thread >= 0 && s->now_ns >= t->turn_ns + SCHEDULE_TURN_NS &&
	    next_for(s, index, s->now_ns))
		preempt(s, t);
	while (cpu->thread < 0 && (t = next_for(s, index, s->now_ns))) {
		enter(s, t, index);
		go_on(s, t);
	}
}

void schedule_run(struct schedule *s)
{
	uint64_t next;

	for (uint32_t i = 0; i < s->thread_count; i++)
		begin_stretch(s, &s->threads[i], STATE_BLOCKED, REASON_OTHER, s->now_ns);
	while ((next = next_event(s)) != SCHEDULE_NEVER) {
		pass_time(s, next);
		for (uint32_t i = 0; i < s->thread_count; i++) {
			struct true_thread *t = &s->threads[i];

			if (t->state == THREAD_BLOCKED && t->waits_for < 0 &&
			    t->wake_ns <= s->now_ns)
				wake(s, t, NULL);
		}
		for (uint32_t i = 0; i < s->knobs.cpus; i++)
			serve_cpu(s, i);
	}
	for (uint32_t i = 0; i < s->thread_count; i++) {
		assert(s->threads[i].state == THREAD_DONE);
		end_stretch(s, &s->threads[i]);
	}
}
