/* SPDX-License-Identifier: Apache-2.0 */
/* Truth by what each thread shows, in any order, whether it is still open or not: what a thread
 * burns counts for the span that it shows and for all above it, as far as they are open then.
 *
 *   shown_begin ... shown_show(span) ... shown_end ... shown_show(another, or NULL)
 *
 * A span may be ended while threads show it, by any thread, and be shown again when it is over. Not
 * to be mixed with truth_open and the like on a thread. Not in signal handlers that may interrupt
 * one of these. */
#pragma once

#include <stdbool.h>

#include "tests/bench/accuracy/truth.h"

/* Below `parent`, or the root of a new trace; it starts now. */
struct truth_span *shown_begin(const char *name, struct truth_span *parent);
/* ... started then (CLOCK_REALTIME), when nobody had it yet. What this thread has burned since its
 * CPU clock told `way_cpu_ns`, and burns until it shows the span, may count for it or not. */
struct truth_span *shown_begin_at(const char *name, struct truth_span *parent, uint64_t start_ns,
				  uint64_t way_cpu_ns);

/* NULL: nothing. */
void shown_show(struct truth_span *span);
struct truth_span *shown_now(void);
void shown_end(struct truth_span *span);
/* What the thread did since that edge, all the while showing what it shows, is told as a span below
 * that, which ends now. */
void shown_tell(const char *name, const struct truth_edge *began);
/* Its clock stops now, and the SDK is told that later, by shown_mark_end. */
void shown_stop(struct truth_span *span);
void shown_mark_end(struct truth_span *span);

/* Begun, and shown from now on. */
struct truth_span *shown_enter(const char *name, struct truth_span *parent);

/* 5 to 700 us on the CPU. */
void shown_spin(void);
/* A wait of the only thread that shows these spans. */
void shown_nap(uint64_t least, uint64_t most);
/* ... of 20 us to 2 ms, or none. */
void shown_pause(void);

/* Two threads run it; returns when both have. */
void shown_at_once(void *(*run)(void *));

/* Spans that this thread begins and ends are marked, where the program is told to mark, or not. */
void shown_by_marking_sdk(bool marks);
