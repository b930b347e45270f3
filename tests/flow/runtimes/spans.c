/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into a program of another language: where it asks whether it may access
 * /spans/begin/NAME, its thread begins a span, and with /spans/end it ends it. What was done is
 * appended to the file SPANS_FILE, a line of JSON a span. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "deploy/instrument/c/spanwise_context.h"

#define BEGIN "/spans/begin/"
#define END   "/spans/end"

struct span {
	uint8_t trace_id[16], span_id[8];
	char name[32];
	uint64_t start_ns;
};
static _Thread_local struct span open_span;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

__attribute__((constructor)) static void init(void)
{
	if (getenv("SPANS_FILE"))
		spanwise_process_init(getenv("SPANS_SERVICE"), getenv("SPANS_SERVICE"));
}

static void begin(const char *name)
{
	struct span *span = &open_span;

	snprintf(span->name, sizeof(span->name), "%s", name);
	if (getrandom(span->trace_id, 16, 0) != 16 || getrandom(span->span_id, 8, 0) != 8)
		abort();
	span->start_ns = now_ns();
	spanwise_publish(span->trace_id, span->span_id, 1);
}

static void hex(char *to, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sprintf(to + 2 * i, "%02x", bytes[i]);
}

static void end(void)
{
	const struct span *span = &open_span;
	char trace[33], id[17];

	spanwise_publish(NULL, NULL, 0);
	uint64_t end_ns = now_ns();
	int fd = open(getenv("SPANS_FILE"), O_WRONLY | O_APPEND | O_CREAT, 0600);

	hex(trace, span->trace_id, 16);
	hex(id, span->span_id, 8);
	dprintf(fd,
		"{\"name\":\"%s\",\"trace\":\"%s\",\"span\":\"%s\",\"start\":%" PRIu64
		",\"end\":%" PRIu64 ",\"tid\":%ld}\n",
		span->name, trace, id, span->start_ns, end_ns, syscall(SYS_gettid));
	close(fd);
}

/* In place of libc's. */
int access(const char *path, int mode)
{
	if (strncmp(path, BEGIN, strlen(BEGIN)) == 0)
		begin(path + strlen(BEGIN));
	else if (strcmp(path, END) == 0)
		end();
	return faccessat(AT_FDCWD, path, mode, 0);
}
