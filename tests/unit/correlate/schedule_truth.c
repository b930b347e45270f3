/* SPDX-License-Identifier: Apache-2.0 */
/* What really happened: each thread's stretches, with the span that it worked for. */
#include "collector/base/macros.h"
#include "tests/unit/correlate/schedule_parts.h"

void schedule_truth_end(const struct schedule *s, struct true_thread *t)
{
	struct stretch *last = t->stretch_count ? &t->stretches[t->stretch_count - 1] : NULL;

	if (!last)
		return;
	last->end_ns = s->now_ns;
	last->cpu_end_ns = schedule_clock_now(s, t);
}

void schedule_truth_begin(const struct schedule *s, struct true_thread *t, uint8_t state,
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

void schedule_truth_change(const struct schedule *s, struct true_thread *t)
{
	schedule_truth_end(s, t);
	schedule_truth_begin(s, t, STATE_RUNNING, 0, 0);
}

void schedule_truth_cut(const struct schedule *s)
{
	for (uint32_t i = 0; i < s->thread_count; i++) {
		if (s->threads[i].state == THREAD_ON_CPU)
			schedule_truth_change(s, &s->threads[i]);
	}
}

void schedule_truth_clip(struct true_thread *t)
{
	for (uint32_t i = t->slice_first_stretch; i < t->stretch_count; i++) {
		struct stretch *x = &t->stretches[i];

		x->cpu_start_ns = MIN(x->cpu_start_ns, t->exec_ns);
		x->cpu_end_ns = MIN(x->cpu_end_ns, t->exec_ns);
	}
}
