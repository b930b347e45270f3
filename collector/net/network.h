/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that receives OTLP: one or more loops, each with its listeners and its intake.
 *
 *   network_new -> network_connect -> network_accept -> network_drain -> network_stop
 *     -> network_free
 *
 * The first loop is the caller's; further ones have threads of their own, and the kernel spreads
 * the connections over them (SO_REUSEPORT; a unix socket stays with the first). Functions are for
 * the caller's thread unless they say otherwise. Errors are negative errno. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct config;
struct credentials;
struct engine;
struct memory_plan;
struct metrics;
struct network;
struct strangers;
struct ticket;
struct writer;

struct network_options {
	uv_loop_t *loop; /* all borrowed */
	const struct config *config;
	const struct memory_plan *plan;
	struct metrics *metrics;
	struct strangers *strangers; /* NULL: there are none */
	uint32_t max_connections;    /* of the config, or fewer if descriptors are short */
	struct credentials *grpc, *http;
};

/* Binds; a port of 0 becomes a real one. What failed has been logged. */
int network_new(const struct network_options *options, struct network **out_network);

/* Where batches go; before network_accept. */
void network_connect(struct network *network, struct writer *writer, struct engine *engine);

int network_accept(struct network *network);

/* No new connections; those that are there are told to go. on_drained is called once, on the
 * caller's loop, when the last one has gone. */
void network_drain(struct network *network, void (*on_drained)(void *arg), void *arg);

/* Ends what is left, at once. The caller then runs his loop until it is dry, and calls
 * network_join: batches that are not answered keep all loops alive. Accepts NULL. */
void network_stop(struct network *network);
void network_join(struct network *network);

/* After writer and engine have ended; run the loop once more after it. */
void network_free(struct network *network);

const char *network_grpc_address(const struct network *network);
const char *network_http_address(const struct network *network);

/* Any thread. */
size_t network_connections(const struct network *network);
size_t network_in_flight_bytes(const struct network *network);
void network_limit_in_flight(struct network *network, size_t bytes);

/* For writer_options and engine_options; any thread, `arg` is the network. */
void network_on_written(struct ticket *ticket, void *arg);
void network_on_group(void *arg);
void network_on_fed(struct ticket *ticket, void *arg);
