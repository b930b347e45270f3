/* SPDX-License-Identifier: Apache-2.0 */
/* The one thread that touches the ring and the correlator.
 *
 * It drains the ring every 20 ms and whenever a batch arrives, feeds the correlator, and hands
 * settled ledgers to the writer. Everything else talks to it by message: the functions below may be
 * called from any thread. Errors are negative errno. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/event.h"
#include "bpf/probe.h"
#include "collector/base/arena.h"
#include "collector/base/hex.h"
#include "collector/queue.h"
#include "collector/services.h"
#include "correlate/correlator.h"

struct config;
struct engine;
struct store;
struct strangers;
struct ticket;

struct engine_options {
	const struct config *config; /* borrowed, outlives the engine */
	struct strangers *strangers; /* borrowed; NULL: there are none */
	struct store *store; /* borrowed; spans without ledgers are fetched from it at start */
	/* Settled ledgers: borrowed during the call. Engine thread. False: no room, they are lost.
	 */
	bool (*on_ledgers)(const struct ledger *ledgers, size_t count, void *arg);
	/* What comes between `begins` and its end belongs together: nobody shall see only the first
	 * of two ledgers of a span. Engine thread. */
	void (*on_advance)(bool begins, void *arg);
	/* The next stage has room for more ledgers: else nothing is settled for the moment. */
	bool (*has_room)(void *arg);
	/* A batch given to engine_spans has been fed and is given back. Engine thread. */
	void (*on_fed)(struct ticket *ticket, void *arg);
	/* The first engine_hello has been dealt with and unsettled spans are loaded. Engine
	 * thread, once. */
	void (*on_loaded)(void *arg);
	void *arg;
};

int engine_start(const struct engine_options *options, struct engine **out_engine);

/* Drains what is there, settles all traces, ends the thread and frees. The caller may block for as
 * long as that takes. Accepts NULL. */
void engine_stop(struct engine *engine);

/* `hello`: the ring of a new probe worker; takes both descriptors. NULL and -1: there will be none,
 * the engine goes on without the kernel. */
void engine_hello(struct engine *engine, const struct probe_hello *hello, int ring_fd,
		  int counters_fd);
void engine_probe_died(struct engine *engine);
void engine_process(struct engine *engine, const struct event_process *process);

/* What the correlator may take from now on. */
void engine_limit(struct engine *engine, size_t limit_bytes);

/* Takes the tickets until on_fed gives them back. Not before on_loaded. */
void engine_spans(struct engine *engine, struct queue tickets);

/* The ledgers of a trace as they stand now, unsettled, copied into `arena`. Waits until the engine
 * has a moment, at most 250 ms: -ETIMEDOUT. -ENOENT: nothing pending. -ESHUTDOWN: it has stopped.
 * For query workers, never for the loop. */
int engine_peek(struct engine *engine, const uint8_t trace_id[TRACE_ID_BYTES], struct arena *arena,
		struct ledger **out_ledgers, size_t *out_count);

/* What the engine published last, at most a second old. */
struct engine_snapshot {
	bool kernel;                           /* records come in */
	uint32_t features;                     /* enum probe_feature */
	uint32_t restarts;                     /* of the probe's worker */
	struct event_counters kernel_counters; /* summed over all workers so far */
	uint64_t ring_malformed;
	uint64_t ring_bytes, ring_backlog_bytes;
	uint64_t clock_pairs;
	uint64_t advanced_mono_ns; /* everything up to here has been correlated */
	uint64_t ledgers_lost;     /* no room for them in the writer's queue */
	uint64_t record_bytes;     /* written to the recording; 0: none */
	size_t services_bytes;
	struct correlator_stats correlator;
};

void engine_snapshot(struct engine *engine, struct engine_snapshot *out_snapshot);

/* Which services send spans and how their ledgers were graded, in alphabetical order. */
int engine_each_service(struct engine *engine,
			int (*visit)(const struct service_count *service, void *arg), void *arg);

/* The counters of operations, as metrics. */
struct metrics_text;
void engine_write_operations(struct engine *engine, struct metrics_text *text);
