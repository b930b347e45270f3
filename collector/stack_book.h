/* SPDX-License-Identifier: Apache-2.0 */
/* The names of stacks, as the probe tells them: kept while there is room, for whoever stores a
 * ledger or answers a query. Any thread may call.
 *
 * A stack that was asked for before its names were there is remembered as wanted; once they come,
 * stack_book_take_late hands them to the writer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/probe.h"
#include "collector/base/arena.h"
#include "storage/store.h"

struct stack_book;

struct stack_book_stats {
	uint64_t stacks; /* known now */
	size_t bytes;
	uint64_t told;   /* by the probe so far */
	uint64_t wanted; /* asked for, and not known yet */
};

int stack_book_new(size_t limit_bytes, struct stack_book **out_book);
void stack_book_free(struct stack_book *book);

/* A message's piece; those of one stack come in order, from one probe. */
void stack_book_piece(struct stack_book *book, const struct probe_stack *piece);

/* Appends the frames. False: not known, and wanted from now on. */
bool stack_book_find(uint64_t id, struct buf *out_frames, void *book);

/* Those that were wanted and have come: copies in `arena`; NULL: none. */
const struct store_stack *stack_book_take_late(struct stack_book *book, struct arena *arena,
					       size_t *out_count);
void stack_book_stats(struct stack_book *book, struct stack_book_stats *out_stats);
