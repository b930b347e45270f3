/* SPDX-License-Identifier: Apache-2.0 */
/* The cast of a schedule, before it runs: processes, threads with their programs, spans; and the
 * random numbers that all is drawn from. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "otlp/span.h"
#include "tests/unit/correlate/schedule.h"

uint64_t rng_below(struct rng *rng, uint64_t limit)
{
	rng->state ^= rng->state << 13;
	rng->state ^= rng->state >> 7;
	rng->state ^= rng->state << 17;
	return limit ? rng->state * 0x2545f4914f6cdd1dull % limit : 0;
}

uint64_t rng_between(struct rng *rng, uint64_t least, uint64_t most)
{
	return least + rng_below(rng, most - least + 1);
}

uint64_t rng_scale(struct rng *rng, uint64_t least, uint64_t most)
{
	uint64_t top = MAX(least, 1);

	while (top < most && rng_chance(rng, 75))
		top *= 2;
	return rng_between(rng, least, MIN(top, most));
}

bool rng_chance(struct rng *rng, unsigned percent)
{
	return rng_below(rng, 100) < percent;
}

void *schedule_grow(void *items, uint32_t count, size_t item_bytes)
{
	if (count & (count - 1))
		return items;
	items = realloc(items, (count ? 2 * (size_t)count : 1) * item_bytes);
	assert(items);
	return items;
}

struct event_tag schedule_tag(const struct schedule *schedule, int32_t span)
{
	struct event_tag tag = { 0 };

	if (span >= 0) {
		memcpy(tag.trace_id, &schedule->spans[span].trace, sizeof(uint64_t));
		memcpy(tag.span_id, &schedule->spans[span].id, sizeof(uint64_t));
	}
	return tag;
}

/* One in sixteen as fast as the kernel slews a clock. */
static uint64_t drift_of(uint64_t seed)
{
	return seed % 16 == 7 ? 500 : seed % 50;
}

struct schedule *schedule_new(uint64_t seed, const struct schedule_knobs *knobs)
{
	struct schedule *s = calloc(1, sizeof(*s));

	assert(s && knobs->cpus <= SCHEDULE_MAX_CPUS);
	s->seed = seed;
	s->clock_rng.state = s->rng.state = seed * 0x9e3779b97f4a7c15ull | 1;
	s->knobs = *knobs;
	s->now_ns = SCHEDULE_START_NS;
	for (uint32_t i = 0; i < knobs->cpus; i++) {
		s->cpus[i] = (struct true_cpu){
			.thread = -1,
			.offset_ns = rng_between(&s->rng, 1, MS),
			.base_ns = knobs->tells_clock ? 4711000 + 100000 * i : 0,
			.drift_ppm = knobs->tells_clock ? drift_of(seed) : 0,
			.next_tick_ns = s->now_ns + rng_between(&s->rng, 1, SCHEDULE_TICK_NS),
		};
	}
	return s;
}

void schedule_free(struct schedule *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->thread_count; i++) {
		free(s->threads[i].ops);
		free(s->threads[i].stretches);
		free(s->threads[i].changes);
	}
	for (uint32_t i = 0; i < s->record_count; i++)
		free(s->records[i].changes);
	free(s->processes);
	free(s->threads);
	free(s->spans);
	free(s->records);
	free(s->clocks);
	free(s->lives);
	free(s->flags);
	free(s);
}

uint32_t schedule_process(struct schedule *s, bool publishes)
{
	s->processes = schedule_grow(s->processes, s->process_count, sizeof(*s->processes));
	s->processes[s->process_count] = (struct true_process){
		.pid = 1000 * (s->process_count + 1),
		.publishes = publishes,
		.says_pid = true,
		.libraries_say_pid = s->knobs.has_libraries && rng_chance(&s->rng, 50),
	};
	return s->process_count++;
}

uint32_t schedule_thread(struct schedule *s, uint32_t process)
{
	s->threads = schedule_grow(s->threads, s->thread_count, sizeof(*s->threads));
	s->threads[s->thread_count] = (struct true_thread){
		.tid = s->processes[process].pid + s->thread_count,
		.process = process,
		.pinned_cpu = -1,
		.state = THREAD_READY,
		.published = -1,
		.waits_for = -1,
		.cut_tag = -1,
		.cut_flags = EVENT_FIRST,
		.ready_ns = s->now_ns + rng_below(&s->rng, MS),
	};
	return s->thread_count++;
}

uint32_t schedule_unborn(struct schedule *s, uint32_t process)
{
	uint32_t thread = schedule_thread(s, process);

	s->threads[thread].state = THREAD_UNBORN;
	return thread;
}

uint32_t schedule_foreign(struct schedule *s)
{
	uint32_t process = schedule_process(s, true);

	s->processes[process].is_foreign = true;
	s->processes[process].says_pid = false;
	return process;
}

uint32_t schedule_child(struct schedule *s, uint32_t parent)
{
	uint32_t process = schedule_process(s, s->processes[parent].publishes);
	uint32_t thread = schedule_thread(s, process);

	s->processes[process].is_exact = s->processes[parent].is_exact;
	s->processes[process].marks = s->processes[parent].marks;
	s->processes[process].is_forked = true;
	s->threads[thread].tid = s->processes[process].pid;
	s->threads[thread].state = THREAD_UNBORN;
	return thread;
}

/* Spans of a library may lie beside the process's own, above, or below. */
static uint8_t some_library(struct schedule *s)
{
	return s->knobs.has_libraries ? (uint8_t)rng_below(&s->rng, 3) : 0;
}

int32_t schedule_span(struct schedule *s, uint32_t process, int32_t parent)
{
	s->spans = schedule_grow(s->spans, s->span_count, sizeof(*s->spans));
	s->spans[s->span_count] = (struct true_span){
		.trace = parent >= 0 ? s->spans[parent].trace : s->span_count + 1,
		.id = (uint64_t)(s->span_count + 1) * 0x9e3779b97f4a7c15ull,
		.parent = parent,
		.process = process,
		.kind = SPAN_KIND_INTERNAL,
		.library = some_library(s),
		.is_exported = true,
	};
	return (int32_t)s->span_count++;
}

uint32_t schedule_flag(struct schedule *s)
{
	s->flags = schedule_grow(s->flags, s->flag_count, sizeof(*s->flags));
	s->flags[s->flag_count] = 0;
	return s->flag_count++;
}

void schedule_op(struct schedule *s, uint32_t thread, struct op op)
{
	struct true_thread *t = &s->threads[thread];

	t->ops = schedule_grow(t->ops, t->op_count, sizeof(*t->ops));
	t->ops[t->op_count++] = op;
}
