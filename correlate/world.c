/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/glimpse.h"
#include "correlate/model.h"

struct process *world_find_process(const struct model *model, uint32_t pid)
{
	struct process **found = map_get(&model->process_by_pid, &pid);

	return found ? *found : NULL;
}

struct thread *world_find_waker(const struct model *model, struct process *process,
				const struct event_waker *waker)
{
	struct thread **slot = map_get(&model->thread_by_tid, &waker->tid), *thread;

	if (waker->pid != process->pid)
		process = world_find_process(model, waker->pid);
	if (!process)
		return NULL;
	if (slot && (*slot)->process == process)
		return *slot;
	for (thread = process->threads; thread; thread = thread->next)
		if (thread->tid == waker->tid)
			break;
	return thread;
}

/* Not CONCERN_ANY. */
static uint16_t concern_of(uint32_t number)
{
	return (uint16_t)(1u << (1 + number % (TRACE_CONCERNS - 1)));
}

struct process *world_make_process(struct model *model, uint32_t pid)
{
	struct process **slot = map_put(&model->process_by_pid, &pid);

	if (!slot)
		return NULL;
	if (!*slot) {
		struct process *process = calloc(1, sizeof(*process));

		if (!process) {
			map_delete(&model->process_by_pid, &pid);
			return NULL;
		}
		process->pid = pid;
		process->concern = concern_of(model->processes_made++);
		skew_forget(&process->skew);
		skew_forget(&process->skew_taught);
		process->next = model->processes;
		model->processes = process;
		model->stats.processes++;
		*slot = process;
	}
	return *slot;
}

static struct thread **recent_place(struct model *model, uint32_t tid)
{
	return &model->recent[tid % RECENT_THREADS];
}

struct thread *world_find_thread(struct model *model, uint32_t tid)
{
	struct thread **recent = recent_place(model, tid), **found;

	if (*recent && (*recent)->tid == tid)
		return *recent;
	found = map_get(&model->thread_by_tid, &tid);
	if (found)
		*recent = *found;
	return found ? *found : NULL;
}

void world_forget_thread(struct model *model, struct thread *thread)
{
	struct thread **slot = map_get(&model->thread_by_tid, &thread->tid);

	thread->dead = true;
	thread->running = false;
	if (slot && *slot == thread)
		map_delete(&model->thread_by_tid, &thread->tid);
	if (*recent_place(model, thread->tid) == thread)
		*recent_place(model, thread->tid) = NULL;
}

static struct thread *make_thread(struct model *model, struct process *process, uint32_t tid)
{
	struct thread **slot = map_put(&model->thread_by_tid, &tid), *thread;

	if (!slot)
		return NULL;
	thread = calloc(1, sizeof(*thread));
	if (!thread) {
		map_delete(&model->thread_by_tid, &tid);
		return NULL;
	}
	if (*slot) {
		(*slot)->dead = true;
		(*slot)->running = false;
	}
	thread->tid = tid;
	thread->process = process;
	thread->timeline.chunks = &model->chunks;
	thread->next = process->threads;
	if (process->forked && tid == process->pid && !process->became.to_ns)
		/* the one that fork returned in */
		thread->inherited_until_ns = UINT64_MAX;
	thread->has_makers = process->is_shared && tid == process->pid;
	process->threads = thread;
	process->refs++;
	model->stats.threads++;
	*slot = *recent_place(model, tid) = thread;
	return thread;
}

/* Its last slices may still come: the exit is told before the last switch. */
static void mark_gone(struct model *model, uint32_t pid, uint64_t time_ns)
{
	struct process *process = world_find_process(model, pid);

	if (!process || process->gone)
		return;
	process->gone = true;
	process->gone_ns = MAX(time_ns, model->now_ns);
}

/* The pid belongs to another program from now on. */
static void retire(struct model *model, uint32_t pid, uint64_t time_ns)
{
	struct process *process = world_find_process(model, pid);

	if (!process)
		return;
	mark_gone(model, pid, time_ns);
	for (struct thread *thread = process->threads; thread; thread = thread->next)
		world_forget_thread(model, thread);
	map_delete(&model->process_by_pid, &pid);
}

/* The kernel has told of it, and has not forgotten all that it knew since. */
static bool is_known(const struct model *model, const struct thread *thread)
{
	return thread->seen && thread->last_out_ns >= model_gap_end(model);
}

static struct thread *thread_of(struct model *model, const struct event_slice *record)
{
	struct thread *found = world_find_thread(model, record->tid);
	struct process *process;

	if (found && found->process->pid == record->pid &&
	    !((record->header.flags & EVENT_FIRST) && is_known(model, found)))
		return found;
	process = world_find_process(model, record->pid);
	if (process && process->gone && (record->header.flags & EVENT_FIRST))
		retire(model, record->pid, record->in_ns); /* the number was used again */
	process = world_make_process(model, record->pid);
	return process ? make_thread(model, process, record->tid) : NULL;
}

/* `slice`: one with at most one change of the tag. */
static void note_inheritance(struct thread *thread, const struct slice *slice)
{
	if (thread->inherited_until_ns != UINT64_MAX || thread->has_makers)
		return;
	if (!thread->has_inherited)
		thread->inherited_tag = *slice->tag_in;
	thread->has_inherited = true;
	if (!tag_eq(slice->tag_in, &thread->inherited_tag))
		thread->inherited_until_ns = slice->in_ns;
	else if (!tag_eq(slice->tag_out, &thread->inherited_tag))
		thread->inherited_until_ns = slice->out_ns;
}

static void note_lag(struct model *model, const struct slice *slice)
{
	if (!(slice->flags & (EVENT_IN_LOST | EVENT_AFTER_TICK)))
		cpu_lag_add(&model->lag, slice->cpu, slice->in_ns, slice->raw_lag_in,
			    stint_most_lag(slice));
	cpu_lag_add(&model->lag, slice->cpu, slice->out_ns, slice->raw_lag_out, CPU_LAG_UNBOUND);
	if (slice->cpu < EVENT_MAX_CPUS && model->lag.cpus[slice->cpu])
		model->lag.cpus[slice->cpu]->stolen_ns = slice->stolen_out_ns;
}

/* After a gap a process is not followed again before its first record. */
static void note_record(struct model *model, struct process *process, const struct slice *slice)
{
	uint64_t gap_end_ns = model_gap_end(model);

	if (!process->has_records || slice->prev_out_ns < process->first_ns)
		process->first_ns =
			slice->prev_out_ns; /* who leaves first need not have come first */
	if (process->last_ns < gap_end_ns && slice->out_ns > gap_end_ns)
		process->resumed_ns = MAX(slice->prev_out_ns, gap_end_ns);
	process->last_ns = MAX(process->last_ns, slice->out_ns);
	process->has_records = true;
	if (process->became.to_ns)
		became_watched(model, process, slice->prev_out_ns);
}

static bool is_waiting(const struct slice *slice)
{
	return !(slice->flags &
		 (EVENT_PREEMPTED | EVENT_TICK | EVENT_DEAD | EVENT_TAG_OUT_UNKNOWN));
}

static void observe_kept(struct model *model, struct thread *thread, const struct slice *slice)
{
	const struct observation *o = thread->current;

	trace_observe_on(model, thread, slice->tag_out, slice->out_ns);
	if (o && o == thread->current && o->first_ns == slice->prev_out_ns)
		turns_count_kept(thread, slice->out_ns);
}

/* A new thread's own variable is empty. */
static bool is_born_with_tag(const struct thread *thread, const struct slice *slice)
{
	return !thread->seen && slice->flags & EVENT_FIRST && slice->in_ns < slice->out_ns &&
	       !tag_is_none(slice->tag_in) && slice->flags & (EVENT_TAG_IN | EVENT_TAG_SAME) &&
	       thread->tid != thread->process->pid;
}

/* Who wakes a thread first has made it. */
static void note_maker(struct thread *thread, const struct slice *slice)
{
	if (thread->seen || !(slice->flags & EVENT_FIRST) || !(slice->flags & EVENT_WAKER) ||
	    slice->waker->pid != thread->process->pid || tag_is_none(&slice->waker->tag))
		return;
	thread->maker_tag = slice->waker->tag;
	thread->process->made_ns = MAX(thread->process->made_ns, slice->in_ns);
}

/* The tag cannot change while the thread is off the CPU, unless another one has that variable. */
static bool shows_still(const struct thread *thread, const struct slice *slice)
{
	return !thread->shows_makers || slice->flags & EVENT_TAG_SAME ||
	       slice->prev_out_ns == slice->in_ns;
}

/* Where the tag could not be read, or the switch was not reported, nothing was seen; nor before a
 * slice that follows lost ones. */
static void observe_tags(struct model *model, struct thread *thread, const struct slice *slice)
{
	const uint32_t told = EVENT_TAG_SAME | EVENT_TAG_IN | EVENT_TAG_IN_NONE;
	bool knows_in = slice->flags & told || !(thread->last_flags & EVENT_TAG_OUT_UNKNOWN);

	knows_in = knows_in && !(slice->gap && slice->flags & EVENT_IN_LOST);
	if (knows_in)
		trace_observe(model, thread, slice->tag_in,
			      slice->gap ? slice->in_ns : slice->prev_out_ns);
	if (knows_in && !(slice->flags & EVENT_IN_LOST) && shows_still(thread, slice))
		trace_observe_on(model, thread, slice->tag_in, slice->in_ns);
	if (slice->flags & EVENT_TAG_OUT_UNKNOWN)
		return;
	if (knows_in && slice->tag_out == slice->tag_in)
		observe_kept(model, thread, slice);
	else
		trace_observe(model, thread, slice->tag_out, slice->out_ns);
}

int world_append(struct model *model, struct thread *thread, const struct slice *slice)
{
	note_inheritance(thread, slice);
	observe_tags(model, thread, slice);
	if (glimpse_is_awaited(thread, slice->prev_out_ns))
		glimpse_pass(model, thread, slice);
	return timeline_append(&thread->timeline, slice, &model->stats.timeline_bytes);
}

/* The long way in. */
static int take_whole(struct model *model, const struct event_slice *record)
{
	struct thread *thread = thread_of(model, record);
	struct slice slice;

	if (!thread)
		return -ENOMEM;
	if (!world_slice(model, thread, record, &slice)) {
		model->stats.slices_malformed++;
		return -EBADMSG;
	}
	restart_follow(thread, &slice);
	thread->shows_makers |= is_born_with_tag(thread, &slice);
	note_maker(thread, &slice);
	note_lag(model, &slice);
	if (record->lost_before)
		loss_own_up(model, record->lost_before);
	note_record(model, thread->process, &slice);
	if (!model->first_record_ns)
		model->first_record_ns = slice.prev_out_ns;
	glimpse_follow(thread, &slice);
	if (slice.flags & EVENT_WAKER && slice.waking_ns)
		glimpse_note(model, thread, slice.waker, slice.waking_ns);
	if (changes_append(model, thread, &slice) < 0)
		return -ENOMEM;
	if (tag_is_none(slice.tag_out) && is_waiting(&slice))
		turns_idle(thread, slice.out_ns, slice.syscall);
	if (!thread->seen && !slice.gap && !(slice.flags & EVENT_IN_LOST))
		thread->begun_ns = slice.in_ns;
	thread->seen = true;
	thread->last_in_ns = slice.in_ns;
	thread->last_out_ns = slice.out_ns;
	thread->last_flags = slice.flags;
	event_last_note(&thread->last, record);
	thread->last_tag = *slice.tag_out;
	thread->running = slice.flags & EVENT_TICK;
	model->stats.slices++;
	if (slice.flags & EVENT_DEAD)
		world_forget_thread(model, thread);
	return 0;
}

static int take_slice(struct model *model, const struct event_slice *record)
{
	struct thread *thread = world_find_thread(model, record->tid);
	struct event_again again;

	if (record->header.bytes < sizeof(*record)) {
		model->stats.slices_malformed++;
		return -EBADMSG;
	}
	if (thread && event_again_make(record, &thread->last, &again) &&
	    again_take(model, thread, &again))
		return 0;
	return take_whole(model, record);
}

/* Of a slice that is not known it tells the times alone: it counts as one that found no room. */
static int lose_again(struct model *model, const struct event_again *again)
{
	uint64_t out_ns = again->prev_out_ns + again->in + again->length;

	model->stats.slices_malformed++;
	loss_note(model, again->prev_out_ns, out_ns, 1);
	return -EBADMSG;
}

static int take_again(struct model *model, const struct event_again *again)
{
	struct thread *thread = world_find_thread(model, again->tid);
	struct event_last whole;

	if (!thread || !event_again_follows(again, &thread->last))
		return lose_again(model, again);
	if (again_take(model, thread, again))
		return 0;
	whole = thread->last;
	event_again_apply(again, &whole);
	return take_whole(model, (const struct event_slice *)&whole);
}

static int take_clock(struct model *model, const struct event_clock *clock)
{
	if (clock->header.bytes < sizeof(*clock) ||
	    (clock->before_ns | clock->sched_ns | clock->after_ns) >> 61) {
		model->stats.slices_malformed++;
		return -EBADMSG;
	}
	cpu_lag_read(&model->lag, clock->cpu, clock->before_ns, clock->sched_ns, clock->after_ns);
	return 0;
}

/* Kept until the wait's end is told. */
static int take_ready(struct model *model, const struct event_ready *ready)
{
	struct thread *thread;

	if (ready->header.bytes < sizeof(*ready)) {
		model->stats.slices_malformed++;
		return -EBADMSG;
	}
	thread = world_find_thread(model, ready->tid);
	if (thread && thread->process->pid == ready->pid && thread->last_out_ns == ready->out_ns)
		thread->ready = *ready;
	return 0;
}

/* As above. */
static int take_behind(struct model *model, const struct event_behind *behind)
{
	struct thread *thread;

	if (behind->header.bytes < sizeof(*behind) || behind->from_ns > behind->to_ns) {
		model->stats.slices_malformed++;
		return -EBADMSG;
	}
	thread = world_find_thread(model, behind->tid);
	if (!thread || thread->process->pid != behind->pid || thread->last_out_ns != behind->out_ns)
		return 0;
	thread->behind_out_ns = behind->out_ns;
	thread->behind = (struct behind){ .from_ns = behind->from_ns,
					  .to_ns = behind->to_ns,
					  .who = behind->waker,
					  .is_own = !(behind->header.flags & EVENT_BEHIND_ASKED) };
	return 0;
}

static int take_life(struct model *model, const struct event_life *life)
{
	struct process *child;

	if (life->header.bytes < sizeof(*life))
		return -EBADMSG;
	if (life->header.kind == EVENT_UNFOLLOWED)
		return blind_note(model, life);
	if (life->header.kind == EVENT_EXIT) {
		mark_gone(model, life->pid, life->time_ns);
		return 0;
	}
	if (life->header.kind == EVENT_EXEC) {
		struct process *process = world_find_process(model, life->pid);

		if (process && !became_another(model, process, life))
			retire(model, life->pid, life->time_ns);
		return 0;
	}
	retire(model, life->other_pid, life->time_ns);
	child = world_make_process(model, life->other_pid);
	if (!child)
		return -ENOMEM;
	child->forked = true;
	child->is_shared = life->is_shared;
	child->born_ns = life->time_ns;
	return 0;
}

int world_record(struct model *model, const struct event_header *record)
{
	switch (record->kind) {
	case EVENT_SLICE:
		return take_slice(model, (const struct event_slice *)record);
	case EVENT_AGAIN:
		return take_again(model, (const struct event_again *)record);
	case EVENT_CHANGES:
		return changes_take(model, (const struct event_changes *)record);
	case EVENT_CLOCK:
		return take_clock(model, (const struct event_clock *)record);
	case EVENT_BEHIND:
		return take_behind(model, (const struct event_behind *)record);
	case EVENT_READY:
		return take_ready(model, (const struct event_ready *)record);
	case EVENT_FORK:
	case EVENT_EXEC:
	case EVENT_EXIT:
	case EVENT_UNFOLLOWED:
		return take_life(model, (const struct event_life *)record);
	default:
		model->stats.slices_malformed++;
		return -EBADMSG;
	}
}

static void copy_text(char *to, const char *from, size_t bytes)
{
	memcpy(to, from, bytes - 1);
	to[bytes - 1] = '\0';
}

int world_process(struct model *model, const struct event_process *news)
{
	struct process *process;

	if (news->gone) {
		mark_gone(model, news->pid, news->seen_ns);
		return 0;
	}
	process = world_make_process(model, news->pid);
	if (!process)
		return -ENOMEM;
	process->described = true;
	process->ns_pid = news->ns_pid;
	process->publish = news->publish;
	became_described(process);
	if (news->moved_ms)
		moved_note(model, process, news);
	copy_text(process->service_instance_id, news->service_instance_id,
		  sizeof(process->service_instance_id));
	process->has_instance = process->service_instance_id[0];
	copy_text(process->service_name, news->service_name, sizeof(process->service_name));
	copy_text(process->container_id, news->container_id, sizeof(process->container_id));
	return 0;
}
