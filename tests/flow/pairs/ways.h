/* SPDX-License-Identifier: Apache-2.0 */
/* The ways on which a request gets from one process to another, and the answer back. */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#define REQUEST_BYTES 24 /* a trace id and a span id */

struct request {
	uint8_t ids[REQUEST_BYTES];
	int fd; /* where the answer goes */
	struct sockaddr_storage from;
	socklen_t from_bytes;
};

/* Names are "tcp", "udp", "unix" and "pipe". The address is what the other side has to be told: a
 * port, or a path below the working folder. All abort on failure. */
struct way {
	const char *name;
	/* The descriptor that becomes readable with each request. */
	int (*listen)(char *out_address, size_t bytes);
	void (*take)(int listener, struct request *out_request);
	void (*answer)(struct request *request);
	/* Sends it and waits for the answer. */
	void (*call)(const char *address, const uint8_t ids[REQUEST_BYTES]);
};

const struct way *way_find(const char *name);
void way_must(int is_done, const char *what);
