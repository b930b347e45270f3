/* SPDX-License-Identifier: Apache-2.0 */
/* Waits, or calls, of a span that a reader would call the same: they are told as one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/json_read.h"

struct alike {
	const struct json_value *item; /* borrowed: that of them which took most */
	uint64_t item_ns, ns;          /* what it took; all of them */
	uint64_t count, longest_ns;    /* the caller's to add to */
};

typedef bool alike_is(const struct json_value *a, const struct json_value *b);

/* Adds an item's "ns" to those of its kind, which it returns; without a kind (NULL), or as the
 * first of it, it stands alone at the end of the list, where there must be room. */
struct alike *alike_add(struct alike *list, size_t *count, const struct json_value *item,
			alike_is *is_alike);
/* Those that took most first; of as much, who came first. */
void alike_sort(struct alike *list, size_t count);
