/* SPDX-License-Identifier: Apache-2.0 */
/* Where a walk ended, as its stack says it. Internal to symbolizer.c. */
#pragma once

#include <stdint.h>

#include "bpf/symbol_maps.h"
#include "collector/base/buf.h"

/* How many of a walk's native frames are some. One that did not reach the thread's first function
 * may have gone astray at its end: what lies in no mapping was no return address. `*end` is enum
 * event_stack_end, and may become another one. Of a process without known mappings, all are. */
uint32_t symbol_end_trim(const struct symbol_maps *maps, const uint64_t *addresses, uint32_t count,
			 uint32_t *end);

/* In place of the frames that are missing, a frame that says why they are; nothing if none is. */
void symbol_end_put(uint32_t end, struct buf *out);
