/* SPDX-License-Identifier: Apache-2.0 */
/* What the ledgers of a packed block name again and again, each once: stacks, targets, kinds of
 * waits, wakers, texts. An entry is known by its number, in order of appearance. */
#pragma once

#include "collector/base/map.h"
#include "correlate/ledger.h"
#include "storage/coder.h"
#include "storage/stack_numbers.h"

struct pack_list {
	size_t entry_bytes;
	struct map places;  /* writing: entry -> its number + 1 */
	struct buf entries; /* owned */
	uint32_t count;
};

struct pack_stack {
	uint64_t id;
	uint64_t number; /* reading: of the part, in place of the id; 0: none */
};

#define PACK_TEXT_BYTES sizeof(((struct ledger_item *)0)->name)

/* Zero padded, as they are compared as bytes. */
struct pack_kind {
	struct event_target target;
	uint64_t stack; /* in the list, when it is read: the number that stands for it */
	int32_t syscall;
	uint8_t reason;
	uint8_t zero[3];
};

struct pack_waker {
	uint32_t pid, tid;
	char comm[EVENT_COMM_BYTES];
	uint8_t kind;
	uint8_t zero[7];
};

struct pack_lists {
	struct pack_list stacks;     /* struct pack_stack, no id below STACK_FIRST_ID */
	struct pack_list targets;    /* struct event_target */
	struct pack_list kinds;      /* struct pack_kind */
	struct pack_list wakers;     /* struct pack_waker */
	struct pack_list tags;       /* struct event_tag, of spans that are not in the block */
	struct pack_list texts;      /* char[PACK_TEXT_BYTES], NUL padded */
	uint32_t last_pid, last_tid; /* of the waker before, while they are coded */
	/* What no kind of waits has named yet, while these are coded: */
	uint64_t next_stack, next_target;
	/* The part's numbers of stacks: */
	struct stack_numbers *stack_numbers; /* writing; borrowed */
	struct str stack_ids;                /* reading; borrowed */
};

void pack_lists_init(struct pack_lists *lists, uint64_t seed);
void pack_lists_clear(struct pack_lists *lists);
void pack_lists_fini(struct pack_lists *lists);
/* All lists: written when they are complete, read before anything else. */
void pack_lists_code(struct pack_lists *lists, struct coder *coder);

/* An entry as its number. -ENOMEM sticks in the coder, as all errors do. */
void pack_list_code(struct pack_list *list, struct coder *coder, enum coder_column column,
		    void *entry);
void pack_lists_kind(struct pack_lists *lists, struct coder *coder, enum coder_column column,
		     struct pack_kind *kind);
/* A stack's id, or enum event_no_stack, as a number. */
void pack_lists_stack(struct pack_lists *lists, struct coder *coder, enum coder_column column,
		      uint64_t *stack);
