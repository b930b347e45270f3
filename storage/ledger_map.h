/* SPDX-License-Identifier: Apache-2.0 */
/* For each span of a part that is being packed, where its newest ledger stands.
 *
 * One number a span: of a large part too many for anonymous memory, so they lie in a file without a
 * name, whose pages the kernel may write out. Its room is taken at once: a full disk shows when it
 * is made, not when it is used. */
#pragma once

#include <stdint.h>

struct ledger_map {
	uint64_t *places; /* owned: mapped; 0: no ledger. NULL: none yet */
	uint64_t count;
};

/* In the folder of the part. -ENOSPC, -ENOMEM and what open says. */
int ledger_map_open(struct ledger_map *map, const char *folder, uint64_t count);
void ledger_map_close(struct ledger_map *map); /* zeros too */
