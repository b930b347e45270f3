/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler's clocks, one a CPU: read now and then, and what is booked from old readings. */
#include "collector/base/macros.h"
#include "tests/unit/correlate/schedule_parts.h"

#define FRESH_LAG_NS  200
#define IDLE_LAG_NS   (5 * US) /* from the booking to the switch, where nobody comes next */
#define OLDEST_LAG_NS (500 * US)

uint64_t schedule_clock_sched(const struct true_cpu *cpu, uint64_t time_ns)
{
	return time_ns - cpu->base_ns -
	       (time_ns - SCHEDULE_START_NS / 2) * cpu->drift_ppm / 1000000;
}

uint64_t schedule_clock_booked(const struct schedule *s, const struct true_thread *t,
			       const struct clock_reading *reading)
{
	const struct true_cpu *cpu = &s->cpus[t->cpu];

	return t->exec_ns + schedule_clock_sched(cpu, reading->time_ns) -
	       schedule_clock_sched(cpu, t->booked_from.time_ns) -
	       (reading->offset_ns - t->booked_from.offset_ns);
}

uint64_t schedule_clock_now(const struct schedule *s, const struct true_thread *t)
{
	const struct clock_reading now = { s->now_ns, s->cpus[t->cpu].offset_ns };

	return t->state == THREAD_ON_CPU ? schedule_clock_booked(s, t, &now) : t->exec_ns;
}

void schedule_clock_read(const struct schedule *s, struct true_cpu *cpu, uint64_t ago_ns)
{
	uint64_t least = MAX(cpu->reading.time_ns, cpu->stolen_until_ns);

	if (!s->knobs.has_lag)
		ago_ns = 0;
	cpu->reading.time_ns = MAX(s->now_ns - ago_ns, least);
	cpu->reading.offset_ns = cpu->offset_ns;
}

/* A switch away from `t`. Once somebody was woken for this CPU, the reading that this took is used
 * again, now and then. */
void schedule_clock_leave(struct schedule *s, struct true_cpu *cpu, const struct true_thread *t,
			  bool is_waiting)
{
	uint64_t most_ns = is_waiting && rng_chance(&s->rng, 10) ? IDLE_LAG_NS : FRESH_LAG_NS;
	bool was_woken = cpu->reading.time_ns > MAX(t->in_ns, s->now_ns - OLDEST_LAG_NS);

	cpu->switched_ns = s->now_ns;
	if (!s->knobs.has_lag || !was_woken || !rng_chance(&s->rng, is_waiting ? 10 : 50))
		schedule_clock_read(s, cpu, rng_below(&s->rng, most_ns));
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
void schedule_clock_enter(struct schedule *s, struct true_cpu *cpu, const struct true_thread *t)
{
	bool was_read = t->woken_cpu == (uint32_t)(cpu - s->cpus) &&
			cpu->reading.time_ns >= t->waking_ns && t->waking_ns;

	if (cpu->switched_ns == s->now_ns) {
		if (cpu->reading.time_ns < t->waking_ns) /* it was fetched from another CPU */
			schedule_clock_read(s, cpu, 0);
		return;
	}
	steal_idle(s, cpu);
	if (!s->knobs.has_lag || !was_read || rng_chance(&s->rng, 40))
		schedule_clock_read(s, cpu, rng_below(&s->rng, FRESH_LAG_NS));
	cpu->switched_ns = s->now_ns;
}
