/* SPDX-License-Identifier: Apache-2.0 */
/* A batch on its way: decoded -> stored -> answered -> correlated -> freed.
 *
 *   loop (intake_submit) -> writer thread -> loop (on_result) -> engine thread -> gone
 *
 * One owner at a time; it is handed on by pointer. */
#pragma once

#include "collector/intake.h"
#include "collector/queue.h"
#include "otlp/span.h"

struct ticket {
	struct queue_link link;
	struct intake *intake;      /* where it came in, and where its reply goes out */
	struct span_batch *batch;   /* owned */
	uint8_t *none_causes;       /* in the batch's arena: strangers_judge; NULL: correlate it */
	struct span_batch *strange; /* in its arena, or it: strange_spans.h looks at these ... */
	uint64_t hold_until_ns;     /* ... when the kernel has told so far */
	bool is_watched;            /* ... and whether threads were seen with spans of the others */
	size_t bytes;               /* what it adds to what is in flight */
	int result;                 /* of the commit: 0 or negative errno */
	struct intake_reply reply;
};
