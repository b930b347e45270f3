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

/* What a thread waits for after a slice. */
struct lock {
	const struct event_target *target;
	bool is_whole; /* nothing else of that target can be had: a word, a file by flock */
	bool is_file;
};

static struct lock lock_after(const struct slice *slice)
{
	bool is_word =
		slice->target->kind == TARGET_FUTEX || slice->target->kind == TARGET_FUTEX_SHARED;
	bool is_file = slice->target->kind == TARGET_FILE && reason_syscall_is_lock(slice->syscall);

	return (struct lock){
		.target = slice->target,
		.is_whole = is_word || (is_file && reason_syscall_is_flock(slice->syscall)),
		.is_file = is_file,
	};
}

/* Whatever owner its word told at the time. */
static bool is_same(const struct lock *one, const struct lock *other)
{
	const struct event_target *a = one->target, *b = other->target;

	return a->kind == b->kind && a->id == b->id && one->is_file == other->is_file &&
	       one->is_whole == other->is_whole && (!one->is_file || a->aux == b->aux) &&
	       memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

static bool find_handover(struct thread *thread, const struct lock *lock, uint64_t from_ns,
			  uint64_t before_ns, struct handover *out)
{
	struct timeline_cursor cursor;
	struct lock awaited = { .target = &slice_none.target };
	const struct slice *slice;
	bool found = false, preempted = false;
	uint32_t since = 0; /* slices that began before the wait */

	if (!lock->is_whole)
		return false;
	timeline_seek_beyond(&thread->timeline, from_ns, LOOK_BACK + 1, &cursor);
	while ((slice = timeline_next(&cursor)) && slice->prev_out_ns < before_ns) {
		since += slice->prev_out_ns < from_ns;
		if (slice->flags & EVENT_WAKER && slice->waker->kind == WAKER_THREAD &&
		    !slice->gap && !preempted && slice->waking_ns < before_ns &&
		    is_same(&awaited, lock)) {
			*out = (struct handover){ slice->waking_ns, *slice->waker };
			found = true;
			since = 0;
		}
		awaited = lock_after(slice);
		preempted = slice->flags & EVENT_PREEMPTED;
	}
	return found && since <= LOOK_BACK;
}

/* Who wants a file that is locked stands in line behind another who does, and is woken by that one,
 * too, as it tries again: it has let go of nothing, and waits on. Who woke that one has. */
static bool only_tried(struct thread *thread, const struct lock *lock, uint64_t at_ns)
{
	struct timeline_cursor cursor;
	struct lock awaited = { .target = &slice_none.target };
	const struct slice *slice;

	timeline_seek_beyond(&thread->timeline, at_ns, LOOK_BACK, &cursor);
	while ((slice = timeline_next(&cursor))) {
		bool waits = !(slice->flags & (EVENT_PREEMPTED | EVENT_TICK | SLICE_CHANGE));

		if (waits && slice->out_ns >= at_ns) {
			const struct lock next = lock_after(slice);

			return is_same(&awaited, lock) && is_same(&next, lock);
		}
		if (waits)
			awaited = lock_after(slice);
	}
	return false;
}

/* NULL: not followed. */
static struct thread *thread_of(const struct model *model, const struct lock *lock,
				const struct lane *lane, const struct event_waker *waker)
{
	/* an address is another lock in another process */
	if (lock->target->kind == TARGET_FUTEX && waker->pid != lane->process->pid)
		return NULL;
	return world_find_waker(model, lane->process, waker);
}

/* The word that the waiter saw as it began: it counts as its own pid namespace does. */
static bool is_owner(const struct lane *lane, const struct lock *lock,
		     const struct event_waker *waker)
{
	return !lock->is_file && lock->target->aux && lock->target->aux == waker->tid &&
	       lane->process->ns_pid == lane->process->pid;
}

/* Among those who want it, too: when somebody other than `who` let go of it last. */
static bool find_release(struct join *join, const struct lane *lane, const struct lock *lock,
			 const struct hold *before, struct handover *out)
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
	const struct lock lock = lock_after(wait->before);
	struct hold hold = { .to_ns = to_ns };

	if (wait->reason != REASON_LOCK || (!lock.is_whole && !lock.is_file) ||
	    wait->after->waker->kind != WAKER_THREAD)
		return;
	hold.who = *wait->after->waker;
	for (unsigned i = 0; i < MAX_LINKS && hold.to_ns > from_ns; i++) {
		struct thread *thread = thread_of(join->model, &lock, lane, &hold.who);
		struct handover got = { 0 };
		bool is_known = thread && thread != lane->thread &&
				find_handover(thread, &lock, from_ns, hold.to_ns, &got);

		if (lock.is_file && thread && only_tried(thread, &lock, hold.to_ns)) {
			if (!is_known)
				return;
			hold.to_ns = MAX(got.time_ns, from_ns);
			hold.who = got.by;
			continue;
		}
		hold.from_ns = from_ns;
		hold.kind = is_known ? HOLDER_HELD : HOLDER_RELEASED;
		if (!is_known && !find_release(join, lane, &lock, &hold, &got) &&
		    is_owner(lane, &lock, &hold.who))
			hold.kind = HOLDER_HELD;
		hold.from_ns = MAX(got.time_ns, from_ns);
		join_add_hold(join, wait, &hold);
		hold.to_ns = hold.from_ns;
		hold.who = got.by;
	}
}
