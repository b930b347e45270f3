/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the tails of a record. User space only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "bpf/event.h"

struct event_tails {
	const struct event_tag *tag_out; /* NULL: none */
	const struct event_tag *tag_in;  /* NULL: none, or EVENT_TAG_SAME */
	const struct event_target *target;
	const struct event_waker *waker;
	const __u64 *stack_id;
};

static inline const void *event_take_tail(const char **at, unsigned flags, unsigned flag,
					  size_t bytes)
{
	const char *tail = *at;

	if (!(flags & flag))
		return NULL;
	*at += bytes;
	return tail;
}

/* false: header.bytes does not match the flags. */
static inline bool event_slice_tails(const struct event_slice *slice, struct event_tails *out_tails)
{
	const char *at = (const char *)(slice + 1);
	unsigned flags = slice->header.flags;

	out_tails->tag_out = event_take_tail(&at, flags, EVENT_TAG_OUT, sizeof(struct event_tag));
	out_tails->tag_in = event_take_tail(&at, flags, EVENT_TAG_IN, sizeof(struct event_tag));
	out_tails->target = event_take_tail(&at, flags, EVENT_TARGET, sizeof(struct event_target));
	out_tails->waker = event_take_tail(&at, flags, EVENT_WAKER, sizeof(struct event_waker));
	out_tails->stack_id = event_take_tail(&at, flags, EVENT_STACK_ID, sizeof(__u64));
	return at == (const char *)slice + slice->header.bytes;
}

/* The lengths, of a record of which so many bytes are there. false: of no known kind, too. */
static inline bool event_is_sound(const struct event_header *record)
{
	struct event_tails tails;

	switch (record->kind) {
	case EVENT_SLICE:
		return record->bytes >= sizeof(struct event_slice) &&
		       event_slice_tails((const struct event_slice *)record, &tails);
	case EVENT_FORK:
	case EVENT_EXEC:
	case EVENT_EXIT:
	case EVENT_UNFOLLOWED:
		return record->bytes == sizeof(struct event_life);
	case EVENT_AGAIN:
		return record->bytes == sizeof(struct event_again) &&
		       !(record->flags & ~(unsigned)EVENT_AGAIN_FLAGS);
	case EVENT_CLOCK:
		return record->bytes == sizeof(struct event_clock);
	case EVENT_BEHIND:
		return record->bytes == sizeof(struct event_behind);
	case EVENT_READY:
		return record->bytes == sizeof(struct event_ready);
	case EVENT_CHANGES:
		return record->bytes >= EVENT_CHANGES_BYTES(0) &&
		       record->bytes ==
			       EVENT_CHANGES_BYTES(((const struct event_changes *)record)->count);
	default:
		return false;
	}
}
