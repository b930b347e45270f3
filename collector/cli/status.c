/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise status: GET /api/v1/status for people. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "collector/cli/client.h"
#include "collector/cli/options.h"
#include "collector/cli/show.h"
#include "collector/cli/term.h"
#include "collector/commands.h"

#define STATUS_PATH "/api/v1/status"

static void put_label(const struct term *term, const char *label, struct buf *out)
{
	term_print(term, TERM_BOLD, out, "%-11s", label);
}

static void put_bytes(uint64_t bytes, struct buf *out)
{
	if (bytes >= 1ull << 30)
		buf_printf(out, "%.1f GiB", (double)bytes / (double)(1ull << 30));
	else if (bytes >= 1u << 20)
		buf_printf(out, "%.1f MiB", (double)bytes / (double)(1u << 20));
	else
		buf_printf(out, "%" PRIu64 " KiB", bytes >> 10);
}

static void put_uptime(double seconds, struct buf *out)
{
	unsigned long s = (unsigned long)seconds;

	if (s >= 86400)
		buf_printf(out, "%lu d %lu h", s / 86400, s % 86400 / 3600);
	else if (s >= 3600)
		buf_printf(out, "%lu h %lu min", s / 3600, s % 3600 / 60);
	else if (s >= 60)
		buf_printf(out, "%lu min %lu s", s / 60, s % 60);
	else
		buf_printf(out, "%lu s", s);
}

/* "ring_full 3, waking 1", or "none". */
static void put_counts(const struct json_value *counts, struct buf *out)
{
	const struct json_value *count;
	bool is_first = true;
	void *cursor = NULL;
	const char *name;

	while ((count = json_read_next(counts, &cursor, &name))) {
		if (json_read_as_uint(count) == 0)
			continue;
		buf_printf(out, "%s%s %" PRIu64, is_first ? "" : ", ", name,
			   json_read_as_uint(count));
		is_first = false;
	}
	if (is_first)
		buf_append_text(out, "none");
}

static void put_kernel(const struct term *term, const struct json_value *kernel, struct buf *out)
{
	const struct json_value *features = json_read_get(kernel, "features");

	put_label(term, "kernel", out);
	if (!json_read_bool(kernel, "available")) {
		term_print(term, TERM_RED, out, "not listened to: ");
		term_text(term, json_read_text(kernel, "error"), 500, false, out);
		buf_append_text(out, "\n           spans are stored and graded none\n");
		return;
	}
	term_print(term, TERM_GREEN, out, "listening");
	buf_printf(out, ", %" PRIu64 " records; lost: ", json_read_uint(kernel, "records"));
	put_counts(json_read_get(kernel, "lost"), out);
	buf_append_text(out, "\n           attached:");
	for (size_t i = 0; i < json_read_count(features); i++)
		buf_printf(out, " %s", json_read_as_text(json_read_at(features, i)));
	buf_append_byte(out, '\n');
}

static void put_process(const struct term *term, const struct json_value *process, struct buf *out)
{
	buf_printf(out, "           %7" PRIu64 " ", json_read_uint(process, "pid"));
	term_text(term, json_read_text(process, "comm"), 16, true, out);
	buf_append_byte(out, ' ');
	term_text(term, json_read_text(process, "variable"), term->width - 37, false, out);
	buf_append_byte(out, '\n');
}

static void put_processes(const struct term *term, const struct json_value *probe, struct buf *out)
{
	const struct json_value *list = json_read_get(probe, "publishing");

	put_label(term, "processes", out);
	buf_printf(out,
		   "%zu publish their spans, of %" PRIu64 " seen; %" PRIu64
		   " cannot be read; probe %s, %" PRIu64 " restarts\n",
		   json_read_count(list), json_read_uint(probe, "processes_seen"),
		   json_read_uint(probe, "processes_unreadable"), json_read_text(probe, "state"),
		   json_read_uint(probe, "restarts"));
	for (size_t i = 0; i < json_read_count(list); i++)
		put_process(term, json_read_at(list, i), out);
}

static void put_services(const struct term *term, const struct json_value *services,
			 struct buf *out)
{
	for (size_t i = 0; i < json_read_count(services); i++) {
		const struct json_value *service = json_read_at(services, i);

		put_label(term, i ? "" : "services", out);
		term_text(term, json_read_text(service, "service"), 24, true, out);
		buf_printf(out,
			   " %10" PRIu64 " spans; ledgers: ", json_read_uint(service, "spans"));
		put_counts(json_read_get(service, "ledgers"), out);
		buf_append_byte(out, '\n');
	}
	if (json_read_count(services) == 0) {
		put_label(term, "services", out);
		buf_append_text(out, "no spans have come in\n");
	}
}

static void put_storage(const struct term *term, const struct json_value *root, struct buf *out)
{
	const struct json_value *storage = json_read_get(root, "storage");
	const char *error = json_read_text(storage, "error");

	put_label(term, "storage", out);
	buf_printf(out, "%" PRIu64 " spans, %" PRIu64 " ledgers, ",
		   json_read_uint(storage, "spans"), json_read_uint(storage, "ledgers"));
	put_bytes(json_read_uint(storage, "bytes"), out);
	buf_printf(out, " in %" PRIu64 " parts, %s\n", json_read_uint(storage, "parts"),
		   json_read_text(root, "data"));
	if (*error)
		term_print(term, TERM_RED, out, "           %s\n", error);
}

static void put_rest(const struct term *term, const struct json_value *root, struct buf *out)
{
	const struct json_value *correlator = json_read_get(root, "correlator");
	const struct json_value *memory = json_read_get(root, "memory");
	char bound[16], reach[16];

	term_duration(json_read_uint(json_read_get(root, "clock"), "bound_ns"), bound);
	term_duration(json_read_uint(correlator, "reach_ns"), reach);
	put_label(term, "traces", out);
	buf_printf(out,
		   "%" PRIu64 " settled, %" PRIu64 " pending, %" PRIu64 " forced; timelines reach "
		   "back %s\n",
		   json_read_uint(correlator, "traces_settled"),
		   json_read_uint(correlator, "traces_pending"),
		   json_read_uint(correlator, "traces_forced"), reach);
	put_storage(term, root, out);
	put_label(term, "memory", out);
	put_bytes(json_read_uint(memory, "used_bytes"), out);
	buf_append_text(out, " of ");
	put_bytes(json_read_uint(memory, "limit_bytes"), out);
	buf_append_byte(out, '\n');
	put_label(term, "clock", out);
	buf_printf(out, "spans and kernel agree within %s\n", bound);
}

/* Only what is degraded. */
static void put_health(const struct term *term, const struct json_value *health, struct buf *out)
{
	const struct json_value *checks = json_read_get(health, "checks");

	for (size_t i = 0; i < json_read_count(checks); i++) {
		const struct json_value *check = json_read_at(checks, i);

		if (!json_read_bool(check, "degraded"))
			continue;
		put_label(term, "degraded", out);
		term_print(term, TERM_RED, out, "%s %.3g, more than %.3g %s",
			   json_read_text(check, "name"), json_read_double(check, "value"),
			   json_read_double(check, "limit"), json_read_text(check, "unit"));
		buf_printf(out, "  %s\n", json_read_text(check, "remedy"));
	}
}

static void put_all(const struct term *term, const struct json_value *root, struct buf *out)
{
	const struct json_value *ports = json_read_get(root, "ports");

	term_print(term, TERM_BOLD, out, "spanwise %s", json_read_text(root, "version"));
	buf_append_text(out, "  up ");
	put_uptime(json_read_double(root, "uptime_s"), out);
	buf_printf(out, "  OTLP/gRPC on %s, queries on %s\n\n", json_read_text(ports, "grpc"),
		   json_read_text(ports, "api"));
	put_health(term, json_read_get(root, "health"), out);
	put_kernel(term, json_read_get(root, "kernel"), out);
	put_processes(term, json_read_get(root, "probe"), out);
	put_services(term, json_read_get(root, "services"), out);
	put_rest(term, root, out);
}

static int show(struct client *client, const struct term *term)
{
	struct json_value *root;
	struct buf out;

	if (client_get_json(client, STATUS_PATH, &root) < 0)
		return show_failure(client);
	buf_init(&out, 0);
	put_all(term, root, &out);
	fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
	json_read_free(root);
	return 0;
}

int command_status(int argc, char **argv)
{
	const char *api = NULL, *colour = NULL;
	bool json = false;
	const struct option_row rows[] = {
		{ "--json", NULL, NULL, &json, "the API's answer as it is" },
		{ "--color", "WHEN", &colour, NULL, "auto, always or never" },
		{ "--api", "ADDR", &api, NULL,
		  "the daemon; else SPANWISE_API, else " CLIENT_DEFAULT_API },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	const struct options options = {
		"spanwise status [--json]",
		"What the daemon sees, stores and loses. The exit status is 1 when it cannot be\n"
		"reached.",
		rows, 0
	};
	struct client client;
	struct term term;
	int words, rc = options_parse(&options, argc, argv, &words);

	if (rc != 0)
		return rc == OPTIONS_HELP ? 0 : 2;
	if (term_init(&term, colour) < 0)
		return 2;
	client_init(&client, api);
	rc = json ? show_json(&client, STATUS_PATH) : show(&client, &term);
	client_fini(&client);
	return rc;
}
