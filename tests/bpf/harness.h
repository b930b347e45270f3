/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a subject under the BPF programs and keeps all records for questions afterwards. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "bpf/event_tails.h"
#include "bpf/ring.h"
#include "bpf/worker_programs.h"
#include "correlate/again.h"

#define HARNESS_MAX_WAITS 64

/* What the subject says of a wait; see subject.c. */
struct harness_wait {
	char name[16];
	int tid, waker;
	uint64_t span, identity;
	uint64_t before_ns, after_ns, cpu_before_ns, cpu_after_ns;
};

struct harness_named {
	char name[16];
	int tid;
	uint64_t span, cpu_ns;
};

struct harness {
	const char *subject; /* path */
	struct programs *programs;
	struct ring *ring;
	pid_t pid; /* of the subject */
	FILE *to_subject, *from_subject;
	struct tag_descriptor descriptor;
	char *records; /* one after another; what was told in short as whole slices */
	size_t records_bytes, records_room;
	bool cuts_at_timers; /* each ends the running slice */
	bool tells_twice;    /* what is told in short comes in full, too, and must be the same */
	const char *types;   /* a file with those of a kernel to take this one for; NULL: its own */
	size_t told_in_short;
	struct event_last **last_by_tid; /* of each thread; NULL: none so far */
	struct harness_wait waits[HARNESS_MAX_WAITS];
	size_t wait_count;
	struct harness_named names[HARNESS_MAX_WAITS];
	size_t name_count;
};

/* The arguments of a test: variant ("typed", "raw") and path of the subject. Does not return where
 * BPF is not to be had: prints why and exits with 77. */
void harness_init(struct harness *harness, int argc, char **argv);
/* What main() returns, of how many tests failed. Some kernels hide a process from all tracepoints,
 * and with it whatever an interrupt does while one of its threads is current: where tests failed
 * and such a loss was counted, the whole program runs again (HARNESS_ATTEMPTS in all) and this does
 * not return. */
#define HARNESS_ATTEMPTS 5
int harness_verdict(const struct harness *harness, int failed, char **argv);

void harness_open(struct harness *harness, uint32_t ring_bytes, uint32_t tick_hz);
/* With a table of threads that holds `threads`, at least 8. */
void harness_open_small(struct harness *harness, uint32_t threads);
/* Taking stacks, as many as there are waits. */
void harness_open_stacks(struct harness *harness);
/* Without ticks, but each timer ends a slice, as if much had been stolen in it. */
void harness_open_cutting(struct harness *harness);
/* What is told in short is told twice, and compared; `takes_stacks`: as harness_open_stacks. */
void harness_open_twice(struct harness *harness, bool takes_stacks);
void harness_close(struct harness *harness);

/* Starts the subject up to where it waits for its cue; follows it unless told not to. */
void harness_start(struct harness *harness, const char *scenario, bool follow);
/* Gives the cue, reads what it says and collects records until it is gone. With `drain` false, the
 * ring is left alone meanwhile. */
void harness_play(struct harness *harness, bool drain);
/* As harness_play, but drains only once, when the subject stands at its gate. */
void harness_play_gated(struct harness *harness);
/* For tests that read what it says themselves: the cue, and after its last word its end. */
void harness_cue(struct harness *harness);
void harness_wait_for_end(struct harness *harness);
/* All of it. */
void harness_run(struct harness *harness, const char *scenario);

/* Takes what is in the ring now. */
void harness_drain(struct harness *harness);

/* The records in order; begin with NULL. */
const struct event_header *harness_next(const struct harness *harness,
					const struct event_header *record);
/* The next slice of this thread after `slice`, or its first. */
const struct event_slice *harness_next_slice(const struct harness *harness, int tid,
					     const struct event_slice *slice);
/* 0: any. */
size_t harness_count(const struct harness *harness, uint32_t kind, uint32_t pid);

const struct harness_wait *harness_wait(const struct harness *harness, const char *name);
const struct harness_named *harness_named(const struct harness *harness, const char *name);

/* Span ids of the subject are numbers; 0: no tail. */
uint64_t harness_span(const struct event_tag *tag);
