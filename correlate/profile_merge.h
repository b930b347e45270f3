/* SPDX-License-Identifier: Apache-2.0 */
/* Several profiles of the same kind as one, with a type for each: stacks are matched by the names
 * of their frames, so that a difference is one of two values of a node. */
#pragma once

#include "correlate/profile_diff.h"

/* -EINVAL: they measure different things, or were sampled differently; `message` says which. */
int profile_merge_check(const struct diff_input *inputs, unsigned count, struct buf *message);

/* Values are in the unit of their type, times `scales`; `of_alloc`: of what was ever allocated. The
 * caller ends `to` with profile_fini, also after an error. -ENOMEM. */
int profile_merge(struct profile *to, const struct diff_input *inputs, unsigned count,
		  bool of_alloc, const double *scales);
