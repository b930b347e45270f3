/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise search: the parameters of GET /api/v1/spans as options. */
#include <stdio.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/bar.h"
#include "collector/cli/client.h"
#include "collector/cli/options.h"
#include "collector/cli/show.h"
#include "collector/cli/term.h"
#include "collector/commands.h"

#define MAX_WORDS 8

/* X(parameter, option, value, help): the API checks the values. */
#define CONDITIONS(X)                                                                              \
	X(service, "--service", "NAME", "of this service")                                         \
	X(operation, "--operation", "NAME", "with this span name")                                 \
	X(from, "--from", "TIME", "starting at or after: -15m, RFC 3339, or Unix ns")              \
	X(to, "--to", "TIME", "starting before")                                                   \
	X(min_wall_ms, "--min-wall-ms", "MS", "at least so long")                                  \
	X(max_ratio, "--max-ratio", "R", "with at most this share of CPU time, 0.1 for 10 %")      \
	X(reason, "--reason", "NAME", "blocked on lock, net, disk, poll, sleep, pipe ...")         \
	X(grade, "--grade", "NAME", "exact, bounded, inferred, partial or none")                   \
	X(status, "--status", "NAME", "unset, ok or error")                                        \
	X(kind, "--kind", "NAME", "server, client, internal, producer, consumer")                  \
	X(sort, "--sort", "WHAT", "start (newest first), wall, ratio or blocked")                  \
	X(limit, "--limit", "N", "so many; 20")                                                    \
	X(cursor, "--cursor", "TEXT", "go on after a page; next_cursor of --json")

struct conditions {
#define X(parameter, option, value, help) const char *parameter;
	CONDITIONS(X)
#undef X
};

static void add(struct buf *path, const char *prefix, const char *name, const char *value)
{
	if (!value)
		return;
	buf_append_byte(path, path->len && memchr(path->data, '?', path->len) ? '&' : '?');
	buf_append_text(path, prefix);
	client_escape(path, name);
	buf_append_byte(path, '=');
	client_escape(path, value);
}

/* A word KEY=VALUE is a condition on an attribute. */
static int add_attribute(struct buf *path, char *word)
{
	char *equals = strchr(word, '=');

	if (!equals || equals == word || !equals[1]) {
		fprintf(stderr, "spanwise: '%s' is no KEY=VALUE of an attribute\n", word);
		return -1;
	}
	*equals = '\0';
	add(path, "attr.", word, equals + 1);
	return 0;
}

static int put_path(const struct conditions *conditions, char **words, int count, struct buf *path)
{
	buf_append_text(path, "/api/v1/spans");
#define X(parameter, option, value, help) add(path, "", #parameter, conditions->parameter);
	CONDITIONS(X)
#undef X
	for (int i = 0; i < count; i++) {
		if (add_attribute(path, words[i]) < 0)
			return -1;
	}
	buf_append_byte(path, '\0');
	return buf_error(path);
}

static int show(struct client *client, const struct term *term, const char *path)
{
	struct json_value *root;
	struct buf out, cells;

	if (client_get_json(client, path, &root) < 0)
		return show_failure(client);
	buf_init(&out, 0);
	buf_init(&cells, 0);
	show_spans(term, root, &cells, &out);
	if (cells.len)
		bar_legend(term, cells.data, cells.len, &out);
	fwrite(out.data, 1, out.len, stdout);
	buf_fini(&cells);
	buf_fini(&out);
	json_read_free(root);
	return 0;
}

static int run(const struct conditions *conditions, const char *api, const struct term *term,
	       char **words, int count)
{
	struct client client;
	struct buf path;
	int rc = 2;

	buf_init(&path, 0);
	client_init(&client, api);
	if (put_path(conditions, words, count, &path) == 0)
		rc = term ? show(&client, term, path.data) : show_json(&client, path.data);
	client_fini(&client);
	buf_fini(&path);
	return rc;
}

int command_search(int argc, char **argv)
{
	const char *api = NULL, *colour = NULL;
	struct conditions conditions = { 0 };
	bool json = false;
	const struct option_row rows[] = {
#define X(parameter, option, value, help) { option, value, &conditions.parameter, NULL, help },
		CONDITIONS(X)
#undef X
			{ "--json", NULL, NULL, &json, "the API's answer as it is" },
		{ "--color", "WHEN", &colour, NULL, "auto, always or never" },
		{ "--api", "ADDR", &api, NULL,
		  "the daemon; else SPANWISE_API, else " CLIENT_DEFAULT_API },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	const struct options options = { "spanwise search [--service NAME] [--operation NAME] "
					 "[--from TIME] [...] [KEY=VALUE ...]",
					 "Finds spans. All conditions must hold; KEY=VALUE is one "
					 "on an attribute of the span\n"
					 "or of its resource.",
					 rows, MAX_WORDS };
	struct term term;
	int words, rc = options_parse(&options, argc, argv, &words);

	if (rc != 0)
		return rc == OPTIONS_HELP ? 0 : 2;
	if (term_init(&term, colour) < 0)
		return 2;
	return run(&conditions, api, json ? NULL : &term, argv + 1, words);
}
