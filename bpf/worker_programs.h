/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF programs and maps: loaded, attached, and told which processes to follow.
 *
 * One thread. Errors are negative errno, and a sentence that says what to do about it. libbpf's own
 * messages are captured, never printed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/probe.h"
#include "bpf/tag.h"
#include "bpf/worker_shared.h"

struct bpf_object;
struct programs;
struct unwind_load_fds;

/* Which of the objects (task.bpf.h) is loaded; for tests, all but the first. */
enum programs_form {
	PROGRAMS_ANY = 0, /* typed, or raw where the kernel does not load those */
	PROGRAMS_TYPED,   /* with casts where the kernel has them */
	PROGRAMS_UNCAST,
	PROGRAMS_RAW,
};

struct programs_options {
	struct probe_options probe;
	enum programs_form form;
	bool no_targets, no_wakers; /* for the bench: leave these tails out; ... */
	bool no_servers;            /* ... and what stands behind them (server.bpf.h) */
	enum again_telling again;   /* for tests and the bench */
	bool cuts_at_timers;        /* for tests: as if much were stolen all the time */
	const char *types; /* for tests: a file with those of a kernel to take this one for */
};

/* Loads everything and attaches it. `why` receives the sentence on failure. */
int programs_open(const struct programs_options *options, char *why, size_t why_bytes,
		  struct programs **out_programs);
void programs_close(struct programs *programs);

/* For the bench: off and on again, with all that was learnt. */
void programs_detach(struct programs *programs);
int programs_attach(struct programs *programs);

/* Bits of enum probe_feature. */
uint32_t programs_features(const struct programs *programs);
/* With PROBE_RAW_TP: what kept the typed programs from loading. */
const char *programs_why_raw(const struct programs *programs);
unsigned programs_cpus(const struct programs *programs);

/* Descriptors of maps; ours. */
int programs_records_fd(const struct programs *programs);
int programs_counters_fd(const struct programs *programs);
int programs_control_fd(const struct programs *programs);
int programs_stacks_fd(const struct programs *programs);
/* Where unwind tables go. */
void programs_tables(const struct programs *programs, struct unwind_load_fds *out_fds);

/* What is shared with the programs; for tests. */
struct worker_shared *programs_shared(struct programs *programs);

/* The object, for the bench's per-program statistics; ours. */
struct bpf_object *programs_object(const struct programs *programs);

/* Of what the worker has mapped of unwind tables, the rows: they grow with what processes run. */
uint64_t programs_table_bytes(const struct programs *programs);
/* Kernel memory of all maps, these, too. */
uint64_t programs_map_bytes(const struct programs *programs);

/* From now on `pid` publishes so, or, with NULL, nothing. -E2BIG: the map is full, the process is
 * not followed. */
int programs_follow(struct programs *programs, uint32_t pid,
		    const struct tag_descriptor *descriptor);
bool programs_is_followed(const struct programs *programs, uint32_t pid);
