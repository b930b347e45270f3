/* SPDX-License-Identifier: Apache-2.0 */
#include "game.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

#include "bpf/tag.h"
#include "collector/base/macros.h"

#define LAPS        40
#define WARM_LAPS   4
#define ROUND_TRIPS 200 /* of one lap */
#define THREAD_LAPS 250
#define THREADS     10 /* of one lap, one after the other */

/* As our own writers keep it: the record right behind the variable. */
static __thread struct {
	struct tag_record *tag;
	struct tag_record record;
} own;

static struct {
	int pipes[2][2], sockets[2], server[2]; /* which is written to at 1, read from at 0 */
	_Atomic uint32_t word;                  /* whose turn it is: 0 or 1 */
	enum game_kind kind;
	const struct game_tag *tag;
	uint64_t least_ns; /* of all laps */
} game;

static int open_sockets(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), no_delay = 1;
	socklen_t bytes = sizeof(address);

	game.sockets[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || game.sockets[0] < 0 ||
	    bind(listener, (struct sockaddr *)&address, bytes) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &bytes) < 0 ||
	    connect(game.sockets[0], (struct sockaddr *)&address, bytes) < 0)
		return -errno;
	game.sockets[1] = accept(listener, NULL, NULL);
	close(listener);
	for (int side = 0; side < 2; side++)
		if (setsockopt(game.sockets[side], IPPROTO_TCP, TCP_NODELAY, &no_delay,
			       sizeof(no_delay)) < 0)
			return -errno;
	return 0;
}

/* Sends back whatever comes, until we end. */
static void serve(int from, int to)
{
	char byte;

	while (read(from, &byte, 1) == 1)
		if (write(to, &byte, 1) != 1)
			break;
	_exit(0);
}

static int open_server(void)
{
	int there[2], back[2];

	if (pipe(there) || pipe(back))
		return -errno;
	pid_t child = fork();

	if (child < 0)
		return -errno;
	if (child == 0) {
		close(there[1]);
		close(back[0]);
		serve(there[0], back[1]);
	}
	close(there[0]);
	close(back[1]);
	game.server[0] = back[0];
	game.server[1] = there[1];
	return 0;
}

int game_open(void)
{
	int rc = open_server();

	if (rc < 0)
		return rc;
	if (pipe(game.pipes[0]) || pipe(game.pipes[1]))
		return -errno;
	return open_sockets();
}

int64_t game_variable_offset(void)
{
	return (char *)&own - (char *)__builtin_thread_pointer();
}

/* ---- a lap */

static void pass_bytes(int to, int from, bool first)
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

static void play_lap(uint32_t me)
{
	if (game.kind == GAME_FUTEX)
		pass_futex(me);
	else if (game.kind == GAME_SERVER)
		pass_bytes(game.server[1], game.server[0], true);
	else if (game.kind == GAME_TCP)
		pass_bytes(game.sockets[me], game.sockets[me], me == 0);
	else
		pass_bytes(game.pipes[me][1], game.pipes[1 - me][0], me == 0);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static void play_side(uint32_t me)
{
	struct tag_record apart, *record = game.tag->apart ? &apart : &own.record;

	*record = (struct tag_record){ .valid = 1 };
	memset(record->trace_id, 0xab, sizeof(record->trace_id));
	record->span_id[0] = (uint8_t)(1 + me);
	own.tag = game.tag->tagged ? record : NULL;
	for (int lap = 0; lap < WARM_LAPS + LAPS; lap++) {
		uint64_t begin_ns = now_ns();

		play_lap(me);
		if (me == 0 && lap >= WARM_LAPS)
			game.least_ns = MIN(game.least_ns, now_ns() - begin_ns);
	}
	own.tag = NULL;
}

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
	play_below(1, game.tag->depth);
	return arg;
}

static double play_pair(void)
{
	pthread_t other;

	atomic_store(&game.word, 0);
	if (game.kind != GAME_SERVER && pthread_create(&other, NULL, other_side, NULL))
		abort();
	play_below(0, game.tag->depth);
	if (game.kind != GAME_SERVER)
		pthread_join(other, NULL);
	return (double)game.least_ns / (2.0 * ROUND_TRIPS);
}

/* ---- threads that are made, do nothing, and end */

static void *nothing(void *arg)
{
	return arg;
}

static double make_threads(void)
{
	for (int lap = 0; lap < THREAD_LAPS; lap++) {
		uint64_t begin_ns = now_ns();

		for (int i = 0; i < THREADS; i++) {
			pthread_t thread;

			if (pthread_create(&thread, NULL, nothing, NULL))
				abort();
			pthread_join(thread, NULL);
		}
		game.least_ns = MIN(game.least_ns, now_ns() - begin_ns);
	}
	return (double)game.least_ns / THREADS;
}

double game_play(enum game_kind kind, const struct game_tag *tag)
{
	game.kind = kind;
	game.tag = tag;
	game.least_ns = UINT64_MAX;
	return kind == GAME_THREAD ? make_threads() : play_pair();
}
