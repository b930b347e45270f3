/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that know their own truth.
 *
 * A program of this bench opens and closes spans like any instrumented one. Beside each exported
 * time it reads its thread's CPU clock, and so can say what the span really cost.
 *
 *   truth_open ... truth_close                         on one thread: all that most spans need
 *   truth_begin, truth_enter ... truth_leave, truth_end   carried by several threads, or in turns
 *
 * A thread that enters a span carries it, and its ancestors, until it leaves. Nothing is printed
 * before truth_print, which also prints what forked children have made. Any thread; a span is begun
 * and ended once. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "deploy/instrument/c/spanwise_context.h"

#define TRUTH_MAX_SPANS 20000

struct truth_span {
	uint8_t trace_id[16], span_id[8], parent_id[8];
	const char *name;
	uint64_t start_ns, end_ns; /* CLOCK_REALTIME, as exported */
	_Atomic uint64_t cpu_ns;   /* CLOCK_THREAD_CPUTIME_ID of all who carried it */
	/* how far that may be off: the clocks are not read at one instant */
	_Atomic uint64_t cpu_slack_ns;
	_Atomic uint64_t waited_ns; /* on no CPU, as far as the program knows */
	uint64_t forked_ns;         /* CPU time of processes that it forked */
	/* where `has_own`: what no child had (else: less what children had), and how far that may
	 * be off */
	_Atomic uint64_t own_cpu_ns, own_slack_ns;
	_Atomic uint64_t entered; /* so many times */
	int is_unexported, is_foreign, has_own;
	int is_entry;         /* of another process than its parent */
	const char *kind;     /* as exported; NULL: internal */
	const char *resource; /* JSON: what it says of its process; NULL: its instance id */
	_Atomic int is_open;  /* shown.h; ... */
	struct showing *begun_by;
	int is_shown;
	struct truth_span *parent;
	/* of the thread that carries it: */
	struct truth_span *beneath;
	uint64_t entered_cpu_ns, became_cpu_ns;
	struct spanwise_token token;
};

/* One edge: the exported time between two readings of the CPU clock. Taken again when something
 * came in between. */
struct truth_edge {
	uint64_t real_ns, cpu_ns, slack_ns;
};

struct truth_edge truth_read_edge(void);

/* For who accounts in another way: a span that has not begun; the mark that an SDK makes right
 * before it reads the clock for an edge (truth_make has made the first); whether this thread's
 * does. */
struct truth_span *truth_make(const char *name, struct truth_span *parent);
void truth_mark(const struct truth_span *span);
int truth_is_marking(void);
extern _Thread_local int truth_marks;

/* A span below `parent`, or the root of a new trace. It is not current yet. */
struct truth_span *truth_begin(const char *name, struct truth_span *parent);
void truth_end(struct truth_span *span);
/* The thread carries it from now on; one thread at a time. */
void truth_enter(struct truth_span *span);
void truth_leave(struct truth_span *span);

/* It comes to another task: an event loop's, or another coroutine. */
void truth_turn(void);

/* Begun below the innermost span that the thread carries, or below another thread's, and entered;
 * left and ended. */
struct truth_span *truth_open(const char *name);
struct truth_span *truth_open_below(const char *name, struct truth_span *parent);
void truth_open_made(struct truth_span *span); /* by truth_make, a while ago */
void truth_close(struct truth_span *span);

/* As open and close, but for the context, which it shows in between. */
struct truth_span *truth_open_detached(const char *name);
void truth_show(struct truth_span *span);
void truth_hide(struct truth_span *span);
void truth_close_detached(struct truth_span *span);

/* In the middle of a root span that the thread carries, the process becomes its program anew. There
 * truth_resume tells the span (NULL: this is no such program), which the thread then carries on, or
 * which ends soon and had been carried up to there only. What becoming another program costs may
 * count for it or not. */
void truth_become(struct truth_span *span, char **arguments);
struct truth_span *truth_resume(void);
void truth_carry_on(struct truth_span *span);
void truth_end_uncarried(struct truth_span *span);

/* Around a blocking call: what it waited belongs to all spans that the thread carries. */
void truth_wait_begin(void);
void truth_wait_end(void);

/* All spans as JSON, one a line, after a line that tells the process's instance id. */
void truth_print(void);

/* Burns CPU for so long by the thread's CPU clock. */
void truth_spin_ns(uint64_t ns);

/* CLOCK_MONOTONIC; the thread's CPU clock. */
uint64_t truth_now_ns(void);
uint64_t truth_cpu_ns(void);

/* Numbers from a seed for each thread, fixed or made of TRUTH_SEED: uniform, and uniform in the
 * logarithm. */
uint64_t truth_between(uint64_t least, uint64_t most);
bool truth_one_in(uint64_t count); /* true once in so many times */
uint64_t truth_length_ns(uint64_t least, uint64_t most);
