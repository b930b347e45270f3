/* SPDX-License-Identifier: Apache-2.0 */
/* What this kernel is like, by the types that it tells of itself (BTF). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct btf;

/* For the caller to free (btf__free). NULL: nothing works here; the sentence says why. */
struct btf *kernel_types_open(char *why, size_t why_bytes);

/* Is there such a tracepoint, for tp_btf? */
bool kernel_types_have_hook(const struct btf *kernel, const char *name);

/* Does the tracepoint sched_switch pass prev_state? */
bool kernel_types_pass_prev_state(const struct btf *kernel);

/* Under PREEMPT_RT: is a BPF ring guarded by a lock that may sleep? Then writing into it from the
 * scheduler brings the machine down. */
bool kernel_types_ring_sleeps(const struct btf *kernel);

/* Can a program keep other threads off its CPU while it calls global functions of its own? The
 * verifier lets it since 6.15 (e2d8f560d176), which shows in no type: 6.17 on, by what that has. */
bool kernel_types_keep_cpu(const struct btf *kernel);

/* Has it all the functions that the typed programs name (6.10)? */
bool kernel_types_have_functions(const struct btf *kernel);
