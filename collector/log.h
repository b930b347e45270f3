/* SPDX-License-Identifier: Apache-2.0 */
/* Lines on stderr, one per event: `2026-11-22T18:00:00.000Z info conn 17: refused export: ...`.
 *
 * Object first, then what, then why. Any thread; a line is one write(2). Lines that a peer can
 * provoke go through LOG_LIMITED: at most one each five seconds from one place in the code, and the
 * next one says how many were left out. */
#pragma once

#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `ready grpc=ADDRESS http=ADDRESS api=ADDRESS data=PATH`: a line of its own form, for whoever
 * started us. */
void log_ready(const char *grpc, const char *http, const char *api, const char *data);

struct log_limit {
	_Atomic uint64_t next_ns;
	_Atomic uint64_t skipped;
};

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define LOG_LIMITED(level, ...)                                                                    \
	do {                                                                                       \
		static struct log_limit log_limit_here;                                            \
		log_limited(&log_limit_here, level, __VA_ARGS__);                                  \
	} while (0)
