/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as the configuration and the Host header write them. No state. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "collector/base/str.h"

/* "127.0.0.1:7317", "[::1]:0", "localhost:7317". -EINVAL. */
int http_host_parse(const char *address, struct sockaddr_storage *out_address);

bool http_host_is_loopback(const struct sockaddr *address);

/* Whether a Host header names this machine by an address that no DNS server can have given:
 * localhost, 127.0.0.1 or [::1], with any port. A page whose name was rebound to 127.0.0.1 sends
 * its own name. */
bool http_host_is_local(struct str host);

/* As http_host_parse reads it. */
void http_host_format(const struct sockaddr *address, char *out_text, size_t size);
