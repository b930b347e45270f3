/* SPDX-License-Identifier: Apache-2.0 */
/* Waits of every kind, each in a span of its own, by a program that knows what they are. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAIT_MS 12
#define PAGE    4096

/* One wait. The other thread ends it WAIT_MS after it is seen to wait, if it does not end by
 * itself.
 */
struct step {
	const char *name;
	const char *reason;
	void (*before)(void); /* NULL: nothing is to be done */
	void (*wait)(void);
	void (*end)(void); /* NULL: it ends by itself */
	void (*after)(void);
};

/* A list ends with a NULL name. */
extern const struct step lock_steps[], shared_steps[], socket_steps[], peer_steps[],
	message_steps[], poll_steps[], file_steps[], fault_steps[], process_steps[], seldom_steps[],
	kernel_steps[], ring_steps[], named_steps[], crossed_steps[];

/* What the target's text must be: a regular expression of Python's, said by `before` or `wait`.
 * Without one, the target is nobody's business. */
void say_target(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Who must have ended it: a tid, or "timer" and the like. */
void say_waker(const char *kind, int tid);
/* It cannot be had on this machine. */
void say_missing(const char *why);

void must(bool done);
/* For those who end the wait, also in child processes: until it has begun; until the thread sleeps
 * in it, and WAIT_MS more. */
void await_begin(void);
void await_wait(void);
void pause_ms(long ms);
int own_tid(void);
/* A child process that runs `work` and ends. */
int run_child(void (*work)(void));
void reap_child(void);
extern int child;
/* A file in the working folder, of some pages, cold on request. */
int open_file(const char *name);
void make_cold(int fd);
