/* SPDX-License-Identifier: Apache-2.0 */
/* How many connections there may be, all together and from one peer. Shared by the listeners of all
 * threads; any thread. A peer is an IPv4 address or an IPv6 /64; unix sockets have none. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct admission;

/* `max_per_peer` 0: no limit. -ENOMEM. */
int admission_new(uint32_t max_total, uint32_t max_per_peer, struct admission **out_admission);
void admission_free(struct admission *admission); /* accepts NULL */

/* Takes one of the places; false: all are taken. */
bool admission_enter(struct admission *admission);
void admission_leave(struct admission *admission);
uint32_t admission_count(struct admission *admission);

/* The same for the peer's own places. False also when memory is out. */
bool admission_enter_peer(struct admission *admission, const struct sockaddr_storage *peer);
void admission_leave_peer(struct admission *admission, const struct sockaddr_storage *peer);
