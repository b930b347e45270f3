/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alert_batch.h"

#include <errno.h>
#include <stdlib.h>

void alert_batch_init(struct alert_batch *batch)
{
	*batch = (struct alert_batch){ 0 };
	arena_init(&batch->arena, 0);
}

void alert_batch_fini(struct alert_batch *batch)
{
	arena_fini(&batch->arena);
	free(batch->changes);
}

static struct str keep(struct alert_batch *batch, struct str text)
{
	char *copy = arena_alloc(&batch->arena, text.len + 1);

	if (!copy)
		batch->error = -ENOMEM;
	else if (text.len)
		memcpy(copy, text.data, text.len);
	return (struct str){ copy, text.len };
}

static void add(struct alert_batch *batch, struct state_kv_change change)
{
	if (batch->count == batch->cap) {
		size_t cap = batch->cap ? 2 * batch->cap : 16;
		struct state_kv_change *changes =
			reallocarray(batch->changes, cap, sizeof(*changes));

		if (!changes) {
			batch->error = -ENOMEM;
			return;
		}
		batch->changes = changes;
		batch->cap = cap;
	}
	change.key = keep(batch, change.key);
	change.value = keep(batch, change.value);
	if (!batch->error)
		batch->changes[batch->count++] = change;
}

void alert_batch_put(struct alert_batch *batch, struct str key, struct str value)
{
	add(batch, (struct state_kv_change){ key, value, false });
}

void alert_batch_remove(struct alert_batch *batch, struct str key)
{
	add(batch, (struct state_kv_change){ key, { NULL, 0 }, true });
}

int alert_batch_apply(struct alert_batch *batch, struct state_kv *kv)
{
	int rc = batch->error;

	if (rc == 0 && batch->count)
		rc = state_kv_apply(kv, batch->changes, batch->count);
	if (rc < 0)
		return rc;
	batch->count = 0;
	arena_fini(&batch->arena);
	arena_init(&batch->arena, 0);
	return 0;
}
