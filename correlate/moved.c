/* SPDX-License-Identifier: Apache-2.0 */
/* A writer's library that is closed and opened again has its variable elsewhere, and until that is
 * found, the place before is read, where nothing shows any more. What threads carried meanwhile is
 * not known. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/model.h"

#define MARGIN_NS                                                                                  \
	(20 * NS_PER_MS) /* threads take the new place over at their next switch or tick */

void moved_note(struct model *model, struct process *process, const struct event_process *news)
{
	struct turns_period *moved = process->moved;
	uint64_t from_ns = news->seen_ns - MIN(news->seen_ns, news->moved_ms * NS_PER_MS);

	if (from_ns > moved->to_ns) {
		if (moved[MOVED_KEPT - 1].to_ns) /* the two oldest are one */
			moved[MOVED_KEPT - 2].from_ns = moved[MOVED_KEPT - 1].from_ns;
		memmove(moved + 1, moved, (MOVED_KEPT - 1) * sizeof(*moved));
		moved->from_ns = from_ns;
	}
	moved->to_ns = news->seen_ns + MARGIN_NS;
	relearn_process(model, process, from_ns);
}

bool moved_within(const struct process *process, uint64_t from_ns, uint64_t to_ns)
{
	for (unsigned i = 0; i < MOVED_KEPT && process->moved[i].to_ns; i++)
		if (process->moved[i].from_ns < to_ns && from_ns < process->moved[i].to_ns)
			return true;
	return false;
}
