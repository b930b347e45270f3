/* SPDX-License-Identifier: Apache-2.0 */
/* Accepts OTLP connections, up to a limit, and looks after them.
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

#include "collector/receive/otlp_service.h"

struct admission;
struct listener;
struct tls_context;

struct listener_options {
	uv_loop_t *loop;  /* borrowed, as all pointers */
	const char *name; /* "grpc", "http": for the log */
	const char *address;
	bool speaks_http1;       /* the HTTP port: HTTP/1.1, and HTTP/2 when a client begins so */
	bool is_shared;          /* other loops listen on the same address */
	struct tls_context *tls; /* NULL: plain */
	struct admission *admission; /* shared by all listeners */
	/* Those of the same loop, who give way to each other; NULL ones are passed over. */
	struct listener *const *siblings;
	size_t sibling_count;
	struct otlp_service service; /* copied; http2.methods and .counters are the listener's */
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
