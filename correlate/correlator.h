/* SPDX-License-Identifier: Apache-2.0 */
/* Joins what the kernel saw with what the services said: records and spans in, in any order;
 * settled ledgers out.
 *
 * One thread. No clock, no randomness, no library: the same calls give the same ledgers, byte for
 * byte, which is what record and replay rest on. Memory is bounded by options.limit_bytes: beyond
 * it the oldest slices are folded and the oldest traces settled, and that is counted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/event.h"
#include "correlate/ledger.h"
#include "otlp/span.h"

struct correlator;

struct correlator_options {
	size_t limit_bytes;       /* timelines, folds and unsettled traces together */
	uint64_t settle_ns;       /* a trace with nothing new for so long is settled */
	uint64_t reach_ns;        /* timelines keep at least this, memory permitting; then fold */
	uint64_t seed;            /* of the hash maps; never reaches a result */
	uint32_t max_trace_spans; /* further ones of a trace are graded partial */
	/* A trace's ledgers, parents before children. Borrowed during the call. */
	void (*on_ledgers)(const struct ledger *ledgers, size_t count, void *arg);
	/* Called now and then in what lasts, that others may have the CPU; NULL: nothing. */
	void (*pause)(void);
	void *arg;
};

/* limits.def: how far a trace is weighed. */
enum correlator_limit {
#define X(name, what) LIMIT_##name,
#include "correlate/limits.def"
#undef X
	CORRELATOR_LIMITS,
};

struct correlator_stats {
	uint64_t slices, slices_folded, slices_malformed;
	uint64_t slices_rebuilt;                     /* without a switch-in, from the CPU clock */
	uint64_t changes_refused;                    /* slices whose changes did not fit them */
	uint64_t looks_refused;                      /* from beside: a thread has too many */
	uint64_t chain_gaps;                         /* prev_out did not match: records lost */
	uint64_t tags_seen;                          /* distinct spans observed, approximately */
	uint64_t spans, spans_duplicate, spans_late; /* late: after their trace had settled */
	uint64_t spans_over_limit;
	uint64_t slices_crowded; /* more spans of a trace were open than are weighed at once */
	uint64_t limits[CORRELATOR_LIMITS]; /* traces in which one bit, by enum correlator_limit */
	uint64_t ledgers[5];                /* settled, by enum ledger_grade */
	uint64_t traces_settled, traces_revised, traces_forced; /* forced: memory was short */
	uint64_t traces_unsampled; /* no span of them came, and memory was short */
	size_t traces_pending, traces_resting, threads, processes;
	size_t timeline_bytes, fold_bytes, trace_bytes;
	uint64_t reach_ns;       /* how far the timelines go back now */
	uint64_t clock_bound_ns; /* error of the clock map now */
};

int correlator_new(const struct correlator_options *options, struct correlator **out_correlator);
void correlator_free(struct correlator *correlator);

/* Inputs. Each copies what it keeps. -EBADMSG: refused and counted. -ENOMEM: lost and counted. */
int correlator_record(struct correlator *correlator, const struct event_header *record);
int correlator_process(struct correlator *correlator, const struct event_process *process);
int correlator_spans(struct correlator *correlator, const struct span_batch *batch);
/* Of spans that have not been handed in. Was the trace seen on a thread, or has it spans here? Was
 * the span itself seen on one? Is it known whose spans have this resource? */
bool correlator_knows_trace(const struct correlator *correlator,
			    const uint8_t trace_id[TRACE_ID_BYTES]);
bool correlator_has_seen(struct correlator *correlator, const struct span *span);
bool correlator_knows_owner(const struct correlator *correlator,
			    const struct span_resource *resource, const struct span *span);
/* One reading of the clocks: monotonic, realtime, monotonic; ns. Each 20 ms or so. */
void correlator_clock(struct correlator *correlator, uint64_t mono_before_ns, uint64_t real_ns,
		      uint64_t mono_after_ns);
/* One reading of CLOCK_REALTIME_COARSE, and the length of a tick; with each of the others. */
void correlator_coarse_clock(struct correlator *correlator, uint64_t unix_ns, uint64_t tick_ns);
/* Kernel records between these times are missing (the probe was down, or starts only now). */
void correlator_gap(struct correlator *correlator, uint64_t from_ns, uint64_t to_ns);
/* So many slices found the ring full between these times. */
void correlator_loss(struct correlator *correlator, uint64_t from_ns, uint64_t to_ns,
		     uint64_t count);
/* Whether kernel records can be had at all; without them every ledger is NONE_NO_KERNEL. */
void correlator_kernel(struct correlator *correlator, bool available);
/* options.limit_bytes from now on. */
void correlator_limit(struct correlator *correlator, size_t limit_bytes);

/* All records with out_ns <= now_ns have been handed in: settles what is due. */
void correlator_advance(struct correlator *correlator, uint64_t now_ns);
void correlator_settle_all(struct correlator *correlator);

/* Ledgers of a trace, marked as not settled, through `visit`: of one that is not, or of which what
 * came out may not be on disk yet. -ENOENT: it is not known. */
int correlator_peek(struct correlator *correlator, const uint8_t trace_id[TRACE_ID_BYTES],
		    void (*visit)(const struct ledger *ledgers, size_t count, void *arg),
		    void *arg);

void correlator_stats(const struct correlator *correlator, struct correlator_stats *out_stats);
