/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The current span of a Node thread: an entry of the Map that V8 carries along as the current async
 * context (AsyncContextFrame, Node 24 on). The collector of garbage moves objects, so every step is
 * checked, and what does not look right counts as a write under way. */
#pragma once

#include "bpf/tag_desk.bpf.h"

enum v8_layout {
	V8_MAP_TABLE = 0x18,        /* JSMap: its OrderedHashMap */
	V8_TABLE_COUNTS = 0x10,     /* elements, deleted, buckets */
	V8_TABLE_BUCKETS = 0x28,    /* index of each chain's first entry */
	V8_ENTRY_BYTES = 24,        /* key, value, index of the next entry */
	V8_MAX_BUCKETS = 1024,      /* a power of two */
	V8_MAX_CHAIN = 8,           /* V8 aims at two */
	V8_MAX_RECORD_OFFSET = 256, /* of a word in a small object */
};

static __always_inline bool v8_is_pointer(__u64 word)
{
	return word & 1;
}

/* A small integer, or something larger than any. */
static __always_inline __u32 v8_integer(__u64 word)
{
	return word & 0xffffffff ? ~0u : word >> 32;
}

static __always_inline int user_word(__u64 address, __u64 *out_word)
{
	return bpf_probe_read_user(out_word, 8, (void *)address);
}

/* The value under `key`. TAG_IS_NONE: there is no such entry. */
static __noinline int v8_map_get(__u64 map, __u64 key, __u32 hash, struct tag_desk *desk,
				 __u64 *out_value)
{
	__u64 *words = desk->words, table, first;

	if (!out_value)
		return TAG_IS_NONE;
	if (user_word(map - 1 + V8_MAP_TABLE, &table))
		return TAG_IS_FAULTING;
	if (!v8_is_pointer(table))
		return TAG_IS_INVALID;
	if (bpf_probe_read_user(words, 24, (void *)(table - 1 + V8_TABLE_COUNTS)))
		return TAG_IS_FAULTING;
	__u32 used = v8_integer(words[0]), deleted = v8_integer(words[1]);
	__u32 buckets = v8_integer(words[2]);

	if (buckets == 0 || buckets > V8_MAX_BUCKETS || (buckets & (buckets - 1)) ||
	    used > 2 * V8_MAX_BUCKETS || deleted > 2 * V8_MAX_BUCKETS)
		return TAG_IS_INVALID;
	used += deleted;
	__u64 chains = table - 1 + V8_TABLE_BUCKETS;

	if (user_word(chains + 8ull * (hash & (buckets - 1)), &first))
		return TAG_IS_FAULTING;
	for (int hops = 0; hops < V8_MAX_CHAIN; hops++) {
		__u32 index = v8_integer(first);

		if (first >> 32 == 0xffffffff) /* -1 ends a chain */
			return TAG_IS_NONE;
		if (index >= used)
			return TAG_IS_INVALID;
		if (bpf_probe_read_user(words, V8_ENTRY_BYTES,
					(void *)(chains + 8ull * buckets + V8_ENTRY_BYTES * index)))
			return TAG_IS_FAULTING;
		if (words[0] == key) { /* key, value, index of the next */
			*out_value = words[1];
			return TAG_IS_SET;
		}
		first = words[2];
	}
	return TAG_IS_INVALID;
}

/* `address`: of the struct tag_nodejs. */
__noinline int tag_read_nodejs(__u64 address, struct tag_desk *desk, struct tag_record *out_record)
{
	__u64 word, key, value;

	if (!desk || !out_record)
		return TAG_IS_NONE;
	struct tag_nodejs *node = &desk->node;

	if (bpf_probe_read_user(node, sizeof(*node), (void *)address))
		return TAG_IS_FAULTING;
	if (!node->frame || node->record_offset == 0 || node->record_offset > V8_MAX_RECORD_OFFSET)
		return TAG_IS_NONE;
	if (user_word(node->frame, &word) || user_word(node->storage, &key))
		return TAG_IS_FAULTING;
	if (word == node->undefined || !v8_is_pointer(word))
		return TAG_IS_NONE;
	int outcome = v8_map_get(word, key, node->storage_hash, desk, &value);

	if (outcome != TAG_IS_SET)
		return outcome;
	if (value == node->undefined || !v8_is_pointer(value))
		return TAG_IS_NONE;
	if (user_word(value - 1 + node->record_offset, &word))
		return TAG_IS_FAULTING;
	return word ? tag_read_record(word, out_record) : TAG_IS_NONE;
}
