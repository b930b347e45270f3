/* SPDX-License-Identifier: Apache-2.0 */
/* The stacks of a packed part, some hundreds compressed together.
 *
 *   stacks   id:8 of the first        -> stacks in the order of their ids
 *   frames   number:4 of the first    -> frames in the order in which stacks name them
 *
 *   stack := id:8, bytes of the rest:varint, the numbers of its frames, each as the step from the
 *            one before
 *
 * A value is its length unpacked (varint), zstd, and a checksum. Errors as in store.h. */
#pragma once

#include <stdint.h>

#include "collector/base/buf.h"
#include "storage/part.h"

#define STACK_PACK_STACKS 256u
#define STACK_PACK_FRAMES 192u
#define STACK_PACK_GROUPS 32u /* of frames, kept unpacked for one answer */

struct stack_group {
	const struct part *part; /* borrowed; NULL: empty */
	uint32_t first, count;
	struct buf bytes;
	uint32_t ends[STACK_PACK_FRAMES];
};

/* Frames that were asked for last. Begin with zeros. */
struct stack_groups {
	struct stack_group groups[STACK_PACK_GROUPS];
	unsigned next;
};

void stack_groups_fini(struct stack_groups *groups);

/* Appends the frames of a stack. -ENOENT: not in this part. */
int stack_pack_get(const struct part *part, const struct txn *txn, struct stack_groups *groups,
		   uint64_t id, struct buf *out_frames);

/* All stacks of an open part into one that is being made. */
int stack_pack_copy(const struct part *from, const struct txn *reading, const struct part *to,
		    struct txn *writing);
