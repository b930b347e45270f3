/* SPDX-License-Identifier: Apache-2.0 */
/* A process that becomes another program in the middle of a span may carry on with it there. So it
 * stays the same process, with other threads, and what it does until it is followed again is not
 * known. */
#include "collector/base/macros.h"
#include "correlate/model.h"

static bool is_within_span(const struct thread *thread)
{
	return thread && !tag_is_none(&thread->last_tag) &&
	       thread->inherited_until_ns != UINT64_MAX;
}

/* Whether it goes on so; else its number is another process's from now on. */
bool became_another(struct model *model, struct process *process, const struct event_life *life)
{
	const struct thread *caller = world_find_thread(model, life->other_pid);

	if (!caller || caller->process != process || !is_within_span(caller))
		return false;
	for (struct thread *thread = process->threads; thread; thread = thread->next)
		world_forget_thread(model, thread);
	if (process->became.to_ns != UINT64_MAX)
		process->became.from_ns = life->time_ns;
	process->became.to_ns = UINT64_MAX;
	process->described = false;
	skew_forget(&process->skew); /* it reads its own clock */
	skew_forget(&process->skew_taught);
	return true;
}

static bool is_unwatched(const struct process *process)
{
	const struct turns_period *became = &process->became;

	return became->to_ns == UINT64_MAX || (became->to_ns && became->to_ns == became->from_ns);
}

/* Its first record since. */
void became_watched(struct model *model, struct process *process, uint64_t time_ns)
{
	if (!is_unwatched(process))
		return;
	process->became.to_ns = MAX(time_ns, process->became.from_ns + 1);
	relearn_process(model, process, process->became.from_ns);
}

/* Unless it is followed all the same, later, there is nothing to be known. */
void became_described(struct process *process)
{
	if (process->publish != PUBLISH_TAGS && process->became.to_ns == UINT64_MAX)
		process->became.to_ns = process->became.from_ns;
}
