/* SPDX-License-Identifier: Apache-2.0 */
/* Wakes a loop from another thread, as a uv_async_t does, and does not wait for the sender.
 *
 * Up to libuv 1.44 a loop that was woken spins until the sender has returned from its system call:
 * 997 looks, sched_yield, again. On a machine at work the loop has just taken the sender's CPU. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

struct wake {
	uv_poll_t poll; /* first; its `data` is the owner's */
	int fd;
	atomic_bool is_sent;
	void (*on_wake)(struct wake *wake);
	void (*on_closed)(struct wake *wake);
};

/* On the loop's thread. `on_wake` runs there, once for all that was sent until it began. Negative
 * errno; then nothing is to be closed. */
int wake_init(struct wake *wake, uv_loop_t *loop, void (*on_wake)(struct wake *wake));
/* From any thread, until wake_close. What was written before it is seen by `on_wake`. */
void wake_send(struct wake *wake);
/* Whether the loop goes on for it; it does at first. */
void wake_hold_loop(struct wake *wake, bool holds);
/* `wake` stays until `on_closed`. */
void wake_close(struct wake *wake, void (*on_closed)(struct wake *wake));
