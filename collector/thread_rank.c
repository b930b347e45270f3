/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/thread_rank.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collector/base/breath.h"

/* As the kernel has it; not every libc does. */
struct attributes {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t slice_ns; /* 0.1 to 100 ms; 0: the kernel's own */
	uint64_t deadline_ns, period_ns;
};

static const struct {
	uint32_t policy;
	uint64_t slice_ns;
} ranks[] = {
	[THREAD_RANK_INGEST] = { SCHED_OTHER, 200000 },
	[THREAD_RANK_ANSWER] = { SCHED_OTHER, 1000000 },
	[THREAD_RANK_SCAN] = { SCHED_BATCH, 20000000 },
};

/* Of this thread, + 1: two system calls for each query would be many. */
static _Thread_local unsigned rank_before;

void thread_rank_set(enum thread_rank rank)
{
	struct attributes attributes = { .size = sizeof(attributes) };

	if (rank_before == rank + 1u)
		return;
	rank_before = rank + 1u;
	/* The nice value that the operator chose stays. */
	if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) != 0)
		return;
	if (rank == THREAD_RANK_SCAN)
		breath_begin();
	else
		breath_end();
	attributes.policy = ranks[rank].policy;
	attributes.slice_ns = ranks[rank].slice_ns;
	(void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}
