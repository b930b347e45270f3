/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that nobody can have figures for, because no process on this node publishes a context.
 *
 * While that is so a batch is settled by being stored (store.h: none_causes), and is not
 * correlated. As soon as a process publishes, and until long after it has gone, every batch takes
 * the long way; so does one that seems to be sent again, for that way drops duplicates. Any thread
 * may call; times are CLOCK_MONOTONIC. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/event.h"
#include "otlp/span.h"

struct strangers;

int strangers_new(struct strangers **out_strangers);
void strangers_free(struct strangers *strangers);

/* What the probe's worker tells, in its order: that it begins to look around, what it finds, that
 * it has looked (and how many publish), its end. */
void strangers_on_hello(struct strangers *strangers);
void strangers_on_process(struct strangers *strangers, const struct event_process *process,
			  uint64_t now_ns);
void strangers_on_look(struct strangers *strangers, uint32_t publishing);
void strangers_on_death(struct strangers *strangers);
/* There is no worker, and no figures for anybody. */
void strangers_without_kernel(struct strangers *strangers);

/* By resource, in the batch's arena: why its spans will not have figures (enum ledger_none). NULL:
 * they may; or there is no memory. */
const uint8_t *strangers_judge(struct strangers *strangers, struct span_batch *batch,
			       uint64_t now_ns);
/* Whether what was judged holds still. */
bool strangers_remain(struct strangers *strangers, uint64_t now_ns);
