/* SPDX-License-Identifier: Apache-2.0 */
/* Accepts gRPC connections, up to a limit, and looks after them.
 *
 *   listener_bind -> listener_accept -> listener_drain -> listener_stop
 *
 * Binding and accepting are two steps: between them the process gives up its privileges. Loop
 * thread only. Errors are negative errno. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct intake;
struct listener;
struct metrics;

struct listener_options {
	uv_loop_t *loop; /* borrowed, as all pointers */
	const char *address;
	struct intake *intake;
	struct metrics *metrics;
	const bool *serving; /* answers health checks */
	uint32_t max_connections;
	uint32_t max_streams;
	size_t max_request_bytes;
	uint64_t idle_ms;
};

int listener_bind(const struct listener_options *options, struct listener **out_listener,
		  char *out_address, size_t size);
int listener_accept(struct listener *listener);

/* No new connections; those that are there are told to go and end when their requests are
 * answered. on_drained is called once when the last one has gone (or at once). */
void listener_drain(struct listener *listener, void (*on_drained)(void *arg), void *arg);

/* Ends what is left, at once; memory goes when the loop has run. Accepts NULL. */
void listener_stop(struct listener *listener);

void listener_hold(struct listener *listener, bool hold);
size_t listener_connections(const struct listener *listener);
