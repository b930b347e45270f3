/* SPDX-License-Identifier: Apache-2.0 */
/* Two threads on one CPU that do nothing but switch, and threads that are made and end.
 *
 * Laps are short enough to fall between two disturbances, and the least of them is told. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum game_kind {
	GAME_PIPE,   /* ns for one switch with its waking, the CPU never idle */
	GAME_FUTEX,  /* the same */
	GAME_TCP,    /* the same, over loopback: a softirq wakes */
	GAME_SERVER, /* the same, pipes, with a process that nobody follows */
	GAME_THREAD, /* ns for one thread, made and joined */
	GAMES,
};

struct game_tag {
	bool tagged;
	bool apart; /* the record is not right behind the variable */
	int depth;  /* so many calls deeper: what a walk has to pass */
};

/* Once; the server keeps to the caller's CPU, and is followed where the caller already is. -errno.
 */
int game_open(void);
double game_play(enum game_kind kind, const struct game_tag *tag);
/* Of the variable that the players publish by, from the thread pointer. */
int64_t game_variable_offset(void);
