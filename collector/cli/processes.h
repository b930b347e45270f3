/* SPDX-License-Identifier: Apache-2.0 */
/* A look into /proc: who runs, with which capabilities, who listens where. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The first process of this name (its comm, cut to 15 bytes); 0: none. */
uint32_t processes_find(const char *comm);

/* Its effective capabilities as a mask; 0 when it cannot be read. */
uint64_t processes_capabilities(uint32_t pid);

enum processes_port { PROCESSES_PORT_FREE, PROCESSES_PORT_TAKEN, PROCESSES_PORT_BAD };

/* Whether somebody listens at `address` ("127.0.0.1:4317"), also by a wildcard. `out_pid` 0: it is
 * not ours to see who. BAD: no address, or port 0. */
enum processes_port processes_listening(const char *address, uint32_t *out_pid, char *out_comm,
					size_t comm_size);
