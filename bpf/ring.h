/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the mapped ring buffer and counters in the collector's process. Needs no capability and no
 * bpf(2): only the descriptors that the probe handed over. One thread; errors are negative errno.
 *
 * https://docs.kernel.org/bpf/ringbuf.html: consumer page, producer page, data mapped twice. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bpf/event.h"

struct ring;

/* `ring_fd` and `counters_fd` stay the caller's; they may be closed afterwards. `ring_bytes`: the
 * size of the data area. */
int ring_open(int ring_fd, size_t ring_bytes, int counters_fd, unsigned cpus,
	      struct ring **out_ring);
void ring_close(struct ring *ring);

/* Hands over what has been committed, oldest first, at most `max_records` (0: all). Stops early
 * when `visit` returns non-zero. Returns the number visited. A record is borrowed during the visit;
 * its header.bytes has been checked against its kind and flags, malformed ones are counted, not
 * visited. */
int ring_consume(struct ring *ring, unsigned max_records,
		 int (*visit)(const struct event_header *record, void *arg), void *arg);

/* Unread bytes, of the size given at ring_open. Any thread. */
size_t ring_backlog_bytes(const struct ring *ring);

/* Sums over CPUs. */
void ring_counters(const struct ring *ring, struct event_counters *out_sum);
uint64_t ring_malformed(const struct ring *ring);
/* Slices that found it full, so far. */
uint64_t ring_missed(const struct ring *ring);
