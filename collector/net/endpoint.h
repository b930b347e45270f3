/* SPDX-License-Identifier: Apache-2.0 */
/* A socket that listens, TCP or unix, by the text of its address (address.h).
 *
 *   endpoint_bind -> endpoint_listen -> endpoint_close -> on_closed
 *
 * To be embedded; loop thread only. Errors are negative errno. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct endpoint {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	char path[108]; /* of a unix socket, to be removed; else empty */
	void (*on_closed)(void *arg);
	void *arg;
};

struct endpoint_options {
	uv_loop_t *loop;
	const char *address;
	bool is_shared;     /* SO_REUSEPORT: endpoints of other loops have the same address */
	unsigned unix_mode; /* who may connect to a unix socket, as for chmod */
};

/* `data` of the handle is the caller's to set. `out_address` gets the address as it came to be. A
 * stale unix socket, of which nobody listens, is replaced. On failure on_closed comes all the
 * same. */
int endpoint_bind(struct endpoint *endpoint, const struct endpoint_options *options,
		  void (*on_closed)(void *arg), void *arg, char *out_address, size_t size);
int endpoint_listen(struct endpoint *endpoint, int backlog, uv_connection_cb on_connection);
void endpoint_close(struct endpoint *endpoint); /* any number of times */
