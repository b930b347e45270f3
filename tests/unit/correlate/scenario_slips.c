/* SPDX-License-Identifier: Apache-2.0 */
/* What slips in programs that are not careful with contexts, and what they make of processes. */
#include "tests/unit/correlate/scenario.h"

#include "tests/unit/correlate/scenario_words.h"

/* It ends, and its thread shows it all the same. */
static void end_shown(struct schedule *s, uint32_t thread, int32_t span)
{
	on_span(s, thread, OP_END, span);
}

static void one_part(struct schedule *s, uint32_t thread, int32_t parent, int32_t back_to)
{
	int32_t span = schedule_span(s, s->threads[thread].process, parent);

	begin(s, thread, span);
	stir(s, thread);
	end(s, thread, span, back_to);
}

/* A detach that is forgotten: the thread goes on and shows the span all the while. */
void scenario_forgotten(struct schedule *s, uint32_t thread)
{
	uint32_t process = s->threads[thread].process;
	int32_t root = schedule_span(s, process, -1), part = schedule_span(s, process, root);

	work(s, thread);
	begin(s, thread, root);
	stir(s, thread);
	begin(s, thread, part);
	stir(s, thread);
	end_shown(s, thread, part);
	stir(s, thread);
	if (rng_chance(&s->rng, 50))
		one_part(s, thread, root, part);
	end_shown(s, thread, root);
	stir(s, thread);
	if (rng_chance(&s->rng, 50))
		one_part(s, thread, -1, part);
	stir(s, thread);
	put_aside(s, thread, part, -1);
	on_span(s, thread, OP_POP, root);
	stir(s, thread);
}

/* The one begins the span; then the other one goes on. */
static void begin_and_let_go(struct schedule *s, uint32_t thread, uint32_t other, int32_t span)
{
	uint32_t go = schedule_flag(s);

	work(s, thread);
	begin(s, thread, span);
	stir(s, thread);
	on_flag(s, thread, OP_SET, go, WAIT_FUTEX);
	on_flag(s, other, OP_WAIT, go, WAIT_FUTEX);
	work(s, other);
}

/* Another thread shows a part that is over, while its parent is open, and after that. */
void scenario_callbacks(struct schedule *s, uint32_t thread, uint32_t other)
{
	uint32_t process = s->threads[thread].process;
	int32_t root = schedule_span(s, process, -1), part = schedule_span(s, process, root);
	uint32_t over = schedule_flag(s);

	begin_and_let_go(s, thread, other, root);
	begin(s, other, part);
	stir(s, other);
	end_shown(s, other, part);
	on_flag(s, other, OP_SET, over, WAIT_FUTEX);
	work(s, other);
	block(s, other); /* and is seen with it */
	work(s, other);
	put_aside(s, other, part, -1);
	stir(s, other);
	if (rng_chance(&s->rng, 70))
		on_flag(s, thread, OP_WAIT, over, WAIT_FUTEX);
	stir(s, thread);
	end(s, thread, root, -1);
	stir(s, thread);
}

/* Two threads show it; who begins and ends it is not the one that shows it last. */
void scenario_ended_for(struct schedule *s, uint32_t thread, uint32_t other)
{
	int32_t span = schedule_span(s, s->threads[thread].process, -1);
	uint32_t seen = schedule_flag(s);

	begin_and_let_go(s, thread, other, span);
	resume(s, other, span);
	stir(s, other);
	block(s, other);
	on_flag(s, other, OP_SET, seen, WAIT_FUTEX);
	stir(s, other);
	block(s, other);
	put_aside(s, other, span, -1);
	stir(s, other);
	on_flag(s, thread, OP_WAIT, seen, WAIT_FUTEX);
	stir(s, thread);
	end(s, thread, span, -1);
	stir(s, thread);
}

/* It began when another thread asked for it, while this one waited for that, and a part of it is
 * told when that is over. */
void scenario_given_times(struct schedule *s, uint32_t thread, uint32_t other)
{
	uint32_t process = s->threads[thread].process, asked = schedule_flag(s);
	uint32_t ready = schedule_flag(s);
	int32_t asker = schedule_span(s, process, -1), span = schedule_span(s, process, -1);
	int32_t part = schedule_span(s, process, span);

	work(s, thread);
	begin(s, thread, asker);
	stir(s, thread);
	on_flag(s, other, OP_SET, ready, WAIT_FUTEX);
	on_flag(s, thread, OP_WAIT, ready, WAIT_FUTEX);
	work(s, thread);
	on_span(s, thread, OP_FROM, span);
	on_flag(s, thread, OP_SET, asked, WAIT_FUTEX);
	stir(s, thread);
	end(s, thread, asker, -1);
	stir(s, thread);
	on_flag(s, other, OP_WAIT, asked, WAIT_FUTEX);
	on_span(s, other, OP_MARK, span);
	resume(s, other, span);
	stir(s, other);
	on_span(s, other, OP_FROM, part);
	on_span(s, other, OP_PUSH, part);
	stir(s, other);
	on_span(s, other, OP_POP, part);
	on_span(s, other, OP_TO, part);
	on_span(s, other, OP_MARK, part);
	stir(s, other);
	end(s, other, span, -1);
	stir(s, other);
}

/* A child that was not sampled runs on another thread, perhaps with one below that was. */
void scenario_unexported_elsewhere(struct schedule *s, uint32_t thread, uint32_t other)
{
	uint32_t process = s->threads[thread].process;
	int32_t root = schedule_span(s, process, -1), hidden = schedule_span(s, process, root);
	uint32_t go = schedule_flag(s), done = schedule_flag(s);

	s->spans[hidden].is_exported = false;
	work(s, thread);
	begin(s, thread, root);
	stir(s, thread);
	on_flag(s, thread, OP_SET, go, WAIT_FUTEX);
	on_flag(s, other, OP_WAIT, go, WAIT_FUTEX);
	work(s, other);
	on_span(s, other, OP_START, hidden);
	resume(s, other, hidden);
	work(s, other);
	block(s, other); /* and is seen with it */
	stir(s, other);
	if (rng_chance(&s->rng, 50))
		one_part(s, other, hidden, hidden);
	stir(s, other);
	put_aside(s, other, hidden, -1);
	on_span(s, other, OP_END, hidden);
	on_flag(s, other, OP_SET, done, WAIT_FUTEX);
	stir(s, other);
	if (rng_chance(&s->rng, 50))
		on_flag(s, thread, OP_WAIT, done, WAIT_FUTEX);
	stir(s, thread);
	end(s, thread, root, -1);
	stir(s, thread);
}

/* ---- processes */

/* A child ends the span that its parent has begun, and left to it: that one waits for it. */
void scenario_left_to_child(struct schedule *s, uint32_t thread)
{
	uint32_t child = schedule_child(s, s->threads[thread].process), done = schedule_flag(s);
	int32_t span = schedule_span(s, s->threads[thread].process, -1);

	work(s, thread);
	begin(s, thread, span);
	stir(s, thread);
	schedule_op(s, thread, (struct op){ .kind = OP_FORK, .thread = child });
	stir(s, thread);
	put_aside(s, thread, span, -1);
	on_flag(s, thread, OP_WAIT, done, WAIT_FUTEX);
	stir(s, thread);
	block(s, child);
	stir(s, child);
	on_span(s, child, OP_PUBLISH, -1);
	on_span(s, child, OP_END, span);
	work(s, child);
	on_flag(s, child, OP_SET, done, WAIT_FUTEX);
	stir(s, child);
	schedule_op(s, child, (struct op){ .kind = OP_EXIT });
}

static void become_another(struct schedule *s, uint32_t child)
{
	schedule_op(s, child,
		    (struct op){ .kind = OP_EXEC, .ns = rng_scale(&s->rng, 500 * US, 20 * MS) });
}

/* A child becomes another program, with what its parent had, or within a span of its own, with
 * which it goes on there. */
void scenario_program(struct schedule *s, uint32_t thread)
{
	uint32_t child = schedule_child(s, s->threads[thread].process);
	uint32_t process = s->threads[child].process;
	int32_t root = schedule_span(s, s->threads[thread].process, -1);
	int32_t own = rng_chance(&s->rng, 60) ? schedule_span(s, process, root) : -1;

	work(s, thread);
	begin(s, thread, root);
	stir(s, thread);
	schedule_op(s, thread, (struct op){ .kind = OP_FORK, .thread = child });
	stir(s, thread);
	end(s, thread, root, -1);
	stir(s, thread);
	stir(s, child);
	if (own >= 0)
		begin(s, child, own);
	stir(s, child);
	if (own >= 0) /* what was not seen on it is not known to be carried on */
		block(s, child);
	become_another(s, child);
	if (own >= 0)
		on_span(s, child, OP_POP, own);
	stir(s, child);
	block(s, child);
	if (own >= 0) {
		resume(s, child, own);
		stir(s, child);
		block(s, child);
		end(s, child, own, -1);
	}
	stir(s, child);
	one_part(s, child, -1, -1);
	stir(s, child);
	schedule_op(s, child, (struct op){ .kind = OP_EXIT });
}
