/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "collector/clock.h"

#define LINE_BYTES     1024
#define LIMIT_EVERY_NS (5 * NS_PER_SEC)

static atomic_uint current_level = LOG_INFO;

static const char *const level_names[] = { "error", "warning", "info", "debug" };

void log_set_level(enum log_level level)
{
	atomic_store(&current_level, level);
}

/* What a peer wrote must not look like a line of ours. */
static void disarm(char *line, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];

		if (c < 0x20 || c == 0x7f)
			line[i] = '?';
	}
}

__attribute__((format(printf, 2, 0))) static void
write_line(enum log_level level, const char *format, va_list args, uint64_t skipped)
{
	char line[LINE_BYTES];
	struct timespec now;
	struct tm utc;
	size_t at;
	int len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	at = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &utc);
	at += (size_t)snprintf(line + at, sizeof(line) - at, ".%03ldZ %s ", now.tv_nsec / 1000000,
			       level_names[level]);
	len = vsnprintf(line + at, sizeof(line) - at, format, args);
	at = len < 0 ? at : MIN(at + (size_t)len, sizeof(line) - 1);
	if (skipped) {
		len = snprintf(line + at, sizeof(line) - at, " (and %llu more like this)",
			       (unsigned long long)skipped);
		at = MIN(at + (size_t)len, sizeof(line) - 1);
	}
	disarm(line, at);
	line[at++] = '\n';
	if (write(STDERR_FILENO, line, at) < 0)
		return; /* nobody left to tell */
}

void log_line(enum log_level level, const char *format, ...)
{
	va_list args;

	if (level > atomic_load(&current_level))
		return;
	va_start(args, format);
	write_line(level, format, args, 0);
	va_end(args);
}

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
	uint64_t now_ns = clock_mono_ns();
	uint64_t next_ns = atomic_load(&limit->next_ns);
	va_list args;

	if (level > atomic_load(&current_level))
		return;
	if (now_ns < next_ns ||
	    !atomic_compare_exchange_strong(&limit->next_ns, &next_ns, now_ns + LIMIT_EVERY_NS)) {
		atomic_fetch_add(&limit->skipped, 1);
		return;
	}
	va_start(args, format);
	write_line(level, format, args, atomic_exchange(&limit->skipped, 0));
	va_end(args);
}

void log_ready(const char *grpc, const char *http, const char *api, const char *data)
{
	dprintf(STDERR_FILENO, "ready grpc=%s http=%s api=%s data=%s\n", grpc, http, api, data);
}
