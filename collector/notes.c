/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/notes.h"

#include <stdlib.h>
#include <unistd.h>

#include "collector/log.h"

static struct note *make(enum note_kind kind)
{
	struct note *note = calloc(1, sizeof(*note));

	if (note)
		note->kind = kind;
	else
		LOG_LIMITED(LOG_ERROR, "engine: a message is lost: out of memory");
	return note;
}

struct note *note_died(void)
{
	return make(NOTE_DIED);
}

struct note *note_process(const struct event_process *process)
{
	struct note *note = make(NOTE_PROCESS);

	if (note)
		note->process = *process;
	return note;
}

struct note *note_hello(const struct probe_hello *hello, int ring_fd, int counters_fd)
{
	struct note *note = make(hello ? NOTE_HELLO : NOTE_ABSENT);

	if (note && hello) {
		note->hello = *hello;
		note->ring_fd = ring_fd;
		note->counters_fd = counters_fd;
	} else if (hello) {
		close(ring_fd);
		close(counters_fd);
	}
	return note;
}
