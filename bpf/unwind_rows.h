/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of all tables, as one array to the worker, of which the kernel has the pieces that files
 * need: a map of maps (unwind.h), each mapped where it belongs as it comes.
 *
 * One thread. Errors are negative errno. */
#pragma once

#include <stdint.h>

#include "bpf/unwind_extents.h"

struct unwind_rows {
	struct unwind_row *all; /* places, of which those given out may be read and written */
	uint32_t places;
	uint8_t *is_there; /* owned; by piece */
	int map_fd;        /* the caller's */
	struct unwind_extents extents;
};

/* -ENODEV: there is no such map. Free it in any case. */
int unwind_rows_init(struct unwind_rows *rows, int map_fd);
void unwind_rows_fini(struct unwind_rows *rows);

/* -ENOSPC: there is no room, or the kernel has no memory for a piece. -ENOMEM. */
int unwind_rows_take(struct unwind_rows *rows, uint32_t count, uint32_t *out_first);
/* Pieces that nobody uses any more go. */
void unwind_rows_give(struct unwind_rows *rows, uint32_t first);
