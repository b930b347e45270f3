/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/stack_store.h"

#include <errno.h>

#include "collector/base/frame.h"
#include "collector/base/map.h"
#include "storage/key.h"

#define KEY_BYTES 8

/* LMDB writes nothing where the same value stands already, but it would copy the page. */
static void put_frame(const struct part *part, struct txn *txn, const uint8_t *key,
		      struct str frame)
{
	struct str there;

	if (!txn->error && txn_get(txn, part->frames, key_str(key, KEY_BYTES), &there) == -ENOENT)
		txn_put(txn, part->frames, key_str(key, KEY_BYTES), frame);
}

int stack_store_put(const struct part *part, struct txn *txn, uint64_t id, struct str frames)
{
	uint8_t keys[STACK_STORE_MAX_FRAMES * KEY_BYTES], key[KEY_BYTES];
	struct wire_reader reader = wire_read(frames);
	struct frame frame;
	size_t count = 0;

	if (stack_store_has(part, txn, id))
		return 0;
	while (count < STACK_STORE_MAX_FRAMES) {
		const char *start = reader.at;
		struct str bytes;
		int rc = frame_next(&reader, &frame);

		if (rc < 0)
			return rc;
		if (rc == 0)
			break;
		bytes = (struct str){ start, (size_t)(reader.at - start) };
		key_put64(keys + count * KEY_BYTES, map_hash(bytes.data, bytes.len, part->seed));
		put_frame(part, txn, keys + count * KEY_BYTES, bytes);
		count++;
	}
	key_put64(key, id);
	txn_put(txn, part->stacks, key_str(key, sizeof(key)), key_str(keys, count * KEY_BYTES));
	return txn->error;
}

bool stack_store_has(const struct part *part, const struct txn *txn, uint64_t id)
{
	uint8_t key[KEY_BYTES];
	struct str there;

	key_put64(key, id);
	return txn_get(txn, part->stacks, key_str(key, sizeof(key)), &there) == 0;
}

int stack_store_get(const struct part *part, const struct txn *txn, uint64_t id,
		    struct buf *out_frames)
{
	struct str keys, frame;
	uint8_t key[KEY_BYTES];
	int rc;

	key_put64(key, id);
	rc = txn_get(txn, part->stacks, key_str(key, sizeof(key)), &keys);
	for (size_t at = 0; rc == 0 && at + KEY_BYTES <= keys.len; at += KEY_BYTES) {
		rc = txn_get(txn, part->frames, (struct str){ keys.data + at, KEY_BYTES }, &frame);
		if (rc == 0)
			buf_append_str(out_frames, frame);
		else if (rc == -ENOENT)
			rc = -EBADMSG;
	}
	return rc;
}
