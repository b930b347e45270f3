/* SPDX-License-Identifier: Apache-2.0 */
/* Who gives way to whom on a CPU that both want: queries to ingest, long ones to short ones.
 *
 * Not by weight, which would starve somebody on a machine at work, but by how long each may go on
 * before another has its turn (sched_setattr's slice, Linux 6.12; no privilege is needed). A kernel
 * that does not know it does as it always does. And what gives way to ingest pauses now and then
 * (breath.h), for not all that wake up get their turn at once. */
#pragma once

enum thread_rank {
	THREAD_RANK_INGEST, /* short turns, at once: somebody waits for an acknowledgement */
	THREAD_RANK_ANSWER, /* what is answered in a moment */
	THREAD_RANK_SCAN,   /* long turns, and never in place of another that runs */
};

/* Of the calling thread. */
void thread_rank_set(enum thread_rank rank);
