/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/base/json.h"
#include "collector/commands.h"
#include "collector/render.h"
#include "collector/replay.h"

/* One line of JSON for each ledger, as the API shows it. */
static void print_ledger(const struct ledger *ledger, void *arg)
{
	struct buf *line = arg;
	struct json json;

	buf_clear(line);
	json_init(&json, line);
	json_object(&json, NULL);
	json_hex(&json, "trace_id", ledger->trace_id, sizeof(ledger->trace_id));
	json_hex(&json, "span_id", ledger->span_id, sizeof(ledger->span_id));
	json_time(&json, "start_unix_ns", ledger->start_unix_ns);
	json_uint(&json, "wall_ns", ledger->wall_ns);
	json_uint(&json, "revision", ledger->revision);
	render_ledger(&json, ledger, NULL);
	json_end(&json);
	buf_append_byte(line, '\n');
	fwrite(line->data, 1, line->len, stdout);
}

static const char *error_text(int error)
{
	switch (error) {
	case -EBADMSG:
		return "it is damaged, or no recording of spanwise";
	case -EPROTO:
		return "it was made by another version of spanwise";
	default:
		return strerror(-error);
	}
}

static int report(const char *path, int error, const struct replay_result *result)
{
	fflush(stdout);
	if (error < 0) {
		fprintf(stderr, "replay: %s: %s (after %" PRIu64 " entries)\n", path,
			error_text(error), result->entries);
		return 1;
	}
	if (result->is_truncated)
		fprintf(stderr,
			"replay: %s ends in the middle: spanwise was killed while recording; "
			"read up to the last whole chunk\n",
			path);
	if (!result->is_equal) {
		fprintf(stderr, "replay: NOT equal: ledger %" PRIu64 ": %.*s\n", result->differs_at,
			(int)result->difference.len, result->difference.data);
		return 1;
	}
	fprintf(stderr,
		"replay: equal: %" PRIu64 " ledgers from %" PRIu64 " entries, byte for byte",
		result->recorded, result->entries);
	if (result->ledgers > result->recorded)
		fprintf(stderr, "; %" PRIu64 " more than were recorded before the end",
			result->ledgers - result->recorded);
	fputc('\n', stderr);
	return 0;
}

int command_replay(int argc, char **argv)
{
	struct replay_options options = { .on_ledger = print_ledger };
	struct replay_result result;
	struct buf line;
	int rc;

	if (argc != 2 || argv[1][0] == '-') {
		fprintf(argc == 2 ? stdout : stderr,
			"usage: spanwise replay FILE\n\nPrints the ledgers as JSON, one a line. "
			"Exit status 1 when they differ from the recorded ones.\n");
		return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
	}
	buf_init(&line, 0);
	options.arg = &line;
	rc = report(argv[1], replay_run(argv[1], &options, &result), &result);
	replay_fini(&result);
	buf_fini(&line);
	return rc;
}
