/* SPDX-License-Identifier: Apache-2.0 */
/* What spans are called that a trace's JSON names by their ids alone: those of other traces, which
 * ended its waits.
 *
 * Asked for one by one, as a story mentions them, a few of each trace; none is asked for twice. */
#pragma once

#include "collector/base/json_read.h"
#include "collector/cli/term.h"

#define SPAN_NAMES_MOST 16

struct span_name {
	char span_id[24];
	char name[64], service[64]; /* empty: it is not known here */
	char verdict[320];
};

struct span_names {
	/* GET of a path of the API, as client_get_json; NULL: nobody is asked. */
	int (*get)(void *arg, const char *path, struct json_value **out_root);
	void *arg;
	struct span_name known[SPAN_NAMES_MOST];
	unsigned count;
};

/* NULL: none is asked for any more. Borrowed from `names`. */
const struct span_name *span_names_find(struct span_names *names, const char *trace_id,
					const char *span_id);

/* Appends " (NAME in SERVICE)" for a waker or holder of the API, if it has a span that is found. */
void span_names_put(struct span_names *names, const struct term *term, const struct json_value *who,
		    struct buf *out);
