/* SPDX-License-Identifier: Apache-2.0 */
/* One ledger of a trace that is packed or unpacked, and what its parts share: both ways. */
#pragma once

#include "storage/pack_ledgers.h"

struct pack_ledger {
	struct pack_trace *trace;
	struct coder *coder;
	struct pack_member *member;
	struct ledger *ledger;
	const struct ledger *parent; /* NULL: none */
};

/* A duration that is mostly one of these. */
void pack_ledger_guess(struct pack_ledger *at, const uint64_t *guesses, uint8_t count,
		       uint64_t *value);
/* Counts the entries; reading makes room for them. Returns the list. */
void *pack_ledger_list(struct pack_ledger *at, enum coder_column column, void *list,
		       uint16_t *count, uint8_t max, size_t size);
/* Which entry of the parent's list, which has `count`, this one is like: `found`, and mostly the
 * one after `before`. -1: none. */
int pack_ledger_match(struct pack_ledger *at, enum coder_column column, int found, int count,
		      int *before);
/* A span: a row of the block, or another one of the trace, or listed. */
void pack_ledger_tag(struct pack_ledger *at, struct event_tag *tag);

/* All waits; figures and slices are there. */
void pack_ledger_waits(struct pack_ledger *at);
