/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "collector/base/macros.h"
#include "collector/daemon.h"
#include "collector/metrics.h"
#include "collector/snapshot.h"
#include "collector/status.h"

static void write_row(struct metrics_text *text, const char *labels, uint64_t value)
{
	if (strstr(text->name, "_seconds"))
		metrics_text_value(text, labels, (double)value / (double)NS_PER_SEC);
	else
		metrics_text_count(text, labels, value);
}

void metrics_render(struct daemon *daemon, bool is_open, struct buf *out)
{
	struct snapshot snapshot;
	struct metrics_text text;

	snapshot_take(daemon, &snapshot);
	metrics_text_init(&text, is_open, out);
	metrics_write(daemon_metrics(daemon), &text);
#define X(type, name, labels, field, help)                                                         \
	metrics_text_family(&text, type, name, help);                                              \
	write_row(&text, labels, (uint64_t)snapshot.field);
#include "collector/metrics_snapshot.def"
#undef X
	engine_write_operations(daemon_engine(daemon), &text);
	metrics_text_family(&text, "gauge", "spanwise_build_info", "the version that runs");
	metrics_text_count(&text, "version=\"" SPANWISE_VERSION "\"", 1);
	metrics_text_end(&text);
}
