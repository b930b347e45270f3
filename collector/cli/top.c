/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise top: operations and spans by lowest ratio or longest wait. */
#include <stdio.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/bar.h"
#include "collector/cli/client.h"
#include "collector/cli/options.h"
#include "collector/cli/screen.h"
#include "collector/cli/show.h"
#include "collector/cli/term.h"
#include "collector/commands.h"

#define REFRESH_MS 2000
#define FRAME_ROWS 8      /* keys, heads, blank lines, legend */
#define LIVE_SINCE "-15m" /* on a terminal: what is going on */

struct top {
	const char *service; /* NULL: all */
	const char *from;    /* NULL: all that is stored */
	const char *sort;
	unsigned long limit;
	bool only_spans;
	bool is_paused;
	struct term term;
	struct client client;
	struct buf cells; /* drawn so far, for the legend */
};

static void add(struct buf *path, const char *key, const char *value)
{
	if (!value)
		return;
	buf_printf(path, "%c%s=", memchr(path->data, '?', path->len) ? '&' : '?', key);
	client_escape(path, value);
}

static void put_paths(const struct top *top, struct buf *operations, struct buf *spans)
{
	buf_append_text(operations, "/api/v1/operations");
	buf_printf(spans, "/api/v1/spans?sort=%s&limit=%lu", top->sort, top->limit);
	add(operations, "service", top->service);
	add(operations, "from", top->from);
	add(spans, "service", top->service);
	add(spans, "from", top->from);
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

static int run_once(struct top *top)
{
	struct buf out;
	int rc;

	buf_init(&out, 0);
	rc = put_screen(top, &out);
	if (rc == 0)
		fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
	return rc < 0 ? show_failure(&top->client) : 0;
}

/* The keys, and what they have chosen. */
static void put_keys(const struct top *top, struct buf *out)
{
	static const struct {
		const char *sort, *key;
	} sorts[] = { { "ratio", "[r]atio" }, { "wall", "[w]all" }, { "blocked", "[b]locked" } };

	term_print(&top->term, TERM_BOLD, out, "spanwise top");
	buf_append_text(out, "  by");
	for (size_t i = 0; i < 3; i++) {
		bool is_chosen = strcmp(top->sort, sorts[i].sort) == 0;

		buf_append_byte(out, ' ');
		term_print(&top->term, is_chosen ? TERM_GREEN : TERM_PLAIN, out, "%s%s",
			   sorts[i].key, is_chosen ? "*" : "");
	}
	buf_printf(out, "  [s]pans only: %s  [space] %s  [q]uit  since %s\n\n",
		   top->only_spans ? "on" : "off", top->is_paused ? "paused" : "pause",
		   top->from ? top->from : "ever");
}

/* As many rows as the screen has, for one table or two. */
static void fit(struct top *top)
{
	unsigned columns, rows, tables = top->only_spans ? 1 : 2;

	screen_size(&columns, &rows);
	top->term.width = MIN(MAX(columns, TERM_MIN_WIDTH), TERM_MAX_WIDTH);
	top->limit = rows > FRAME_ROWS + tables ? (rows - FRAME_ROWS) / tables : 1;
}

/* What cannot be asked is said, and asked again: the daemon may be restarted under it. */
static void draw(struct top *top)
{
	struct buf out;

	buf_init(&out, 0);
	fit(top);
	put_keys(top, &out);
	if (put_screen(top, &out) < 0)
		term_print(&top->term, TERM_RED, &out, "%.*s\n", (int)top->client.message.len,
			   top->client.message.data);
	screen_draw(buf_str(&out));
	buf_fini(&out);
}

/* False: it ends. */
static bool take_key(struct top *top, int key)
{
	switch (key) {
	case SCREEN_END:
	case 'q':
	case 'Q':
		return false;
	case 'r':
		top->sort = "ratio";
		break;
	case 'w':
		top->sort = "wall";
		break;
	case 'b':
		top->sort = "blocked";
		break;
	case 's':
		top->only_spans = !top->only_spans;
		break;
	case ' ':
		top->is_paused = !top->is_paused;
		break;
	}
	return true;
}

static int run_live(struct top *top)
{
	int key = SCREEN_TIME;

	if (!top->from)
		top->from = LIVE_SINCE;
	if (screen_open() < 0)
		return run_once(top);
	do {
		if (!top->is_paused || key != SCREEN_TIME)
			draw(top);
		key = screen_key(REFRESH_MS);
	} while (take_key(top, key));
	screen_close();
	return 0;
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
		{ "--from", "TIME", &top.from, NULL,
		  "since then; on a terminal -15m, else all that is stored" },
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
		"longest wall time. On a terminal it goes on: r, w and b choose the order, s "
		"shows\n"
		"spans only, space pauses, q quits.",
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
	if (json)
		rc = run_json(&top);
	else
		rc = top.term.is_tty && !once ? run_live(&top) : run_once(&top);
	client_fini(&top.client);
	buf_fini(&top.cells);
	return rc;
}
