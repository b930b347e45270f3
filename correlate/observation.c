/* SPDX-License-Identifier: Apache-2.0 */
/* Which threads carried which spans of a trace. Most traces have a few such observations, and a
 * list finds them fastest; one whose threads or spans are thousands has an index beside it, for it
 * is asked with each change of a tag. */
#include <stdlib.h>
#include <string.h>

#include "correlate/model.h"

#define LISTED      16 /* as many are looked for in the list */
#define INDEX_BYTES 64 /* what an entry takes, about */

struct key {
	const struct trace *trace;
	const struct thread *thread;
	uint8_t span_id[SPAN_ID_BYTES];
};

static struct key key_of(const struct trace *trace, const struct thread *thread,
			 const uint8_t span_id[SPAN_ID_BYTES])
{
	struct key key = { trace, thread, { 0 } };

	memcpy(key.span_id, span_id, SPAN_ID_BYTES);
	return key;
}

void observations_init(struct model *model)
{
	map_init(&model->observations, sizeof(struct key), sizeof(struct observation *),
		 model->options.seed);
}

void observations_fini(struct model *model)
{
	map_fini(&model->observations);
}

struct observation *trace_observation(const struct model *model, const struct trace *trace,
				      const struct thread *thread,
				      const uint8_t span_id[SPAN_ID_BYTES])
{
	struct observation *o = trace->observations;

	if (trace->is_indexed) {
		struct key key = key_of(trace, thread, span_id);
		struct observation **found = map_get(&model->observations, &key);

		return found ? *found : NULL;
	}
	while (o && (o->thread != thread || memcmp(o->span_id, span_id, SPAN_ID_BYTES) != 0))
		o = o->next;
	return o;
}

static bool add_to_index(struct model *model, struct trace *trace, struct observation *o)
{
	struct key key = key_of(trace, o->thread, o->span_id);
	struct observation **slot = map_put(&model->observations, &key);

	if (!slot)
		return false;
	*slot = o;
	trace->bytes += INDEX_BYTES;
	model->stats.trace_bytes += INDEX_BYTES;
	return true;
}

/* From one more than the list is good for on, all are in the index. */
static bool index_all(struct model *model, struct trace *trace, struct observation *newest)
{
	if (trace->observation_count < LISTED)
		return true;
	for (struct observation *o = trace->observations; o && trace->observation_count == LISTED;
	     o = o->next) {
		if (!add_to_index(model, trace, o))
			return false;
	}
	trace->is_indexed = true;
	return add_to_index(model, trace, newest);
}

bool observation_add(struct model *model, struct trace *trace, struct observation *o)
{
	if (!index_all(model, trace, o))
		return false;
	o->next = trace->observations;
	trace->observations = o;
	trace->observation_count++;
	o->thread->refs++;
	trace->bytes += sizeof(*o);
	model->stats.trace_bytes += sizeof(*o);
	return true;
}

void observations_free(struct model *model, struct trace *trace)
{
	while (trace->observations) {
		struct observation *o = trace->observations;
		struct key key = key_of(trace, o->thread, o->span_id);

		if (trace->observation_count >= LISTED)
			map_delete(&model->observations, &key);
		trace->observations = o->next;
		if (o->thread->current == o)
			o->thread->current = NULL;
		o->thread->refs--;
		if (o->fold)
			model->stats.fold_bytes -= sizeof(*o->fold);
		free(o->fold);
		free(o);
	}
	trace->observation_count = 0;
}
