/* SPDX-License-Identifier: Apache-2.0 */
/* One probe_message on the socket between collector and probe, with up to two descriptors.
 *
 * Errors are negative errno; -EPIPE: the other end has gone. */
#pragma once

#include "bpf/probe.h"

/* Blocks while the collector is behind. Descriptors of -1 are not sent. */
int probe_packet_send(int socket_fd, const struct probe_message *message, int first_fd,
		      int second_fd);

/* 1: one message; 0: none now. Descriptors that did not come are -1. */
int probe_packet_receive(int socket_fd, struct probe_message *out_message, int *out_first_fd,
			 int *out_second_fd);
