/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise doctor: why is there no data? */
#include <stdio.h>
#include <string.h>

#include "collector/cli/client.h"
#include "collector/cli/doctor_daemon.h"
#include "collector/cli/doctor_host.h"
#include "collector/cli/doctor_report.h"
#include "collector/cli/doctor_span.h"
#include "collector/cli/options.h"
#include "collector/cli/show.h"
#include "collector/cli/term.h"
#include "collector/commands.h"
#include "collector/config.h"

/* Without a daemon: what it would be started with. */
static void check_plans(struct doctor_report *report, const char *api)
{
	struct config config;
	struct buf message;
	bool help;

	buf_init(&message, 0);
	if (config_load(&config, 0, NULL, &help, &message) < 0) {
		doctor_report_add(report, DOCTOR_BAD, "configuration", "%.*s", (int)message.len,
				  message.data);
		doctor_report_remedy(report, "`spanwise check-config` names what is wrong");
	} else {
		doctor_host_port(report, "grpc", config.grpc, false);
		doctor_host_port(report, "api", api, false);
		doctor_host_folder(report, config.data);
	}
	config_fini(&config);
	buf_fini(&message);
}

static void check_running(struct doctor_report *report, const struct json_value *status)
{
	const struct json_value *ports = json_read_get(status, "ports");

	doctor_host_port(report, "grpc", json_read_text(ports, "grpc"), true);
	doctor_host_port(report, "api", json_read_text(ports, "api"), true);
	doctor_host_folder(report, json_read_text(status, "data"));
}

static struct json_value *ask_daemon(struct doctor_report *report, struct client *client)
{
	struct json_value *status = NULL;

	report->section = "The daemon";
	if (client_get_json(client, "/api/v1/status", &status) < 0) {
		doctor_report_add(report, DOCTOR_BAD, "reachable", "%.*s", (int)client->message.len,
				  client->message.data);
		doctor_report_remedy(report, "start it: `spanwise serve`");
		return NULL;
	}
	doctor_report_add(report, DOCTOR_OK, "reachable", "%s, version %s", client->api,
			  json_read_text(status, "version"));
	if (strcmp(json_read_text(status, "version"), SPANWISE_VERSION) != 0)
		doctor_report_add(report, DOCTOR_NOTE, "version",
				  "this command is of " SPANWISE_VERSION);
	return status;
}

static void check_span(struct doctor_report *report, struct client *client,
		       const struct json_value *status, const char *trace, const char *span)
{
	struct doctor_case patient = { .status = status, .span_id = span };
	struct json_value *root = NULL;
	char id[TRACE_ID_HEX + 1] = "", path[96];

	if (show_find_trace(client, trace, id) == 0) {
		snprintf(path, sizeof(path), "/api/v1/traces/%s", id);
		if (client_get_json(client, path, &root) < 0)
			root = NULL;
	}
	patient.trace = root;
	patient.trace_id = *id ? id : trace;
	doctor_span_check(report, &patient);
	json_read_free(root);
}

/* `words`: [TRACE [SPAN]]. */
static void examine(struct doctor_report *report, struct client *client, char **words, int count)
{
	struct json_value *status;

	report->section = "This machine";
	doctor_host_kernel(report);
	doctor_host_capabilities(report);
	status = ask_daemon(report, client);
	if (status) {
		check_running(report, status);
		if (count == 0)
			doctor_daemon_check(report, status);
		else
			check_span(report, client, status, words[0], count > 1 ? words[1] : NULL);
	} else {
		check_plans(report, client->api);
	}
	json_read_free(status);
}

static int run(struct client *client, const struct term *term, bool json, char **words, int count)
{
	struct doctor_report report;
	struct buf out;
	int rc;

	if (doctor_report_init(&report) < 0)
		return 1;
	examine(&report, client, words, count);
	buf_init(&out, 0);
	if (json)
		doctor_report_json(&report, &out);
	else
		doctor_report_text(&report, term, &out);
	fwrite(out.data, 1, out.len, stdout);
	rc = doctor_report_is_well(&report) ? 0 : 1;
	buf_fini(&out);
	doctor_report_fini(&report);
	return rc;
}

int command_doctor(int argc, char **argv)
{
	const char *api = NULL, *colour = NULL;
	bool json = false;
	const struct option_row rows[] = {
		{ "--json", NULL, NULL, &json, "the findings as JSON" },
		{ "--color", "WHEN", &colour, NULL, "auto, always or never" },
		{ "--api", "ADDR", &api, NULL,
		  "the daemon; else SPANWISE_API, else " CLIENT_DEFAULT_API },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	const struct options options = {
		"spanwise doctor [TRACE [SPAN]] [--json]",
		"Why is there no data? Checks this machine, the daemon, and what services send; "
		"for\n"
		"a trace or a span every link from the SDK to its ledger, and names the first "
		"that\n"
		"is broken, with what to do. The exit status is 0 only if all is well.",
		rows, 2
	};
	struct client client;
	struct term term;
	int words, rc = options_parse(&options, argc, argv, &words);

	if (rc != 0)
		return rc == OPTIONS_HELP ? 0 : 2;
	if (term_init(&term, colour) < 0)
		return 2;
	client_init(&client, api);
	rc = run(&client, &term, json, argv + 1, words);
	client_fini(&client);
	return rc;
}
