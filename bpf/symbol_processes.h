/* SPDX-License-Identifier: Apache-2.0 */
/* The processes whose code is named: what each has mapped, and what else is read of it.
 *
 * A process is read when it is first asked for, and remembered for a while after its end. Bounded
 * in number; who uses it bounds the bytes. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bpf/python_layout.h"
#include "bpf/symbol_jit.h"
#include "bpf/symbol_maps.h"
#include "collector/base/map.h"

struct symbol_process {
	uint32_t pid;
	uint32_t ns_pid; /* in its own namespace */
	uid_t uid;       /* the effective one */
	bool root_is_ours;
	struct symbol_maps maps;
	struct symbol_jit jit;
	struct python_layout *python; /* owned; NULL: it runs no Python that we know */
	uint64_t read_ns;             /* when the maps were read last; 0: never */
	uint64_t cost_ns;             /* ... and what was made of them: what it took */
	uint64_t jit_ns;              /* ... what names its run-time code */
	uint64_t asked_ns;
};

struct symbol_processes {
	struct map by_pid; /* pid -> struct symbol_process *, owned */
	/* Each time that mappings have been read; NULL: nobody wants to know. */
	void (*on_maps)(uint32_t pid, const struct symbol_maps *maps, void *arg);
	void *arg;
};

void symbol_processes_init(struct symbol_processes *processes);
void symbol_processes_fini(struct symbol_processes *processes);

/* `now_ns` everywhere: CLOCK_MONOTONIC. NULL: no memory, or too many. Borrowed until one is
 * forgotten. */
struct symbol_process *symbol_processes_get(struct symbol_processes *processes, uint32_t pid,
					    uint64_t now_ns);
/* NULL: it was never asked for, or is forgotten. */
struct symbol_process *symbol_processes_find(const struct symbol_processes *processes,
					     uint32_t pid);
void symbol_processes_forget(struct symbol_processes *processes, uint32_t pid);

/* Its mappings, again. */
void symbol_processes_read(struct symbol_processes *processes, struct symbol_process *process,
			   uint64_t now_ns);
/* The same, on a hint that they changed. False: that was done a moment ago, ask again later. */
bool symbol_processes_meet(struct symbol_processes *processes, uint32_t pid, uint64_t now_ns);

size_t symbol_processes_bytes(const struct symbol_processes *processes);
/* Forgets the one that nobody has asked for for the longest, or only what names its run-time code.
 * False: nothing is left but `kept`, which may be NULL. */
bool symbol_processes_drop(struct symbol_processes *processes, const struct symbol_process *kept,
			   bool names_only);
