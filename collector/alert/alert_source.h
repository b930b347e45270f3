/* SPDX-License-Identifier: Apache-2.0 */
/* What the store's rollups know of operations over a stretch of minutes, as alert rules look at it.
 *
 * Reads the disk: for the alert thread and for query workers. */
#pragma once

#include <stdint.h>

#include "correlate/alert.h"

struct store;

struct alert_range {
	uint32_t from_minute, to_minute; /* of a span's end, Unix minutes; half open */
	struct str service, operation;   /* empty: all */
};

/* Visits each operation that has spans in the range, until `visit` returns non-zero; that value is
 * then ours. Subject and measure are borrowed. -ETIMEDOUT: it took too long. */
int alert_source_each(struct store *store, const struct alert_range *range,
		      int (*visit)(const struct alert_subject *subject,
				   const struct alert_measure *measure, void *arg),
		      void *arg);
