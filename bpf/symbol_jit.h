/* SPDX-License-Identifier: Apache-2.0 */
/* The names of one process's run-time code: of its perf map, and of its jitdump. */
#pragma once

#include <sys/types.h>

#include "bpf/symbol_maps.h"
#include "bpf/symbol_perf_map.h"

struct symbol_jit {
	struct symbol_perf_map perf_map, jitdump;
};

void symbol_jit_fini(struct symbol_jit *jit);
size_t symbol_jit_bytes(const struct symbol_jit *jit);

/* Whose files they are. */
struct symbol_jit_owner {
	int directory_fd; /* /proc/PID */
	uint32_t ns_pid;  /* as it counts itself */
	uid_t uid;        /* its effective one */
	const struct symbol_maps *maps;
};

/* Takes what is new in either, and keeps no more than `most_bytes` of each. */
void symbol_jit_read(struct symbol_jit *jit, const struct symbol_jit_owner *owner,
		     size_t most_bytes);

/* NULL: none. Borrowed until the next call. */
const char *symbol_jit_find(struct symbol_jit *jit, uint64_t address);
