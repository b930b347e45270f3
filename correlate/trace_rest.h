/* SPDX-License-Identifier: Apache-2.0 */
/* Traces of which nothing new is expected. They are in no list, and take a quarter of the room.
 *
 * Internal to correlate/. */
#pragma once

#include "correlate/model.h"

/* Puts those to rest which nobody carries, which have settled or that no span has come of, and of
 * which nothing was heard for a second. */
void traces_rest(struct model *model);
/* The trace is awake from then on: in LIST_AWAKE. NULL: out of memory, and it rests still. */
struct trace *trace_wake(struct model *model, struct trace_place *place);
/* To read only. Of one that rests it is a copy, until the next look. NULL: out of memory. */
const struct trace *trace_look_at(struct model *model, struct trace_place *place);
/* Forgets it, as trace_free does. */
void trace_drop_resting(struct model *model, struct trace_place *place);
