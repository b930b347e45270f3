/* SPDX-License-Identifier: Apache-2.0 */
/* What a process says about itself: OTEP 4719, the process context.
 *
 * A mapping named OTEL_CTX holds a header that points to a protobuf payload. The writer may change
 * it at any moment, so it is read twice over. What it says are claims of that process. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/str.h"

#define PROCESS_CONTEXT_MAX_BYTES 65536 /* of payload */

enum process_schema {
	PROCESS_SCHEMA_ABSENT = 0, /* says nothing: look for the variable all the same */
	PROCESS_SCHEMA_NATIVE,
	PROCESS_SCHEMA_NODEJS,
	PROCESS_SCHEMA_GO,
	PROCESS_SCHEMA_UNKNOWN,
};

/* Texts are cut to fit, NUL terminated, valid UTF-8 without control characters. */
struct process_context {
	enum process_schema schema;
	bool has_changes; /* its threads keep logs of changes, in a form that we know */
	char schema_version[32];
	char service_name[64];
	char service_instance_id[64];
};

/* `memory_fd`: the process's /proc/PID/mem; `address`: of the mapping. -ENOENT: no context there;
 * -EAGAIN: it was being written; -EBADMSG: it is damaged; -EMSGSIZE: too long. */
int process_context_read(int memory_fd, uint64_t address, struct process_context *out_context);

/* The payload alone. */
int process_context_decode(struct str payload, struct process_context *out_context);
