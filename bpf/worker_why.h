/* SPDX-License-Identifier: Apache-2.0 */
/* Why the BPF programs do not run here, and what to do about it: the sentence that users see. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct worker_failure {
	int status;         /* negative errno */
	unsigned cpus;      /* that this machine may have */
	bool loaded;        /* it was attaching that failed */
	bool locked;        /* the kernel keeps its memory even from root */
	const char *detail; /* libbpf's own words; borrowed */
};

/* What lockdown(7) says there; false, too, where nothing is to be read. */
bool worker_why_locked(const char *path);

/* Is our monotonic clock another one than the kernel's? What time_namespaces(7) says there; false,
 * too, where nothing is to be read. */
bool worker_why_ahead(const char *path, char *why, size_t why_bytes);

/* Cut to fit. */
void worker_why(const struct worker_failure *failure, char *why, size_t why_bytes);
