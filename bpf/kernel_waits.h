/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's functions that tell what a thread in them waits for: from kallsyms to the table of
 * the kernel half (worker_shared.h). Names differ by version and compiler; one that is not there
 * tells nothing, and the reason stays that of state and call. */
#pragma once

#include <stdint.h>

#include "bpf/symbol_table.h"
#include "bpf/worker_shared.h"

/* enum event_kernel_wait of a function's name, which may have a suffix such as ".isra.0". */
uint32_t kernel_waits_of(const char *name);

/* Of all of the kernel's symbols, sorted; returns how many are in use, the rest are filled up. */
uint32_t kernel_waits_pick(const struct symbol_table *kernel,
			   struct kernel_wait out_waits[static KERNEL_WAITS]);
