/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "collector/daemon.h"
#include "collector/metrics.h"
#include "collector/snapshot.h"
#include "collector/status.h"

static void write_row(struct buf *out, const char *labels, const char *name, uint64_t value)
{
	buf_append_text(out, name);
	if (*labels)
		buf_printf(out, "{%s}", labels);
	buf_printf(out, " %" PRIu64 "\n", value);
}

static void write_head(struct buf *out, const char **last, const char *type, const char *name,
		       const char *help)
{
	if (strcmp(*last, name) != 0)
		buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
	*last = name;
}

void metrics_render(struct daemon *daemon, struct buf *out)
{
	struct snapshot snapshot;
	const char *last = "";

	snapshot_take(daemon, &snapshot);
	metrics_write(daemon_metrics(daemon), out);
#define X(type, name, labels, field, help)                                                         \
	write_head(out, &last, type, name, help);                                                  \
	write_row(out, labels, name, (uint64_t)snapshot.field);
#include "collector/metrics_snapshot.def"
#undef X
	buf_printf(out,
		   "# HELP spanwise_build_info The version that runs.\n"
		   "# TYPE spanwise_build_info gauge\n"
		   "spanwise_build_info{version=\"%s\"} 1\n",
		   SPANWISE_VERSION);
}
