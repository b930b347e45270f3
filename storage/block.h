/* SPDX-License-Identifier: Apache-2.0 */
/* A group of spans, or of ledgers, as one value: of the log (block_log.h), or packed of a database.
 *
 *   header | rows | resources | scopes | summaries | heap
 *
 * The rows have a fixed size and are read where they lie; all strings are slices of the heap: the
 * original OTLP requests, or the encoded ledgers. Nothing is believed before its checksum fits: the
 * header and the index (all between header and heap) when a block is opened, the heap when it is
 * first asked for; a packed block as a whole when it is opened. And no slice or number is used
 * before it is checked, whatever the checksum said. Little-endian hosts.
 *
 * A packed block (packed.h) looks the same from here, but that it holds spans with their ledgers:
 * row i of the one belongs to row i of the other. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/hex.h"
#include "collector/base/str.h"
#include "storage/omit.h"

#define BLOCK_MAGIC          0x42777073u /* "spwB" */
#define BLOCK_VERSION        3
#define BLOCK_NO_ROW         UINT32_MAX
#define BLOCK_HEAP_BYTES     ((size_t)256 << 10) /* a block is full with so much */
#define BLOCK_MAX_ROWS       4096u               /* ... or so many rows; a batch is never split */
#define BLOCK_MAX_HEAP_BYTES ((uint64_t)1 << 31)

/* BLOCK_ROLLUPS: no rows; the heap is what a commit adds to the rollups (rollup_table.h). */
enum block_kind { BLOCK_SPANS = 1, BLOCK_LEDGERS = 2, BLOCK_ROLLUPS = 3 };
/* BLOCK_PACKED: behind the header there are columns (coder.h); `heap_bytes` are theirs. */
enum block_encoding { BLOCK_RAW = 0, BLOCK_PACKED = 2 };

enum block_flag { BLOCK_ENDS_COMMIT = 1 }; /* the last block of its commit */

struct block_header {
	uint32_t magic;
	uint8_t version;
	uint8_t flags;    /* enum block_flag */
	uint8_t kind;     /* enum block_kind */
	uint8_t encoding; /* enum block_encoding */
	uint32_t row_count;
	uint32_t summary_count;
	uint32_t resource_count;
	uint32_t scope_count;
	uint64_t heap_bytes;  /* as stored */
	uint64_t plain_bytes; /* unpacked */
	uint64_t commit_unix_ns;
	uint64_t min_start_unix_ns, max_start_unix_ns;
	uint64_t min_end_unix_ns, max_end_unix_ns;
	uint64_t heap_checksum;   /* of the stored bytes */
	uint64_t index_checksum;  /* of all between header and heap */
	uint32_t seq;             /* in the log, as the next */
	uint32_t commit;          /* which one, from 1 on */
	uint64_t header_checksum; /* of all before */
};

struct block_slice {
	uint32_t offset;
	uint32_t len;
};

struct block_span {
	uint8_t trace_id[TRACE_ID_BYTES];
	uint8_t span_id[SPAN_ID_BYTES];
	uint8_t parent_span_id[SPAN_ID_BYTES];
	uint64_t start_unix_ns;
	uint64_t end_unix_ns;
	int64_t thread_id;
	int64_t process_id;
	struct block_slice name, bytes, peer;
	uint32_t resource;
	uint32_t scope;
	uint32_t flags;
	uint32_t operation;     /* 0: look at the strings */
	uint32_t next_of_trace; /* a later row; BLOCK_NO_ROW: the last of its trace in this block */
	uint8_t kind;
	uint8_t status;
	uint8_t is_first;   /* of its trace in this block */
	uint8_t none_cause; /* enum ledger_none: settled when it was committed; 0: a ledger follows
			     */
};

struct block_resource {
	struct block_slice bytes, schema_url, service_name, service_instance_id, runtime_id,
		container_id, host_name;
	int64_t process_pid;
};

struct block_scope {
	struct block_slice bytes, schema_url;
};

/* What searches need of a ledger, and of its span, which was looked up when it was committed. */
struct block_ledger {
	uint8_t trace_id[TRACE_ID_BYTES];
	uint8_t span_id[SPAN_ID_BYTES];
	uint64_t start_unix_ns;
	uint64_t wall_ns;
	uint64_t cpu_ns;
	uint64_t running_ns;
	uint64_t runnable_ns;
	uint64_t blocked_ns;
	uint64_t ratio_rank; /* summary_ratio_rank(): greater is idler; 0: no figures */
	uint32_t operation;  /* 0: the span was not found, or look at its strings */
	uint32_t span_seq;   /* its block in this part; 0: in another, or not found */
	uint32_t span_row;
	uint32_t next_of_trace;
	struct block_slice detail; /* the encoded ledger */
	uint16_t reasons;          /* 1 << enum ledger_reason, of those with a wait */
	uint16_t revision;
	uint8_t grade;
	uint8_t kind;   /* of the span */
	uint8_t status; /* of the span */
	uint8_t is_first;
};

_Static_assert(sizeof(struct block_header) == 112, "on disk");
_Static_assert(sizeof(struct block_span) == 112, "on disk");
_Static_assert(sizeof(struct block_resource) == 64, "on disk");
_Static_assert(sizeof(struct block_scope) == 16, "on disk");
_Static_assert(sizeof(struct block_ledger) == 112, "on disk");

struct summary;
struct packed;

struct block {
	const struct block_header *header; /* all borrowed from the value or from `aligned` */
	const struct summary *summaries;
	const struct block_span *spans;     /* one of these two, by kind; header->row_count */
	const struct block_ledger *ledgers; /* of a packed block after block_figures, if it has any;
						revision 0: there is none */
	const struct block_resource *resources;
	const struct block_scope *scopes;
	struct str stored;     /* the heap as stored */
	struct str heap;       /* once block_load has run */
	char *aligned;         /* owned: a copy of a value that lay at an odd address */
	struct packed *packed; /* owned */
	struct str stack_ids;  /* of its part (stack_numbers.h), for block_load; borrowed */
	unsigned omit;         /* enum store_omit, for block_load: 0, but where a reader says so */
};

/* `value` is borrowed until block_close. `is_checked`: the index's checksum was already looked at,
 * or made, by this process; that of a packed block is the columns'. -EBADMSG: torn, foreign or
 * damaged; -EPROTO: of a newer version. */
int block_open(struct str value, bool is_checked, struct block *out_block);
/* The header alone; `value` may go on behind the block. The same errors. `out_bytes`: of the whole
 * block. */
int block_header_read(struct str value, struct block_header *out_header, uint64_t *out_bytes);
/* After a change. */
void block_header_seal(struct block_header *header);
void block_close(struct block *block);

/* Makes block->ledgers of a packed block usable. The same errors, and -ENOMEM. */
int block_figures(struct block *block);
/* Makes block->heap usable. The same errors, and -ENOMEM. */
int block_load(struct block *block);

/* false: the slice lies outside the heap. */
bool block_text(const struct block *block, struct block_slice slice, struct str *out_text);

/* A block about to be written: the index is in `index`, the heap in pieces. */
struct block_draft {
	struct block_header header;
	struct buf index;       /* owned */
	const struct str *heap; /* borrowed */
	size_t heap_count;
};

/* Fills in the sizes; then block_draft_bytes() bytes may be written anywhere, checksums included.
 * `index` begins with room for the header. */
void block_draft_seal(struct block_draft *draft);
size_t block_draft_bytes(const struct block_draft *draft);
void block_draft_write(const struct block_draft *draft, char *out_bytes);

/* A packed block, header first: sets its size and checksums. */
void block_seal_packed(struct buf *block);
