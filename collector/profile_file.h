/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a profile from a file, in any of the formats that tools write, plain or gzip.
 *
 * Blocks on the disk. A regular file is needed: some formats are read twice. Memory: what is
 * distinct in the profile, and a few megabytes; speedscope and OTLP are held whole, up to
 * PROFILE_MAX_WHOLE_BYTES. */
#pragma once

#include "collector/base/buf.h"
#include "correlate/profile.h"

#define PROFILE_MAX_UNPACKED_BYTES ((uint64_t)64 << 30) /* of gzip: a bomb is no profile */

struct profile_file_options {
	const char *format;  /* "collapsed" ...; NULL: told by its first bytes */
	bool shows_progress; /* a line on stderr */
};

/* `message` gets what is wrong and what to do. -EBADMSG: not a profile; -EMSGSIZE: a limit; or
 * errno of opening and reading. profile_fini in case of success only. `out_format` (may be NULL):
 * its name. */
int profile_file_read(const char *path, const struct profile_file_options *options,
		      struct profile *out_profile, const char **out_format, struct buf *message);

/* The same from memory; `limit_bytes` as for profile_init. */
int profile_file_parse(struct str text, const struct profile_file_options *options,
		       size_t limit_bytes, struct profile *out_profile, const char **out_format,
		       struct buf *message);

/* "collapsed, pprof, ..." for help texts. */
void profile_file_formats(struct buf *out);
