/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise trace: one trace as a waterfall, or as the API's JSON. */
#include <errno.h>
#include <stdio.h>

#include "collector/base/hex.h"
#include "collector/cli/client.h"
#include "collector/cli/options.h"
#include "collector/cli/show.h"
#include "collector/cli/term.h"
#include "collector/cli/waterfall.h"
#include "collector/commands.h"

static int get(void *client, const char *path, struct json_value **out_root)
{
	return client_get_json(client, path, out_root);
}

/* `term`: NULL for an SVG. */
static int draw(struct client *client, const struct term *term, bool with_stacks, const char *path)
{
	struct span_names names = { .get = get, .arg = client };
	struct json_value *root;
	struct buf out;
	int rc = client_get_json(client, path, &root);

	if (rc < 0)
		return show_failure(client);
	buf_init(&out, 0);
	rc = term ? waterfall_draw(term, root, &names, with_stacks, &out)
		  : waterfall_svg(root, &out);
	if (rc == 0)
		fwrite(out.data, 1, out.len, stdout);
	else
		fprintf(stderr, "spanwise: %s\n",
			rc == -ENOENT ? "the trace has no spans" : "out of memory");
	buf_fini(&out);
	json_read_free(root);
	return rc == 0 ? 0 : 1;
}

int command_trace(int argc, char **argv)
{
	const char *api = NULL, *width = NULL, *colour = NULL;
	bool json = false, svg = false, stacks = false;
	const struct option_row rows[] = {
		{ "--json", NULL, NULL, &json, "the API's answer as it is" },
		{ "--svg", NULL, NULL, &svg, "the picture as an SVG file" },
		{ "--stacks", NULL, NULL, &stacks,
		  "whole stacks below the picture, not only their interesting frames" },
		{ "--width", "N", &width, NULL, "columns to draw in" },
		{ "--color", "WHEN", &colour, NULL, "auto, always or never" },
		{ "--api", "ADDR", &api, NULL,
		  "the daemon; else SPANWISE_API, else " CLIENT_DEFAULT_API },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	const struct options options = {
		"spanwise trace ID [--json | --svg] [--stacks] [--width N] "
		"[--color=auto|always|never]",
		"Draws one trace: a bar for each span, each cell coloured by what its threads did\n"
		"at that time, and why the slowest spans waited. ID is a trace id, the first\n"
		"digits of one, `latest`, or `slowest`.",
		rows, 1
	};
	char id[TRACE_ID_HEX + 1], path[128];
	unsigned long columns;
	struct client client;
	struct term term;
	int words, rc = options_parse(&options, argc, argv, &words);

	if (rc != 0)
		return rc == OPTIONS_HELP ? 0 : 2;
	if (words != 1)
		return options_refuse(&options, "which trace? Give its id, latest or slowest");
	if (term_init(&term, colour) < 0)
		return 2;
	if (width) {
		if (options_number("--width", width, TERM_MIN_WIDTH, TERM_MAX_WIDTH, &columns) < 0)
			return 2;
		term.width = (unsigned)columns;
	}
	client_init(&client, api);
	rc = show_find_trace(&client, argv[1], id);
	snprintf(path, sizeof(path), "/api/v1/traces/%s?timeline=1", rc < 0 ? "" : id);
	if (rc < 0)
		rc = show_failure(&client);
	else
		rc = json ? show_json(&client, path)
			  : draw(&client, svg ? NULL : &term, stacks, path);
	client_fini(&client);
	return rc;
}
