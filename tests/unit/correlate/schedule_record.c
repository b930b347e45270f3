/* SPDX-License-Identifier: Apache-2.0 */
/* What BPF would write of it. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/slice.h"
#include "tests/unit/correlate/schedule_parts.h"

static void append_tail(struct record *record, uint32_t flag, const void *tail, size_t bytes)
{
	struct event_header *header = &record->slice.header;

	memcpy(record->tails + header->bytes - sizeof(record->slice), tail, bytes);
	header->bytes = (uint16_t)(header->bytes + bytes);
	header->flags |= flag;
}

static void append_tags(const struct schedule *s, struct true_thread *t, struct record *record)
{
	struct event_tag out = schedule_tag(s, t->published), in = schedule_tag(s, t->cut_tag);
	uint32_t *flags = &record->slice.header.flags;

	if (t->published >= 0)
		append_tail(record, EVENT_TAG_OUT, &out, sizeof(out));
	if (!t->cut_tag_known) {
		/* the first look at this thread */
	} else if (t->cut_tag < 0) {
		*flags |= EVENT_TAG_IN_NONE;
	} else if (t->cut_tag == t->published) {
		*flags |= EVENT_TAG_SAME;
	} else {
		append_tail(record, EVENT_TAG_IN, &in, sizeof(in));
	}
	t->cut_tag = t->published;
	t->cut_tag_known = true;
}

/* What the thread logged itself goes with the record that ends the slice. */
static uint32_t take_changes(const struct schedule *s, struct true_thread *t, struct record *record)
{
	if (!s->processes[t->process].is_exact)
		return 0;
	if (t->cut_in_ns < s->processes[t->process].logs_from_ns) {
		t->change_count = 0; /* how far the log had come was not known */
		return 0;
	}
	record->changes = t->changes;
	record->change_count = t->change_count;
	t->changes = NULL;
	t->change_count = 0;
	return record->change_count ? EVENT_TOLD | EVENT_CHANGED : EVENT_TOLD;
}

/* Since it became another program, until it is looked into: from then on it is a new one. */
static bool is_unwatched(const struct schedule *s, struct true_thread *t)
{
	if (s->now_ns >= s->processes[t->process].watched_ns)
		return false;
	t->cut_flags = EVENT_FIRST;
	t->prev_out_ns = 0;
	t->change_count = 0;
	t->has_waker = false;
	t->cut_tag = -1;
	t->cut_tag_known = false;
	return true;
}

static void begin_here(struct event_slice *slice)
{
	slice->in_ns = slice->out_ns;
	slice->waking_ns = 0;
	slice->exec_in_ns = slice->exec_out_ns;
	slice->exec_start_in_ns = slice->exec_start_out_ns;
	slice->stolen_in_ns = slice->stolen_out_ns;
}

/* Closes the record being built: booked so far is what the last reading says. */
void schedule_record_emit(struct schedule *s, struct true_thread *t, uint32_t flags,
			  const struct wait_description *wait)
{
	const struct clock_reading *reading = &s->cpus[t->cpu].reading;
	struct record *record;
	bool had_tag = t->cut_tag >= 0;

	if (!s->processes[t->process].publishes || is_unwatched(s, t))
		return;
	s->records = schedule_grow(s->records, s->record_count, sizeof(*s->records));
	record = &s->records[s->record_count++];
	memset(record, 0, sizeof(*record));
	record->thread = (uint32_t)(t - s->threads);
	record->in_ns = t->cut_in_ns;
	flags |= s->knobs.tells_stolen ? 0 : EVENT_STOLEN_UNTOLD;
	flags |= take_changes(s, t, record);
	record->slice = (struct event_slice){
		.header = { EVENT_SLICE, sizeof(record->slice), t->cut_flags | flags },
		.pid = s->processes[t->process].pid,
		.tid = t->tid,
		.prev_out_ns = t->prev_out_ns,
		.waking_ns = t->waking_ns,
		.in_ns = t->cut_in_ns,
		.out_ns = s->now_ns,
		.exec_in_ns = t->cut_exec_in_ns,
		.exec_out_ns = schedule_clock_booked(s, t, reading),
		.exec_start_in_ns = t->cut_exec_start_in_ns,
		.exec_start_out_ns = schedule_clock_sched(&s->cpus[t->cpu], reading->time_ns) -
				     reading->offset_ns,
		.stolen_in_ns = s->knobs.tells_stolen ? t->cut_stolen_in_ns : 0,
		.stolen_out_ns = s->knobs.tells_stolen ? reading->offset_ns : 0,
		.cpu = t->cpu,
		.state = wait ? wait->state : 0,
		.syscall = wait ? wait->syscall : -1,
	};
	if (t->cut_in_ns < s->processes[t->process].watched_ns)
		begin_here(&record->slice);
	append_tags(s, t, record);
	if (wait && t->published >= 0 && wait->target.kind != TARGET_NONE)
		append_tail(record, EVENT_TARGET, &wait->target, sizeof(wait->target));
	if (t->has_waker &&
	    (had_tag || t->published >= 0 || t->waker.has_left || !tag_is_none(&t->waker.tag)))
		append_tail(record, EVENT_WAKER, &t->waker, sizeof(t->waker));
	t->prev_out_ns = s->now_ns;
	t->last_exec_out_ns = record->slice.exec_out_ns;
	t->cut_flags = 0;
	t->has_waker = false;
}

/* Between two readings of the other clock, of which one may have taken long. */
void schedule_record_clock(struct schedule *s, const struct true_cpu *cpu, uint64_t time_ns)
{
	struct clock_record *record;

	if (!s->knobs.tells_clock)
		return;
	s->clocks = schedule_grow(s->clocks, s->clock_count, sizeof(*s->clocks));
	record = &s->clocks[s->clock_count++];
	record->time_ns = time_ns;
	record->event = (struct event_clock){
		.header = { .kind = EVENT_CLOCK, .bytes = sizeof(record->event) },
		.cpu = (uint32_t)(cpu - s->cpus),
		.before_ns = time_ns - rng_scale(&s->clock_rng, 30, 5 * US),
		.sched_ns = schedule_clock_sched(cpu, time_ns),
		.after_ns = time_ns + rng_scale(&s->clock_rng, 30, 5 * US),
	};
}

void schedule_record_begin(const struct schedule *s, struct true_thread *t)
{
	t->cut_in_ns = s->now_ns;
	t->cut_exec_in_ns = t->exec_ns;
	t->cut_exec_start_in_ns = schedule_clock_sched(&s->cpus[t->cpu], t->booked_from.time_ns) -
				  t->booked_from.offset_ns;
	t->cut_stolen_in_ns = t->booked_from.offset_ns;
}
