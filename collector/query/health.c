/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon about itself. Each handler is declared by query.def's row. */
#include "collector/daemon.h"
#include "collector/http1.h"
#include "collector/query.h"
#include "collector/status.h"

void health_query_status(struct query *query)
{
	struct json json;

	if (query_check(query) < 0)
		return;
	json_init(&json, &query->answer->body);
	status_render(query->daemon, &json);
}

void health_query_metrics(struct query *query)
{
	unsigned weight = http1_weight(query->accept, "application/openmetrics-text");
	bool is_open = weight && weight >= http1_weight(query->accept, "text/plain");

	query->answer->content_type =
		is_open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
			: "text/plain; version=0.0.4; charset=utf-8";
	metrics_render(query->daemon, is_open, &query->answer->body);
}

void health_query_live(struct query *query)
{
	query->answer->content_type = "text/plain; charset=utf-8";
	buf_append_text(&query->answer->body, "ok\n");
}

void health_query_ready(struct query *query)
{
	bool is_ready = daemon_is_ready(query->daemon);

	query->answer->status = is_ready ? 200 : 503;
	query->answer->content_type = "text/plain; charset=utf-8";
	buf_append_text(&query->answer->body, is_ready ? "ready\n" : "not ready\n");
}
