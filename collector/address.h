/* SPDX-License-Identifier: Apache-2.0 */
/* "127.0.0.1:4317" and "[::1]:4317", to and from socket addresses. No names but one:
 * "localhost:4317" is 127.0.0.1, whatever a resolver says. And "unix:/run/spanwise/otlp.sock". */
#pragma once

#include <stddef.h>
#include <sys/socket.h>

enum address_scope {
	ADDRESS_INVALID,
	ADDRESS_LOOPBACK,
	ADDRESS_UNIX,
	ADDRESS_ELSEWHERE, /* valid, but other machines could connect */
};

enum address_scope address_check(const char *text);

/* The path of a unix socket; NULL: it is none, or not an absolute path of less than 108 bytes. */
const char *address_unix_path(const char *text);

/* -EINVAL: not an address and a port, nor a unix socket. */
int address_parse(const char *text, struct sockaddr_storage *out_address);
socklen_t address_bytes(const struct sockaddr_storage *address); /* for connect(2) */

/* Writes as the settings have it; empty when it is neither IPv4 nor IPv6. */
void address_format(const struct sockaddr_storage *address, char *out_text, size_t size);
