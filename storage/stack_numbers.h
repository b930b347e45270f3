/* SPDX-License-Identifier: Apache-2.0 */
/* The stacks of a packed part by number. Ids are random, so they cannot be compressed, and many
 * blocks of a part name the same ones: each stands once, and blocks name its number.
 *
 *   about   "stack_ids"   -> ids, 8 bytes each, by number - 1; their checksum
 *
 * Only so many have a number: the memory of who packs is bounded. */
#pragma once

#include "collector/base/buf.h"
#include "collector/base/map.h"
#include "storage/txn.h"

#define STACK_NUMBERS_MAX 65536u

struct stack_numbers {
	struct map numbers; /* id -> its number */
	struct buf ids;     /* owned */
};

void stack_numbers_init(struct stack_numbers *stacks, uint64_t seed);
void stack_numbers_fini(struct stack_numbers *stacks);

/* The number, made if need be; 0: there are no more. -ENOMEM. */
int stack_numbers_of(struct stack_numbers *stacks, uint64_t id, uint32_t *out_number);
/* Writes those that have a number; nothing is added any more. */
void stack_numbers_put(struct stack_numbers *stacks, struct txn *txn, MDB_dbi about);

/* What was written; no bytes: there is none. -EBADMSG: damaged. */
int stack_numbers_load(const struct txn *txn, MDB_dbi about, struct str *out_ids);
static inline size_t stack_numbers_count(struct str ids)
{
	return ids.len / sizeof(uint64_t);
}

/* false: nothing has this number. */
bool stack_numbers_id(struct str ids, uint32_t number, uint64_t *out_id);
