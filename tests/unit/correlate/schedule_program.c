/* SPDX-License-Identifier: Apache-2.0 */
/* What threads do: one operation after the other. */
#include <assert.h>

#include "collector/base/macros.h"
#include "tests/unit/correlate/schedule_parts.h"

static const struct wait_description waits[WAIT_KINDS] = {
	[WAIT_FUTEX] = { 202, 1, 0, REASON_LOCK, { .kind = TARGET_FUTEX, .id = 0x7f001000 } },
	[WAIT_NET] = { 45,
		       1,
		       0,
		       REASON_NET,
		       { .kind = TARGET_INET4, .port = 5432, .address = { 10, 0, 0, 5 } } },
	[WAIT_SLEEP] = { 35, 1, 0, REASON_SLEEP, { .kind = TARGET_NONE } },
	[WAIT_PIPE] = { 0, 1, 0, REASON_PIPE, { .kind = TARGET_PIPE, .id = 4711 } },
	[WAIT_DISK] = { 17, 2, EVENT_IOWAIT, REASON_DISK, { .kind = TARGET_FILE, .id = 99 } },
	[WAIT_POLL] = { 232, 1, 0, REASON_POLL, { .kind = TARGET_ANON } },
};

static void set_flag(struct schedule *s, const struct true_thread *by, uint32_t flag)
{
	s->flags[flag] = 1;
	for (uint32_t i = 0; i < s->thread_count; i++) {
		struct true_thread *t = &s->threads[i];

		if (t->state == THREAD_BLOCKED && t->waits_for == (int64_t)flag)
			schedule_wake(s, t, by);
	}
}

static void log_change(const struct schedule *s, struct true_thread *t, uint64_t time_ns,
		       int32_t span)
{
	t->changes = schedule_grow(t->changes, t->change_count, sizeof(*t->changes));
	t->changes[t->change_count++] =
		(struct event_change){ .time_ns = time_ns, .tag = schedule_tag(s, span) };
}

/* The clock is read `early_ns` before the tag shows; in the same slice, and after all that the
 * program read before. */
static void publish(const struct schedule *s, struct true_thread *t, int32_t span,
		    uint64_t early_ns)
{
	t->published = span;
	t->read_ns = MAX(s->now_ns - early_ns, MAX(t->read_ns, t->cut_in_ns));
	if (s->processes[t->process].is_exact)
		log_change(s, t, t->read_ns, span);
}

/* An edge of the span: the clock is read for it, and it is marked where its process does so. */
static uint64_t read_edge(const struct schedule *s, struct true_thread *t, int32_t span)
{
	bool is_marked = s->processes[t->process].marks && s->spans[span].process == t->process;

	t->read_ns = s->now_ns;
	if (is_marked)
		log_change(s, t, t->read_ns | EVENT_MARK, span);
	if (is_marked)
		log_change(s, t, t->read_ns, t->published);
	return t->read_ns;
}

static void tell_life(struct schedule *s, const struct life_record *record)
{
	s->lives = schedule_grow(s->lives, s->life_count, sizeof(*record));
	s->lives[s->life_count++] = *record;
}

/* The child has its parent's memory, and so its tag; what it will do for that span is nobody's. */
static void fork_child(struct schedule *s, const struct true_thread *parent,
		       struct true_thread *child)
{
	struct life_record record = {
		.event = { .header = { .kind = EVENT_FORK, .bytes = sizeof(record.event) },
			   .pid = s->processes[parent->process].pid,
			   .tid = parent->tid,
			   .other_pid = s->processes[child->process].pid,
			   .time_ns = s->now_ns },
		.first_record = s->record_count,
	};

	tell_life(s, &record);
	child->state = THREAD_READY;
	child->published = child->cut_tag = parent->published;
	child->cut_tag_known = true;
	child->ready_ns = s->now_ns + rng_scale(&s->rng, 0, SCHEDULE_MAX_LATENCY_NS);
}

/* Its memory is gone, and with it what it showed and logged. It is looked into some time later. */
static void become_another(struct schedule *s, struct true_thread *t, uint64_t after_ns)
{
	struct true_process *process = &s->processes[t->process];
	struct life_record record = {
		.event = { .header = { .kind = EVENT_EXEC, .bytes = sizeof(record.event) },
			   .pid = process->pid,
			   .tid = t->tid,
			   .other_pid = t->tid,
			   .time_ns = s->now_ns },
		.described_ns = s->now_ns + after_ns,
		.first_record = s->record_count,
	};

	tell_life(s, &record);
	process->watched_ns = record.described_ns;
	t->published = t->cut_tag = -1;
	t->cut_tag_known = false;
	t->change_count = 0;
}

/* Of one that has ended, in any process that is watched. */
static void reuse_tid(struct schedule *s, struct true_thread *born)
{
	for (uint32_t i = 0; i < s->thread_count; i++) {
		struct true_thread *t = &s->threads[i];

		if (t->state != THREAD_DONE || !t->is_dead || t->is_reused ||
		    t->tid == s->processes[t->process].pid || !rng_chance(&s->rng, 50))
			continue;
		t->is_reused = true;
		born->tid = t->tid;
		return;
	}
}

/* false: it is something else. */
static bool do_edge(struct schedule *s, struct true_thread *t, const struct op *op)
{
	struct true_span *span = op->span >= 0 ? &s->spans[op->span] : NULL;

	switch (op->kind) {
	case OP_START:
		span->start_ns = read_edge(s, t, op->span);
		break;
	case OP_END:
		span->end_ns = read_edge(s, t, op->span);
		break;
	case OP_FROM:
		span->start_ns = t->read_ns = s->now_ns;
		break;
	case OP_TO:
		span->end_ns = t->read_ns = s->now_ns;
		break;
	case OP_MARK:
		read_edge(s, t, op->span);
		return true;
	default:
		return false;
	}
	schedule_truth_cut(s);
	return true;
}

/* One that takes no time. */
static void do_instantly(struct schedule *s, struct true_thread *t, const struct op *op)
{
	if (do_edge(s, t, op))
		return;
	switch (op->kind) {
	case OP_SET:
		set_flag(s, t, op->flag);
		break;
	case OP_PUSH:
		assert(t->depth < SCHEDULE_MAX_STACK);
		t->stack[t->depth++] = op->span;
		schedule_truth_change(s, t);
		break;
	case OP_POP:
		assert(t->depth > 0 && t->stack[t->depth - 1] == op->span);
		t->depth--;
		schedule_truth_change(s, t);
		break;
	case OP_PUBLISH:
		publish(s, t, op->span, op->ns);
		break;
	case OP_TURN:
		if (s->processes[t->process].marks)
			log_change(s, t, t->read_ns = s->now_ns, t->published);
		break;
	case OP_CLONE:
		if (s->knobs.reuses_tids)
			reuse_tid(s, &s->threads[op->thread]);
		s->threads[op->thread].state = THREAD_READY;
		s->threads[op->thread].ready_ns =
			s->now_ns + rng_scale(&s->rng, 0, SCHEDULE_MAX_LATENCY_NS);
		break;
	case OP_FORK:
		fork_child(s, t, &s->threads[op->thread]);
		break;
	case OP_EXEC:
		become_another(s, t, op->ns);
		break;
	default:
		assert(false); /* takes time */
	}
}

static void block(struct schedule *s, struct true_thread *t, const struct op *op)
{
	schedule_leave(s, t, waits[op->wait].flags, &waits[op->wait]);
	if (op->kind == OP_BLOCK)
		t->wake_ns = s->now_ns + op->ns;
	else
		t->waits_for = op->flag;
}

static void finish(struct schedule *s, struct true_thread *t, bool dies)
{
	static const struct wait_description death = { .syscall = 60, .state = 0x80 };

	schedule_leave(s, t, dies ? EVENT_DEAD : 0, dies ? &death : &waits[WAIT_FUTEX]);
	t->wake_ns = SCHEDULE_NEVER;
	t->state = THREAD_DONE;
	t->is_dead = dies;
}

/* Until the thread needs time, or has left the CPU. */
void schedule_program_go_on(struct schedule *s, struct true_thread *t)
{
	while (t->state == THREAD_ON_CPU && !t->run_left_ns) {
		const struct op *op = &t->ops[t->at];

		if (t->at == t->op_count) {
			finish(s, t, false);
			return;
		}
		t->at++;
		if (op->kind == OP_RUN || op->kind == OP_STOLEN) {
			t->run_left_ns = op->ns;
			t->is_stolen = op->kind == OP_STOLEN;
			schedule_truth_change(s, t); /* a stolen stretch has its own pace */
		} else if (op->kind == OP_BLOCK || (op->kind == OP_WAIT && !s->flags[op->flag])) {
			block(s, t, op);
		} else if (op->kind == OP_EXIT) {
			finish(s, t, true);
		} else if (op->kind != OP_WAIT) {
			do_instantly(s, t, op);
		}
	}
}
