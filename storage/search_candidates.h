/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of a part that a search may find something in. */
#pragma once

#include <stdint.h>

#include "collector/base/buf.h"

struct search_candidate {
	uint64_t bound; /* no row of the block ranks higher */
	uint32_t seq;
};

/* Each block once, with its best bound; the best first. `candidates` holds search_candidates. */
void search_candidates_sort(struct buf *candidates);
