/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/correlate/scenario.h"

#include "collector/base/macros.h"
#include "otlp/span.h"
#include "tests/unit/correlate/scenario_words.h"

static void nest(struct schedule *s, uint32_t thread, int32_t span, int32_t back_to, unsigned depth)
{
	unsigned children = depth > 1 ? (unsigned)rng_between(&s->rng, 1, 2) : 0;

	begin(s, thread, span);
	stir(s, thread);
	for (unsigned i = 0; i < children; i++) {
		int32_t child = schedule_span(s, s->threads[thread].process, span);

		nest(s, thread, child, span, depth - 1);
		if (rng_chance(&s->rng, 70))
			stir(s, thread);
	}
	end(s, thread, span, back_to);
}

int32_t scenario_nested(struct schedule *s, uint32_t thread, unsigned depth)
{
	int32_t root = schedule_span(s, s->threads[thread].process, -1);

	work(s, thread);
	nest(s, thread, root, -1, depth);
	stir(s, thread);
	return root;
}

void scenario_back_to_back(struct schedule *s, uint32_t thread, unsigned count)
{
	run(s, thread, rng_scale(&s->rng, US, 100 * US));
	for (unsigned i = 0; i < count; i++) {
		int32_t span = schedule_span(s, s->threads[thread].process, -1);

		begin(s, thread, span);
		run(s, thread, rng_scale(&s->rng, US, 50 * US));
		end(s, thread, span, -1);
		run(s, thread, rng_scale(&s->rng, 200, 20 * US));
	}
	block(s, thread);
}

int32_t scenario_many_waits(struct schedule *s, uint32_t thread, unsigned cycles)
{
	int32_t span = schedule_span(s, s->threads[thread].process, -1);

	work(s, thread);
	begin(s, thread, span);
	for (unsigned i = 0; i < cycles; i++) {
		run(s, thread, rng_scale(&s->rng, 5 * US, MS));
		block(s, thread);
	}
	run(s, thread, rng_scale(&s->rng, 5 * US, MS));
	end(s, thread, span, -1);
	stir(s, thread);
	return span;
}

void scenario_fan_out(struct schedule *s, const uint32_t *threads, unsigned count)
{
	uint32_t process = s->threads[threads[0]].process;
	int32_t root = schedule_span(s, process, -1);

	work(s, threads[0]);
	begin(s, threads[0], root);
	stir(s, threads[0]);
	for (unsigned i = 1; i < count; i++) {
		int32_t child = schedule_span(s, process, root);
		uint32_t go = schedule_flag(s), done = schedule_flag(s);

		on_flag(s, threads[0], OP_SET, go, WAIT_FUTEX);
		on_flag(s, threads[i], OP_WAIT, go, WAIT_FUTEX);
		work(s, threads[i]);
		begin(s, threads[i], child);
		stir(s, threads[i]);
		end(s, threads[i], child, -1);
		on_flag(s, threads[i], OP_SET, done, WAIT_FUTEX);
		work(s, threads[i]);
		if (rng_chance(&s->rng, 50))
			on_flag(s, threads[0], OP_WAIT, done, WAIT_FUTEX);
	}
	stir(s, threads[0]);
	end(s, threads[0], root, -1);
	stir(s, threads[0]);
}

void scenario_hand_over(struct schedule *s, uint32_t from, uint32_t to)
{
	int32_t span = schedule_span(s, s->threads[from].process, -1);
	uint32_t handed = schedule_flag(s);

	work(s, from);
	begin(s, from, span);
	work(s, from);
	block(s, from); /* a start that nobody saw is taken for that of the first thread seen */
	stir(s, from);
	put_aside(s, from, span, -1);
	on_flag(s, from, OP_SET, handed, WAIT_FUTEX);
	block(s, from);
	on_flag(s, to, OP_WAIT, handed, WAIT_FUTEX);
	work(s, to);
	resume(s, to, span);
	stir(s, to);
	end(s, to, span, -1);
	stir(s, to);
}

void scenario_remote(struct schedule *s, uint32_t client, uint32_t server)
{
	int32_t root = schedule_span(s, s->threads[client].process, -1);
	int32_t call = schedule_span(s, s->threads[client].process, root);
	int32_t answer = schedule_span(s, s->threads[server].process, call);
	uint32_t request = schedule_flag(s), response = schedule_flag(s);

	s->spans[call].kind = SPAN_KIND_CLIENT;
	s->spans[answer].kind = SPAN_KIND_SERVER;
	work(s, client);
	begin(s, client, root);
	stir(s, client);
	begin(s, client, call);
	work(s, client);
	on_flag(s, client, OP_SET, request, WAIT_NET);
	on_flag(s, client, OP_WAIT, response, WAIT_NET);
	work(s, client);
	end(s, client, call, root);
	stir(s, client);
	end(s, client, root, -1);
	block(s, client);
	on_flag(s, server, OP_WAIT, request, WAIT_NET);
	work(s, server);
	begin(s, server, answer);
	stir(s, server);
	end(s, server, answer, -1);
	on_flag(s, server, OP_SET, response, WAIT_NET);
	work(s, server);
}

void scenario_unexported(struct schedule *s, uint32_t thread)
{
	int32_t root = schedule_span(s, s->threads[thread].process, -1);
	int32_t hidden = schedule_span(s, s->threads[thread].process, root);

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

/* The turns of two tasks on one thread. A task's span begins in its first turn and ends in its last
 * one; in between the thread shows `idle`. */
static void take_turns(struct schedule *s, uint32_t thread, const int32_t tasks[2], int32_t idle)
{
	unsigned turns[2] = { 0 }, most = (unsigned)rng_between(&s->rng, 2, 5);

	while (turns[0] < most || turns[1] < most) {
		uint64_t which = rng_below(&s->rng, 2);

		which = turns[which] < most ? which : 1 - which;
		if (turns[which]++ == 0)
			begin(s, thread, tasks[which]);
		else
			resume(s, thread, tasks[which]);
		stir(s, thread);
		if (turns[which] == most)
			end(s, thread, tasks[which], idle);
		else
			put_aside(s, thread, tasks[which], idle);
		on_span(s, thread, OP_TURN, -1);
		if (rng_chance(&s->rng, 30))
			block(s, thread);
	}
}

void scenario_event_loop(struct schedule *s, uint32_t thread)
{
	uint32_t process = s->threads[thread].process;
	int32_t root = schedule_span(s, process, -1);
	int32_t tasks[2] = { schedule_span(s, process, root), schedule_span(s, process, root) };

	work(s, thread);
	begin(s, thread, root);
	take_turns(s, thread, tasks, root);
	end(s, thread, root, -1);
	stir(s, thread);
}

void scenario_traces_in_turns(struct schedule *s, uint32_t thread)
{
	uint32_t process = s->threads[thread].process;
	int32_t tasks[2] = { schedule_span(s, process, -1), schedule_span(s, process, -1) };

	work(s, thread);
	take_turns(s, thread, tasks, -1);
	stir(s, thread);
}

/* What a forked child does: some of it before it shows a span of its own. */
static void be_a_child(struct schedule *s, uint32_t child, int32_t parents_span)
{
	int32_t above = rng_chance(&s->rng, 50) ? parents_span : -1;
	int32_t span, back_to = s->knobs.is_exact && s->seed & 64 ? parents_span : -1;

	stir(s, child);
	if (rng_chance(&s->rng, 30))
		on_span(s, child, OP_PUBLISH, -1);
	for (uint64_t requests = rng_below(&s->rng, 3); requests > 0; requests--) {
		span = schedule_span(s, s->threads[child].process, above);
		begin(s, child, span);
		stir(s, child);
		block(s, child); /* or nobody could tell whose it is */
		stir(s, child);
		end(s, child, span, back_to);
		above = -1;
		stir(s, child);
	}
	on_span(s, child, OP_PUBLISH, -1);
	schedule_op(s, child, (struct op){ .kind = OP_EXIT });
}

void scenario_fork(struct schedule *s, uint32_t thread)
{
	int32_t root = schedule_span(s, s->threads[thread].process, -1);
	uint32_t child = schedule_child(s, s->threads[thread].process);

	work(s, thread);
	begin(s, thread, root);
	stir(s, thread);
	schedule_op(s, thread, (struct op){ .kind = OP_FORK, .thread = child });
	be_a_child(s, child, root);
	stir(s, thread);
	end(s, thread, root, -1);
	stir(s, thread);
}

void scenario_idle(struct schedule *s, uint32_t thread)
{
	stir(s, thread);
	block(s, thread);
}

void scenario_background(struct schedule *s, uint64_t ns)
{
	uint32_t process = schedule_process(s, true);

	for (uint32_t cpu = 0; cpu < s->knobs.cpus; cpu++) {
		uint32_t thread = schedule_thread(s, process);

		s->threads[thread].pinned_cpu = (int32_t)cpu;
		for (uint64_t passed = 0; passed < ns; passed += 12 * MS) {
			schedule_op(s, thread, (struct op){ .kind = OP_RUN, .ns = 5 * US });
			schedule_op(s, thread,
				    (struct op){ .kind = OP_BLOCK,
						 .wait = WAIT_SLEEP,
						 .ns = rng_between(&s->rng, 8 * MS, 16 * MS) });
		}
	}
}

/* ---- a whole service */

#define MAX_THREADS 4
#define MAX_CROWD   64
#define SOME_CROWD  16

static void one_style(struct schedule *s, uint32_t thread, uint32_t other)
{
	switch (rng_below(&s->rng, 6)) {
	case 0:
		scenario_thread_a_request(s, thread);
		break;
	case 1:
		if (!s->knobs.has_no_turns)
			scenario_many_tasks(s, thread, (unsigned)rng_between(&s->rng, 2, 6));
		break;
	case 2:
		scenario_foreign_server(s, thread);
		break;
	case 3:
		scenario_foreign_client(s, thread);
		break;
	case 4:
		scenario_unsampled(s, thread);
		break;
	default:
		if (other != thread && s->knobs.has_lends)
			scenario_lend(s, thread, other);
		break;
	}
}

static void unshown_style(struct schedule *s, uint32_t thread, uint32_t other)
{
	switch (rng_below(&s->rng, 4)) {
	case 0:
		scenario_never_shown(s, thread, true);
		break;
	case 1:
		scenario_never_shown(s, thread, false);
		break;
	case 2:
		scenario_begun_ahead(s, thread, other);
		break;
	default:
		scenario_ended_late(s, thread, other);
		break;
	}
}

static bool slip(struct schedule *s, uint32_t thread, uint32_t other)
{
	static void (*const alone[])(struct schedule *, uint32_t) = {
		scenario_forgotten,
		scenario_left_to_child,
		scenario_program,
	};
	static void (*const together[])(struct schedule *, uint32_t, uint32_t) = {
		scenario_callbacks,
		scenario_ended_for,
		scenario_given_times,
		scenario_unexported_elsewhere,
	};
	size_t which = rng_below(&s->rng, ARRAY_LEN(alone) + ARRAY_LEN(together));

	if (which < ARRAY_LEN(alone))
		alone[which](s, thread);
	else if (other != thread)
		together[which - ARRAY_LEN(alone)](s, thread, other);
	else
		return false;
	return true;
}

/* What the knobs ask for; false: nothing this time. */
static bool wanted_request(struct schedule *s, uint32_t thread, uint32_t other)
{
	if (s->knobs.has_unshown && rng_chance(&s->rng, 40))
		unshown_style(s, thread, other);
	else if (s->knobs.has_parts && other != thread && rng_chance(&s->rng, 60))
		scenario_parts(s, thread, other);
	else if (s->knobs.has_slips && rng_chance(&s->rng, 50))
		return slip(s, thread, other);
	else if (s->knobs.has_hidden && rng_chance(&s->rng, 20))
		scenario_hidden(s, thread);
	else if (s->knobs.has_styles && rng_chance(&s->rng, 40))
		one_style(s, thread, other);
	else if (s->knobs.has_forks && rng_chance(&s->rng, 15))
		scenario_fork(s, thread);
	else
		return false;
	return true;
}

static void one_request(struct schedule *s, const uint32_t *threads, unsigned count,
			uint32_t remote)
{
	uint32_t thread = threads[rng_below(&s->rng, count)];
	uint32_t other = threads[rng_below(&s->rng, count)];

	if (wanted_request(s, thread, other))
		return;
	switch (rng_below(&s->rng, 10)) {
	case 0:
		scenario_back_to_back(s, thread, (unsigned)rng_between(&s->rng, 1, 8));
		break;
	case 1:
		scenario_many_waits(s, thread, (unsigned)rng_between(&s->rng, 2, 20));
		break;
	case 2:
		scenario_fan_out(s, threads, count);
		break;
	case 3:
		if (other != thread)
			scenario_hand_over(s, thread, other);
		break;
	case 4:
		scenario_remote(s, thread, remote);
		break;
	case 5:
		scenario_unexported(s, thread);
		break;
	case 6:
		if (s->knobs.has_no_turns)
			scenario_fan_out(s, threads, count);
		else
			scenario_event_loop(s, thread);
		break;
	case 7:
		scenario_idle(s, thread);
		break;
	case 8:
		if (s->knobs.has_no_turns)
			scenario_fan_out(s, threads, count);
		else
			scenario_traces_in_turns(s, thread);
		break;
	default:
		scenario_nested(s, thread, (unsigned)rng_between(&s->rng, 1, 5));
		break;
	}
}

void scenario_random(struct schedule *s, unsigned requests)
{
	uint32_t process = schedule_process(s, true), server = schedule_process(s, true);
	bool is_crowd = s->knobs.has_styles && rng_chance(&s->rng, 30);
	unsigned most = s->knobs.crowd ? s->knobs.crowd : is_crowd ? SOME_CROWD : MAX_THREADS;
	unsigned count = (unsigned)rng_between(&s->rng, s->knobs.crowd ? most / 2 : 1, most);
	uint32_t threads[MAX_CROWD], remote;

	for (unsigned i = 0; i < count; i++)
		threads[i] = schedule_thread(s, process);
	remote = schedule_thread(s, server);
	s->processes[process].is_exact = s->processes[server].is_exact = s->knobs.is_exact;
	s->processes[process].marks = s->processes[server].marks = s->knobs.has_marks;
	if (s->knobs.logs_late)
		s->processes[process].logs_from_ns =
			SCHEDULE_START_NS + rng_between(&s->rng, 300 * MS, 450 * MS);
	s->processes[process].says_pid = rng_chance(&s->rng, 80);
	scenario_background(s, 2000 * MS);
	for (unsigned i = 0; i < count; i++) {
		schedule_op(s, threads[i], (struct op){ .kind = OP_RUN, .ns = 20 * US });
		schedule_op(s, threads[i],
			    (struct op){ .kind = OP_BLOCK, .wait = WAIT_FUTEX, .ns = 300 * MS });
	}
	if (s->knobs.has_styles && !s->knobs.has_no_turns && !s->knobs.hides_turns)
		scenario_seen_turn(s, threads[0]);
	for (unsigned i = 0; i < requests; i++)
		one_request(s, threads, count, remote);
	for (unsigned i = 0; i < count; i++) {
		if (rng_chance(&s->rng, 20))
			schedule_op(s, threads[i], (struct op){ .kind = OP_EXIT });
	}
}
