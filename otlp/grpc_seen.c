/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_seen.h"

#include "collector/base/macros.h"

enum { FRAME_DATA = 0, FRAME_HEADERS = 1, FRAME_CONTINUATION = 9 };
enum { FLAG_END_HEADERS = 4 };

static uint32_t slot_of(int32_t id)
{
	return (uint32_t)id / 2 % GRPC_SEEN_IDS;
}

static uint64_t bit_of(int32_t id)
{
	return 1ull << slot_of(id) % 64;
}

static bool has(const uint64_t *bits, int32_t id)
{
	return bits[slot_of(id) / 64] & bit_of(id);
}

static bool is_remembered(const struct grpc_seen *seen, int32_t id)
{
	return id <= seen->newest && seen->newest - id < 2 * GRPC_SEEN_IDS;
}

void grpc_seen_open(struct grpc_seen *seen, int32_t id)
{
	int32_t from = seen->newest;

	if (id <= from)
		return;
	if (id - from > 2 * GRPC_SEEN_IDS)
		from = id - 2 * GRPC_SEEN_IDS;
	for (int32_t between = id; between > from; between -= 2) {
		seen->opened[slot_of(between) / 64] &= ~bit_of(between);
		seen->ended[slot_of(between) / 64] &= ~bit_of(between);
	}
	seen->opened[slot_of(id) / 64] |= bit_of(id);
	seen->newest = id;
}

void grpc_seen_end(struct grpc_seen *seen, int32_t id)
{
	if (is_remembered(seen, id))
		seen->ended[slot_of(id) / 64] |= bit_of(id);
}

bool grpc_seen_was_left_out(const struct grpc_seen *seen, int32_t id)
{
	return id <= seen->newest && (!is_remembered(seen, id) || !has(seen->opened, id));
}

bool grpc_seen_has_ended(const struct grpc_seen *seen, int32_t id)
{
	return is_remembered(seen, id) && has(seen->ended, id);
}

bool grpc_frame_heads_is_waiting(const struct grpc_frame_heads *heads)
{
	return heads->head_len > 0 || heads->is_in_block || (heads->is_open && !heads->is_data);
}

static void end_frame(struct grpc_frame_heads *heads)
{
	if (!heads->is_open || heads->left > 0)
		return;
	heads->is_open = false;
	heads->whole += !heads->is_in_block;
}

static void take_head(struct grpc_frame_heads *heads)
{
	const uint8_t *head = heads->head;
	bool ends_block = head[4] & FLAG_END_HEADERS;

	if (head[3] == FRAME_HEADERS || head[3] == FRAME_CONTINUATION)
		heads->is_in_block = !ends_block;
	heads->is_data = head[3] == FRAME_DATA;
	heads->left = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
	heads->head_len = 0;
	heads->is_open = true;
	end_frame(heads);
}

size_t grpc_frame_heads_next(struct grpc_frame_heads *heads, struct str bytes, int32_t *out_id)
{
	const uint8_t *head = heads->head;
	size_t at = 0;

	*out_id = 0;
	while (at < bytes.len) {
		size_t piece = MIN(heads->left, bytes.len - at);

		heads->left -= piece;
		at += piece;
		end_frame(heads);
		piece = MIN(sizeof(heads->head) - heads->head_len, bytes.len - at);
		memcpy(heads->head + heads->head_len, bytes.data + at, piece);
		heads->head_len += piece;
		at += piece;
		if (heads->left > 0 || heads->head_len < sizeof(heads->head))
			break;
		take_head(heads);
		if (!heads->is_data)
			continue;
		*out_id = (head[5] & 0x7f) << 24 | head[6] << 16 | head[7] << 8 | head[8];
		break;
	}
	return at;
}
