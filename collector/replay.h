/* SPDX-License-Identifier: Apache-2.0 */
/* A recording through a fresh correlator; what comes out is compared with what came out then.
 *
 * No kernel, no network, no clock. Not thread safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "correlate/ledger.h"

struct replay_options {
	/* Each ledger that comes out, in order. May be NULL. */
	void (*on_ledger)(const struct ledger *ledger, void *arg);
	void *arg;
};

struct replay_result {
	uint64_t entries;
	uint64_t ledgers;      /* that came out */
	uint64_t recorded;     /* that stand in the recording */
	bool is_truncated;     /* the recording ends inside a chunk */
	bool is_equal;         /* as far as it was recorded, byte for byte */
	uint64_t differs_at;   /* if not: the number of the first ledger that differs, from 0 */
	struct buf difference; /* ... and a sentence */
};

/* 0: it was read to its end; -EBADMSG, -EPROTO, ...: as record_file.h. The result is filled in
 * either way, and the caller's to replay_fini. */
int replay_run(const char *path, const struct replay_options *options,
	       struct replay_result *out_result);
void replay_fini(struct replay_result *result);
