/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Spans that are told by labels, pairs of texts: Go's pprof labels, and custom labels. Their names
 * are nowhere agreed upon: trace_id, "trace id", traceId ... and the same for spans. Ids are in
 * hex, but Datadog's "span id" is decimal. Without a trace id a span cannot be told. */
#pragma once

#include "bpf/tag_desk.bpf.h"

#define LABELS_MAX     16 /* of a set that are looked at */
#define GO_MAX_BUCKETS 4  /* of 8 labels each */
#define GO_MIN_TOPHASH 5  /* lower values mark a free slot */

#define LABEL_MAX_DECIMAL 20 /* digits of an unsigned 64-bit number */

/* Of two texts, for 8 bytes of which the last may be missing; in lower case. */
#define LABEL_NAME(a, b, c, d, e, f, g, h)                                                         \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 |   \
	 (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)
#define LABEL_LOWER     0x2020202020202020ull
#define LABEL_TRACE_ID  LABEL_NAME('t', 'r', 'a', 'c', 'e', 0, 'i', 'd')
#define LABEL_TRACEID   LABEL_NAME('t', 'r', 'a', 'c', 'e', 'i', 'd', ' ')
#define LABEL_SPAN_ID   LABEL_NAME('s', 'p', 'a', 'n', 0, 'i', 'd', ' ')
#define LABEL_SPANID    LABEL_NAME('s', 'p', 'a', 'n', 'i', 'd', ' ', ' ')
#define LABEL_ANY_AT(n) (~(0xffull << 8 * (n)))

/* Eight hex digits to four bytes, all at once. false: something else stood there. */
static __always_inline bool hex_bytes(__u64 text, __u32 *out_bytes)
{
	const __u64 ones = 0x0101010101010101ull;
	__u64 letters = text >> 6 & ones;
	__u64 digits = (text & 15 * ones) + 9 * letters;

	if (digits + 0x30 * ones + 0x27 * letters != (text | LABEL_LOWER))
		return false;
	if ((digits & 0xf0 * ones) || ((digits + 6 * ones) >> 4 & ones) != letters)
		return false;
	digits = (digits & 0x000f000f000f000full) << 4 | (digits >> 8 & 0x000f000f000f000full);
	*out_bytes = (digits & 0xff) | (digits >> 8 & 0xff00) | (digits >> 16 & 0xff0000) |
		     (digits >> 24 & 0xff000000);
	return true;
}

/* 16 hex digits at `text` to 8 bytes, or nothing. */
static __always_inline int label_hex(__u64 text, __u64 *words, __u64 *out_id)
{
	__u32 high, low;

	if (bpf_probe_read_user(words, 16, (void *)text))
		return TAG_IS_FAULTING;
	if (!hex_bytes(words[0], &high) || !hex_bytes(words[1], &low))
		return TAG_IS_NONE;
	*out_id = high | (__u64)low << 32;
	return TAG_IS_SET;
}

static __always_inline int label_decimal(struct tag_desk *desk, __u64 *out_id)
{
	__u64 bytes = desk->label.value_bytes, number = 0;
	__u8 *text = desk->bytes;

	if (bytes == 0)
		return TAG_IS_NONE;
	barrier_var(bytes);
	if (bytes > LABEL_MAX_DECIMAL)
		return TAG_IS_NONE;
	if (bpf_probe_read_user(text, bytes, (void *)desk->label.value))
		return TAG_IS_FAULTING;
	for (__u32 i = 0; i < LABEL_MAX_DECIMAL && i < bytes; i++) {
		if (text[i] < '0' || text[i] > '9')
			return TAG_IS_NONE;
		number = number * 10 + (text[i] - '0');
	}
	*out_id = __builtin_bswap64(number);
	return TAG_IS_SET;
}

static __always_inline int label_span(struct tag_desk *desk, bool is_decimal,
				      struct tag_record *record)
{
	__u64 *id = (__u64 *)record->span_id;

	if (is_decimal)
		return label_decimal(desk, id);
	return desk->label.value_bytes == 16 ? label_hex(desk->label.value, desk->words, id)
					     : TAG_IS_NONE;
}

static __always_inline int label_trace(struct tag_desk *desk, struct tag_record *record)
{
	const struct label *label = &desk->label;
	__u64 *id = (__u64 *)record->trace_id;
	int outcome;

	if (label->value_bytes != 32)
		return TAG_IS_NONE;
	outcome = label_hex(label->value, desk->words, id);
	if (outcome == TAG_IS_SET)
		outcome = label_hex(label->value + 16, desk->words, id + 1);
	if (outcome != TAG_IS_SET)
		id[0] = id[1] = 0;
	return outcome;
}

/* Takes an id from the desk's label, if that names one. Only faults are told. The bounds of its
 * length are two comparisons: in one for both, verifiers before 6.13 see none. */
__noinline int label_take(struct tag_desk *desk, struct tag_record *record)
{
	__u64 name, bytes;

	if (!desk || !record)
		return TAG_IS_NONE;
	bytes = desk->label.key_bytes;
	if (bytes < 6)
		return TAG_IS_NONE;
	barrier_var(bytes);
	if (bytes > 8)
		return TAG_IS_NONE;
	desk->words[0] = 0;
	if (bpf_probe_read_user(desk->words, bytes, (void *)desk->label.key))
		return TAG_IS_FAULTING;
	name = desk->words[0];
	bool is_decimal = (name >> 32 & 0xff) == ' ';

	name |= LABEL_LOWER;
	if ((name & LABEL_ANY_AT(4)) == LABEL_SPAN_ID || name == LABEL_SPANID)
		return label_span(desk, is_decimal, record);
	if ((name & LABEL_ANY_AT(5)) == LABEL_TRACE_ID || name == LABEL_TRACEID)
		return label_trace(desk, record);
	return TAG_IS_NONE;
}

static __always_inline int labels_judge(const struct tag_record *record)
{
	const __u64 *ids = (const __u64 *)record;

	return (ids[0] | ids[1]) && ids[2] ? TAG_IS_SET : TAG_IS_NONE;
}

/* ---- Go: g -> m -> curg -> labels, an immutable set */

static __noinline int go_label_slice(__u64 labels, struct tag_desk *desk, struct tag_record *record)
{
	__u64 first, count;

	if (!desk || !record || bpf_probe_read_user(desk->words, 16, (void *)labels))
		return TAG_IS_FAULTING;
	first = desk->words[0];
	count = desk->words[1];
	for (__u32 i = 0; i < LABELS_MAX && i < count; i++) {
		if (bpf_probe_read_user(&desk->label, sizeof(desk->label),
					(void *)(first + i * sizeof(desk->label))) ||
		    label_take(desk, record) == TAG_IS_FAULTING)
			return TAG_IS_FAULTING;
	}
	return TAG_IS_SET;
}

/* A bucket: a byte of hash for each of 8 slots, 8 keys, 8 values. */
static __noinline int go_label_bucket(__u64 bucket, struct tag_desk *desk,
				      struct tag_record *record)
{
	__u64 tophash;

	if (!desk || !record || bpf_probe_read_user(&tophash, sizeof(tophash), (void *)bucket))
		return TAG_IS_FAULTING;
	for (__u32 i = 0; i < 8; i++, tophash >>= 8) {
		__u64 key = bucket + 8 + 16 * i;

		if ((tophash & 0xff) < GO_MIN_TOPHASH)
			continue;
		if (bpf_probe_read_user(&desk->label.key, 16, (void *)key) ||
		    bpf_probe_read_user(&desk->label.value, 16, (void *)(key + 8 * 16)) ||
		    label_take(desk, record) == TAG_IS_FAULTING)
			return TAG_IS_FAULTING;
	}
	return TAG_IS_SET;
}

/* `labels` points to the map: count, flags and log2 of the buckets, the buckets. */
static __always_inline int go_label_map(__u64 labels, struct tag_desk *desk,
					struct tag_record *record)
{
	__u64 map, flags, buckets;

	if (bpf_probe_read_user(&map, 8, (void *)labels))
		return TAG_IS_FAULTING;
	if (!map)
		return TAG_IS_SET;
	if (bpf_probe_read_user(desk->words, 24, (void *)map))
		return TAG_IS_FAULTING;
	flags = desk->words[1];
	buckets = desk->words[2];
	for (__u32 i = 0; i < GO_MAX_BUCKETS && i >> (flags >> 8 & 7) == 0; i++)
		if (go_label_bucket(buckets + 272 * i, desk, record) == TAG_IS_FAULTING)
			return TAG_IS_FAULTING;
	return TAG_IS_SET;
}

/* `variable`: address of the thread's g. A thread between goroutines has none. */
__noinline int tag_read_go(__u64 variable, const struct tag_go *go, struct tag_desk *desk,
			   struct tag_record *record)
{
	__u64 g, m, labels = 0;

	if (!go || !desk || !record || bpf_probe_read_user(&g, 8, (void *)variable))
		return TAG_IS_FAULTING;
	if (!g)
		return TAG_IS_NONE;
	if (bpf_probe_read_user(&m, 8, (void *)(g + go->g_m)) ||
	    bpf_probe_read_user(&g, 8, (void *)(m + go->m_curg)))
		return TAG_IS_FAULTING;
	if (g && bpf_probe_read_user(&labels, 8, (void *)(g + go->g_labels)))
		return TAG_IS_FAULTING;
	if (!labels)
		return TAG_IS_NONE;
	int outcome = go->is_map ? go_label_map(labels, desk, record)
				 : go_label_slice(labels, desk, record);

	return outcome == TAG_IS_SET ? labels_judge(record) : outcome;
}

/* ---- custom labels: {pairs, count}; a text is {bytes, address}, and a key without one is free */

__noinline int tag_read_labels(__u64 set, struct tag_desk *desk, struct tag_record *record)
{
	__u64 first, count;

	if (!desk || !record || bpf_probe_read_user(desk->words, 16, (void *)set))
		return TAG_IS_FAULTING;
	first = desk->words[0];
	count = desk->words[1];
	for (__u32 i = 0; i < LABELS_MAX && i < count; i++) {
		__u64 *pair = desk->words;

		if (bpf_probe_read_user(pair, 32, (void *)(first + i * 32)))
			return TAG_IS_FAULTING;
		desk->label = (struct label){ pair[1], pair[0], pair[3], pair[2] };
		if (desk->label.key && label_take(desk, record) == TAG_IS_FAULTING)
			return TAG_IS_FAULTING;
	}
	return labels_judge(record);
}
