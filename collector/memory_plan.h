/* SPDX-License-Identifier: Apache-2.0 */
/* memory_limit_mib, shared out: every part that can grow gets its share, so that the sum holds. */
#pragma once

#include <stddef.h>

struct buf;
struct config;

struct memory_plan {
	size_t limit_bytes;
	size_t ring_bytes;       /* the kernel's ring buffer: a power of two, <= 1/8 */
	size_t in_flight_bytes;  /* requests, from their first byte until they are correlated */
	size_t correlator_bytes; /* timelines, folds, unsettled traces: nearly half */
	size_t ledger_bytes;     /* settled ledgers that wait for the writer */
	size_t index_bytes;      /* youngest index run of the store */
	size_t stack_bytes;      /* names of stacks, until they are stored */
	size_t name_bytes;       /* ... that answers were given */
	size_t thread_bytes;     /* the kernel's table of tracked threads */
	size_t symbol_bytes;     /* symbols of files, run-time code and the kernel: the probe's */
	size_t table_bytes;      /* unwind tables: the kernel's maps of them, at most */
};

struct memory_plan memory_plan(const struct config *config);

/* Makes malloc give large blocks back, so that RSS follows what the parts hold. Once, before there
 * are threads. */
void memory_plan_tell_heap(void);

/* -EINVAL, with a sentence: settings that do not fit together. */
int memory_plan_check(const struct config *config, struct buf *message);
