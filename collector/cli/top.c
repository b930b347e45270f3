/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise top: operations and spans by lowest ratio or longest wait. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "collector/cli/bar.h"
#include "collector/cli/client.h"
#include "collector/cli/options.h"
#include "collector/cli/show.h"
#include "collector/cli/term.h"
#include "collector/commands.h"

#define REFRESH_S 2

struct top {
	const char *service; /* NULL: all */
	const char *sort;
	unsigned long limit;
	bool only_spans;
	struct term term;
	struct client client;
	struct buf cells; /* drawn so far, for the legend */
};

static void put_paths(const struct top *top, struct buf *operations, struct buf *spans)
{
	buf_append_text(operations, "/api/v1/operations");
	buf_printf(spans, "/api/v1/spans?sort=%s&limit=%lu", top->sort, top->limit);
	if (top->service) {
		buf_append_text(operations, "?service=");
		client_escape(operations, top->service);
		buf_append_text(spans, "&service=");
		client_escape(spans, top->service);
	}
	buf_append_byte(operations, '\0');
	buf_append_byte(spans, '\0');
}

static int put_operations(struct top *top, const char *path, struct buf *out)
{
	struct json_value *root;
	int rc = client_get_json(&top->client, path, &root);

	if (rc < 0)
		return rc;
	rc = show_operations(&top->term, root, top->sort, top->limit, &top->cells, out);
	json_read_free(root);
	buf_append_byte(out, '\n');
	return rc;
}

static int put_spans(struct top *top, const char *path, struct buf *out)
{
	struct json_value *root;
	int rc = client_get_json(&top->client, path, &root);

	if (rc < 0)
		return rc;
	show_spans(&top->term, root, &top->cells, out);
	json_read_free(root);
	return 0;
}

static int put_screen(struct top *top, struct buf *out)
{
	struct buf operations, spans;
	int rc = 0;

	buf_init(&operations, 0);
	buf_init(&spans, 0);
	buf_clear(&top->cells);
	put_paths(top, &operations, &spans);
	if (!top->only_spans)
		rc = put_operations(top, operations.data, out);
	if (rc == 0)
		rc = put_spans(top, spans.data, out);
	if (rc == 0) {
		buf_append_byte(out, '\n');
		bar_legend(&top->term, top->cells.data, top->cells.len, out);
	}
	buf_fini(&operations);
	buf_fini(&spans);
	return rc;
}

/* Clears the screen only when the next picture is ready: no flicker. */
static int run(struct top *top, bool again)
{
	for (;;) {
		struct buf out;
		int rc;

		buf_init(&out, 0);
		if (again)
			buf_append_text(&out, "\033[H\033[J");
		rc = put_screen(top, &out);
		if (rc == 0)
			fwrite(out.data, 1, out.len, stdout);
		fflush(stdout);
		buf_fini(&out);
		if (rc < 0)
			return show_failure(&top->client);
		if (!again)
			return 0;
		sleep(REFRESH_S);
	}
}

static int run_json(struct top *top)
{
	struct buf operations, spans;
	int rc;

	buf_init(&operations, 0);
	buf_init(&spans, 0);
	put_paths(top, &operations, &spans);
	rc = show_json(&top->client, top->only_spans ? spans.data : operations.data);
	buf_fini(&operations);
	buf_fini(&spans);
	return rc;
}

/* "wait" is what people call it; the API says "blocked". */
static const char *read_sort(const char *sort)
{
	static const char *const names[] = { "ratio", "wall", "blocked" };

	if (!sort)
		return "ratio";
	if (strcmp(sort, "wait") == 0)
		return "blocked";
	for (size_t i = 0; i < 3; i++) {
		if (strcmp(sort, names[i]) == 0)
			return names[i];
	}
	fprintf(stderr, "spanwise: --sort: '%s' is none of ratio, wall, blocked\n", sort);
	return NULL;
}

int command_top(int argc, char **argv)
{
	const char *api = NULL, *sort = NULL, *limit = NULL, *colour = NULL;
	bool once = false, json = false;
	struct top top = { .limit = 10 };
	const struct option_row rows[] = {
		{ "--service", "NAME", &top.service, NULL, "only this service" },
		{ "--sort", "WHAT", &sort, NULL,
		  "ratio (lowest first), wall or blocked (longest first)" },
		{ "--limit", "N", &limit, NULL, "rows of each table; 10" },
		{ "--spans", NULL, NULL, &top.only_spans, "spans only, no operations" },
		{ "--once", NULL, NULL, &once, "print once, also on a terminal" },
		{ "--json", NULL, NULL, &json, "the API's answer as it is" },
		{ "--color", "WHEN", &colour, NULL, "auto, always or never" },
		{ "--api", "ADDR", &api, NULL,
		  "the daemon; else SPANWISE_API, else " CLIENT_DEFAULT_API },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	const struct options options = {
		"spanwise top [--service NAME] [--sort ratio|wall|blocked] [--limit N] [--once]",
		"Operations and spans with the lowest share of CPU time, the longest waits, or "
		"the\n"
		"longest wall time; every two seconds on a terminal.",
		rows, 0
	};
	int words, rc = options_parse(&options, argc, argv, &words);

	if (rc != 0)
		return rc == OPTIONS_HELP ? 0 : 2;
	top.sort = read_sort(sort);
	if (!top.sort || term_init(&top.term, colour) < 0 ||
	    (limit && options_number("--limit", limit, 1, 1000, &top.limit) < 0))
		return 2;
	buf_init(&top.cells, 0);
	client_init(&top.client, api);
	rc = json ? run_json(&top) : run(&top, top.term.is_tty && !once);
	client_fini(&top.client);
	buf_fini(&top.cells);
	return rc;
}
