/* SPDX-License-Identifier: Apache-2.0 */
/* The privileged half: BPF programs, discovery, messages to the collector. */
#pragma once

#include "bpf/probe.h"

/* Runs until the collector's end of `socket_fd` closes. Returns the exit status of the process
 * (enum worker_exit). */
int worker_run(const struct probe_options *options, int socket_fd);
