/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alert_outbox.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/base/map.h"

/* Walks a queue. */
struct walk {
	uint64_t count;
	char last[ALERT_OUTBOX_KEY_BYTES];
	char *out_key; /* gets the first one's; NULL: not asked for */
	struct buf *out_event;
};

static void copy_key(char out[ALERT_OUTBOX_KEY_BYTES], struct str key)
{
	snprintf(out, ALERT_OUTBOX_KEY_BYTES, "%.*s", (int)key.len, key.data);
}

static int on_message(struct str key, struct str value, void *arg)
{
	struct walk *walk = arg;

	if (walk->count++ == 0 && walk->out_key) {
		copy_key(walk->out_key, key);
		buf_append_str(walk->out_event, value);
	}
	copy_key(walk->last, key);
	return 0;
}

int alert_outbox_open(struct alert_outbox *outbox, const char *url, struct state_kv *kv,
		      uint64_t *out_count)
{
	struct walk walk = { 0 };
	int rc;

	snprintf(outbox->prefix, sizeof(outbox->prefix), ALERT_OUTBOX_PREFIX "%016" PRIx64 "/",
		 map_hash(url, strlen(url), 1));
	rc = state_kv_each(kv, str_of(outbox->prefix), on_message, &walk);
	outbox->next = walk.count ? strtoull(walk.last + strlen(outbox->prefix), NULL, 10) + 1 : 1;
	*out_count = walk.count;
	return rc;
}

void alert_outbox_add(struct alert_outbox *outbox, struct str event, struct alert_batch *batch)
{
	char key[2 * ALERT_OUTBOX_KEY_BYTES];

	snprintf(key, sizeof(key), "%s%020" PRIu64, outbox->prefix, outbox->next++);
	alert_batch_put(batch, str_of(key), event);
}

int alert_outbox_first(const struct alert_outbox *outbox, struct state_kv *kv,
		       char out_key[ALERT_OUTBOX_KEY_BYTES], struct buf *out_event,
		       uint64_t *out_count)
{
	struct walk walk = { .out_key = out_key, .out_event = out_event };
	int rc = state_kv_each(kv, str_of(outbox->prefix), on_message, &walk);

	*out_count = walk.count;
	if (rc == 0 && walk.count == 0)
		return -ENOENT;
	return rc ? rc : buf_error(out_event);
}

static int on_counted(struct str key, struct str value, void *arg)
{
	(void)key;
	(void)value;
	++*(uint64_t *)arg;
	return 0;
}

uint64_t alert_outbox_count(const struct alert_outbox *outbox, struct state_kv *kv)
{
	uint64_t count = 0;

	(void)state_kv_each(kv, str_of(outbox->prefix), on_counted, &count);
	return count;
}

int alert_outbox_remove(struct state_kv *kv, const char *key)
{
	const struct state_kv_change change = { str_of(key), { NULL, 0 }, true };

	return state_kv_apply(kv, &change, 1);
}

struct sweep {
	const struct alert_outbox *outboxes;
	unsigned count;
	struct alert_batch batch;
};

static int on_any(struct str key, struct str value, void *arg)
{
	struct sweep *sweep = arg;

	(void)value;
	for (unsigned i = 0; i < sweep->count; i++) {
		size_t len = strlen(sweep->outboxes[i].prefix);

		if (key.len > len && memcmp(key.data, sweep->outboxes[i].prefix, len) == 0)
			return 0;
	}
	alert_batch_remove(&sweep->batch, key);
	return 0;
}

int64_t alert_outbox_sweep(const struct alert_outbox *outboxes, unsigned count, struct state_kv *kv)
{
	struct sweep sweep = { .outboxes = outboxes, .count = count };
	int64_t removed;
	int rc;

	alert_batch_init(&sweep.batch);
	rc = state_kv_each(kv, STR(ALERT_OUTBOX_PREFIX), on_any, &sweep);
	removed = (int64_t)sweep.batch.count;
	if (rc == 0)
		rc = alert_batch_apply(&sweep.batch, kv);
	alert_batch_fini(&sweep.batch);
	return rc < 0 ? rc : removed;
}
