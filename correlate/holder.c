/* SPDX-License-Identifier: Apache-2.0 */
/* Who held a lock while a thread waited for it. The kernel tells who woke whom, so the chain of
 * wakings is followed back: who woke us was itself woken for that lock, and had it since.
 *
 *   we wait             |-------------------------------------->|
 *   the chain                  A wakes B      B wakes C         C wakes us
 *   held by             |...A..|......B.......|.......C.........|
 *
 * That B was woken for the lock, and then woke the next one, says that it had the lock from the one
 * moment to the other (HOLDER_HELD); so does its tid in the lock, as the wait began. One that took
 * the lock without waiting for it is seen when it lets go: since when it had it is not known
 * (HOLDER_RELEASED), but that it was not before somebody else let go of it, which shows by those
 * who were woken for it then, and came too late. */
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/join.h"

#define MAX_LINKS 16  /* of a chain */
#define LOOK_BACK 32u /* slices of a thread before the wait: if it was given the lock in them */

/* The last time before `before_ns` that somebody gave the lock to a thread. */
struct handover {
	uint64_t time_ns;
	struct event_waker by;
};

static bool is_lock(const struct event_target *target)
{
	return target->kind == TARGET_FUTEX || target->kind == TARGET_FUTEX_SHARED;
}

/* Whatever owner its word told at the time. */
static bool is_same(const struct event_target *a, const struct event_target *b)
{
	return a->kind == b->kind && a->id == b->id &&
	       memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

static bool find_handover(struct thread *thread, const struct event_target *lock, uint64_t from_ns,
			  uint64_t before_ns, struct handover *out)
{
	struct timeline_cursor cursor;
	const struct event_target *awaited = &slice_none.target;
	const struct slice *slice;
	bool found = false, preempted = false;
	uint32_t since = 0; /* slices that began before the wait */

	timeline_seek_beyond(&thread->timeline, from_ns, LOOK_BACK + 1, &cursor);
	while ((slice = timeline_next(&cursor)) && slice->prev_out_ns < before_ns) {
		since += slice->prev_out_ns < from_ns;
		if (slice->flags & EVENT_WAKER && slice->waker->kind == WAKER_THREAD &&
		    !slice->gap && !preempted && slice->waking_ns < before_ns &&
		    is_same(awaited, lock)) {
			*out = (struct handover){ slice->waking_ns, *slice->waker };
			found = true;
			since = 0;
		}
		awaited = slice->target;
		preempted = slice->flags & EVENT_PREEMPTED;
	}
	return found && since <= LOOK_BACK;
}

/* NULL: not followed. */
static struct thread *thread_of(const struct model *model, const struct event_target *lock,
				const struct lane *lane, const struct event_waker *waker)
{
	/* an address is another lock in another process */
	if (lock->kind == TARGET_FUTEX && waker->pid != lane->process->pid)
		return NULL;
	return world_find_waker(model, lane->process, waker);
}

/* The word that the waiter saw as it began: it counts as its own pid namespace does. */
static bool is_owner(const struct lane *lane, const struct event_target *lock,
		     const struct event_waker *waker)
{
	return lock->aux && lock->aux == waker->tid && lane->process->ns_pid == lane->process->pid;
}

/* Among those who want it, too: when somebody other than `who` let go of it last. */
static bool find_release(struct join *join, const struct lane *lane,
			 const struct event_target *lock, const struct hold *before,
			 struct handover *out)
{
	bool found = false;

	for (struct thread *t = lane->process->threads; t && join->looks_left; t = t->next) {
		struct handover other;

		if (!t->seen || t == lane->thread || t->tid == before->who.tid)
			continue;
		join->looks_left--;
		if (!find_handover(t, lock, before->from_ns, before->to_ns, &other) ||
		    other.time_ns <= before->from_ns || other.by.tid == before->who.tid ||
		    (found && other.time_ns <= out->time_ns))
			continue;
		*out = other;
		found = true;
	}
	return found;
}

void holder_find(struct join *join, const struct lane *lane, uint64_t from_ns, uint64_t to_ns,
		 struct wait *wait)
{
	const struct event_target *lock = wait->before->target;
	struct hold hold = { .to_ns = to_ns };

	if (wait->reason != REASON_LOCK || !is_lock(lock) ||
	    wait->after->waker->kind != WAKER_THREAD)
		return;
	hold.who = *wait->after->waker;
	for (unsigned i = 0; i < MAX_LINKS && hold.to_ns > from_ns; i++) {
		struct thread *thread = thread_of(join->model, lock, lane, &hold.who);
		struct handover got = { 0 };
		bool is_known = thread && thread != lane->thread &&
				find_handover(thread, lock, from_ns, hold.to_ns, &got);

		hold.from_ns = from_ns;
		hold.kind = is_known ? HOLDER_HELD : HOLDER_RELEASED;
		if (!is_known && !find_release(join, lane, lock, &hold, &got) &&
		    is_owner(lane, lock, &hold.who))
			hold.kind = HOLDER_HELD;
		hold.from_ns = MAX(got.time_ns, from_ns);
		join_add_hold(join, wait, &hold);
		hold.to_ns = hold.from_ns;
		hold.who = got.by;
	}
}
