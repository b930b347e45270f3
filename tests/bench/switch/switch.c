/* SPDX-License-Identifier: Apache-2.0 */
/* What a context switch costs more with the programs attached.
 *
 * Two threads on one CPU play ping-pong through pipes or futexes; another CPU drains the ring every
 * 10 ms. All configurations take turns, so that a noisy machine is noisy for all; the least of all
 * laps is what counts (noise only adds), the median says how noisy it was. Then one more turn with
 * the kernel's own statistics of each program.
 *
 *   bench_switch [TURNS [CONFIGURATION...]]
 *
 * Named configurations only, by the beginnings of their names, and then no statistics. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/perf_events.h"
#include "bpf/ring.h"
#include "bpf/symbol_open.h"
#include "bpf/unwind_load.h"
#include "bpf/worker_programs.h"
#include "collector/base/macros.h"
#include "floor.skel.h"

#define LAPS        40
#define ROUND_TRIPS 500 /* of one lap: short enough to fall between two disturbances */
#define THREADS     20  /* of one lap, one after the other */
#define THREAD_LAPS 1000
#define MAX_TURNS   101
#define RING_BYTES  (16u << 20)

/* As our own writers keep it: the record right behind the variable. */
static __thread struct {
	struct tag_record *tag;
	struct tag_record record;
} own;

/* ---- two threads that do nothing but switch */

static struct {
	int there[2], back[2];
	_Atomic uint32_t word; /* whose turn it is: 0 or 1 */
	bool tagged, apart;    /* apart: the record is somewhere else */
	bool by_futex;
	int depth;
	uint64_t least_ns; /* of all laps */
} game;

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void pass_pipe(int to, int from, bool first)
{
	char byte = 'x';

	for (int i = 0; i < ROUND_TRIPS; i++) {
		if (first && write(to, &byte, 1) != 1)
			abort();
		if (read(from, &byte, 1) != 1)
			abort();
		if (!first && write(to, &byte, 1) != 1)
			abort();
	}
}

static void pass_futex(uint32_t me)
{
	for (int i = 0; i < ROUND_TRIPS; i++) {
		while (atomic_load(&game.word) != me)
			syscall(SYS_futex, &game.word, FUTEX_WAIT_PRIVATE, 1 - me, NULL, NULL, 0);
		atomic_store(&game.word, 1 - me);
		syscall(SYS_futex, &game.word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static void play_lap(uint32_t me)
{
	if (game.by_futex)
		pass_futex(me);
	else if (me == 0)
		pass_pipe(game.there[1], game.back[0], true);
	else
		pass_pipe(game.back[1], game.there[0], false);
}

static void play_side(uint32_t me)
{
	struct tag_record apart, *record = game.apart ? &apart : &own.record;

	*record = (struct tag_record){ .valid = 1 };
	memset(record->trace_id, 0xab, sizeof(record->trace_id));
	record->span_id[0] = (uint8_t)(1 + me);
	own.tag = game.tagged ? record : NULL;
	for (int lap = 0; lap < LAPS; lap++) {
		uint64_t begin_ns = now_ns();

		play_lap(me);
		if (me == 0)
			game.least_ns = MIN(game.least_ns, now_ns() - begin_ns);
	}
	own.tag = NULL;
}

/* As many calls deeper: what a walk has to pass. */
static __attribute__((noinline)) int play_below(uint32_t me, int depth)
{
	if (depth == 0)
		play_side(me);
	else
		depth = play_below(me, depth - 1);
	__asm__ volatile("" : "+r"(depth)); /* no tail call */
	return depth;
}

static void *other_side(void *arg)
{
	play_below(1, game.depth);
	return arg;
}

/* ---- threads that are made, do nothing, and end */

static void *nothing(void *arg)
{
	return arg;
}

/* ns for one thread, made and joined, of the best lap. */
static double make_threads(void)
{
	uint64_t least_ns = UINT64_MAX;

	for (int lap = 0; lap < THREAD_LAPS; lap++) {
		uint64_t begin_ns = now_ns();

		for (int i = 0; i < THREADS; i++) {
			pthread_t thread;

			if (pthread_create(&thread, NULL, nothing, NULL))
				abort();
			pthread_join(thread, NULL);
		}
		least_ns = MIN(least_ns, now_ns() - begin_ns);
	}
	return (double)least_ns / THREADS;
}

/* ns for one switch and its waking, the CPU never idle: of the best lap. */
static double play(void)
{
	pthread_t other;

	atomic_store(&game.word, 0);
	game.least_ns = UINT64_MAX;
	pthread_create(&other, NULL, other_side, NULL);
	play_below(0, game.depth);
	pthread_join(other, NULL);
	return (double)game.least_ns / (2.0 * ROUND_TRIPS);
}

/* ---- configurations */

static const struct configuration {
	const char *name;
	bool floor, attached, follow, tagged, apart, no_targets, no_wakers, in_full;
	int target_ns;
	uint32_t stacks_per_s;
	bool tables; /* walked by these, else by frame pointers */
	int depth;   /* calls around the game */
} configurations[] = {
	{ .name = "off" },
	{ .name = "empty programs", .floor = true },
	{ .name = "untracked", .attached = true, .target_ns = 100 },
	{ .name = "tracked, no tag", .attached = true, .follow = true },
	{ .name = "tagged, bare",
	  .attached = true,
	  .follow = true,
	  .tagged = true,
	  .no_targets = true,
	  .no_wakers = true,
	  .target_ns = 220 },
	{ .name = "bare, apart",
	  .attached = true,
	  .follow = true,
	  .tagged = true,
	  .apart = true,
	  .no_targets = true,
	  .no_wakers = true },
	{ .name = "in full, bare", /* no slice is told in short */
	  .attached = true,
	  .follow = true,
	  .tagged = true,
	  .no_targets = true,
	  .no_wakers = true,
	  .in_full = true },
	{ .name = "tagged + target",
	  .attached = true,
	  .follow = true,
	  .tagged = true,
	  .no_wakers = true },
	{ .name = "tagged + waker",
	  .attached = true,
	  .follow = true,
	  .tagged = true,
	  .no_targets = true },
	{ .name = "tagged, all",
	  .attached = true,
	  .follow = true,
	  .tagged = true,
	  .target_ns = 350 },
	{ .name = "in full, all",
	  .attached = true,
	  .follow = true,
	  .tagged = true,
	  .in_full = true },
	{ .name = "with stacks", /* at the default budget */
	  .attached = true,
	  .follow = true,
	  .tagged = true,
	  .stacks_per_s = 10000,
	  .tables = true,
	  .target_ns = 850 },
	{ .name = "every stack, FP",
	  .attached = true,
	  .follow = true,
	  .tagged = true,
	  .stacks_per_s = 1000000000 },
	{ .name = "every stack",
	  .attached = true,
	  .follow = true,
	  .tagged = true,
	  .stacks_per_s = 1000000000,
	  .tables = true },
	{ .name = "every stack, deep", /* 32 frames more */
	  .attached = true,
	  .follow = true,
	  .tagged = true,
	  .stacks_per_s = 1000000000,
	  .tables = true,
	  .depth = 32 },
};

#define CONFIGURATIONS   ARRAY_LEN(configurations)
#define GAMES            3 /* pipe, futex, threads */
#define THREAD_TARGET_NS 1000

/* ---- the reader, on the other CPU */

static struct ring *ring;
static struct mapping_events *mappings;
static atomic_bool reading;

static int skip(const struct event_header *record, void *arg)
{
	(void)record;
	(void)arg;
	return 0;
}

static void ignore(uint32_t pid, void *arg)
{
	(void)pid;
	(void)arg;
}

static void *read_ring(void *arg)
{
	struct timespec pause = { .tv_nsec = 10 * NS_PER_MS };

	pin(0);
	while (atomic_load(&reading)) {
		ring_consume(ring, 0, skip, NULL);
		if (mappings)
			mapping_events_consume(mappings, ignore, NULL);
		nanosleep(&pause, NULL);
	}
	return arg;
}

static struct unwind_load *tables;

static void load_tables(struct programs *programs)
{
	struct symbol_maps maps = { 0 };
	struct unwind_load_fds fds;
	int directory_fd = symbol_open_process((uint32_t)getpid());

	programs_tables(programs, &fds);
	if (unwind_load_new(&fds, &tables) < 0 || symbol_maps_read(&maps, directory_fd) < 0 ||
	    unwind_load_process(tables, (uint32_t)getpid(), &maps) < 0)
		exit(1);
	close(directory_fd);
	symbol_maps_fini(&maps);
}

static struct programs *attach(const struct configuration *configuration)
{
	struct programs_options options = {
		.probe = { .ring_bytes = RING_BYTES,
			   .tick_hz = 99,
			   .max_processes = 1024,
			   .thread_bytes = 8u << 20,
			   .stacks_per_s = configuration->stacks_per_s,
			   .stack_wait_us = 100 },
		.no_targets = configuration->no_targets,
		.no_wakers = configuration->no_wakers,
		.again = configuration->in_full ? AGAIN_IN_FULL : AGAIN_IN_SHORT,
	};
	struct tag_descriptor descriptor = {
		.count = 1,
		.variables[0] = { .access = TAG_STATIC,
				  .offset = (char *)&own - (char *)__builtin_thread_pointer() },
	};
	struct programs *programs;
	char why[512];

	if (programs_open(&options, why, sizeof(why), &programs) < 0) {
		fprintf(stderr, "%s\n", why);
		exit(77);
	}
	if (ring_open(programs_records_fd(programs), RING_BYTES, programs_counters_fd(programs),
		      programs_cpus(programs), &ring) < 0)
		exit(1);
	if (mapping_events_open(programs_cpus(programs), &mappings) < 0)
		mappings = NULL;
	if (configuration->tables)
		load_tables(programs);
	if (configuration->follow)
		programs_follow(programs, (uint32_t)getpid(), &descriptor);
	return programs;
}

/* One turn of both games under one configuration; `visit` is called while it is still attached. */
static void take_turn(const struct configuration *configuration, double out_ns[GAMES],
		      void (*visit)(struct programs *programs))
{
	struct programs *programs = configuration->attached ? attach(configuration) : NULL;
	struct floor_bpf *floor = configuration->floor ? floor_bpf__open_and_load() : NULL;
	pthread_t reader;

	if (floor && floor_bpf__attach(floor) < 0)
		exit(1);

	game.tagged = configuration->tagged;
	game.apart = configuration->apart;
	game.depth = configuration->depth;
	if (programs) {
		atomic_store(&reading, true);
		pthread_create(&reader, NULL, read_ring, NULL);
	}
	for (int by_futex = 0; by_futex < 2; by_futex++) {
		game.by_futex = by_futex;
		play(); /* warm */
		out_ns[by_futex] = play();
	}
	out_ns[GAMES - 1] = make_threads();
	floor_bpf__destroy(floor);
	if (!programs)
		return;
	atomic_store(&reading, false);
	pthread_join(reader, NULL);
	if (visit)
		visit(programs);
	ring_close(ring);
	mapping_events_close(mappings);
	unwind_load_free(tables);
	tables = NULL;
	programs_close(programs);
}

/* ---- figures */

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* The first one is what the others are compared with. */
static bool is_chosen(size_t configuration, char **names)
{
	const char *name = configurations[configuration].name;
	bool chosen = configuration == 0 || !names[0];

	for (size_t i = 0; names[i] && !chosen; i++)
		chosen = strncmp(name, names[i], strlen(names[i])) == 0;
	return chosen;
}

static void print_game(const char *name, char **names, double samples[CONFIGURATIONS][MAX_TURNS],
		       int turns, bool threads)
{
	printf("\n%s\n%-18s %8s %8s %9s %9s %7s\n", name, "", "least", "median", "+ least",
	       "+ median", "ratio");
	for (size_t i = 0; i < CONFIGURATIONS; i++) {
		const struct configuration *configuration = &configurations[i];

		if (!is_chosen(i, names))
			continue;
		qsort(samples[i], (size_t)turns, sizeof(double), compare);
		double added = samples[i][0] - samples[0][0];

		printf("%-18s %8.0f %8.0f %9.0f %9.0f %7.2f", configuration->name, samples[i][0],
		       samples[i][turns / 2], added, samples[i][turns / 2] - samples[0][turns / 2],
		       samples[i][0] / samples[0][0]);
		int target_ns = threads && configuration->follow ? THREAD_TARGET_NS
				: threads                        ? 0
								 : configuration->target_ns;

		if (target_ns)
			printf("  target %d: %s", target_ns,
			       added <= target_ns ? "held" : "MISSED");
		printf("\n");
	}
}

static void print_statistics(struct programs *programs)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, programs_object(programs))
	{
		struct bpf_prog_info info = { 0 };
		uint32_t bytes = sizeof(info);
		int fd = bpf_program__fd(program);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &bytes) < 0 || info.run_cnt == 0)
			continue;
		printf("  %-22s %9llu runs %7llu ns each, %5u instructions\n",
		       bpf_program__name(program), (unsigned long long)info.run_cnt,
		       (unsigned long long)(info.run_time_ns / info.run_cnt),
		       info.xlated_prog_len / 8);
	}
}

static void show_statistics(void)
{
	static const size_t shown[] = { 2, CONFIGURATIONS - 1 };
	int enabled = bpf_enable_stats(BPF_STATS_RUN_TIME);
	double ignored[GAMES];

	for (size_t i = 0; i < ARRAY_LEN(shown) && enabled >= 0; i++) {
		printf("\neach program, by the kernel's own clock (which costs some 20 ns), %s\n",
		       configurations[shown[i]].name);
		take_turn(&configurations[shown[i]], ignored, print_statistics);
	}
	if (enabled >= 0)
		close(enabled);
}

int main(int argc, char **argv)
{
	static double samples[GAMES][CONFIGURATIONS][MAX_TURNS];
	int turns = argc > 1 ? atoi(argv[1]) : 9;
	char **names = argv + MIN(argc, 2);

	turns = MAX(1, MIN(turns, MAX_TURNS));
	if (pipe(game.there) || pipe(game.back))
		return 1;
	pin((int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
	for (int turn = 0; turn < turns; turn++) {
		for (size_t i = 0; i < CONFIGURATIONS; i++) {
			double ns[GAMES];

			if (!is_chosen(i, names))
				continue;
			take_turn(&configurations[i], ns, NULL);
			for (int which = 0; which < GAMES; which++)
				samples[which][i][turn] = ns[which];
		}
	}
	print_game("pipe: ns per switch (with its waking)", names, samples[0], turns, false);
	print_game("futex: ns per switch (with its waking)", names, samples[1], turns, false);
	print_game("threads: ns per thread made and ended", names, samples[2], turns, true);
	if (!names[0])
		show_statistics();
	return 0;
}
