/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that are not followed: the kernel's side had no place for them. What they carry is not
 * known, so no span that their process had open meanwhile is sure of anything. */
#include <errno.h>

#include "collector/base/macros.h"
#include "correlate/model.h"

#define BLIND_MARGIN_NS (20 * NS_PER_MS)  /* they are told of at switches, and at ticks */
#define BLIND_HOLD_NS   (10 * NS_PER_SEC) /* two such times, with less in between, are one */

int blind_note(struct model *model, const struct event_life *life)
{
	struct process *process = world_make_process(model, life->pid);
	struct turns_period *blind;

	if (!process)
		return -ENOMEM;
	blind = &process->blind;
	if (!blind->to_ns || life->time_ns > blind->to_ns + BLIND_HOLD_NS)
		blind->from_ns = life->time_ns;
	blind->to_ns = MAX(blind->to_ns, life->time_ns);
	return 0;
}

bool blind_within(const struct process *process, uint64_t from_ns, uint64_t to_ns)
{
	const struct turns_period *blind = &process->blind;

	return blind->to_ns && blind->from_ns < to_ns + BLIND_MARGIN_NS &&
	       from_ns < blind->to_ns + BLIND_MARGIN_NS;
}
