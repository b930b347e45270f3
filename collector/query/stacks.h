/* SPDX-License-Identifier: Apache-2.0 */
/* The names of stacks, for one answer: those of earlier answers, from the store, or from what the
 * probe told lately. Each stack is looked up once. One thread. */
#pragma once

#include <stdint.h>

#include "collector/base/map.h"
#include "collector/query/name_cache.h"
#include "storage/store.h"

struct daemon;
struct json;

struct stacks {
	struct daemon *daemon;      /* borrowed */
	struct store_stacks stored; /* near_unix_ns: for whoever reads a span */
	struct map by_id;           /* id -> const struct stack_names * */
	struct name_hold hold;
};

void stacks_init(struct stacks *stacks, struct daemon *daemon);
void stacks_fini(struct stacks *stacks);

/* NULL: no such stack is known (or memory is out). Borrowed from `stacks`. */
const struct stack_names *stacks_find(struct stacks *stacks, uint64_t id);

/* "[no stack: budget]" and the like: what stands in place of frames. */
const char *stacks_none_text(const struct stacks *stacks, uint64_t id);

/* For ledger.h: the innermost function of the interpreted code, or else of any, that is no
 * plumbing. */
struct str stacks_code(uint64_t id, void *stacks);

/* For render.h: an array of texts; in "where" the innermost that are no plumbing; and in their
 * place "no_stack". */
void stacks_put_json(struct json *json, const char *key, uint64_t id, void *stacks);
