/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise flame: the code of a trace, a span or an operation, as a flame graph. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/base/hex.h"
#include "collector/base/macros.h"
#include "collector/cli/client.h"
#include "collector/cli/options.h"
#include "collector/cli/show.h"
#include "collector/commands.h"

/* X(parameter, option, value, help) */
#define WISHES(X)                                                                                  \
	X(service, "--service", "NAME", "of this service's spans")                                 \
	X(operation, "--operation", "NAME", "of spans with this name")                             \
	X(from, "--from", "TIME", "that started then or later: -15m, RFC 3339, Unix ns")           \
	X(to, "--to", "TIME", "that started before")                                               \
	X(quantile, "--quantile", "Q", "only the slowest: 0.99 is the slowest 1 %")                \
	X(state, "--state", "STATE", "cpu, blocked, runnable or all (all)")                        \
	X(reason, "--reason", "REASON", "of the blocked, only this one: lock, net, disk, ...")     \
	X(format, "--format", "FORMAT",                                                            \
	  "collapsed, svg, pprof, speedscope, otlp, perfetto or json (collapsed)")

struct wishes {
#define X(parameter, option, value, help) const char *parameter;
	WISHES(X)
#undef X
	bool is_diff;
};

static void add(struct buf *path, const char *name, const char *value)
{
	if (!value)
		return;
	buf_printf(path, "%c%s=", memchr(path->data, '?', path->len) ? '&' : '?', name);
	client_escape(path, value);
}

/* A trace as one names it, or a selection as the API has it: "from=-2h&to=-1h". */
static int put_side(struct client *client, const char *name, const char *word, struct buf *path)
{
	char id[TRACE_ID_HEX + 1], side[sizeof("trace=") + TRACE_ID_HEX];
	int rc;

	if (strchr(word, '=')) {
		add(path, name, word);
		return 0;
	}
	rc = show_find_trace(client, word, id);
	if (rc < 0)
		return rc;
	snprintf(side, sizeof(side), "trace=%s", id);
	add(path, name, side);
	return 0;
}

static int put_words(struct client *client, const struct wishes *wishes, char **words, int count,
		     struct buf *path)
{
	char id[TRACE_ID_HEX + 1];
	int rc = 0;

	if (wishes->is_diff) {
		rc = put_side(client, "a", words[0], path);
		return rc < 0 ? rc : put_side(client, "b", words[1], path);
	}
	if (count > 0)
		rc = show_find_trace(client, words[0], id);
	if (rc < 0)
		return rc;
	add(path, "trace", count > 0 ? id : NULL);
	add(path, "span", count > 1 ? words[1] : NULL);
	return 0;
}

static int put_path(struct client *client, const struct wishes *wishes, char **words, int count,
		    struct buf *path)
{
	int rc;

	buf_append_text(path, "/api/v1/flame");
	rc = put_words(client, wishes, words, count, path);
	if (rc < 0)
		return rc;
#define X(parameter, option, value, help) add(path, #parameter, wishes->parameter);
	WISHES(X)
#undef X
	buf_append_byte(path, '\0');
	return buf_error(path);
}

/* Whatever the daemon made, as it is; or its complaint. */
static int fetch(struct client *client, const char *path, FILE *out)
{
	struct json_value *root;
	struct buf body;
	int status, rc = 0;

	buf_init(&body, CLIENT_MAX_BYTES);
	status = client_get(client, path, &body);
	if (status == 200)
		rc = fwrite(body.data, 1, body.len, out) == body.len && fflush(out) == 0 ? 0 : 1;
	else if (status < 0 || client_get_json(client, path, &root) < 0)
		rc = show_failure(client);
	else
		json_read_free(root);
	buf_fini(&body);
	return rc;
}

static int run(const struct wishes *wishes, const char *api, const char *file, char **words,
	       int count)
{
	FILE *out = file ? fopen(file, "we") : stdout;
	struct client client;
	struct buf path;
	int rc;

	if (!out) {
		fprintf(stderr, "spanwise: %s: %s\n", file, strerror(errno));
		return 1;
	}
	buf_init(&path, 0);
	client_init(&client, api);
	rc = put_path(&client, wishes, words, count, &path);
	rc = rc < 0 ? show_failure(&client) : fetch(&client, path.data, out);
	client_fini(&client);
	buf_fini(&path);
	if (file && fclose(out) != 0)
		rc = 1;
	return rc;
}

int command_flame(int argc, char **argv)
{
	struct wishes wishes = { 0 };
	const char *api = NULL, *file = NULL;
	const struct option_row rows[] = {
#define X(parameter, option, value, help) { option, value, &wishes.parameter, NULL, help },
		WISHES(X)
#undef X
			{ "--diff", NULL, NULL, &wishes.is_diff,
			  "of two, A and B: each a trace, or a selection such as "
			  "'from=-2h&to=-1h'" },
		{ "--output", "FILE", &file, NULL, "where to write it; else stdout" },
		{ "--api", "ADDR", &api, NULL,
		  "the daemon; else SPANWISE_API, else " CLIENT_DEFAULT_API },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	const struct options options = {
		"spanwise flame [TRACE [SPAN]] | --diff A B  [--service NAME] [--operation NAME]",
		"Shows where the time of a trace, of one span, or of all spans of an operation "
		"went,\n"
		"by code. Weights are nanoseconds; time without a stack is there too, under the\n"
		"cause. TRACE is a trace id, the first digits of one, `latest`, or `slowest`.\n"
		"Profiles in files are compared by `spanwise diff`.",
		rows, 2
	};
	int words, rc = options_parse(&options, argc, argv, &words);

	if (rc != 0)
		return rc == OPTIONS_HELP ? 0 : 2;
	if (wishes.is_diff && words != 2)
		return options_refuse(&options, "--diff compares two: A and B");
	if (words == 0 && !wishes.service && !wishes.operation)
		return options_refuse(&options, "of what? Give a trace, or an operation");
	if (!wishes.format)
		wishes.format = "collapsed";
	return run(&wishes, api, file, argv + 1, words);
}
