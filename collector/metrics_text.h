/* SPDX-License-Identifier: Apache-2.0 */
/* Writes metrics as text: OpenMetrics 1.0, or the older format of Prometheus (0.0.4).
 *
 *   metrics_text_family(&text, "counter", "spanwise_span_wall_seconds_total", "wall time");
 *   metrics_text_value(&text, "service=\"shop\"", 0.612);
 *   metrics_text_end(&text);
 *
 * Samples of one family stand together. Names carry the suffixes of the samples; a family of
 * counters ends with _total. Not thread safe. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"

struct metrics_text {
	struct buf *out; /* borrowed */
	bool is_open;    /* OpenMetrics; exemplars are written there only */
	const char *name;
};

/* A trace to look at. */
struct metrics_exemplar {
	const uint8_t *trace_id;
	double value;
	uint64_t unix_ns;
};

void metrics_text_init(struct metrics_text *text, bool is_open, struct buf *out);
/* `type`: counter or gauge. The strings are borrowed until the next family. The same family again
 * is no new one. */
void metrics_text_family(struct metrics_text *text, const char *type, const char *name,
			 const char *help);
/* `labels`: as they stand between the braces, or empty. */
void metrics_text_value(struct metrics_text *text, const char *labels, double value);
void metrics_text_count(struct metrics_text *text, const char *labels, uint64_t value);
void metrics_text_exemplar(struct metrics_text *text, const char *labels, double value,
			   const struct metrics_exemplar *exemplar);
void metrics_text_end(struct metrics_text *text);

/* Appends NAME="VALUE", escaped; a comma before it unless `out` is empty. */
void metrics_text_label(struct buf *out, const char *name, struct str value);
