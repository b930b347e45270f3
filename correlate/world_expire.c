/* SPDX-License-Identifier: Apache-2.0 */
/* What the world forgets: slices beyond the timelines' reach, threads and processes that are gone.
 */
#include <stdlib.h>

#include "collector/base/macros.h"
#include "correlate/glimpse.h"
#include "correlate/model.h"

/* Timelines may take this share of the memory limit, and up to the larger one what traces and folds
 * leave, which never have more than the rest of the smaller. */
#define TIMELINE_SHARE(limit)      ((limit) / 10 * 6)
#define TIMELINE_MOST_SHARE(limit) ((limit) / 20 * 17)
#define SILENT_HOLD_NS             (20 * NS_PER_SEC) /* of a process without records */
#define GONE_HOLD_NS               (120 * NS_PER_SEC)
#define LAST_SLICES_NS             NS_PER_SEC /* after the exit */
#define REACH_STEPS                16
#define FINE_STEPS                 8 /* of each of these */

static void fold_until(struct model *model, uint64_t horizon_ns)
{
	for (struct process *process = model->processes; process; process = process->next) {
		for (struct thread *thread = process->threads; thread; thread = thread->next) {
			while (thread->timeline.oldest &&
			       thread->timeline.oldest->last_ns < horizon_ns)
				fold_oldest_chunk(model, thread);
		}
	}
}

static size_t timeline_share(const struct model *model)
{
	size_t limit = model->options.limit_bytes;
	size_t others = model->stats.trace_bytes + model->stats.fold_bytes;
	size_t left = limit - MIN(others, limit);

	return MAX(TIMELINE_SHARE(limit), MIN(TIMELINE_MOST_SHARE(limit), left));
}

/* The end of the oldest chunk there is. */
static uint64_t first_end(const struct model *model)
{
	uint64_t first_ns = model->now_ns;

	for (const struct process *process = model->processes; process; process = process->next) {
		for (const struct thread *t = process->threads; t; t = t->next) {
			if (t->timeline.oldest)
				first_ns = MIN(first_ns, t->timeline.oldest->last_ns);
		}
	}
	return first_ns;
}

/* Shortens the reach while the timelines exceed their share, and lets it grow back. By little at
 * first, so that they fill their share. */
static void fold_old_slices(struct model *model)
{
	size_t share = timeline_share(model);
	uint64_t most = model->options.reach_ns, least = MAX(most / REACH_STEPS, 1);
	uint64_t reach = model->folded_ns ? MIN(most, model->now_ns - model->folded_ns) : most;
	uint64_t step = MAX(least / FINE_STEPS, 1);

	if (model->stats.timeline_bytes > share)
		reach = MIN(reach, model->now_ns - first_end(model));
	fold_until(model, model->now_ns - MIN(model->now_ns, reach));
	for (; model->stats.timeline_bytes > share && reach > least; step = MIN(2 * step, least)) {
		reach -= MIN(step, reach - least);
		fold_until(model, model->now_ns - MIN(model->now_ns, reach));
	}
	model->folded_ns = model->now_ns - MIN(model->now_ns, reach);
	model->stats.reach_ns = reach;
}

static bool is_spent(const struct model *model, const struct thread *thread)
{
	return thread->dead && !thread->refs &&
	       (!thread->timeline.oldest ||
		thread->last_out_ns + model->options.reach_ns < model->now_ns);
}

static void free_thread(struct model *model, struct thread *thread)
{
	for (struct timeline_chunk *c = thread->timeline.oldest; c; c = c->newer)
		model->stats.timeline_bytes -= timeline_chunk_bytes(c);
	timeline_fini(&thread->timeline);
	glimpses_free(model, thread);
	free(thread->restart);
	free(thread->company);
	thread->process->refs--;
	model->stats.threads--;
	free(thread);
}

static void expire_threads(struct model *model, struct process *process)
{
	struct thread **link = &process->threads;

	while (*link) {
		struct thread *thread = *link;

		if (process->gone && !thread->dead &&
		    process->gone_ns + LAST_SLICES_NS < model->now_ns)
			world_forget_thread(model, thread);
		if (!is_spent(model, thread)) {
			link = &thread->next;
			continue;
		}
		*link = thread->next;
		free_thread(model, thread);
	}
}

static void expire_processes(struct model *model)
{
	struct process **link = &model->processes;

	while (*link) {
		struct process *process = *link;

		expire_threads(model, process);
		if (!process->gone || process->refs ||
		    process->gone_ns + (process->has_records ? GONE_HOLD_NS : SILENT_HOLD_NS) >
			    model->now_ns) {
			link = &process->next;
			continue;
		}
		*link = process->next;
		if (world_find_process(model, process->pid) == process)
			map_delete(&model->process_by_pid, &process->pid);
		senders_forget(model, process);
		model->stats.processes--;
		free(process);
	}
}

void world_expire(struct model *model)
{
	fold_old_slices(model);
	expire_processes(model);
}

void world_fini(struct model *model)
{
	while (model->processes) {
		struct process *process = model->processes;

		while (process->threads) {
			struct thread *thread = process->threads;

			process->threads = thread->next;
			free_thread(model, thread);
		}
		model->processes = process->next;
		free(process);
	}
	chunk_room_fini(&model->chunks);
}
