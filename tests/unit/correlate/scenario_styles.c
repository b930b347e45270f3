/* SPDX-License-Identifier: Apache-2.0 */
/* Threading styles beyond the plain ones. */
#include "tests/unit/correlate/scenario.h"

#include <assert.h>

#include "otlp/span.h"
#include "tests/unit/correlate/scenario_words.h"

#define MAX_TASKS 6
#define MAX_OPEN  2 /* spans of one task */

void scenario_thread_a_request(struct schedule *s, uint32_t thread)
{
	uint32_t process = s->threads[thread].process, worker = schedule_unborn(s, process);
	int32_t root = schedule_span(s, process, -1);
	int32_t child = schedule_span(s, process, root);

	work(s, thread);
	schedule_op(s, thread, (struct op){ .kind = OP_CLONE, .thread = worker });
	stir(s, thread);
	work(s, worker);
	begin(s, worker, root);
	stir(s, worker);
	begin(s, worker, child);
	stir(s, worker);
	end(s, worker, child, root);
	stir(s, worker);
	end(s, worker, root, -1);
	if (rng_chance(&s->rng, 50))
		work(s, worker);
	schedule_op(s, worker, (struct op){ .kind = OP_EXIT });
}

#define LONG_WAITS 200

void scenario_long(struct schedule *s, uint32_t thread, uint64_t ns)
{
	uint32_t process = s->threads[thread].process;
	int32_t root = schedule_span(s, process, -1);

	work(s, thread);
	begin(s, thread, root);
	for (unsigned i = 0; i < LONG_WAITS; i++) {
		int32_t child = schedule_span(s, process, root);

		schedule_op(s, thread,
			    (struct op){ .kind = OP_BLOCK,
					 .wait = (uint8_t)rng_below(&s->rng, WAIT_KINDS),
					 .ns = rng_between(&s->rng, ns / LONG_WAITS / 2,
							   ns / LONG_WAITS * 3 / 2) });
		work(s, thread);
		if (rng_chance(&s->rng, 30))
			continue;
		begin(s, thread, child);
		stir(s, thread);
		end(s, thread, child, root);
		stir(s, thread);
	}
	end(s, thread, root, -1);
	stir(s, thread);
}

/* ---- an event loop */

struct task {
	int32_t spans[MAX_OPEN];
	unsigned open, steps;
};

static int32_t innermost(const struct task *task)
{
	return task->open ? task->spans[task->open - 1] : -1;
}

/* The task's turn begins: what it was at, it is at again. */
static void take_up(struct schedule *s, uint32_t thread, const struct task *task)
{
	for (unsigned i = 0; i + 1 < task->open; i++)
		on_span(s, thread, OP_PUSH, task->spans[i]);
	if (task->open)
		resume(s, thread, innermost(task));
}

static void put_down(struct schedule *s, uint32_t thread, const struct task *task)
{
	if (task->open)
		put_aside(s, thread, innermost(task), -1);
	for (unsigned i = task->open; i > 1; i--)
		on_span(s, thread, OP_POP, task->spans[i - 2]);
	on_span(s, thread, OP_TURN, -1);
}

static void end_innermost(struct schedule *s, uint32_t thread, struct task *task)
{
	int32_t span = innermost(task);

	task->open--;
	end(s, thread, span, innermost(task));
}

/* A span begins or ends, or neither does; with the last step all are over. */
static void take_step(struct schedule *s, uint32_t thread, struct task *task)
{
	if (task->steps == 1) {
		while (task->open)
			end_innermost(s, thread, task);
	} else if (task->open == MAX_OPEN || (task->open && rng_chance(&s->rng, 40))) {
		end_innermost(s, thread, task);
	} else if (rng_chance(&s->rng, 70)) {
		int32_t span = schedule_span(s, s->threads[thread].process, innermost(task));

		begin(s, thread, span);
		task->spans[task->open++] = span;
	}
}

void scenario_many_tasks(struct schedule *s, uint32_t thread, unsigned count)
{
	struct task tasks[MAX_TASKS] = { 0 };
	unsigned left = count;

	assert(count <= MAX_TASKS);
	for (unsigned i = 0; i < count; i++)
		tasks[i].steps = (unsigned)rng_between(&s->rng, 2, 6);
	work(s, thread);
	while (left) {
		struct task *task = &tasks[rng_below(&s->rng, count)];

		if (!task->steps)
			continue;
		take_up(s, thread, task);
		work(s, thread);
		take_step(s, thread, task);
		stir(s, thread);
		put_down(s, thread, task);
		left -= --task->steps ? 0 : 1;
		if (rng_chance(&s->rng, 30))
			block(s, thread);
	}
}

void scenario_seen_turn(struct schedule *s, uint32_t thread)
{
	int32_t root = schedule_span(s, s->threads[thread].process, -1);

	work(s, thread);
	begin(s, thread, root);
	block(s, thread);
	work(s, thread);
	put_aside(s, thread, root, -1);
	block(s, thread);
	work(s, thread);
	resume(s, thread, root);
	block(s, thread);
	work(s, thread);
	end(s, thread, root, -1);
	stir(s, thread);
}

/* ---- other nodes */

void scenario_foreign_server(struct schedule *s, uint32_t thread)
{
	uint32_t process = s->threads[thread].process, foreign = schedule_foreign(s);
	int32_t root = schedule_span(s, process, -1), call = schedule_span(s, process, root);
	int32_t answer = schedule_span(s, foreign, call);
	int32_t back = schedule_span(s, process, answer);

	s->spans[call].kind = SPAN_KIND_CLIENT;
	s->spans[answer].kind = SPAN_KIND_SERVER;
	work(s, thread);
	begin(s, thread, root);
	stir(s, thread);
	begin(s, thread, call);
	work(s, thread);
	on_span(s, thread, OP_START, answer);
	block(s, thread);
	on_span(s, thread, OP_END, answer);
	work(s, thread);
	end(s, thread, call, root);
	stir(s, thread);
	end(s, thread, root, -1);
	stir(s, thread);
	begin(s, thread, back); /* late: the other node has told it to */
	stir(s, thread);
	end(s, thread, back, -1);
	stir(s, thread);
}

void scenario_foreign_client(struct schedule *s, uint32_t thread)
{
	int32_t root = schedule_span(s, schedule_foreign(s), -1);
	int32_t span = schedule_span(s, s->threads[thread].process, root);

	s->spans[root].kind = SPAN_KIND_CLIENT;
	s->spans[span].kind = SPAN_KIND_SERVER;
	on_span(s, thread, OP_START, root);
	stir(s, thread);
	begin(s, thread, span);
	stir(s, thread);
	end(s, thread, span, -1);
	stir(s, thread);
	on_span(s, thread, OP_END, root);
	stir(s, thread);
}

/* ---- tags beside the exported ones */

void scenario_unsampled(struct schedule *s, uint32_t thread)
{
	int32_t root = schedule_span(s, s->threads[thread].process, -1);
	int32_t child = schedule_span(s, s->threads[thread].process, root);

	s->spans[root].is_exported = s->spans[child].is_exported = false;
	work(s, thread);
	begin(s, thread, root);
	stir(s, thread);
	begin(s, thread, child);
	stir(s, thread);
	end(s, thread, child, root);
	stir(s, thread);
	end(s, thread, root, -1);
	stir(s, thread);
}

void scenario_hidden(struct schedule *s, uint32_t thread)
{
	int32_t root = schedule_span(s, s->threads[thread].process, -1);
	int32_t hidden = schedule_span(s, s->threads[thread].process, -1);

	s->spans[hidden].is_exported = false;
	work(s, thread);
	begin(s, thread, root);
	stir(s, thread);
	begin(s, thread, hidden);
	stir(s, thread);
	end(s, thread, hidden, root);
	stir(s, thread);
	end(s, thread, root, -1);
	stir(s, thread);
}

void scenario_lend(struct schedule *s, uint32_t thread, uint32_t helper)
{
	int32_t root = schedule_span(s, s->threads[thread].process, -1);
	uint32_t go = schedule_flag(s), done = schedule_flag(s);

	work(s, thread);
	begin(s, thread, root);
	stir(s, thread);
	on_flag(s, thread, OP_SET, go, WAIT_FUTEX);
	on_flag(s, helper, OP_WAIT, go, WAIT_FUTEX);
	work(s, helper);
	resume(s, helper, root);
	work(s, helper);
	block(s, helper); /* and is seen with it */
	work(s, helper);
	put_aside(s, helper, root, -1);
	on_flag(s, helper, OP_SET, done, WAIT_FUTEX);
	work(s, helper);
	on_flag(s, thread, OP_WAIT, done, WAIT_FUTEX);
	stir(s, thread);
	end(s, thread, root, -1);
	stir(s, thread);
}

/* ---- marked where they begin and end */

static void begin_unshown(struct schedule *s, uint32_t thread, int32_t span)
{
	on_span(s, thread, OP_START, span);
	on_span(s, thread, OP_PUSH, span);
}

static void end_unshown(struct schedule *s, uint32_t thread, int32_t span)
{
	on_span(s, thread, OP_POP, span);
	on_span(s, thread, OP_END, span);
}

void scenario_never_shown(struct schedule *s, uint32_t thread, bool is_within)
{
	uint32_t process = s->threads[thread].process;
	int32_t root = is_within ? schedule_span(s, process, -1) : -1;
	int32_t span = schedule_span(s, process, root), child = schedule_span(s, process, span);

	work(s, thread);
	if (is_within)
		begin(s, thread, root);
	work(s, thread);
	begin_unshown(s, thread, span);
	stir(s, thread);
	begin(s, thread, child);
	stir(s, thread);
	end(s, thread, child, root);
	stir(s, thread);
	end_unshown(s, thread, span);
	if (rng_chance(&s->rng, 50))
		on_span(s, thread, OP_TURN, -1);
	stir(s, thread);
	if (is_within)
		end(s, thread, root, -1);
	stir(s, thread);
}

/* In between the thread is at something else, which may show. */
static void turn(struct schedule *s, uint32_t thread)
{
	int32_t span = schedule_span(s, s->threads[thread].process, -1);
	bool shows = rng_chance(&s->rng, 50);

	on_span(s, thread, OP_TURN, -1);
	work(s, thread);
	if (shows)
		begin(s, thread, span);
	else
		begin_unshown(s, thread, span);
	stir(s, thread);
	if (shows)
		end(s, thread, span, -1);
	else
		end_unshown(s, thread, span);
	on_span(s, thread, OP_TURN, -1);
	work(s, thread);
}

void scenario_begun_ahead(struct schedule *s, uint32_t thread, uint32_t other)
{
	int32_t span = schedule_span(s, s->threads[thread].process, -1);
	uint32_t handed = schedule_flag(s);

	work(s, thread);
	on_span(s, thread, OP_START, span);
	work(s, thread);
	turn(s, thread);
	on_flag(s, thread, OP_SET, handed, WAIT_FUTEX);
	if (other != thread)
		stir(s, thread);
	on_flag(s, other, OP_WAIT, handed, WAIT_FUTEX);
	work(s, other);
	resume(s, other, span);
	stir(s, other);
	end(s, other, span, -1);
	on_span(s, other, OP_TURN, -1);
	stir(s, other);
}

void scenario_ended_late(struct schedule *s, uint32_t thread, uint32_t other)
{
	int32_t span = schedule_span(s, s->threads[thread].process, -1);
	uint32_t handed = schedule_flag(s);

	work(s, thread);
	begin(s, thread, span);
	stir(s, thread);
	put_aside(s, thread, span, -1);
	work(s, thread);
	turn(s, thread);
	on_flag(s, thread, OP_SET, handed, WAIT_FUTEX);
	if (other != thread)
		stir(s, thread);
	on_flag(s, other, OP_WAIT, handed, WAIT_FUTEX);
	work(s, other);
	on_span(s, other, OP_END, span);
	stir(s, other);
}
