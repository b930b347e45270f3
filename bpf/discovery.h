/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes publish a context, and where each keeps it.
 *
 * Runs in the probe's worker, one thread. Looks at every process of /proc, reads ELF files and
 * foreign memory; both are hostile: sizes are capped, nothing is trusted, no call takes longer than
 * its budget. Without OTEP 4719's process context it looks for the symbol all the same. Errors are
 * negative errno. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/event.h"
#include "bpf/tag.h"

struct discovery;

struct discovery_options {
	uint32_t max_processes; /* that are remembered */
	uint32_t rescan_ms;     /* each process is looked at again at least this often, ... */
	/* ... but one whose code can publish nothing less often, the longer that is so: new code
	 * is told by discovery_on_mapping. */
	bool tells_mappings;
	/* News of a process. `descriptor` is NULL when it publishes nothing (any more) or is gone.
	 * Both are borrowed. Called only from inside the functions below. */
	void (*on_process)(const struct event_process *process,
			   const struct tag_descriptor *descriptor, void *arg);
	void *arg;
};

struct discovery_stats {
	/* Seen: looked inside. No kernel thread, and no process that had ended before. */
	uint32_t processes_seen, processes_publishing, processes_unreadable, files_refused;
	uint64_t cache_bytes;
	uint32_t processes_refused; /* beyond max_processes, none to be forgotten for them */
	uint32_t pad;
};

int discovery_new(const struct discovery_options *options, struct discovery **out_discovery);
void discovery_free(struct discovery *discovery);

/* Hints from the kernel, cheap: they only queue. A pid that forked inherits its parent's
 * descriptor; one that exits is told to be gone a while after its last slice. */
void discovery_on_fork(struct discovery *discovery, uint32_t parent_pid, uint32_t child_pid);
void discovery_on_exec(struct discovery *discovery, uint32_t pid);
void discovery_on_exit(struct discovery *discovery, uint32_t pid);
void discovery_on_mapping(struct discovery *discovery, uint32_t pid); /* a new executable mapping */
void discovery_on_log(struct discovery *discovery, uint32_t pid);     /* it is in exact mode */

/* Does what is due, for at most `budget_ns`; the first call looks at all processes. Returns the ms
 * until it wants to be called again (0: at once). `now_ns` is CLOCK_MONOTONIC. */
int discovery_run(struct discovery *discovery, uint64_t now_ns, uint64_t budget_ns);

void discovery_stats(const struct discovery *discovery, struct discovery_stats *out_stats);
