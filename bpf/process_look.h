/* SPDX-License-Identifier: Apache-2.0 */
/* One look at one process: who it is, whether it publishes a context, and where.
 *
 * Everything goes through one descriptor of /proc/PID, so that a pid that is given out again
 * meanwhile gives an error and never another process's answer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/elf_cache.h"
#include "bpf/event.h"
#include "bpf/process_maps.h"
#include "bpf/tag.h"

/* What looks share: buffers, and what files said. */
struct process_looker {
	struct elf_cache *cache;  /* owned */
	struct process_maps maps; /* of the process just looked at */
	bool no_map_files;        /* /proc/PID/map_files was denied: not tried again */
};

/* Where a process keeps its variables. That there are none depends on its modules only. */
struct process_variables {
	uint64_t signature; /* of the modules */
	bool is_complete;   /* false: something was not relocated yet, look again */
	bool is_32bit;
	bool needs_schema; /* counts only if the process context says that labels hold spans */
	struct tag_descriptor descriptor;
	char text[128]; /* for event_process.variable */
};

int process_looker_init(struct process_looker *looker, uint32_t max_files);
void process_looker_fini(struct process_looker *looker);

/* Fills all but `gone` of `out_process`, and `variables`, which holds the result of the look
 * before, or zeros. 0: see out_process->publish. -ESRCH: it is gone. -ENOEXEC: a kernel thread.
 * -EAGAIN: its leader has ended and hides the rest: what was known holds. */
int process_look(struct process_looker *looker, uint32_t pid, struct event_process *out_process,
		 struct process_variables *variables);
