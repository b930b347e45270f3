/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/stack_pack.h"

#include <errno.h>

#include "collector/base/compress.h"
#include "collector/base/frame.h"
#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "storage/checksum.h"
#include "storage/key.h"
#include "storage/stack_store.h"

#define ZSTD_LEVEL 9
#define MAX_BYTES  ((size_t)4 << 20) /* of one value, unpacked */
#define HASH_BYTES 8

static uint64_t checksum(struct str key, struct str packed)
{
	return checksum_of(packed.data, packed.len, checksum_of(key.data, key.len, 0));
}

/* ---- making ---- */

struct packing {
	const struct part *from, *to;
	const struct txn *reading;
	struct txn *writing;
	struct map numbers;               /* hash -> number */
	struct compress_packer *packer;   /* owned */
	struct buf frames, stacks, steps; /* owned; steps: of the stack at hand */
	uint32_t frame_count, stack_count;
	uint8_t first_id[8];
};

static void put_value(struct packing *packing, MDB_dbi dbi, struct str key, struct buf *plain)
{
	struct txn *txn = packing->writing;
	struct buf value;
	uint64_t sum;

	buf_init(&value, 0);
	wire_put_varint(&value, plain->len);
	if (!txn->error)
		txn->error = buf_error(plain);
	if (!txn->error)
		txn->error = compress_pack(packing->packer, buf_str(plain), &value);
	if (!txn->error) {
		sum = checksum(key, buf_str(&value));
		buf_append(&value, &sum, sizeof(sum));
		txn->error = buf_error(&value);
	}
	if (!txn->error)
		txn_append(txn, dbi, key, buf_str(&value));
	buf_fini(&value);
	buf_clear(plain);
}

static void put_frames(struct packing *packing)
{
	uint8_t key[4];

	key_put32(key, (packing->frame_count - 1) / STACK_PACK_FRAMES * STACK_PACK_FRAMES);
	put_value(packing, packing->to->frames, key_str(key, sizeof(key)), &packing->frames);
}

static void put_stacks(struct packing *packing)
{
	put_value(packing, packing->to->stacks,
		  key_str(packing->first_id, sizeof(packing->first_id)), &packing->stacks);
	packing->stack_count = 0;
}

static int number_of(struct packing *packing, const char *hash, uint32_t *out_number)
{
	uint32_t *number = map_get(&packing->numbers, hash);
	struct str frame;
	int rc;

	if (number) {
		*out_number = *number;
		return 0;
	}
	rc = txn_get(packing->reading, packing->from->frames, (struct str){ hash, HASH_BYTES },
		     &frame);
	if (rc < 0)
		return rc == -ENOENT ? -EBADMSG : rc;
	number = map_put(&packing->numbers, hash);
	if (!number)
		return -ENOMEM;
	*out_number = *number = packing->frame_count++;
	buf_append_str(&packing->frames, frame);
	if (packing->frame_count % STACK_PACK_FRAMES == 0)
		put_frames(packing);
	return packing->writing->error;
}

static int add_stack(struct packing *packing, struct str id, struct str hashes)
{
	uint32_t number = 0, before = 0;
	int rc = id.len == sizeof(packing->first_id) ? 0 : -EBADMSG;

	if (rc == 0 && packing->stack_count == 0)
		memcpy(packing->first_id, id.data, id.len);
	buf_clear(&packing->steps);
	for (size_t at = 0; rc == 0 && at + HASH_BYTES <= hashes.len; at += HASH_BYTES) {
		rc = number_of(packing, hashes.data + at, &number);
		wire_put_varint(&packing->steps, wire_zigzag((int64_t)number - before));
		before = number;
	}
	if (rc == 0)
		rc = buf_error(&packing->steps);
	buf_append_str(&packing->stacks, id);
	wire_put_varint(&packing->stacks, packing->steps.len);
	buf_append_str(&packing->stacks, buf_str(&packing->steps));
	if (rc == 0 && ++packing->stack_count == STACK_PACK_STACKS)
		put_stacks(packing);
	return rc < 0 ? rc : packing->writing->error;
}

int stack_pack_copy(const struct part *from, const struct txn *reading, const struct part *to,
		    struct txn *writing)
{
	struct packing packing = { .from = from, .to = to, .reading = reading, .writing = writing };
	struct str id, hashes;
	struct cursor cursor;
	int rc = cursor_open(reading, from->stacks, &cursor);

	if (rc < 0)
		return rc;
	packing.packer = compress_packer_new(ZSTD_LEVEL, 0);
	if (!packing.packer) {
		cursor_close(&cursor);
		return -ENOMEM;
	}
	map_init(&packing.numbers, HASH_BYTES, sizeof(uint32_t), from->seed);
	for (rc = cursor_first(&cursor, &id, &hashes); rc == 0;
	     rc = cursor_next(&cursor, &id, &hashes)) {
		rc = add_stack(&packing, id, hashes);
		if (rc < 0)
			break;
	}
	cursor_close(&cursor);
	rc = rc == -ENOENT ? 0 : rc;
	if (rc == 0 && packing.stack_count)
		put_stacks(&packing);
	if (rc == 0 && packing.frame_count % STACK_PACK_FRAMES)
		put_frames(&packing);
	compress_packer_free(packing.packer);
	map_fini(&packing.numbers);
	buf_fini(&packing.frames);
	buf_fini(&packing.stacks);
	buf_fini(&packing.steps);
	return rc < 0 ? rc : writing->error;
}

/* ---- reading ---- */

static int unpack(struct str key, struct str value, struct buf *out)
{
	struct wire_reader reader;
	uint64_t sum, len;
	char *room;
	int rc;

	if (value.len < sizeof(sum))
		return -EBADMSG;
	value.len -= sizeof(sum);
	memcpy(&sum, value.data + value.len, sizeof(sum));
	reader = wire_read(value);
	if (sum != checksum(key, value) || !wire_get_varint(&reader, &len) || len > MAX_BYTES)
		return -EBADMSG;
	room = buf_reserve(out, (size_t)len + 1);
	if (!room)
		return -ENOMEM;
	rc = compress_unpack((struct str){ reader.at, (size_t)(reader.end - reader.at) }, room,
			     (size_t)len);
	out->len = rc == 0 ? (size_t)len : 0;
	return rc;
}

static void empty(struct stack_group *group)
{
	buf_fini(&group->bytes);
	*group = (struct stack_group){ 0 };
}

void stack_groups_fini(struct stack_groups *groups)
{
	for (unsigned i = 0; i < STACK_PACK_GROUPS; i++)
		empty(&groups->groups[i]);
}

static int fill(struct stack_group *group, const struct part *part, const struct txn *txn,
		uint32_t first)
{
	struct wire_reader reader;
	struct frame frame;
	uint8_t key[4];
	struct str value;
	int rc;

	key_put32(key, first);
	empty(group);
	buf_init(&group->bytes, 0);
	rc = txn_get(txn, part->frames, key_str(key, sizeof(key)), &value);
	if (rc == 0)
		rc = unpack(key_str(key, sizeof(key)), value, &group->bytes);
	if (rc < 0)
		return rc == -ENOENT ? -EBADMSG : rc;
	reader = wire_read(buf_str(&group->bytes));
	while (group->count < STACK_PACK_FRAMES && frame_next(&reader, &frame) == 1)
		group->ends[group->count++] = (uint32_t)(reader.at - group->bytes.data);
	group->part = part;
	group->first = first;
	return 0;
}

static int find_group(struct stack_groups *groups, const struct part *part, const struct txn *txn,
		      uint32_t number, const struct stack_group **out_group)
{
	uint32_t first = number / STACK_PACK_FRAMES * STACK_PACK_FRAMES;
	struct stack_group *group;
	int rc;

	for (unsigned i = 0; i < STACK_PACK_GROUPS; i++) {
		group = &groups->groups[i];
		if (group->part == part && group->first == first) {
			*out_group = group;
			return 0;
		}
	}
	group = &groups->groups[groups->next++ % STACK_PACK_GROUPS];
	rc = fill(group, part, txn, first);
	if (rc < 0)
		empty(group);
	else
		*out_group = group;
	return rc;
}

static int put_frame(struct stack_groups *groups, const struct part *part, const struct txn *txn,
		     uint32_t number, struct buf *out)
{
	const struct stack_group *group;
	uint32_t index = number % STACK_PACK_FRAMES, start;
	int rc = find_group(groups, part, txn, number, &group);

	if (rc < 0)
		return rc;
	if (index >= group->count)
		return -EBADMSG;
	start = index ? group->ends[index - 1] : 0;
	buf_append(out, group->bytes.data + start, group->ends[index] - start);
	return 0;
}

/* The numbers of the next stack. */
static bool next_steps(struct wire_reader *reader, struct str *out_steps)
{
	uint64_t len;

	if (!wire_get_varint(reader, &len) || len > (size_t)(reader->end - reader->at))
		return false;
	*out_steps = (struct str){ reader->at, (size_t)len };
	reader->at += len;
	return true;
}

static int put_stack(struct str steps, struct stack_groups *groups, const struct part *part,
		     const struct txn *txn, struct buf *out)
{
	struct wire_reader reader = wire_read(steps);
	uint64_t step, number = 0;
	unsigned count = 0;
	int rc = 0;

	while (rc == 0 && reader.at < reader.end) {
		if (!wire_get_varint(&reader, &step) || ++count > STACK_STORE_MAX_FRAMES)
			return -EBADMSG;
		number += (uint64_t)wire_unzigzag(step);
		if (number > UINT32_MAX)
			return -EBADMSG;
		rc = put_frame(groups, part, txn, (uint32_t)number, out);
	}
	return rc;
}

/* The value that holds the stack, if one does. */
static int seek(struct cursor *cursor, struct str wanted, struct str *out_key,
		struct str *out_value)
{
	int rc = cursor_seek(cursor, wanted, out_key, out_value);

	if (rc == 0 && str_eq(*out_key, wanted))
		return 0;
	if (rc == 0)
		return cursor_prev(cursor, out_key, out_value);
	return rc == -ENOENT ? cursor_last(cursor, out_key, out_value) : rc;
}

int stack_pack_get(const struct part *part, const struct txn *txn, struct stack_groups *groups,
		   uint64_t id, struct buf *out_frames)
{
	struct wire_reader reader;
	struct str key, value, steps;
	struct cursor cursor;
	struct buf stacks;
	uint8_t wanted[8];
	bool is_it = false;
	int rc = cursor_open(txn, part->stacks, &cursor);

	if (rc < 0)
		return rc;
	key_put64(wanted, id);
	buf_init(&stacks, 0);
	rc = seek(&cursor, key_str(wanted, sizeof(wanted)), &key, &value);
	if (rc == 0)
		rc = unpack(key, value, &stacks);
	cursor_close(&cursor);
	reader = wire_read(buf_str(&stacks));
	while (rc == 0 && !is_it) {
		if (reader.end - reader.at < (ptrdiff_t)sizeof(wanted)) {
			rc = -ENOENT;
			break;
		}
		is_it = memcmp(reader.at, wanted, sizeof(wanted)) == 0;
		reader.at += sizeof(wanted);
		rc = next_steps(&reader, &steps) ? 0 : -EBADMSG;
		if (rc == 0 && is_it)
			rc = put_stack(steps, groups, part, txn, out_frames);
	}
	buf_fini(&stacks);
	return rc;
}
