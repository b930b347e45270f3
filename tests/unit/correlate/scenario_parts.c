/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that several threads work at, one after the other, while their parents are at work, too. */
#include "tests/unit/correlate/scenario.h"

#include "tests/unit/correlate/scenario_words.h"

/* A child that is published, but was not sampled; perhaps with one below that was. */
static void hide(struct schedule *s, uint32_t thread, int32_t parent)
{
	uint32_t process = s->threads[thread].process;
	int32_t hidden = schedule_span(s, process, parent);

	s->spans[hidden].is_exported = false;
	begin(s, thread, hidden);
	stir(s, thread);
	if (rng_chance(&s->rng, 40)) {
		int32_t child = schedule_span(s, process, hidden);

		begin(s, thread, child);
		stir(s, thread);
		end(s, thread, child, hidden);
		stir(s, thread);
	}
	end(s, thread, hidden, parent);
}

/* Between two parts, or after them: what the thread has beside is open all the time. */
static void be_parent(struct schedule *s, uint32_t thread, int32_t parent)
{
	if (rng_chance(&s->rng, 30))
		hide(s, thread, parent);
	if (rng_chance(&s->rng, 70))
		stir(s, thread);
}

static void end_here(struct schedule *s, uint32_t thread, int32_t span, int32_t root, uint32_t done)
{
	on_flag(s, thread, OP_WAIT, done, WAIT_FUTEX);
	be_parent(s, thread, root);
	resume(s, thread, span);
	work(s, thread);
	end(s, thread, span, root);
}

void scenario_parts(struct schedule *s, uint32_t thread, uint32_t other)
{
	uint32_t process = s->threads[thread].process;
	int32_t root = schedule_span(s, process, -1), span = schedule_span(s, process, root);
	uint32_t handed = schedule_flag(s), done = schedule_flag(s);
	bool ends_here = rng_chance(&s->rng, 30);

	work(s, thread);
	begin(s, thread, root);
	be_parent(s, thread, root);
	begin(s, thread, span);
	work(s, thread);
	if (rng_chance(&s->rng, 30))
		stir(s, thread);
	put_aside(s, thread, span, root);
	on_flag(s, thread, OP_SET, handed, WAIT_FUTEX);
	be_parent(s, thread, root);
	block(s, other); /* who runs at a span's edge, and shows it, is taken for its beginner */
	on_flag(s, other, OP_WAIT, handed, WAIT_FUTEX);
	work(s, other);
	resume(s, other, span);
	stir(s, other);
	if (ends_here)
		put_aside(s, other, span, -1);
	else
		end(s, other, span, -1);
	on_flag(s, other, OP_SET, done, WAIT_FUTEX);
	block(s, other);
	stir(s, other);
	if (ends_here)
		end_here(s, thread, span, root, done);
	else
		on_flag(s, thread, OP_WAIT, done, WAIT_FUTEX);
	be_parent(s, thread, root);
	end(s, thread, root, -1);
	stir(s, thread);
}
