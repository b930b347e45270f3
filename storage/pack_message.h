/* SPDX-License-Identifier: Apache-2.0 */
/* A span message without what its row says anyway: ids and times. They are random, so they cannot
 * be compressed; what is left of two spans of an operation is often the same.
 *
 * Of the fields trace_id, span_id, parent_span_id, start and end only the tag (and length) is kept;
 * all else stays as it was sent, byte for byte. */
#pragma once

#include "storage/block.h"
#include "storage/coder.h"

struct pack_message {
	uint32_t len;      /* of the message */
	uint32_t kept_len; /* in the column TEXT */
	uint32_t name;     /* number of a string; 0: empty, or its field in the message */
	uint32_t peer;     /* the same; 0: none */
	uint8_t form;      /* enum pack_message_form */
};

enum pack_message_form { PACK_MESSAGE_STRIPPED = 1, PACK_MESSAGE_HAS_NAME = 2 };

/* Writing: keeps the message in the column TEXT. `name` is the span's. */
struct pack_message pack_message_keep(struct coder *coder, const struct block_span *row,
				      struct str bytes, struct str name);
/* Both ways: the numbers, but not what is kept. */
void pack_message_code(struct pack_message *message, struct coder *coder);

/* Reading: `kept` becomes the message again, message->len bytes at `out_bytes`. `out_name` is its
 * name, from there on, if it has it. false: damaged. */
bool pack_message_restore(const struct pack_message *message, const struct block_span *row,
			  const char *kept, char *out_bytes, struct block_slice *out_name);
