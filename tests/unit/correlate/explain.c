/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/correlate/explain.h"

#include <stdio.h>
#include <string.h>

#include "collector/base/macros.h"

uint64_t explain_margin_ns;

/* Of the time that is explained. */
struct window {
	uint64_t from_ns, to_ns;
};

static double ms(uint64_t time_ns)
{
	return ((double)time_ns - (double)SCHEDULE_START_NS) / (double)MS;
}

static bool overlaps(const struct window *window, uint64_t from_ns, uint64_t to_ns)
{
	return from_ns < window->to_ns && to_ns > window->from_ns;
}

static int span_of(const struct schedule *s, const struct event_tag *tag)
{
	for (uint32_t i = 0; i < s->span_count; i++) {
		if (memcmp(&s->spans[i].id, tag->span_id, sizeof(tag->span_id)) == 0)
			return (int)i;
	}
	return -1;
}

static void explain_stretches(const struct true_thread *t, const struct window *window)
{
	static const char *const states[] = { [STATE_RUNNING] = "running",
					      [STATE_RUNNABLE] = "runnable",
					      [STATE_BLOCKED] = "blocked" };

	for (uint32_t i = 0; i < t->stretch_count; i++) {
		const struct stretch *x = &t->stretches[i];

		if (x->start_ns < x->end_ns && overlaps(window, x->start_ns, x->end_ns))
			printf("      %.6f to %.6f %s for %d, cpu %llu\n", ms(x->start_ns),
			       ms(x->end_ns), states[x->state], x->span,
			       (unsigned long long)(x->cpu_end_ns - x->cpu_start_ns));
	}
}

static void explain_tags(const struct schedule *s, const struct record *record)
{
	static const struct {
		uint32_t flag;
		const char *text;
	} words[] = {
		{ EVENT_TICK, "tick" },           { EVENT_AFTER_TICK, "after tick" },
		{ EVENT_PREEMPTED, "preempted" }, { EVENT_TOLD, "told" },
		{ EVENT_IN_LOST, "in lost" },     { EVENT_TAG_IN_NONE, "in: none" },
		{ EVENT_TAG_SAME, "in: same" },
	};
	uint32_t flags = record->slice.header.flags;
	const uint8_t *tail = record->tails;
	struct event_tag tag;

	for (uint32_t flag = EVENT_TAG_OUT; flag; flag = flag == EVENT_TAG_OUT ? EVENT_TAG_IN : 0) {
		if (!(flags & flag))
			continue;
		memcpy(&tag, tail, sizeof(tag));
		tail += sizeof(tag);
		printf(" %s: %d", flag == EVENT_TAG_OUT ? "out" : "in", span_of(s, &tag));
	}
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (flags & words[i].flag)
			printf(" %s", words[i].text);
	}
	puts(record->is_dropped ? " lost" : "");
}

static void explain_record(const struct schedule *s, const struct record *record)
{
	const struct event_slice *e = &record->slice;

	printf("      record of %.6f to %.6f, cpu %u, before %.6f, waking %.6f: booked %lld, lag "
	       "%lld to %lld, stolen %lld;",
	       ms(e->in_ns), ms(e->out_ns), e->cpu, ms(e->prev_out_ns),
	       e->waking_ns ? ms(e->waking_ns) : 0, (long long)(e->exec_out_ns - e->exec_in_ns),
	       (long long)(e->in_ns - e->exec_start_in_ns),
	       (long long)(e->out_ns - e->exec_start_out_ns),
	       (long long)(e->stolen_out_ns - e->stolen_in_ns));
	explain_tags(s, record);
	for (uint32_t i = 0; i < record->change_count; i++)
		printf("        changed to %d at %.6f\n", span_of(s, &record->changes[i].tag),
		       ms(record->changes[i].time_ns));
}

static void explain_thread(const struct schedule *s, uint32_t thread, const struct window *window)
{
	printf("    thread %u\n", s->threads[thread].tid);
	explain_stretches(&s->threads[thread], window);
	for (uint32_t i = 0; i < s->record_count; i++) {
		const struct record *record = &s->records[i];

		if (record->thread == thread &&
		    overlaps(window, record->slice.prev_out_ns, record->slice.out_ns))
			explain_record(s, record);
	}
}

void explain_span(const struct schedule *s, uint32_t span)
{
	const struct true_span *of = &s->spans[span];
	const struct window window = { of->start_ns - explain_margin_ns,
				       of->end_ns + explain_margin_ns };

	if (!explain_margin_ns)
		return;
	for (uint32_t i = 0; i < s->span_count; i++) {
		const struct true_span *x = &s->spans[i];

		if (x->process == of->process && overlaps(&window, x->start_ns, x->end_ns))
			printf("    span %u in %d, trace %llu%s: %.6f to %.6f\n", i, x->parent,
			       (unsigned long long)x->trace, x->is_exported ? "" : ", unexported",
			       ms(x->start_ns), ms(x->end_ns));
	}
	for (uint32_t i = 0; i < s->thread_count; i++) {
		if (s->threads[i].process == of->process)
			explain_thread(s, i, &window);
	}
}
