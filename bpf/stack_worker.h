/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's thread for stacks: takes their addresses out of their ring, finds the names, tells
 * the collector (PROBE_STACK).
 *
 * A thread of its own, for reading a large file takes long and a new process must not wait for it.
 * Each stack is told once in a while, so that the collector may forget it. Errors are negative
 * errno. */
#pragma once

#include <stdint.h>

#include "bpf/symbolizer.h"
#include "bpf/unwind_load.h"

struct stack_worker;

/* `stacks_fd`: the ring; `tables`: where unwind tables go; `socket_fd`: where messages go. All are
 * the caller's and outlive it. `symbol_bytes`: for names that are kept; 0: 16 MiB. */
int stack_worker_start(int stacks_fd, const struct unwind_load_fds *tables, int socket_fd,
		       size_t symbol_bytes, struct stack_worker **out_worker);
void stack_worker_stop(struct stack_worker *worker);

/* From any thread: a process is followed from now on or has mapped something, has become another
 * program, or is gone. */
void stack_worker_meet(struct stack_worker *worker, uint32_t pid);
void stack_worker_forget(struct stack_worker *worker, uint32_t pid);
void stack_worker_gone(struct stack_worker *worker, uint32_t pid);

void stack_worker_stats(struct stack_worker *worker, struct symbolizer_stats *out_named,
			struct unwind_load_stats *out_walked);
