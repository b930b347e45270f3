/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise compare: two selections side by side, and what changed for a span. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/bar.h"
#include "collector/cli/client.h"
#include "collector/cli/options.h"
#include "collector/cli/show.h"
#include "collector/cli/term.h"
#include "collector/commands.h"

#define NAME_COLUMNS 16
#define SIDE_COLUMNS 14
#define BAR_COLUMNS  40
#define MIN_SHARE    0.01 /* of the larger mean: smaller changes are not shown */
#define SIGNED_BYTES 24

struct ask {
	const char *api, *service, *operation, *from, *to, *quantile;
};

static void add(struct buf *path, const char *key, const char *value)
{
	if (!value)
		return;
	buf_printf(path, "%c%s=", memchr(path->data, '?', path->len) ? '&' : '?', key);
	client_escape(path, value);
}

static void put_label(const struct term *term, const char *name, struct buf *out)
{
	term_print(term, TERM_DIM, out, "%-*s", NAME_COLUMNS, name);
}

static void put_sides(const struct term *term, const char *name, const char *a, const char *b,
		      struct buf *out)
{
	put_label(term, name, out);
	buf_printf(out, " %*s %*s\n", SIDE_COLUMNS, a, SIDE_COLUMNS, b);
}

static void put_walls(const struct term *term, const char *quantile, const struct json_value *a,
		      const struct json_value *b, struct buf *out)
{
	char left[16], right[16], name[32];

	term_duration(json_read_uint(json_read_get(a, "wall_ns"), quantile), left);
	term_duration(json_read_uint(json_read_get(b, "wall_ns"), quantile), right);
	snprintf(name, sizeof(name), "wall %s", quantile);
	put_sides(term, name, left, right, out);
}

static void put_ratio(const struct json_value *side, char out_text[static 16])
{
	if (json_read_is_null(json_read_get(side, "ratio")))
		snprintf(out_text, 16, "-");
	else
		snprintf(out_text, 16, "%.3f", json_read_double(side, "ratio"));
}

static void put_share(const struct json_value *side, const char *key, char out_text[static 16])
{
	snprintf(out_text, 16, "%.0f %%", 100 * json_read_double(side, key));
}

static void put_figures(const struct term *term, const struct json_value *a,
			const struct json_value *b, struct buf *out)
{
	static const char *const quantiles[] = { "p50", "p90", "p99" };
	char left[32], right[32];

	put_sides(term, "", "a", "b", out);
	snprintf(left, sizeof(left), "%" PRIu64, json_read_uint(a, "count"));
	snprintf(right, sizeof(right), "%" PRIu64, json_read_uint(b, "count"));
	put_sides(term, "spans", left, right, out);
	put_share(a, "covered", left);
	put_share(b, "covered", right);
	put_sides(term, "with figures", left, right, out);
	for (size_t i = 0; i < ARRAY_LEN(quantiles); i++)
		put_walls(term, quantiles[i], a, b, out);
	put_ratio(a, left);
	put_ratio(b, right);
	put_sides(term, "CPU / wall", left, right, out);
}

/* Where the wall time of one side went. */
static void put_bar(const struct term *term, const char *name, const struct json_value *side,
		    struct buf *cells, struct buf *out)
{
	char *room = buf_reserve(cells, BAR_COLUMNS);
	struct bar_parts parts;

	if (!room)
		return;
	cells->len += BAR_COLUMNS;
	bar_parts_of_shares(json_read_get(side, "shares"), &parts);
	bar_compose(&parts, room, BAR_COLUMNS);
	put_label(term, name, out);
	buf_append_byte(out, ' ');
	bar_put(term, room, BAR_COLUMNS, out);
	buf_append_byte(out, '\n');
}

static void format_signed(double ns, char out_text[static SIGNED_BYTES])
{
	char text[16];

	term_duration((uint64_t)fabs(ns), text);
	snprintf(out_text, SIGNED_BYTES, "%c%s", ns < 0 ? '-' : '+', text);
}

static void put_change(const struct term *term, const char *name, double ns, double least,
		       struct buf *out)
{
	char text[SIGNED_BYTES];

	if (fabs(ns) < least)
		return;
	format_signed(ns, text);
	put_label(term, name, out);
	buf_append_byte(out, ' ');
	term_print(term, ns < 0 ? TERM_GREEN : TERM_RED, out, "%*s", SIDE_COLUMNS, text);
	buf_append_byte(out, '\n');
}

static void put_states(const struct term *term, const struct json_value *means, double least,
		       struct buf *out)
{
	static const char *const states[] = { "running", "runnable", "elsewhere", "unknown" };
	const struct json_value *blocked = json_read_get(means, "blocked"), *value;
	const char *reason;
	void *cursor = NULL;

	put_change(term, "wall", json_read_double(means, "wall"), 0, out);
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		put_change(term, states[i], json_read_double(means, states[i]), least, out);
	while ((value = json_read_next(blocked, &cursor, &reason))) {
		char name[64];

		snprintf(name, sizeof(name), "blocked %s", reason);
		put_change(term, name, json_read_as_double(value), least, out);
	}
}

static void put_wait(const struct term *term, const struct json_value *wait, double least,
		     struct buf *out)
{
	double change = json_read_double(wait, "change_ns");
	char a[16], b[16], text[SIGNED_BYTES];

	if (fabs(change) < least)
		return;
	format_signed(change, text);
	term_duration((uint64_t)json_read_double(wait, "a_ns"), a);
	term_duration((uint64_t)json_read_double(wait, "b_ns"), b);
	put_label(term, json_read_text(wait, "reason"), out);
	buf_printf(out, " %*s  ", SIDE_COLUMNS, text);
	term_text(term, json_read_text(wait, "target"), term->width / 3, false, out);
	buf_printf(out, "  from %s to %s\n", a, b);
}

static void put_all(const struct term *term, const struct json_value *root, struct buf *out)
{
	const struct json_value *a = json_read_get(root, "a"), *b = json_read_get(root, "b");
	const struct json_value *change = json_read_get(root, "change");
	const struct json_value *means = json_read_get(change, "mean_ns");
	const struct json_value *waits = json_read_get(change, "waits");
	double least = MIN_SHARE * fabs(json_read_double(means, "wall"));
	struct buf cells;

	buf_init(&cells, 0);
	put_figures(term, a, b, out);
	put_bar(term, "a", a, &cells, out);
	put_bar(term, "b", b, &cells, out);
	buf_append_text(out, "\nwhat changed for a span, from a to b\n");
	put_states(term, means, least, out);
	if (json_read_count(waits))
		buf_append_text(out, "\nwaits\n");
	for (size_t i = 0; i < json_read_count(waits); i++)
		put_wait(term, json_read_at(waits, i), least, out);
	buf_append_byte(out, '\n');
	bar_legend(term, cells.data, cells.len, out);
	buf_fini(&cells);
}

static int show(struct client *client, const struct term *term, const char *path)
{
	struct json_value *root;
	struct buf out;

	if (client_get_json(client, path, &root) < 0)
		return show_failure(client);
	buf_init(&out, 0);
	put_all(term, root, &out);
	fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
	json_read_free(root);
	return 0;
}

static int run(const struct ask *ask, const struct term *term, char **sides, bool json)
{
	struct client client;
	struct buf path;
	int rc = 1;

	buf_init(&path, 0);
	buf_append_text(&path, "/api/v1/compare");
	add(&path, "a", sides[0]);
	add(&path, "b", sides[1]);
	add(&path, "service", ask->service);
	add(&path, "operation", ask->operation);
	add(&path, "from", ask->from);
	add(&path, "to", ask->to);
	add(&path, "quantile", ask->quantile);
	buf_append_byte(&path, '\0');
	client_init(&client, ask->api);
	if (!buf_error(&path))
		rc = json ? show_json(&client, path.data) : show(&client, term, path.data);
	client_fini(&client);
	buf_fini(&path);
	return rc;
}

int command_compare(int argc, char **argv)
{
	struct ask ask = { 0 };
	const char *colour = NULL;
	bool json = false;
	const struct option_row rows[] = {
		{ "--service", "NAME", &ask.service, NULL, "of this service, on both sides" },
		{ "--operation", "NAME", &ask.operation, NULL, "with this span name" },
		{ "--from", "TIME", &ask.from, NULL, "at or after: -15m, RFC 3339, or Unix ns" },
		{ "--to", "TIME", &ask.to, NULL, "before" },
		{ "--quantile", "Q", &ask.quantile, NULL,
		  "0.99: the slowest 1 %; 0.5 or less: examples near it" },
		{ "--json", NULL, NULL, &json, "the API's answer as it is" },
		{ "--color", "WHEN", &colour, NULL, "auto, always or never" },
		{ "--api", "ADDR", &ask.api, NULL,
		  "the daemon; else SPANWISE_API, else " CLIENT_DEFAULT_API },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	const struct options options = {
		"spanwise compare A B [--service NAME] [--operation NAME] [...]",
		"Two selections side by side, and what changed for a span. A and B are conditions\n"
		"joined by &, over those given as options: compare to=-1h from=-1h, compare\n"
		"quantile=0.5 quantile=0.99, compare service=old 'service=new&from=-1h'.",
		rows, 2
	};
	struct term term;
	int words, rc = options_parse(&options, argc, argv, &words);

	if (rc != 0)
		return rc == OPTIONS_HELP ? 0 : 2;
	if (words != 2)
		return options_refuse(&options, "two selections are needed");
	if (term_init(&term, colour) < 0)
		return 2;
	return run(&ask, &term, argv + 1, json);
}
