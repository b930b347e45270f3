/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Room to read the rare forms of a tag in. Before Linux 6.13 all the functions of a chain of calls
 * share 512 bytes of stack, so what is more than a word lies here. */
#pragma once

#include "bpf/tag_record.bpf.h"
#include "bpf/worker_shared.h"

struct label {
	__u64 key, key_bytes;
	__u64 value, value_bytes;
};

struct tag_desk {
	struct tag_reading reading;
	struct label label;
	struct tag_nodejs node;
	struct tag_elastic elastic;
	__u64 words[4];
	__u8 bytes[24];
};

/* CPU -> a desk for each of its users; cut to the number of possible CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EVENT_MAX_CPUS *DESK_USERS);
	__type(key, __u32);
	__type(value, struct tag_desk);
} desks SEC(".maps");

static __always_inline struct tag_desk *this_desk(__u32 user)
{
	__u32 key = bpf_get_smp_processor_id() * DESK_USERS + user;

	return bpf_map_lookup_elem(&desks, &key);
}
