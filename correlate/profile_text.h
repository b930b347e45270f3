/* SPDX-License-Identifier: Apache-2.0 */
/* Amounts as people say them, in the unit of a profile: "612 ms", "410 MB", "2,180 samples". */
#pragma once

#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

enum profile_unit {
	PROFILE_COUNT, /* samples, events, objects: whatever the type's name says */
	PROFILE_NS,
	PROFILE_BYTES,
};

/* The unit that pprof, speedscope and people call `name` ("ns", "microseconds", "MB", "count"), and
 * by what values are multiplied to be in it. Unknown: PROFILE_COUNT and 1. */
enum profile_unit profile_unit_of(struct str name, double *out_factor);
/* Whether profile_unit_of knows it. */
int profile_unit_is_known(struct str name);

/* "2,180" */
void profile_put_count(struct buf *out, uint64_t count);
/* Three digits that matter. `noun` follows a count; NULL: none. Bytes are decimal: 1 MB is 1e6. */
void profile_put_amount(struct buf *out, double amount, enum profile_unit unit, const char *noun);
/* With its sign: "+410 MB". */
void profile_put_change(struct buf *out, double amount, enum profile_unit unit, const char *noun);
/* "70 %", "6.2 %", "0.4 %", "<0.1 %"; `whole` 0: "-". */
void profile_put_share(struct buf *out, double part, double whole);
/* Foreign text on one line: bytes that would command a terminal become '?'; at most `max` bytes,
 * then
 * "...". 0: no limit. */
void profile_put_name(struct buf *out, struct str name, size_t max);
