/* SPDX-License-Identifier: Apache-2.0 */
/* When all of a trace is there: no span that others or tags tell of is missing, and what its
 * threads did is known up to its end. */
#include <errno.h>

#include "collector/base/macros.h"
#include "correlate/model.h"

static bool is_process_covered(const struct process *process, uint64_t end_ns)
{
	for (const struct thread *thread = process->threads; thread; thread = thread->next) {
		/* the newest record says that it ran on, or it has come back since, unreported */
		if (thread->seen && !thread->dead &&
		    (thread->last_out_ns < end_ns || thread->running))
			return false;
	}
	return true;
}

/* A tick says less than a switch: what it has not booked may be stolen. */
bool complete_covers(const struct model *model, const struct trace *trace, uint64_t end_ns)
{
	if (model->now_ns < end_ns)
		return false;
	if (model->now_ns >= end_ns + TICK_GRACE_NS || !model->kernel)
		return true;
	for (const struct observation *o = trace->observations; o; o = o->next) {
		if (!o->next || o->next->thread->process != o->thread->process) {
			if (!is_process_covered(o->thread->process, end_ns))
				return false;
		}
	}
	for (uint32_t i = 0; i < trace->span_count; i++) { /* of those that were not seen at all */
		const struct trace_span *span = &trace->spans[i];
		bool is_known = span->process ? is_process_covered(span->process, end_ns)
					      : trace_carries(trace, span->span_id);

		if (!is_known)
			return false;
	}
	return true;
}

int complete_check(const struct model *model, const struct trace *trace)
{
	uint64_t end_ns = trace->to_ns, bound;

	for (uint32_t i = 0; i < trace->span_count; i++) {
		const struct trace_span *span = &trace->spans[i];
		uint64_t span_end;

		if (model->clocks.count == 0)
			return -EAGAIN;
		if (clock_map_to_mono(&model->clocks, span->end_unix_ns, &span_end, &bound))
			end_ns = MAX(end_ns, span_end); /* else before the machine was started */
		if (trace_span_index(model, trace, span->parent_id) < 0 &&
		    !trace_is_root(trace, span))
			return -ENOENT;
	}
	for (const struct observation *o = trace->observations; o; o = o->next) {
		if (!o->inherited && trace_span_index(model, trace, o->span_id) < 0)
			return -ENOENT;
	}
	return complete_covers(model, trace, end_ns) ? 0 : -EAGAIN;
}
