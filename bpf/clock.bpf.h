/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The scheduler's clock beside the monotonic one, read at one moment on one CPU.
 *
 * No helper reads the former. But the tick's own event counts with it, and remembers what it read
 * last: reading the event reads the clock. */
#pragma once

#include "bpf/maps.bpf.h"

/* What the program's context really is. */
struct clock_context {
	void *registers, *data;
	struct perf_event *event;
};

/* Somebody who is followed came or went: the next tick tells how the clock stood then. */
static __always_inline void clock_want(void)
{
	this_cpu()->wants_clock = 1;
}

static __always_inline void clock_emit(struct event_clock *clock)
{
	struct event_counters *count = this_cpu_counters();

	if (bpf_ringbuf_output(&records, clock, sizeof(*clock), BPF_RB_NO_WAKEUP))
		count_lost(LOSS_RING_FULL);
	else if (count)
		count->records++;
}

static __always_inline void clock_tell(struct bpf_perf_event_data *context)
{
	struct worker_cpu *cpu = this_cpu();
	struct event_clock clock = {
		.header = { .kind = EVENT_CLOCK, .bytes = sizeof(clock) },
		.cpu = bpf_get_smp_processor_id(),
	};
	struct bpf_perf_event_value value;
	struct clock_context own;

	if (!cpu->wants_clock)
		return;
	cpu->wants_clock = 0;
	if (bpf_probe_read_kernel(&own, sizeof(own), context))
		return;
	clock.before_ns = bpf_ktime_get_ns();
	if (bpf_perf_prog_read_value(context, &value, sizeof(value)))
		return;
	clock.after_ns = bpf_ktime_get_ns();
	if (bpf_probe_read_kernel(&clock.sched_ns, sizeof(clock.sched_ns),
				  (char *)own.event +
					  bpf_core_field_offset(struct perf_event, hw.prev_count)))
		return;
	clock_emit(&clock);
}
