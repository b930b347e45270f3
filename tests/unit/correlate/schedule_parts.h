/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the machine that a schedule runs on: what its files share. Internal to schedule*.c.
 *
 *   schedule.c  who has a CPU, and what comes next
 *     |-- _program.c  what the thread there does
 *     |-- _clock.c    when the scheduler reads its clock, and so what it books
 *     |-- _truth.c    what really happened
 *     `-- _record.c   what is told of it */
#pragma once

#include "tests/unit/correlate/schedule.h"

#define SCHEDULE_MAX_LATENCY_NS (40 * US) /* from being ready to having a CPU that is free */

struct wait_description {
	int32_t syscall;
	uint32_t state;
	uint32_t flags;
	uint8_t reason; /* enum ledger_reason */
	struct event_target target;
};

/* schedule.c. `wait` NULL: it still wants to run. */
void schedule_leave(struct schedule *s, struct true_thread *t, uint32_t flags,
		    const struct wait_description *wait);
/* `waker` NULL: a timer. */
void schedule_wake(struct schedule *s, struct true_thread *t, const struct true_thread *waker);

/* schedule_program.c: until the thread needs time, or has left the CPU. */
void schedule_program_go_on(struct schedule *s, struct true_thread *t);

/* schedule_clock.c. The CPU's own clock, with what was taken from it. */
uint64_t schedule_clock_sched(const struct true_cpu *cpu, uint64_t time_ns);
/* The thread's CPU clock by a reading of the scheduler's. */
uint64_t schedule_clock_booked(const struct schedule *s, const struct true_thread *t,
			       const struct clock_reading *reading);
/* ... as the program reads it: that takes a new reading. */
uint64_t schedule_clock_now(const struct schedule *s, const struct true_thread *t);
/* Never before the last time, nor while the CPU was not there. */
void schedule_clock_read(const struct schedule *s, struct true_cpu *cpu, uint64_t ago_ns);
/* A switch away from `t`. */
void schedule_clock_leave(struct schedule *s, struct true_cpu *cpu, const struct true_thread *t,
			  bool is_waiting);
/* A switch to `t`, from nobody. */
void schedule_clock_enter(struct schedule *s, struct true_cpu *cpu, const struct true_thread *t);

/* schedule_truth.c: stretches of a thread. */
void schedule_truth_begin(const struct schedule *s, struct true_thread *t, uint8_t state,
			  uint8_t reason, uint64_t since_ns);
void schedule_truth_end(const struct schedule *s, struct true_thread *t);
/* Another span on top of the stack. */
void schedule_truth_change(const struct schedule *s, struct true_thread *t);
/* A span's edge cuts what all others do at that instant, so that no stretch lies across it. */
void schedule_truth_cut(const struct schedule *s);
/* What the scheduler did not book to this slice in the end was never on the thread's clock. */
void schedule_truth_clip(struct true_thread *t);

/* schedule_record.c: begun at a switch, written at the next one, or at a tick. */
void schedule_record_begin(const struct schedule *s, struct true_thread *t);
void schedule_record_emit(struct schedule *s, struct true_thread *t, uint32_t flags,
			  const struct wait_description *wait);
void schedule_record_clock(struct schedule *s, const struct true_cpu *cpu, uint64_t time_ns);
