/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "collector/base/macros.h"
#include "tests/unit/correlate/schedule_parts.h"

#define MAX_TICK_LAG_NS (4 * MS) /* the scheduler books a running thread at its own ticks only */
#define RETURN_NS       150      /* from the switch to the program */

static void enter(struct schedule *s, struct true_thread *t, uint32_t cpu)
{
	schedule_truth_end(s, t);
	t->cpu = cpu;
	s->cpus[cpu].thread = (int32_t)(t - s->threads);
	t->in_ns = t->turn_ns = s->now_ns;
	t->run_left_ns += RETURN_NS;
	t->is_stolen = false;
	schedule_clock_enter(s, &s->cpus[cpu], t);
	t->booked_from = s->cpus[cpu].reading;
	t->state = THREAD_ON_CPU;
	t->slice_first_stretch = t->stretch_count;
	schedule_truth_begin(s, t, STATE_RUNNING, 0, 0);
	schedule_record_begin(s, t);
}

/* `wait` NULL: it still wants to run. */
void schedule_leave(struct schedule *s, struct true_thread *t, uint32_t flags,
		    const struct wait_description *wait)
{
	struct true_cpu *cpu = &s->cpus[t->cpu];

	schedule_truth_end(s, t);
	schedule_clock_leave(s, cpu, t, wait);
	schedule_record_emit(s, t, flags, wait);
	t->exec_ns = schedule_clock_booked(s, t, &cpu->reading);
	t->state = wait ? THREAD_BLOCKED : THREAD_READY;
	schedule_truth_clip(t);
	schedule_truth_begin(s, t, wait ? STATE_BLOCKED : STATE_RUNNABLE,
			     wait ? wait->reason : (uint8_t)0, s->now_ns);
	t->waking_ns = 0;
	cpu->thread = -1;
}

static void preempt(struct schedule *s, struct true_thread *t)
{
	schedule_leave(s, t, EVENT_PREEMPTED, NULL);
	t->ready_ns = s->now_ns;
}

static void tick(struct schedule *s, struct true_thread *t)
{
	struct true_cpu *cpu = &s->cpus[t->cpu];

	if (t->cut_in_ns == s->now_ns)
		return;
	schedule_clock_read(s, cpu, rng_below(&s->rng, MAX_TICK_LAG_NS));
	schedule_record_clock(s, cpu, s->now_ns);
	schedule_record_emit(s, t, EVENT_TICK, NULL);
	t->waking_ns = 0;
	if (!t->cut_flags) /* else it is not watched yet */
		t->cut_flags = EVENT_AFTER_TICK;
	t->cut_in_ns = s->now_ns;
	t->cut_exec_in_ns = t->last_exec_out_ns;
	t->cut_exec_start_in_ns =
		schedule_clock_sched(cpu, cpu->reading.time_ns) - cpu->reading.offset_ns;
	t->cut_stolen_in_ns = cpu->reading.offset_ns;
}

/* On a CPU that may run it its clock is read. */
static void choose_cpu(struct schedule *s, struct true_thread *t)
{
	t->woken_cpu = t->pinned_cpu >= 0 ? (uint32_t)t->pinned_cpu
					  : (uint32_t)rng_below(&s->rng, s->knobs.cpus);
	schedule_clock_read(s, &s->cpus[t->woken_cpu], 0);
}

void schedule_wake(struct schedule *s, struct true_thread *t, const struct true_thread *waker)
{
	schedule_truth_end(s, t);
	t->state = THREAD_READY;
	schedule_truth_begin(s, t, STATE_RUNNABLE, 0, s->now_ns);
	t->waking_ns = s->now_ns;
	t->ready_ns = s->now_ns + rng_scale(&s->rng, 0, SCHEDULE_MAX_LATENCY_NS);
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
		t->waker.has_left = waker->published < 0 && waker->cut_tag >= 0;
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
			schedule_record_clock(s, cpu, cpu->next_tick_ns);
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
		schedule_program_go_on(s, t);
	if (cpu->thread >= 0 && s->now_ns >= t->turn_ns + SCHEDULE_TURN_NS &&
	    next_for(s, index, s->now_ns))
		preempt(s, t);
	while (cpu->thread < 0 && (t = next_for(s, index, s->now_ns))) {
		enter(s, t, index);
		schedule_program_go_on(s, t);
	}
}

void schedule_run(struct schedule *s)
{
	uint64_t next;

	for (uint32_t i = 0; i < s->thread_count; i++)
		schedule_truth_begin(s, &s->threads[i], STATE_BLOCKED, REASON_OTHER, s->now_ns);
	while ((next = next_event(s)) != SCHEDULE_NEVER) {
		pass_time(s, next);
		for (uint32_t i = 0; i < s->thread_count; i++) {
			struct true_thread *t = &s->threads[i];

			if (t->state == THREAD_BLOCKED && t->waits_for < 0 &&
			    t->wake_ns <= s->now_ns)
				schedule_wake(s, t, NULL);
		}
		for (uint32_t i = 0; i < s->knobs.cpus; i++)
			serve_cpu(s, i);
	}
	for (uint32_t i = 0; i < s->thread_count; i++) {
		assert(s->threads[i].state == THREAD_DONE);
		schedule_truth_end(s, &s->threads[i]);
	}
}
