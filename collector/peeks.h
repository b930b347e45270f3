/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the engine about traces that have not settled: any thread asks and waits, the engine
 * answers between two rounds of its own work. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/arena.h"
#include "collector/queue.h"
#include "correlate/correlator.h"

struct peeks {
	pthread_mutex_t *lock; /* the engine's, as the next: of all down to the blank line */
	pthread_cond_t *news;  /* what wakes it */
	struct queue waiting;
	bool is_over; /* nobody may ask any more */

	pthread_cond_t answered;
};

void peeks_init(struct peeks *peeks, pthread_mutex_t *lock, pthread_cond_t *news);
void peeks_fini(struct peeks *peeks);

/* Waits, a quarter of a second at most. The ledgers are in `arena`. -ETIMEDOUT, -ESHUTDOWN,
 * -ENOMEM, -ENOENT. */
int peeks_ask(struct peeks *peeks, const uint8_t trace_id[TRACE_ID_BYTES], struct arena *arena,
	      struct ledger **out_ledgers, size_t *out_count);

/* Engine thread: a few of them. */
void peeks_answer(struct peeks *peeks, struct correlator *correlator);
/* Engine thread, once it is over: nobody waits any more. */
void peeks_end(struct peeks *peeks);
