/* SPDX-License-Identifier: Apache-2.0 */
/* The process between collector and worker: starts a worker, and another one when it dies. */
#pragma once

#include "bpf/probe.h"

/* How a worker ends. */
enum worker_exit {
	WORKER_STOPPED = 0, /* the collector is gone */
	WORKER_REFUSED = 3, /* the kernel does not let it start; another try would not help */
};

/* Runs in the forked child, until the collector's end of `socket_fd` closes; never returns. */
_Noreturn void probe_keeper_run(const struct probe_options *options, int socket_fd);
