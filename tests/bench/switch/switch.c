/* SPDX-License-Identifier: Apache-2.0 */
/* What a context switch costs more with the programs attached.
 *
 * Two threads on one CPU play ping-pong through pipes, futexes or loopback; another CPU drains the
 * ring every 10 ms. All configurations are loaded, and attached one after the other in short turns,
 * round after round in another order, as is a floor of empty programs at the same hooks: what each
 * costs is told by the differences within a round (rounds.h). Then one more turn with the kernel's
 * own statistics of each program.
 *
 *   bench_switch [ROUNDS [CONFIGURATION...]]
 *
 * Named configurations only, by the beginnings of their names. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/perf_events.h"
#include "bpf/ring.h"
#include "bpf/symbol_open.h"
#include "bpf/unwind_load.h"
#include "bpf/worker_programs.h"
#include "collector/base/macros.h"
#include "floor.skel.h"
#include "game.h"
#include "rounds.h"

#define RING_BYTES (16u << 20)

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* ---- configurations */

static const struct configuration {
	const char *name;
	struct game_tag tag;
	bool floor, attached, follow, no_targets, no_wakers, no_servers, in_full;
	int target_ns;
	uint32_t stacks_per_s;
	bool tables; /* walked by these, else by frame pointers */
} configurations[] = {
	{ .name = "off" },
	{ .name = "empty programs", .floor = true },
	{ .name = "untracked", .attached = true, .target_ns = 100 },
	{ .name = "tracked, no tag", .attached = true, .follow = true },
	{ .name = "tagged, bare",
	  .attached = true,
	  .follow = true,
	  .tag.tagged = true,
	  .no_targets = true,
	  .no_wakers = true,
	  .target_ns = 220 },
	{ .name = "bare, apart",
	  .attached = true,
	  .follow = true,
	  .tag.tagged = true,
	  .tag.apart = true,
	  .no_targets = true,
	  .no_wakers = true },
	{ .name = "in full, bare", /* no slice is told in short */
	  .attached = true,
	  .follow = true,
	  .tag.tagged = true,
	  .no_targets = true,
	  .no_wakers = true,
	  .in_full = true },
	{ .name = "tagged + target",
	  .attached = true,
	  .follow = true,
	  .tag.tagged = true,
	  .no_wakers = true },
	{ .name = "tagged + waker",
	  .attached = true,
	  .follow = true,
	  .tag.tagged = true,
	  .no_targets = true },
	{ .name = "tagged, all",
	  .attached = true,
	  .follow = true,
	  .tag.tagged = true,
	  .target_ns = 350 },
	{ .name = "all, no servers", /* whom they woke is not kept */
	  .attached = true,
	  .follow = true,
	  .tag.tagged = true,
	  .no_servers = true },
	{ .name = "in full, all",
	  .attached = true,
	  .follow = true,
	  .tag.tagged = true,
	  .in_full = true },
	{ .name = "with stacks", /* at the default budget */
	  .attached = true,
	  .follow = true,
	  .tag.tagged = true,
	  .stacks_per_s = 10000,
	  .tables = true,
	  .target_ns = 500 },
	{ .name = "every stack, FP",
	  .attached = true,
	  .follow = true,
	  .tag.tagged = true,
	  .stacks_per_s = 1000000000 },
	{ .name = "every stack",
	  .attached = true,
	  .follow = true,
	  .tag.tagged = true,
	  .stacks_per_s = 1000000000,
	  .tables = true },
	{ .name = "every stack, deep", /* 32 frames more */
	  .attached = true,
	  .follow = true,
	  .tag.tagged = true,
	  .stacks_per_s = 1000000000,
	  .tables = true,
	  .tag.depth = 32 },
};

#define CONFIGURATIONS   ARRAY_LEN(configurations)
#define OFF              0 /* what all are compared with */
#define FLOOR            1 /* ... and what is the machine's own of it */
#define THREAD_TARGET_NS 1000

/* ---- loaded once, attached again and again */

static struct loaded {
	struct programs *programs; /* NULL: nothing of ours */
	struct floor_bpf *floor;
	struct ring *ring;
	struct mapping_events *mappings;
	struct unwind_load *tables;
} all[CONFIGURATIONS];

static void load_tables(struct loaded *loaded)
{
	struct symbol_maps maps = { 0 };
	struct unwind_load_fds fds;
	int directory_fd = symbol_open_process((uint32_t)getpid());

	programs_tables(loaded->programs, &fds);
	if (unwind_load_new(&fds, &loaded->tables) < 0 ||
	    symbol_maps_read(&maps, directory_fd) < 0 ||
	    unwind_load_process(loaded->tables, (uint32_t)getpid(), &maps) < 0)
		exit(1);
	close(directory_fd);
	symbol_maps_fini(&maps);
}

static void load_ours(const struct configuration *configuration, struct loaded *loaded)
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
		.no_servers = configuration->no_servers,
		.again = configuration->in_full ? AGAIN_IN_FULL : AGAIN_IN_SHORT,
	};
	struct tag_descriptor descriptor = {
		.count = 1,
		.variables[0] = { .access = TAG_STATIC, .offset = game_variable_offset() },
	};
	char why[512];

	if (programs_open(&options, why, sizeof(why), &loaded->programs) < 0) {
		fprintf(stderr, "%s\n", why);
		exit(77);
	}
	programs_detach(loaded->programs);
	if (ring_open(programs_records_fd(loaded->programs), RING_BYTES,
		      programs_counters_fd(loaded->programs), programs_cpus(loaded->programs),
		      &loaded->ring) < 0)
		exit(1);
	if (mapping_events_open(programs_cpus(loaded->programs), &loaded->mappings) < 0)
		loaded->mappings = NULL;
	if (configuration->tables)
		load_tables(loaded);
	if (configuration->follow)
		programs_follow(loaded->programs, (uint32_t)getpid(), &descriptor);
}

static void load(const struct configuration *configuration, struct loaded *loaded)
{
	if (configuration->attached)
		load_ours(configuration, loaded);
	if (configuration->floor)
		loaded->floor = floor_bpf__open_and_load();
	if (configuration->floor && !loaded->floor)
		exit(1);
}

static void unload(struct loaded *loaded)
{
	floor_bpf__destroy(loaded->floor);
	ring_close(loaded->ring);
	mapping_events_close(loaded->mappings);
	unwind_load_free(loaded->tables);
	programs_close(loaded->programs);
}

/* ---- the reader, on the other CPU */

static struct loaded *read_from;
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
		ring_consume(read_from->ring, 0, skip, NULL);
		if (read_from->mappings)
			mapping_events_consume(read_from->mappings, ignore, NULL);
		nanosleep(&pause, NULL);
	}
	return arg;
}

/* ---- turns */

/* One turn of the games from `first` on, up to `last`, under one configuration. */
static void take_turn(const struct configuration *configuration, struct loaded *loaded,
		      enum game_kind first, enum game_kind last, double out_ns[GAMES])
{
	pthread_t reader;

	if (loaded->floor && floor_bpf__attach(loaded->floor) < 0)
		exit(1);
	if (loaded->programs && programs_attach(loaded->programs) < 0)
		exit(1);
	if (loaded->programs) {
		read_from = loaded;
		atomic_store(&reading, true);
		if (pthread_create(&reader, NULL, read_ring, NULL))
			exit(1);
	}
	for (enum game_kind game = first; game <= last; game++)
		out_ns[game] = game_play(game, &configuration->tag);
	if (loaded->programs) {
		atomic_store(&reading, false);
		pthread_join(reader, NULL);
		programs_detach(loaded->programs);
	}
	if (loaded->floor)
		floor_bpf__detach(loaded->floor);
}

/* Each round begins with another one, so that none always follows the same. */
static void take_rounds(struct rounds rounds[GAMES], const size_t *chosen, size_t count)
{
	for (size_t round = 0; round < rounds[0].count; round++) {
		for (size_t i = 0; i < count; i++) {
			size_t at = chosen[((round % 2 ? count - i : i) + round / 2) % count];
			double ns[GAMES];

			take_turn(&configurations[at], &all[at], 0, GAMES - 1, ns);
			for (enum game_kind game = 0; game < GAMES; game++)
				rounds[game].ns[at][round] = ns[game];
		}
	}
}

/* ---- figures */

/* Those that the others are compared with are always taken. */
static size_t choose(char **names, size_t out_chosen[CONFIGURATIONS])
{
	size_t count = 0;

	for (size_t at = 0; at < CONFIGURATIONS; at++) {
		bool chosen = at <= FLOOR || !names[0];

		for (size_t i = 0; names[i] && !chosen; i++)
			chosen = strncmp(configurations[at].name, names[i], strlen(names[i])) == 0;
		if (chosen)
			out_chosen[count++] = at;
	}
	return count;
}

static int target_of(const struct configuration *configuration, enum game_kind game)
{
	if (game == GAME_THREAD)
		return configuration->follow ? THREAD_TARGET_NS : 0;
	return game == GAME_TCP || game == GAME_SERVER ? 0 : configuration->target_ns;
}

static void print_game(enum game_kind game, const struct rounds *rounds, const size_t *chosen,
		       size_t count)
{
	printf("\n%s\n%-18s %7s | %6s %6s %6s %8s %6s | %6s\n", rounds->title, "", "median",
	       "added", "low", "high", "of least", "ratio", "- floor");
	for (size_t i = 0; i < count; i++) {
		const struct configuration *configuration = &configurations[chosen[i]];
		struct rounds_difference added, own;
		int target_ns = target_of(configuration, game);

		rounds_compare(rounds, chosen[i], OFF, &added);
		rounds_compare(rounds, chosen[i], FLOOR, &own);
		printf("%-18s %7.0f | %6.0f %6.0f %6.0f %8.0f %6.3f | %6.0f", configuration->name,
		       rounds_median(rounds, chosen[i]), added.median, added.low, added.high,
		       added.of_least, added.ratio, own.median);
		if (target_ns)
			printf("  target %d: %s", target_ns,
			       added.median <= target_ns ? "held" : "MISSED");
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

static void show_turn(size_t at, enum game_kind first, enum game_kind last, const char *what)
{
	double ignored[GAMES];

	if (!all[at].programs)
		return;
	printf("\neach program, by the kernel's own clock (which costs some 20 ns), %s%s\n",
	       configurations[at].name, what);
	take_turn(&configurations[at], &all[at], first, last, ignored);
	print_statistics(all[at].programs);
}

/* What is kept of a server's wakings is so little that only this clock tells. */
static void show_statistics(bool of_all)
{
	int enabled = bpf_enable_stats(BPF_STATS_RUN_TIME);

	if (enabled < 0)
		return;
	if (of_all) {
		show_turn(2, 0, GAMES - 1, "");
		show_turn(CONFIGURATIONS - 1, 0, GAMES - 1, "");
	}
	for (size_t at = 0; at < CONFIGURATIONS; at++)
		if (configurations[at].attached && configurations[at].tag.tagged &&
		    !configurations[at].stacks_per_s && !configurations[at].no_targets &&
		    !configurations[at].no_wakers && !configurations[at].in_full)
			show_turn(at, GAME_SERVER, GAME_SERVER, ", with a server");
	close(enabled);
}

int main(int argc, char **argv)
{
	static struct rounds rounds[GAMES] = {
		[GAME_PIPE].title = "pipe: ns per switch (with its waking)",
		[GAME_FUTEX].title = "futex: ns per switch (with its waking)",
		[GAME_TCP].title = "loopback: ns per switch (with its waking and two softirqs)",
		[GAME_SERVER].title = "server: ns per switch (with its waking), every other "
				      "one of a process that nobody follows",
		[GAME_THREAD].title = "threads: ns per thread made and ended",
	};
	size_t chosen[CONFIGURATIONS];
	char **names = argv + MIN(argc, 2);
	size_t count = choose(names, chosen);
	int wanted = argc > 1 ? atoi(argv[1]) : 20;

	pin((int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
	if (game_open() < 0)
		return 1;
	for (size_t i = 0; i < count; i++)
		load(&configurations[chosen[i]], &all[chosen[i]]);
	for (enum game_kind game = 0; game < GAMES; game++)
		rounds[game].count = (size_t)MAX(1, MIN(wanted, ROUNDS_MAX));
	take_rounds(rounds, chosen, count);
	for (enum game_kind game = 0; game < GAMES; game++)
		print_game(game, &rounds[game], chosen, count);
	show_statistics(!names[0]);
	for (size_t i = 0; i < count; i++)
		unload(&all[chosen[i]]);
	return 0;
}
