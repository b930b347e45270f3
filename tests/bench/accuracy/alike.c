/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that two processes show, of which one has them. */
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/accuracy/scenario.h"

#define SPANS 10

static void work(void)
{
	for (int i = 0; i < 3; i++) {
		scenario_spin(20 * US, 1 * MS);
		truth_wait_begin();
		scenario_sleep_ns(truth_length_ns(50 * US, 1 * MS));
		truth_wait_end();
	}
}

static void show_and_work(const uint8_t trace_id[16], const uint8_t span_id[8])
{
	struct spanwise_token token;

	spanwise_attach(trace_id, span_id, 1, &token);
	work();
	spanwise_detach(&token);
}

static void pause_between(void)
{
	scenario_sleep_ns(truth_length_ns(50 * US, 1 * MS));
}

static void wait_for(pid_t child)
{
	int status;

	scenario_check(child > 0 && waitpid(child, &status, 0) == child && status == 0, "child");
}

/* ---- processes that draw the same ids, as those forked with their random numbers do; what the
 * second has of them never arrives */

static void be_twin(struct truth_span *const *spans)
{
	truth_between(0, 1); /* it has other work than its twin */
	for (int i = 0; i < SPANS; i++) {
		show_and_work(spans[i]->trace_id, spans[i]->span_id);
		pause_between();
	}
	_exit(0);
}

static void twins(void)
{
	struct truth_span *spans[SPANS];
	pid_t child;

	truth_marks = 0; /* none begins yet */
	for (int i = 0; i < SPANS; i++)
		spans[i] = truth_make("twin", NULL);
	truth_marks = 1;
	child = fork();
	if (child == 0)
		be_twin(spans);
	pause_between();
	for (int i = 0; i < SPANS; i++) {
		truth_mark(spans[i]);
		truth_open_made(spans[i]);
		work();
		truth_close(spans[i]);
		pause_between();
	}
	wait_for(child);
}

/* ---- a process that is asked, and takes over the context of who asks */

struct question {
	uint8_t trace_id[16], span_id[8];
};

/* They do not wait for each other's CPU. */
static void stay_on(long cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	scenario_check(sched_setaffinity(0, sizeof(set), &set) == 0, "affinity");
}

static void answer(int from, int to)
{
	struct question question;

	stay_on(sysconf(_SC_NPROCESSORS_ONLN) - 1);
	while (read(from, &question, sizeof(question)) == sizeof(question)) {
		show_and_work(question.trace_id, question.span_id);
		scenario_check(write(to, "", 1) == 1, "answer");
	}
	_exit(0);
}

/* Now and then the other one shows the span first. */
static void ask(int from, int to)
{
	struct truth_span *span = truth_open("ask");
	struct question question;
	char answered;

	memcpy(question.trace_id, span->trace_id, sizeof(question.trace_id));
	memcpy(question.span_id, span->span_id, sizeof(question.span_id));
	scenario_check(write(to, &question, sizeof(question)) == sizeof(question), "question");
	scenario_spin(20 * US, 2 * MS);
	truth_wait_begin();
	scenario_check(read(from, &answered, 1) == 1, "answer");
	truth_wait_end();
	scenario_spin(20 * US, 1 * MS);
	truth_close(span);
}

static void asked(void)
{
	int there[2], back[2];
	cpu_set_t before;
	pid_t child;

	scenario_check(pipe(there) == 0 && pipe(back) == 0, "pipes");
	child = fork();
	if (child == 0) {
		close(there[1]);
		answer(there[0], back[1]);
	}
	scenario_check(sched_getaffinity(0, sizeof(before), &before) == 0, "affinity");
	stay_on(0);
	for (int i = 0; i < SPANS; i++) {
		ask(back[0], there[1]);
		pause_between();
	}
	sched_setaffinity(0, sizeof(before), &before);
	close(there[1]);
	wait_for(child);
	close(there[0]);
	close(back[0]);
	close(back[1]);
}

const struct scenario scenario_alike[] = {
	{ .name = "twins", .turn = twins },
	{ .name = "asked", .turn = asked },
	{ .name = NULL },
};
