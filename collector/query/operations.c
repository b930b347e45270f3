/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/v1/services and /api/v1/operations. */
#include <errno.h>
#include <stdlib.h>

#include "collector/base/json.h"
#include "collector/base/macros.h"
#include "collector/daemon.h"
#include "collector/query.h"
#include "collector/query/conditions.h"
#include "collector/query/operation_view.h"
#include "collector/render.h"

#define MAX_OPERATIONS     10000
#define DEFAULT_OPERATIONS 1000

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
	query->answer->has_etag = true;
	json_init(&list.json, &query->answer->body);
	json_object(&list.json, NULL);
	json_array(&list.json, "services");
	rc = store_each_operation(daemon_store(query->daemon), on_operation, &list);
	if (rc < 0)
		return answer_storage(query->answer, "the services", rc);
	close_service(&list);
	json_end(&list.json);
	json_end(&list.json);
}

/* One rendered operation; they come in no order and go out by `rank`. */
struct piece {
	uint64_t rank;
	size_t offset, len;
};

struct operation_list {
	struct store_rollup_query asked;
	int sort; /* enum operation_sort */
	size_t limit;
	struct buf text;
	struct buf pieces; /* fewer than twice the limit */
	uint64_t spans, count;
};

enum operation_sort { SORT_WALL, SORT_COUNT, SORT_ERRORS, SORT_RATIO, SORT_BLOCKED, SORTS };

static const char *sort_name(unsigned sort)
{
	static const char *const names[] = {
		[SORT_WALL] = "wall",   [SORT_COUNT] = "count",     [SORT_ERRORS] = "errors",
		[SORT_RATIO] = "ratio", [SORT_BLOCKED] = "blocked",
	};

	return names[sort];
}

static uint64_t blocked_ns(const struct rollup_cell *cell)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < REASON_COUNT; i++)
		sum += rollup_cell_sum(cell, ROLLUP_BLOCKED_NS + i);
	return sum;
}

/* Greater comes first; those without figures come last. */
static uint64_t rank_of(const struct rollup_cell *cell, int sort)
{
	double ratio = rollup_cell_ratio(cell);

	switch (sort) {
	case SORT_COUNT:
		return rollup_cell_sum(cell, ROLLUP_COUNT);
	case SORT_ERRORS:
		return rollup_cell_sum(cell, ROLLUP_ERRORS);
	case SORT_RATIO:
		return ratio < 0 ? 0 : UINT64_MAX - (uint64_t)MIN(ratio * 1e9, 1e18);
	case SORT_BLOCKED:
		return blocked_ns(cell);
	default:
		return rollup_cell_sum(cell, ROLLUP_WALL_NS);
	}
}

/* Equals in the order of their text: service, then name. */
static int compare_pieces(const void *a, const void *b, void *arg)
{
	const struct piece *left = a, *right = b;
	const struct operation_list *list = arg;
	const char *text = list->text.data;

	if (left->rank != right->rank)
		return left->rank > right->rank ? -1 : 1;
	return memcmp(text + left->offset, text + right->offset, MIN(left->len, right->len));
}

static size_t piece_count(const struct operation_list *list)
{
	return list->pieces.len / sizeof(struct piece);
}

static void sort_pieces(struct operation_list *list)
{
	if (list->pieces.len)
		qsort_r(list->pieces.data, piece_count(list), sizeof(struct piece), compare_pieces,
			list);
}

/* Only the first ones stay: there may be many thousands. */
static void prune(struct operation_list *list)
{
	struct piece *pieces = (void *)list->pieces.data;
	struct buf kept;

	buf_init(&kept, ANSWER_MAX_BYTES);
	sort_pieces(list);
	for (size_t i = 0; i < list->limit; i++) {
		buf_append(&kept, list->text.data + pieces[i].offset, pieces[i].len);
		pieces[i].offset = kept.len - pieces[i].len;
	}
	list->pieces.len = list->limit * sizeof(*pieces);
	buf_fini(&list->text);
	list->text = kept;
}

static int on_rollup(const struct store_rollup *rollup, void *arg)
{
	struct operation_list *list = arg;
	struct piece piece = { rank_of(rollup->cell, list->sort), list->text.len, 0 };
	struct json json;

	json_init(&json, &list->text);
	operation_view_render(&json, rollup);
	piece.len = list->text.len - piece.offset;
	buf_append(&list->pieces, &piece, sizeof(piece));
	list->spans += rollup_cell_sum(rollup->cell, ROLLUP_COUNT);
	list->count++;
	if (!buf_error(&list->text) && !buf_error(&list->pieces) &&
	    piece_count(list) >= 2 * list->limit)
		prune(list);
	return buf_error(&list->text) ? buf_error(&list->text) : buf_error(&list->pieces);
}

static void put_operations(struct query *query, struct operation_list *list)
{
	const struct piece *pieces = (void *)list->pieces.data;
	size_t shown = MIN(piece_count(list), list->limit);
	struct json json;

	sort_pieces(list);
	json_init(&json, &query->answer->body);
	json_object(&json, NULL);
	json_array(&json, "operations");
	for (size_t i = 0; i < shown; i++)
		json_raw(&json, NULL,
			 (struct str){ list->text.data + pieces[i].offset, pieces[i].len });
	json_end(&json);
	json_uint(&json, "spans", list->spans);
	json_uint(&json, "left_out", list->count - shown);
	json_end(&json);
}

void operations_query(struct query *query)
{
	struct operation_list list = { .sort = SORT_WALL };
	struct params *params = query->params;
	struct conditions conditions;
	int rc;

	conditions_read_scope(&conditions, params);
	list.sort = params_choice(params, "sort", sort_name, SORTS, SORT_WALL);
	list.limit = params_uint(params, "limit", 1, MAX_OPERATIONS, DEFAULT_OPERATIONS);
	if (query_check(query) < 0)
		return;
	query->answer->has_etag = true;
	list.asked = conditions_rollups(&conditions);
	buf_init(&list.text, ANSWER_MAX_BYTES);
	buf_init(&list.pieces, 0);
	rc = store_each_rollup(daemon_store(query->daemon), &list.asked, on_rollup, &list);
	if (rc < 0)
		answer_storage(query->answer, "the operations", rc);
	else
		put_operations(query, &list);
	buf_fini(&list.text);
	buf_fini(&list.pieces);
}
