/* SPDX-License-Identifier: Apache-2.0 */
/* What the probe tells, on its way from the loop to the engine. */
#pragma once

#include "bpf/probe.h"
#include "collector/queue.h"

enum note_kind { NOTE_HELLO, NOTE_ABSENT, NOTE_DIED, NOTE_PROCESS };

struct note {
	struct queue_link link;
	enum note_kind kind;
	struct probe_hello hello;
	int ring_fd, counters_fd; /* owned, until who takes the note has them */
	struct event_process process;
};

/* To be freed by free(). NULL: there was no memory, which is logged, and the note is lost: whoever
 * it was for knows the less. */
struct note *note_died(void);
struct note *note_process(const struct event_process *process);
/* `hello` NULL: there is no probe. Takes the descriptors, also where it fails. */
struct note *note_hello(const struct probe_hello *hello, int ring_fd, int counters_fd);
