/* SPDX-License-Identifier: Apache-2.0 */
/* What `diagnose` and `diff` share: reading a file as the command line says, and showing a
 * diagnosis. */
#pragma once

#include "collector/base/json.h"
#include "collector/cli/client.h"
#include "collector/cli/term.h"
#include "correlate/profile_pair.h"

struct diagnose_options {
	const char *format, *type, *unit, *kind, *hz;
};

struct diagnose_request {
	struct diagnose_options options;
	const char *path, *off_path, *off_unit; /* off_*: of the second file; NULL: none */
	double wall_ns;                         /* 0: not told */
	const char *svg;
	bool json;
	struct term term;
};

/* Reads a file and makes its values what the options say; chooses the type. 0, or negative errno
 * with the reason on stderr. */
int diagnose_read(const char *path, const struct diagnose_options *options,
		  struct profile *out_profile, unsigned *out_type, enum profile_kind *out_kind,
		  const char **out_format);
/* The same for a profile at hand: units and type. */
int diagnose_prepare(const char *path, const struct diagnose_options *options,
		     struct profile *profile, unsigned *out_type, enum profile_kind *out_kind);

/* "612ms", "1.5s", "2h": negative when it is none. */
double diagnose_duration_ns(const char *text);

void diagnose_show(struct diagnosis *diagnosis, const char *path, const char *format,
		   const struct term *term, struct buf *out);
void diagnose_show_pair(const struct profile_pair *pair, struct diagnosis *on,
			struct diagnosis *off, const struct term *term, struct buf *out);
void diagnose_json(struct diagnosis *diagnosis, const char *path, const char *format,
		   struct json *json);
/* `key` as in json.h. */
void diagnose_json_pair(const struct profile_pair *pair, const char *key, struct diagnosis *on,
			struct diagnosis *off, struct json *json);

/* CPU time and waiting of the same span, from two files. Exit status. */
int diagnose_pair(const struct diagnose_request *request);
/* Prints what was said and saves the picture that was asked for. Exit status. */
int diagnose_finish(const struct diagnose_request *request, const struct diagnosis *pictured,
		    const char *finding, struct buf *out);

/* Stored data, asked of a running daemon. Exit status. */
struct diagnose_stored {
	const char *trace, *operation, *from, *to, *api;
	const char *svg; /* where a flame graph goes; NULL: nowhere */
	bool json;
};
int diagnose_stored(const struct diagnose_stored *stored, const struct term *term);
