/* SPDX-License-Identifier: Apache-2.0 */
/* The compressions that requests come in, undone within limits. No state. */
#pragma once

#include "collector/base/buf.h"
#include "collector/base/str.h"

enum otlp_coding {
	OTLP_IDENTITY,
	OTLP_GZIP,
	OTLP_ZSTD,
	OTLP_DEFLATE, /* zlib's format (RFC 9110); raw deflate is taken too */
	OTLP_CODING_UNKNOWN,
};

#define OTLP_CODING_RATIO 1000 /* the default; gzip reaches 1032 at most */

/* Inflates `packed` into `out`, which is to be freed on success only. -EMSGSIZE: more than
 * `max_bytes`, or more than 1 MiB and `max_ratio` (0: the default) times what came; -EBADMSG: not
 * what `coding` says, or something follows it; -EFBIG: a zstd window above 8 MiB; -ENOMEM. */
int otlp_coding_undo(enum otlp_coding coding, struct str packed, size_t max_bytes, size_t max_ratio,
		     struct buf *out);
