/* SPDX-License-Identifier: Apache-2.0 */
/* The string table of a profile that is being written: each distinct text gets a number, in the
 * order of first use; 0 is the empty one. Not thread safe. */
#pragma once

#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/map.h"
#include "collector/base/str.h"

struct text_table {
	uint32_t field;    /* protobuf's number of the table */
	struct buf fields; /* owned: the texts, as fields of that number */
	struct map numbers;
	uint32_t count; /* without the empty text */
	int error;      /* -ENOMEM sticks */
};

void text_table_init(struct text_table *table, uint32_t field);
void text_table_fini(struct text_table *table);
uint32_t text_table_number(struct text_table *table, struct str text);
