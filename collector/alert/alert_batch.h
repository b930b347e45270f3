/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the durable state that belong together, gathered and then applied as one step.
 *
 * The first failure sticks, and applying returns it. One thread. */
#pragma once

#include "collector/base/arena.h"
#include "storage/state_kv.h"

struct alert_batch {
	struct arena arena; /* keys and values */
	struct state_kv_change *changes;
	size_t count, cap;
	int error;
};

void alert_batch_init(struct alert_batch *batch);
void alert_batch_fini(struct alert_batch *batch);
/* Both copy. */
void alert_batch_put(struct alert_batch *batch, struct str key, struct str value);
void alert_batch_remove(struct alert_batch *batch, struct str key);
/* Empties it when all is on disk; else it stays as it is and may be tried again. */
int alert_batch_apply(struct alert_batch *batch, struct state_kv *kv);
