/* SPDX-License-Identifier: Apache-2.0 */
/* Call frame instructions of one function, run: a row for each place where the rule changes.
 * Internal to unwind_table.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/unwind.h"

/* Bytes that are read forwards; `at` NULL after the first failure. */
struct unwind_reader {
	const uint8_t *at, *end;
	const uint8_t *base; /* of the section */
	uint64_t vaddr;      /* of `base` */
};

uint64_t unwind_read_fixed(struct unwind_reader *reader, unsigned bytes);
uint64_t unwind_read_uleb(struct unwind_reader *reader);
int64_t unwind_read_sleb(struct unwind_reader *reader);
/* As a DW_EH_PE encoding says. */
uint64_t unwind_read_encoded(struct unwind_reader *reader, uint8_t encoding);

/* What a CIE says about its functions. */
struct unwind_common {
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding;
	bool has_data; /* augmentation 'z' */
	bool is_signal;
	const uint8_t *code, *code_end; /* the initial instructions */
};

/* `put` gets each row, in order; it may fail. 0; -EBADMSG: not understood. */
int unwind_code_run(const struct unwind_common *common, struct unwind_reader code, uint64_t start,
		    uint64_t end, int (*put)(uint64_t address, struct unwind_row row, void *arg),
		    void *arg);
