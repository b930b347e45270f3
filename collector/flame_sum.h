/* SPDX-License-Identifier: Apache-2.0 */
/* What flame.c sums and flame_write.c writes. */
#pragma once

#include "collector/flame.h"

/* Beside enum ledger_state: how a thread came to be runnable. */
enum flame_why { FLAME_WOKEN = 0, FLAME_PREEMPTED, FLAME_THROTTLED, FLAME_YIELDED };

struct flame_key {
	uint64_t stack;
	uint32_t state;  /* enum ledger_state */
	uint32_t detail; /* of blocked: the reason; of runnable: enum flame_why */
	uint32_t link;   /* of flame.links, from 1; 0: not kept by span */
	uint32_t zero;
};

struct flame_sum {
	uint64_t ns;
	uint64_t count; /* of waits, or of spans */
};

#define FLAME_STACK_MOST 516 /* frames of a stack, with what stands around them */

struct flame_line {
	struct flame_key key;
	struct flame_sum sum;
};

/* All sums, largest first, in an array for free(). */
struct flame_line *flame_lines(const struct flame *flame, size_t *out_count);

/* The texts of one, root first; returns their number. Borrowed from `stacks`, or static. */
uint32_t flame_texts(const struct flame_key *key, struct stacks *stacks,
		     struct str texts[static FLAME_STACK_MOST]);

/* The leaf that says what the time was: "[net]", "[runnable: preempted]"; empty for CPU time. */
struct str flame_leaf(const struct flame_key *key);

/* "root;...;leaf", with what would break a line taken out. */
/* How many spans there are, and of how many they were read. */
void flame_put_spans(struct json *json, const struct flame *flame);
void flame_put_collapsed(const struct flame_key *key, struct stacks *stacks, struct buf *out);

/* What is being written, in any format; a writer may put the lines in another order. */
struct flame_writing {
	const struct flame *flame;
	struct flame_line *lines;
	size_t count;
	const char *title;
	struct stacks *stacks;
	struct buf *out;
};

int flame_write_pprof(struct flame_writing *writing);
int flame_write_otlp(struct flame_writing *writing);
