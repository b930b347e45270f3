/* SPDX-License-Identifier: Apache-2.0 */
/* Spans that nobody can have figures for, because no process on this node publishes a context, or
 * none that can have made them.
 *
 * Such spans are settled by being stored (store.h: none_causes), and are not correlated. Where a
 * process publishes, and until long after it has gone, a resource is judged by what it says of
 * itself: whether it names a process that is known here. One that does not is correlated, and
 * watched for some time: if no thread is seen with a span of it, it is a stranger until somebody
 * else begins to publish. Even then the engine looks once more, when the kernel has told all of the
 * spans' time (strange_spans.h). A batch that seems to be sent again
 * takes the long way, for that way drops duplicates. Any thread may call; times are
 * CLOCK_MONOTONIC. */
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

/* By resource, in the batch's arena: why its spans will not have figures (enum ledger_none); 0:
 * they may. NULL: all may, and none is watched; or there is no memory. */
uint8_t *strangers_judge(struct strangers *strangers, struct span_batch *batch, uint64_t now_ns);
/* Whether nobody publishes: then what was judged holds. */
bool strangers_remain(struct strangers *strangers, uint64_t now_ns);
/* Where somebody does: clears the causes of resources that may have figures by now. True: some
 * resource is watched. */
bool strangers_confirm(struct strangers *strangers, const struct span_batch *batch, uint8_t *causes,
		       uint64_t now_ns);
bool strangers_watch(struct strangers *strangers, const struct span_resource *resource);
/* A thread was seen with a span of that resource. */
void strangers_own(struct strangers *strangers, const struct span_resource *resource);
/* None was, with any of so many. */
void strangers_miss(struct strangers *strangers, const struct span_resource *resource,
		    uint32_t spans, uint64_t now_ns);
