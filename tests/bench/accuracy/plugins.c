/* SPDX-License-Identifier: Apache-2.0 */
/* A program whose writer is a library that it opens and closes while its threads run, each time
 * another one with its variable elsewhere: truth_plugins SCENARIO TURNS SERVICE, as
 * truth_scenarios. What the bench calls the writer's functions leads to the library that is open.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/accuracy/scenario.h"

#define WORKERS 2
#define LONG_CLOSED                                                                                \
	10 /* each so many turns, for longer than a look at each process takes to come */

static const char *const libraries[] = { TRUTH_NEAR, TRUTH_FAR };

struct writer {
	void *library;
	void (*attach)(const uint8_t *, const uint8_t *, uint8_t, struct spanwise_token *);
	void (*detach)(const struct spanwise_token *);
	void (*publish)(const uint8_t *, const uint8_t *, uint8_t);
	void (*mark)(const uint8_t *, const uint8_t *);
	int (*init)(const char *, const char *);
	const char *(*instance_id)(void);
};

static struct writer loaded;
static struct writer *_Atomic writer; /* NULL: none is open */
static char instance_id[SPANWISE_VALUE_MAX + 1];
static const char *service;

void spanwise_attach(const uint8_t *trace_id, const uint8_t *span_id, uint8_t trace_flags,
		     struct spanwise_token *out_previous)
{
	struct writer *now = atomic_load(&writer);

	*out_previous = (struct spanwise_token){ 0 };
	if (now)
		now->attach(trace_id, span_id, trace_flags, out_previous);
}

void spanwise_detach(const struct spanwise_token *previous)
{
	struct writer *now = atomic_load(&writer);

	if (now)
		now->detach(previous);
}

void spanwise_mark(const uint8_t *trace_id, const uint8_t *span_id)
{
	struct writer *now = atomic_load(&writer);

	if (now)
		now->mark(trace_id, span_id);
}

void spanwise_publish(const uint8_t *trace_id, const uint8_t *span_id, uint8_t trace_flags)
{
	struct writer *now = atomic_load(&writer);

	if (now)
		now->publish(trace_id, span_id, trace_flags);
}

const char *spanwise_instance_id(void)
{
	return instance_id;
}

static void find(const char *name, void *out_function)
{
	void *function = dlsym(loaded.library, name);

	scenario_check(function != NULL, name);
	memcpy(out_function, &function, sizeof(function));
}

static void open_writer(const char *path)
{
	loaded.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	scenario_check(loaded.library != NULL, path);
	find("spanwise_attach", &loaded.attach);
	find("spanwise_detach", &loaded.detach);
	find("spanwise_publish", &loaded.publish);
	find("spanwise_mark", &loaded.mark);
	find("spanwise_process_init", &loaded.init);
	find("spanwise_instance_id", &loaded.instance_id);
	scenario_check(loaded.init(service, NULL) == 0, "process context");
	snprintf(instance_id, sizeof(instance_id), "%s", loaded.instance_id());
	atomic_store(&writer, &loaded);
}

/* It is gone from the process's memory then, with its variable. */
static void close_writer(const char *path)
{
	atomic_store(&writer, NULL);
	dlclose(loaded.library);
	scenario_check(dlopen(path, RTLD_NOW | RTLD_NOLOAD) == NULL, "the library stays");
}

/* ---- the threads: all do the same, in steps */

static pthread_barrier_t step;
static void (*each)(int phase);
static _Atomic bool is_over;
static _Thread_local struct truth_span *open_span;
static _Thread_local uint64_t closed_cpu_ns;

/* The phases of a turn: with one library, while it is closed and another one is opened, with that.
 */
static void one_turn(void)
{
	for (int phase = 0; phase < 3; phase++) {
		pthread_barrier_wait(&step);
		each(phase);
		pthread_barrier_wait(&step);
	}
}

static void *worker_main(void *unused)
{
	for (;;) {
		pthread_barrier_wait(&step);
		if (atomic_load(&is_over))
			return unused;
		one_turn();
	}
}

static _Thread_local bool is_main;

static void exchange(void)
{
	static unsigned turns;

	turns++;
	close_writer(libraries[(turns - 1) % 2]);
	if (turns % LONG_CLOSED == 0)
		scenario_sleep_ns(2500 * MS);
	else
		scenario_sleep_ns(truth_length_ns(20 * US, 20 * MS));
	open_writer(libraries[turns % 2]);
}

static void request(void)
{
	struct truth_span *span = truth_open("request"), *part;

	scenario_spin(20 * US, 1 * MS);
	part = truth_open("part");
	scenario_spin(20 * US, 1 * MS);
	scenario_nap(50 * US, 2 * MS);
	truth_close(part);
	scenario_nap(50 * US, 1 * MS);
	scenario_spin(20 * US, 500 * US);
	truth_close(span);
}

/* Closed between spans: what the threads do meanwhile is nobody's. */
static void requests(int phase)
{
	if (phase == 1 && is_main) {
		exchange();
	} else if (phase == 1) {
		scenario_spin(50 * US, 3 * MS);
		scenario_sleep_ns(truth_length_ns(50 * US, 3 * MS));
		scenario_spin(50 * US, 3 * MS);
	} else {
		for (int i = 0; i < 3; i++)
			request();
	}
}

/* Closed within the other threads' spans, which show nothing from then on: what they burn until
 * these end may count for them or not. */
static void within(int phase)
{
	if (is_main) {
		if (phase == 1)
			exchange();
		return;
	}
	if (phase == 0) {
		open_span = truth_open("cut-short");
		scenario_spin(50 * US, 2 * MS);
		scenario_nap(50 * US, 1 * MS);
		closed_cpu_ns = truth_cpu_ns();
	} else if (phase == 1) {
		scenario_spin(50 * US, 2 * MS);
		scenario_sleep_ns(truth_length_ns(50 * US, 2 * MS));
	} else {
		scenario_spin(50 * US, 1 * MS);
		open_span->cpu_slack_ns += truth_cpu_ns() - closed_cpu_ns;
		truth_close(open_span);
	}
}

int main(int argc, char **argv)
{
	pthread_t workers[WORKERS];

	if (argc != 4 || (strcmp(argv[1], "unloaded") != 0 && strcmp(argv[1], "cut-short") != 0)) {
		fprintf(stderr, "usage: truth_plugins unloaded|cut-short TURNS SERVICE\n");
		return 2;
	}
	each = strcmp(argv[1], "unloaded") == 0 ? requests : within;
	service = argv[3];
	is_main = true;
	open_writer(libraries[0]);
	pthread_barrier_init(&step, NULL, WORKERS + 1);
	for (int i = 0; i < WORKERS; i++)
		scenario_check(pthread_create(&workers[i], NULL, worker_main, NULL) == 0, "thread");
	scenario_wait_until_found();
	for (long turns = strtol(argv[2], NULL, 10); turns > 0; turns--) {
		pthread_barrier_wait(&step);
		one_turn();
	}
	atomic_store(&is_over, true);
	pthread_barrier_wait(&step);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);
	scenario_sleep_ns(20 * MS); /* a service lives on */
	truth_print();
	return 0;
}
