/* SPDX-License-Identifier: Apache-2.0 */
/* Who a process is, from the small files of /proc/PID. Errors are negative errno; -ESRCH: gone. */
#pragma once

#include <stdbool.h>

#include "bpf/event.h"

struct process_state {
	bool is_kernel_thread;
	bool is_zombie;  /* the leader has ended; other threads may run on */
	bool is_exiting; /* ... or is about to: its memory may be gone already */
};

/* `directory_fd`: /proc/PID, which stays that process's own when the pid is given out again. Fills
 * ns_pid, start_ns, comm, executable and container_id; the caller sets the rest. */
int process_identity_read(int directory_fd, struct event_process *process,
			  struct process_state *out_state);

/* What was looked for in it and not found may have been there a moment before. */
bool process_identity_is_exiting(int directory_fd);

/* The parsers alone: NUL terminated texts. */
int process_identity_parse_stat(const char *text, struct event_process *process,
				struct process_state *out_state);
void process_identity_parse_status(const char *text, struct event_process *process);
void process_identity_parse_cgroup(const char *text, struct event_process *process);
