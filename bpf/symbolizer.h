/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of running processes into names: the probe's, for it may look into everything.
 *
 * Knows the mappings of each process that it was asked about, and reads them again when an address
 * lies in none (a library was loaded), at most once a second. What a process has mapped is
 * remembered for a while after its end. One thread; bounded. Errors are negative errno. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/event.h"
#include "bpf/python_layout.h"
#include "bpf/symbol_maps.h"
#include "collector/base/buf.h"

struct symbolizer;

struct symbolizer_stats {
	uint64_t frames;      /* that were asked for */
	uint64_t unnamed;     /* told as module+0x1234 */
	uint64_t unknown;     /* in no mapping that we know */
	uint64_t jit_unnamed; /* code made at run time; its runtime may name it yet */
	uint64_t bytes;       /* of all that is kept */
};

/* `limit_bytes`: of all that is kept; what is read anew takes more for a moment. */
int symbolizer_new(size_t limit_bytes, struct symbolizer **out_symbolizer);
void symbolizer_free(struct symbolizer *symbolizer);

/* Each time that a process's mappings have been read; borrowed during the call. */
void symbolizer_on_maps(struct symbolizer *symbolizer,
			void (*on_maps)(uint32_t pid, const struct symbol_maps *maps, void *arg),
			void *arg);

/* Each time that the kernel's functions have been read: all of them, sorted. They are read at once
 * by symbolizer_look_at_kernel, and not kept then; and when names are asked for. */
void symbolizer_on_kernel(struct symbolizer *symbolizer,
			  void (*on_read)(const struct symbol_table *table, void *arg), void *arg);
void symbolizer_look_at_kernel(struct symbolizer *symbolizer, uint64_t now_ns);

/* `now_ns` everywhere: CLOCK_MONOTONIC. Looks at the process now, while it is there.
 * False: it did so a moment ago, ask again later. */
bool symbolizer_meet(struct symbolizer *symbolizer, uint32_t pid, uint64_t now_ns);
/* It has become another program. */
void symbolizer_forget(struct symbolizer *symbolizer, uint32_t pid);

/* What is known of the Python that a process runs; after its mappings have been read. */
void symbolizer_python(struct symbolizer *symbolizer, uint32_t pid,
		       const struct python_layout *layout);

/* Appends the frames of a stack (collector/base/frame.h). */
void symbolizer_put(struct symbolizer *symbolizer, const struct event_stack *stack, uint64_t now_ns,
		    struct buf *out);
void symbolizer_stats(const struct symbolizer *symbolizer, struct symbolizer_stats *out_stats);
