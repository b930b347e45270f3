/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of a part that takes commits, in their order: one file that is only appended to.
 *
 *   block | 0.. | block | 0.. | ...      each begins at a multiple of BLOCK_LOG_ALIGN
 *
 * Blocks are numbered from 1 on. A commit is all its blocks, or none of them: the last one is
 * marked (BLOCK_ENDS_COMMIT), and what has no such end after a crash was never acknowledged.
 * Written past the page cache, where the file system can: what comes in once is copied once, and
 * takes nobody's memory. Read through a map; but for the writer, who asks for spans right after it
 * has written them, and would have the disk read for it: it has the newest in its buffer.
 *
 * One writer; any thread reads what is committed. Failures are negative errno, STORE_MAP_FULL and
 * STORE_PANIC (store_errno.h). */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/str.h"

#define BLOCK_LOG_ALIGN ((size_t)4096)

/* How far it goes: with this, what is missing is damage, and not just a commit cut short. */
struct block_log_mark {
	uint64_t bytes;
	uint64_t blocks;
};

struct block_log {
	int fd;    /* owned; -1: none */
	char *map; /* owned: the file, with room to grow */
	size_t map_bytes;
	pthread_rwlock_t lock; /* of the next three, which the writer reads without */
	uint32_t *pages; /* owned: by number - 1, where the block begins, in BLOCK_LOG_ALIGN */
	size_t page_room;
	uint32_t count; /* committed */

	uint64_t end; /* writer only, from here on: of what is committed */
	uint32_t commits;
	uint32_t pending;   /* blocks of the commit under way */
	uint64_t buffer_at; /* where in the file goes what is not yet written */
	char *buffer;       /* owned, aligned: first what was written last, then that */
	size_t buffer_room, kept, buffered;
	char *last; /* the block put last, in the buffer */
	int error;  /* the first of this commit */
};

void block_log_init(struct block_log *log);
/* What was not committed is gone. */
void block_log_fini(struct block_log *log);

enum block_log_mode { BLOCK_LOG_CREATE, BLOCK_LOG_WRITE, BLOCK_LOG_READ };

/* `map_bytes`: it grows no larger. The rest of a commit that a crash cut short is passed over, and
 * with BLOCK_LOG_WRITE removed. -EBADMSG: damaged, or shorter than `mark` (NULL: not known). */
int block_log_open(struct block_log *log, const char *path, enum block_log_mode mode,
		   uint64_t map_bytes, const struct block_log_mark *mark);

/* The next block of the commit under way. It is borrowed until the next put. After a failure the
 * commit fails too. */
struct block_draft;
int block_log_put(struct block_log *log, struct block_draft *draft, struct str *out_value);
/* Takes what was read through the map out of our memory; it stays readable. Any thread. */
void block_log_forget(struct block_log *log);
/* Nothing more is put: gives back what that needs, and forgets. */
void block_log_end(struct block_log *log);
/* The number that the next block gets. */
uint64_t block_log_next(const struct block_log *log);

/* Durable when it returns 0; else nothing of it is there. With nothing put: nothing is done. */
int block_log_commit(struct block_log *log);
/* STORE_PANIC: cannot be written any more. */
int block_log_abort(struct block_log *log);

/* The block `number`, borrowed for as long as the log is open. -ENOENT: not (yet) there. */
int block_log_get(struct block_log *log, uint64_t number, struct str *out_value);
/* The same for the writer, who sees the commit under way too: borrowed until the next put. */
int block_log_get_pending(const struct block_log *log, uint64_t number, struct str *out_value);

/* Writer only. */
struct block_log_mark block_log_mark(const struct block_log *log);
