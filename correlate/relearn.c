/* SPDX-License-Identifier: Apache-2.0 */
/* What was learned of a process after traces of it had settled: these are settled again, so that
 * the last ledgers do not tell in which order things came.
 *
 * It is collected, and looked at once a second: there may be many traces. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/model.h"

void relearn_process(struct model *model, struct process *process, uint64_t from_ns)
{
	process->news_from_ns = process->is_news ? MIN(process->news_from_ns, from_ns) : from_ns;
	process->is_news = true;
	model->has_news = true;
}

static struct process *known(const struct resource_owner *owner)
{
	return owner->ambiguous ? NULL : owner->process;
}

void relearn_owner(struct model *model, uint64_t resource_key, struct process *process)
{
	struct resource_owner *owner = map_put(&model->resources, &resource_key);
	const struct process *was;

	if (!owner)
		return;
	was = known(owner);
	if (owner->process && owner->process != process && !owner->process->gone)
		owner->ambiguous = true;
	else
		owner->ambiguous = owner->ambiguous && owner->process == process;
	owner->process = process;
	owner->is_news |= known(owner) != was;
	model->has_news |= owner->is_news;
}

static bool concerns_span(const struct model *model, const struct trace *trace,
			  const struct trace_span *span)
{
	const struct resource_owner *owner;

	if (span->process)
		return span->process->is_news;
	if (!trace->is_guessed)
		return false;
	owner = map_get(&model->resources, &span->resource_key);
	return owner && (owner->is_news || (owner->process && owner->process->is_news));
}

static bool concerns(const struct model *model, const struct trace *trace)
{
	for (const struct observation *o = trace->observations; o; o = o->next) {
		const struct process *process = o->thread->process;

		if (process->is_news && o->last_ns >= process->news_from_ns)
			return true;
	}
	for (uint32_t i = 0; i < trace->span_count; i++) {
		if (concerns_span(model, trace, &trace->spans[i]))
			return true;
	}
	return false;
}

static void forget_news(struct model *model)
{
	struct resource_owner *owner;
	size_t cursor = 0;
	const void *key;

	for (struct process *process = model->processes; process; process = process->next)
		process->is_news = false;
	while ((owner = map_next(&model->resources, &cursor, &key)))
		owner->is_news = false;
	model->has_news = false;
}

bool relearn_revisit(struct model *model)
{
	bool any = false;

	if (!model->has_news)
		return false;
	for (struct trace *trace = model->oldest; trace; trace = trace->newer) {
		if (!trace->revision || trace->unsettled || !concerns(model, trace))
			continue;
		trace_settle_again(model, trace->id);
		any = true;
	}
	forget_news(model);
	return any;
}
