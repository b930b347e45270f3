/* SPDX-License-Identifier: Apache-2.0 */
/* A call that a stop interrupted goes on as restart_syscall, which tells neither which call it was
 * nor what it waits for. Both are known: the thread was stopped in it.
 *
 *   poll(socket) ...... stopped ...... restart_syscall() ...... back from poll
 */
#include <stdlib.h>

#include "correlate/model.h"
#include "correlate/reason.h"

struct restart {
	int32_t syscall;
	struct event_target target;
};

static void remember(struct thread *thread, const struct slice *slice)
{
	if (!thread->restart)
		thread->restart = calloc(1, sizeof(*thread->restart));
	if (!thread->restart) /* then it is told as it comes */
		return;
	thread->restart->syscall = slice->syscall;
	thread->restart->target = *slice->target;
}

void restart_follow(struct thread *thread, struct slice *slice)
{
	if (reason_syscall_is_restart(slice->syscall)) {
		if (!thread->restart)
			return;
		slice->syscall = thread->restart->syscall;
		slice->target = &thread->restart->target;
	} else if (reason_state_is_held(slice->state) && slice->syscall >= 0) {
		remember(thread, slice);
	} else if (!(slice->flags & (EVENT_PREEMPTED | EVENT_TICK))) {
		free(thread->restart);
		thread->restart = NULL;
	}
}
