/* SPDX-License-Identifier: Apache-2.0 */
/* What services do, written as programs for the threads of a schedule.
 *
 * Each scenario appends one request to the threads that it is given, so that calls in a row make a
 * busy service. Add one: write it, and list it in scenario_random(). */
#pragma once

#include "tests/unit/correlate/schedule.h"

/* One thread, nested spans with waits in and around them. Returns the root. */
int32_t scenario_nested(struct schedule *schedule, uint32_t thread, unsigned depth);
/* Many short spans in a row, without a switch between. */
void scenario_back_to_back(struct schedule *schedule, uint32_t thread, unsigned count);
/* One span over many waits. */
int32_t scenario_many_waits(struct schedule *schedule, uint32_t thread, unsigned cycles);
/* One span of that length, mostly waits, with short ones in it. */
void scenario_long(struct schedule *schedule, uint32_t thread, uint64_t ns);
/* Children on other threads of the process, while the first one waits for them. */
void scenario_fan_out(struct schedule *schedule, const uint32_t *threads, unsigned count);
/* Begun on one thread, ended on another, queued in between. */
void scenario_hand_over(struct schedule *schedule, uint32_t from, uint32_t to);
/* A client span, and the server span that answers it in another process. */
void scenario_remote(struct schedule *schedule, uint32_t client, uint32_t server);
/* A child that is published but was not sampled. */
void scenario_unexported(struct schedule *schedule, uint32_t thread);
/* Two siblings that take turns on one thread, as on an event loop. */
void scenario_event_loop(struct schedule *schedule, uint32_t thread);
/* Two traces that do. */
void scenario_traces_in_turns(struct schedule *schedule, uint32_t thread);
/* A child process is made within a span, and goes on by itself: for nobody, or with spans of its
 * own, of which one may be below its parent's. */
void scenario_fork(struct schedule *schedule, uint32_t thread);
/* scenario_styles.c, with the knob `has_styles`. A thread that is made for one request, and ends.
 */
void scenario_thread_a_request(struct schedule *schedule, uint32_t thread);
/* So many requests that an event loop serves at once, each with spans that it awaits in. */
void scenario_many_tasks(struct schedule *schedule, uint32_t thread, unsigned tasks);
/* A span is put aside, and taken up after a wait: that shows in the records. A process that never
 * shows one is believed to take no turns, and nothing tells of those between two looks. */
void scenario_seen_turn(struct schedule *schedule, uint32_t thread);
/* A call that another node answers, and calls back; and one from there. */
void scenario_foreign_server(struct schedule *schedule, uint32_t thread);
void scenario_foreign_client(struct schedule *schedule, uint32_t thread);
/* A trace that nobody exports. */
void scenario_unsampled(struct schedule *schedule, uint32_t thread);
/* ... within a span of another one, with the knob `has_hidden`. */
void scenario_hidden(struct schedule *schedule, uint32_t thread);
/* Another thread carries the span as well, without one of its own. */
void scenario_lend(struct schedule *schedule, uint32_t thread, uint32_t helper);
/* With the knob `has_unshown`. Spans that are begun and ended, and that no tag tells of, within one
 * that shows or by themselves. */
void scenario_never_shown(struct schedule *schedule, uint32_t thread, bool is_within);
/* Begun long before a thread takes it up: the same one, after something else, or `other`. */
void scenario_begun_ahead(struct schedule *schedule, uint32_t thread, uint32_t other);
/* ... and ended long after it was put down. */
void scenario_ended_late(struct schedule *schedule, uint32_t thread, uint32_t other);
/* scenario_parts.c, with the knob `has_parts`. Begun and worked at within its parent, and then by
 * another thread, which ends it, or hands it back; with children that were not sampled beside. */
void scenario_parts(struct schedule *schedule, uint32_t thread, uint32_t other);
/* scenario_slips.c, with the knob `has_slips`. Spans that are over and shown still, by the thread
 * that ended them, or by another one; told when they are over; not sampled, and on another thread;
 * left to a forked child; processes that become another program. */
void scenario_forgotten(struct schedule *schedule, uint32_t thread);
void scenario_callbacks(struct schedule *schedule, uint32_t thread, uint32_t other);
void scenario_ended_for(struct schedule *schedule, uint32_t thread, uint32_t other);
void scenario_given_times(struct schedule *schedule, uint32_t thread, uint32_t other);
void scenario_unexported_elsewhere(struct schedule *schedule, uint32_t thread, uint32_t other);
void scenario_left_to_child(struct schedule *schedule, uint32_t thread);
void scenario_program(struct schedule *schedule, uint32_t thread);
/* Work for no span. */
void scenario_idle(struct schedule *schedule, uint32_t thread);
/* Short runs and sleeps on each CPU, by another process that works for no span: so that each CPU's
 * clock gets known. */
void scenario_background(struct schedule *schedule, uint64_t ns);

/* A busy service of `requests` requests, of everything above. */
void scenario_random(struct schedule *schedule, unsigned requests);
