/* SPDX-License-Identifier: Apache-2.0 */
/* Records that found the kernel's ring full.
 *
 * A thread owns up to them in its next record. Until all have done so, nobody knows whose they
 * were: any thread of which nothing has come since may have run meanwhile, and sleep on. So spans
 * of such a process that were open then are partial, until the last one is owned up to. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/model.h"

#define MARGIN_NS (20 * NS_PER_MS) /* it is counted at drains */

/* None is missing any more: what was settled meanwhile may say more now. */
static void close_account(struct model *model)
{
	for (struct process *process = model->processes; process; process = process->next)
		relearn_process(model, process, model->losses[0].from_ns);
	model->loss_count = 0;
	model->lost = model->owned_up = 0;
}

void loss_note(struct model *model, uint64_t from_ns, uint64_t to_ns, uint64_t count)
{
	struct gap *last = model->loss_count ? &model->losses[model->loss_count - 1] : NULL;

	model->lost += count;
	if (last && (from_ns <= last->to_ns + MARGIN_NS || model->loss_count == MODEL_MAX_GAPS))
		last->to_ns = MAX(last->to_ns, to_ns);
	else
		model->losses[model->loss_count++] = (struct gap){ from_ns, to_ns };
	if (model->owned_up >= model->lost)
		close_account(model);
}

void loss_own_up(struct model *model, uint64_t count)
{
	model->owned_up += count;
	if (model->loss_count && model->owned_up >= model->lost)
		close_account(model);
}

/* The kernel's side begins anew, and owes nothing: what was lost before is a gap, too. */
void loss_forget(struct model *model)
{
	model->loss_count = 0;
	model->lost = model->owned_up = 0;
}

static bool has_come_since(const struct thread *thread, uint64_t time_ns)
{
	return !thread->seen || thread->last_out_ns >= time_ns || thread->last_flags & EVENT_DEAD;
}

static bool all_have_come_since(const struct process *process, uint64_t time_ns)
{
	for (const struct thread *t = process->threads; t; t = t->next) {
		if (!has_come_since(t, time_ns))
			return false;
	}
	return true;
}

/* Where threads are made, a new one may have carried a span that was never seen, and been missed
 * whole. */
static bool may_have_others(const struct process *process)
{
	return process->threads && process->threads->next;
}

bool loss_within(const struct model *model, const struct process *process, uint64_t from_ns,
		 uint64_t to_ns, bool is_seen)
{
	for (unsigned i = 0; i < model->loss_count; i++) {
		const struct gap *loss = &model->losses[i];

		if (loss->from_ns >= to_ns + MARGIN_NS || from_ns >= loss->to_ns + MARGIN_NS)
			continue;
		if (!all_have_come_since(process, MIN(loss->to_ns, to_ns)) ||
		    (!is_seen && may_have_others(process)))
			return true;
	}
	return false;
}

bool loss_is_awaited(const struct model *model, const struct process *process, uint64_t to_ns)
{
	if (model->now_ns >= to_ns + TICK_GRACE_NS)
		return false;
	for (const struct thread *t = process->threads; t; t = t->next) {
		if (t->seen && !t->dead && t->last_out_ns < to_ns)
			return true;
	}
	return false;
}
