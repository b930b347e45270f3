/* SPDX-License-Identifier: Apache-2.0 */
/* The words that scenarios are written in: each appends to a thread's program. */
#pragma once

#include "tests/unit/correlate/schedule.h"

#define DELAY_MAX_NS (3 * US)

static inline void run(struct schedule *s, uint32_t thread, uint64_t ns)
{
	schedule_op(s, thread, (struct op){ .kind = OP_RUN, .ns = ns });
	if (s->knobs.has_steal && rng_chance(&s->rng, 5))
		schedule_op(
			s, thread,
			(struct op){ .kind = OP_STOLEN, .ns = rng_scale(&s->rng, US, 300 * US) });
}

static inline void work(struct schedule *s, uint32_t thread)
{
	run(s, thread, rng_scale(&s->rng, 500, 15 * MS));
}

static inline void block(struct schedule *s, uint32_t thread)
{
	schedule_op(s, thread,
		    (struct op){ .kind = OP_BLOCK,
				 .wait = (uint8_t)rng_below(&s->rng, WAIT_KINDS),
				 .ns = rng_scale(&s->rng, 2 * US, 20 * MS) });
}

/* A little of this and that. */
static inline void stir(struct schedule *s, uint32_t thread)
{
	work(s, thread);
	if (rng_chance(&s->rng, 40)) {
		block(s, thread);
		work(s, thread);
	}
}

static inline void on_span(struct schedule *s, uint32_t thread, enum op_kind kind, int32_t span)
{
	schedule_op(s, thread, (struct op){ .kind = (uint8_t)kind, .span = span });
}

static inline void on_flag(struct schedule *s, uint32_t thread, enum op_kind kind, uint32_t flag,
			   enum wait_kind wait)
{
	schedule_op(s, thread,
		    (struct op){ .kind = (uint8_t)kind, .flag = flag, .wait = (uint8_t)wait });
}

static inline void delay(struct schedule *s, uint32_t thread)
{
	if (s->knobs.has_delay)
		schedule_op(
			s, thread,
			(struct op){ .kind = OP_RUN, .ns = rng_between(&s->rng, 1, DELAY_MAX_NS) });
}

/* Where no edge of the span tells since when the thread works for it, or how long, its tag says so,
 * and nothing else does (DESIGN 4, rule 1). */
static inline void publish(struct schedule *s, uint32_t thread, int32_t span)
{
	struct op op = { .kind = OP_PUBLISH, .span = span };

	if (s->knobs.has_delay) /* the clock was read before that for the log */
		op.ns = rng_between(&s->rng, 1, DELAY_MAX_NS) / 2;
	schedule_op(s, thread, op);
}

static inline void resume(struct schedule *s, uint32_t thread, int32_t span)
{
	on_span(s, thread, OP_PUSH, span);
	publish(s, thread, span);
}

static inline void put_aside(struct schedule *s, uint32_t thread, int32_t span, int32_t back_to)
{
	publish(s, thread, back_to);
	on_span(s, thread, OP_POP, span);
}

static inline void begin(struct schedule *s, uint32_t thread, int32_t span)
{
	on_span(s, thread, OP_START, span);
	on_span(s, thread, OP_PUSH, span);
	delay(s, thread);
	on_span(s, thread, OP_PUBLISH, span);
}

/* `back_to`: what the thread publishes then. */
static inline void end(struct schedule *s, uint32_t thread, int32_t span, int32_t back_to)
{
	on_span(s, thread, OP_PUBLISH, back_to);
	delay(s, thread);
	on_span(s, thread, OP_POP, span);
	on_span(s, thread, OP_END, span);
}
