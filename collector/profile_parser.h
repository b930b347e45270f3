/* SPDX-License-Identifier: Apache-2.0 */
/* What a format of profiles is to the file reader: bytes in any cut, into a profile.
 *
 * One file for each format; profile_file.c chooses among them. */
#pragma once

#include <stdbool.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"
#include "correlate/profile.h"

#define PROFILE_MAX_LINE_BYTES  ((size_t)1 << 20)   /* of text formats; longer ones are skipped */
#define PROFILE_MAX_WHOLE_BYTES ((size_t)512 << 20) /* of formats that are read whole */

struct profile_parser {
	struct profile *profile; /* borrowed; being filled */
	struct buf *message;     /* borrowed; gets the reason of a refusal */
	void *state;             /* the format's own */
};

struct profile_format {
	const char *name;
	bool is_whole; /* fed once, with all of the file */
	/* Whether the file begins like this format. */
	bool (*looks_like)(struct str head);
	/* As everything here: 0 or negative errno; -EBADMSG with a message: not this format. */
	int (*begin)(struct profile_parser *parser);
	int (*feed)(struct profile_parser *parser, struct str bytes);
	/* All bytes were fed. 1: feed the file once more. May be NULL. */
	int (*end)(struct profile_parser *parser);
	void (*free)(struct profile_parser *parser);
};

extern const struct profile_format profile_collapsed, profile_pprof, profile_speedscope,
	profile_perf_script, profile_otlp, profile_v8;

/* Cuts bytes into lines, whatever the cuts between feeds are. */
struct profile_lines {
	struct buf partial;
	uint64_t number; /* of the line handed over last, from 1 */
	bool is_too_long;
	uint64_t too_long;
};

void profile_lines_init(struct profile_lines *lines);
void profile_lines_fini(struct profile_lines *lines);
/* Calls `on_line` without the newline (and without "\r"). */
int profile_lines_feed(struct profile_lines *lines, struct str bytes,
		       int (*on_line)(void *arg, struct str line), void *arg);
/* The last line, when no newline ended it. */
int profile_lines_end(struct profile_lines *lines, int (*on_line)(void *arg, struct str line),
		      void *arg);
