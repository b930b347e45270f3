/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/services and /api/v1/operations. */
#include "collector/query/operation_table.h"

#include <errno.h>

#include "collector/base/json.h"
#include "collector/base/macros.h"
#include "collector/daemon.h"
#include "collector/query.h"
#include "collector/query/conditions.h"
#include "collector/render.h"

#define SCAN_SPANS                                                                                 \
	20000 /* the newest so many are summed up: one answer stays within its deadline */

/* The operations of one service stand together, as the store gives them in order. */
struct service_list {
	struct json json;
	char name[256];
	bool is_open;
};

static void close_service(struct service_list *list)
{
	if (!list->is_open)
		return;
	json_end(&list->json);
	json_end(&list->json);
	list->is_open = false;
}

static int on_operation(struct str service, struct str operation, uint8_t kind, uint64_t spans,
			void *arg)
{
	struct service_list *list = arg;
	struct json *json = &list->json;
	const char *kind_name = render_kind_name(kind);
	size_t len = MIN(service.len, sizeof(list->name) - 1);

	if (!list->is_open || len != strlen(list->name) ||
	    memcmp(list->name, service.data, len) != 0) {
		close_service(list);
		memcpy(list->name, service.data, len);
		list->name[len] = '\0';
		json_object(json, NULL);
		json_str(json, "service", service);
		json_array(json, "operations");
		list->is_open = true;
	}
	json_object(json, NULL);
	json_str(json, "name", operation);
	json_text(json, "kind", kind_name ? kind_name : "unspecified");
	json_uint(json, "spans", spans);
	json_end(json);
	return buf_error(json->buf) ? 1 : 0;
}

void operations_query_services(struct query *query)
{
	struct service_list list = { .is_open = false };
	int rc;

	if (query_check(query) < 0)
		return;
	json_init(&list.json, &query->answer->body);
	json_object(&list.json, NULL);
	json_array(&list.json, "services");
	rc = store_each_operation(daemon_store(query->daemon), on_operation, &list);
	if (rc < 0)
		return answer_fail(query->answer, 500, "storage", "the services cannot be read: %s",
				   strerror(-rc));
	close_service(&list);
	json_end(&list.json);
	json_end(&list.json);
}

static int on_span(const struct store_span *span, void *arg)
{
	return operation_table_add(arg, span);
}

void operations_query(struct query *query)
{
	struct operation_table table;
	struct conditions conditions;
	bool truncated = false;
	struct json json;
	int rc;

	conditions_read_scope(&conditions, query->params);
	if (query_check(query) < 0)
		return;
	conditions.query.sort = STORE_SORT_START;
	conditions.query.limit = SCAN_SPANS;
	operation_table_init(&table);
	rc = store_search(daemon_store(query->daemon), &conditions.query, on_span, &table,
			  &truncated);
	if (rc < 0) {
		answer_fail(query->answer, 500, "storage", "the operations cannot be read: %s",
			    strerror(-rc));
	} else {
		json_init(&json, &query->answer->body);
		json_object(&json, NULL);
		operation_table_render(&table, &json);
		json_uint(&json, "spans_read", table.spans);
		json_bool(&json, "truncated", truncated || table.spans == SCAN_SPANS);
		json_end(&json);
	}
	operation_table_fini(&table);
}
