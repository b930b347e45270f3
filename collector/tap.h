/* SPDX-License-Identifier: Apache-2.0 */
/* The correlator behind its input boundary: each call goes to it and, if there is a recording, into
 * that first, in the same order; the ledgers that come out are recorded too.
 *
 * One thread. Errors of the recording end the recording, are logged once, and change nothing
 * else. */
#pragma once

#include "collector/record_file.h"
#include "correlate/correlator.h"

struct tap {
	struct correlator *correlator; /* owned */
	struct record_writer *writer;  /* owned; NULL: no recording */
	void (*on_ledgers)(const struct ledger *ledgers, size_t count, void *arg);
	void *arg;
	struct buf scratch;
};

/* `options->on_ledgers` and `arg` are called after the recording. `path` empty: no recording. */
int tap_init(struct tap *tap, const struct correlator_options *options, const char *path);
void tap_fini(struct tap *tap);

void tap_event(struct tap *tap, const struct event_header *record);
void tap_process(struct tap *tap, const struct event_process *process);
void tap_spans(struct tap *tap, const struct span_batch *batch);
void tap_clock(struct tap *tap, uint64_t mono_before_ns, uint64_t real_ns, uint64_t mono_after_ns);
void tap_coarse_clock(struct tap *tap, uint64_t real_ns, uint64_t tick_ns);
void tap_gap(struct tap *tap, uint64_t from_ns, uint64_t to_ns);
void tap_loss(struct tap *tap, uint64_t from_ns, uint64_t to_ns, uint64_t count);
void tap_kernel(struct tap *tap, bool available);
void tap_limit(struct tap *tap, size_t limit_bytes);
void tap_advance(struct tap *tap, uint64_t now_ns);
void tap_settle_all(struct tap *tap);

/* Hands what has been recorded to the kernel: about once a second. */
void tap_flush(struct tap *tap);
