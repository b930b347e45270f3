/* SPDX-License-Identifier: Apache-2.0 */
/* Why an alert fires, from the slowest spans of its window: the wait that took most of their time,
 * who ended it, the verdict on one of them, and three of them to look at.
 *
 *   {"verdict":{"kind","text"} | null, "dominant_share":0.88,
 *    "dominant_wait":{... as in "waits"; its first waker is the blocker} | null,
 *    "exemplars":[{"kind":"slow|low_ratio|typical","trace_id","span_id","wall_ns",
 *                  "cpu_wall_ratio","link"}]}
 *
 * Reads the disk: for the alert thread and query workers. */
#pragma once

#include <stdint.h>

#include "collector/base/buf.h"

struct render_names;
struct store;

struct alert_scope {
	struct str service, operation;
	int kind;                          /* enum span_kind; -1: any */
	uint64_t from_unix_ns, to_unix_ns; /* of the spans' start */
	const struct render_names *names;  /* of stacks; NULL: nobody knows them */
	const char *url;                   /* what links begin with: http://127.0.0.1:7317 */
};

/* Appends the object. Without spans that have figures it is there and empty. -ENOMEM, or what
 * reading failed with; `out` is then as it was. */
int alert_evidence_write(struct store *store, const struct alert_scope *scope, struct buf *out);
