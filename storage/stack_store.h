/* SPDX-License-Identifier: Apache-2.0 */
/* The stacks that an open part's ledgers name: each distinct stack and frame once. For those of a
 * packed part see stack_pack.h.
 *
 *   stacks   id:8          -> the keys of its frames, 8 bytes each, innermost first
 *   frames   hash:8        -> one frame, as collector/base/frame.h encodes it
 *
 * Frames are known by a hash with the data folder's own seed, so that nobody who is observed can
 * make two of them meet. Errors as in store.h. */
#pragma once

#include <stdint.h>

#include "collector/base/buf.h"
#include "storage/part.h"

#define STACK_STORE_MAX_FRAMES 512

/* Puts it unless it is there. -EBADMSG: these are no frames. */
int stack_store_put(const struct part *part, struct txn *txn, uint64_t id, struct str frames);
bool stack_store_has(const struct part *part, const struct txn *txn, uint64_t id);

/* Appends its frames. -ENOENT: not in this part. */
int stack_store_get(const struct part *part, const struct txn *txn, uint64_t id,
		    struct buf *out_frames);
