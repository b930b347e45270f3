/* SPDX-License-Identifier: Apache-2.0 */
/* diagnose --trace and --operation: what a running daemon has stored, read by the same rules. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/diagnose.h"
#include "collector/cli/show.h"
#include "collector/profile_file.h"

#define PATH_BYTES 256

/* Appends the stacks of a state. 0, or -ENOENT where the daemon has none. */
static int fetch_state(struct client *client, const char *selection, const char *state,
		       struct buf *out)
{
	struct buf path, body;
	int status;

	buf_init(&path, 0);
	buf_init(&body, 0);
	buf_printf(&path, "/api/v1/flame?%s&state=%s&format=collapsed", selection, state);
	buf_append_byte(&path, 0);
	status = client_get(client, path.data, &body);
	if (status == 200)
		buf_append_str(out, buf_str(&body));
	buf_fini(&path);
	buf_fini(&body);
	return status == 200 ? buf_error(out) : -ENOENT;
}

/* One side's stacks: time on a CPU, or off it, whether waiting or ready. */
static int fetch_side(struct client *client, const char *selection, bool on_cpu,
		      struct profile *out)
{
	const struct profile_file_options plain = { .format = "collapsed" };
	struct buf body, message;
	int rc;

	buf_init(&body, 0);
	buf_init(&message, 0);
	rc = fetch_state(client, selection, on_cpu ? "cpu" : "blocked", &body);
	if (rc == 0 && !on_cpu)
		rc = fetch_state(client, selection, "runnable", &body);
	if (rc == 0 && body.len == 0)
		rc = -ENOENT;
	if (rc == 0)
		rc = profile_file_parse(buf_str(&body), &plain, 0, out, NULL, &message);
	if (rc == 0) { /* the daemon's stacks weigh nanoseconds */
		out->types[0].unit = PROFILE_NS;
		out->types[0].factor = 1;
	}
	buf_fini(&body);
	buf_fini(&message);
	return rc;
}

static int show_sides(struct profile *on, struct profile *off, double wall_ns,
		      const struct term *term)
{
	struct diagnosis on_side, off_side;
	struct profile_pair pair;
	struct buf out;
	int rc = diagnosis_init(&on_side, on, 0, PROFILE_CPU);

	buf_init(&out, 0);
	if (diagnosis_init(&off_side, off, 0, PROFILE_OFF_CPU) == 0 && rc == 0) {
		rc = profile_pair_judge(&on_side, &off_side, wall_ns, &pair);
		if (rc == 0)
			diagnose_show_pair(&pair, &on_side, &off_side, term, &out);
		profile_pair_fini(&pair);
	}
	fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
	diagnosis_fini(&on_side);
	diagnosis_fini(&off_side);
	return rc;
}

/* The stacks of a selection, if the daemon has them. */
static void show_stacks(struct client *client, const char *selection, double wall_ns,
			const struct term *term)
{
	struct profile on, off;

	if (fetch_side(client, selection, true, &on) < 0)
		return;
	if (fetch_side(client, selection, false, &off) == 0) {
		putchar('\n');
		show_sides(&on, &off, wall_ns, term);
		profile_fini(&off);
	}
	profile_fini(&on);
}

/* ---- one trace ---- */

static double blocked_ns(const struct json_value *ledger)
{
	const struct json_value *blocked = json_read_get(ledger, "blocked_ns"), *value;
	const char *reason;
	void *cursor = NULL;
	double sum = 0;

	while ((value = json_read_next(blocked, &cursor, &reason)))
		sum += json_read_as_double(value);
	return sum;
}

static void put_ns(struct buf *out, double ns, double wall_ns)
{
	profile_put_amount(out, ns, PROFILE_NS, NULL);
	buf_append_text(out, " (");
	profile_put_share(out, ns, wall_ns);
	buf_append_byte(out, ')');
}

/* The ledger's partition always adds up; it is said so that it can be checked. */
static void put_ledger(const struct json_value *span, struct buf *out)
{
	static const struct part {
		const char *key, *words;
	} parts[] = {
		{ "running_ns", "on a CPU" },
		{ "runnable_ns", "ready without a CPU" },
		{ "elsewhere_ns", "on no thread" },
		{ "unknown_ns", "not observed" },
	};
	const struct json_value *ledger = json_read_get(span, "ledger");
	double wall = json_read_double(span, "wall_ns");

	buf_append_text(out, "  wall      ");
	profile_put_amount(out, wall, PROFILE_NS, NULL);
	buf_append_text(out, " = ");
	put_ns(out, blocked_ns(ledger), wall);
	buf_append_text(out, " waiting");
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		double ns = json_read_double(ledger, parts[i].key);

		if (!(ns > 0))
			continue;
		buf_append_text(out, " + ");
		put_ns(out, ns, wall);
		buf_printf(out, " %s", parts[i].words);
	}
	buf_printf(out, "; %s\n", json_read_text(ledger, "grade"));
}

static void put_waits(const struct json_value *span, struct buf *out)
{
	const struct json_value *waits = json_read_get(span, "waits");
	double wall = json_read_double(span, "wall_ns");

	for (size_t i = 0; i < MIN(json_read_count(waits), (size_t)3); i++) {
		const struct json_value *wait = json_read_at(waits, i);

		buf_printf(out, "  wait      %s ", json_read_text(wait, "reason"));
		profile_put_name(out, str_of(json_read_text(wait, "target")), 60);
		buf_append_byte(out, ' ');
		put_ns(out, json_read_double(wait, "ns"), wall);
		buf_append_byte(out, '\n');
	}
}

/* The span without a parent in this trace; else the longest. */
static const struct json_value *root_of(const struct json_value *spans)
{
	const struct json_value *best = NULL;

	for (size_t i = 0; i < json_read_count(spans); i++) {
		const struct json_value *span = json_read_at(spans, i);

		if (!best || json_read_double(span, "wall_ns") > json_read_double(best, "wall_ns"))
			best = span;
	}
	return best;
}

static int show_trace(struct client *client, const char *id, const struct json_value *root,
		      const struct term *term)
{
	const struct json_value *span = root_of(json_read_get(root, "spans"));
	const struct json_value *verdict = json_read_get(span, "verdict");
	char selection[PATH_BYTES];
	struct buf out;

	if (!span) {
		fprintf(stderr, "spanwise: trace %s has no spans\n", id);
		return 1;
	}
	buf_init(&out, 0);
	profile_put_name(&out, str_of(json_read_text(span, "name")), 80);
	buf_append_text(&out, " (");
	profile_put_name(&out, str_of(json_read_text(span, "service")), 60);
	buf_printf(&out, "), trace %s\n\n  verdict   ", id);
	profile_put_name(&out, str_of(json_read_text(verdict, "text")), 0);
	buf_append_byte(&out, '\n');
	put_ledger(span, &out);
	put_waits(span, &out);
	fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
	/* of the span whose ledger is shown, so that they add up to its wall */
	snprintf(selection, sizeof(selection), "trace=%s&span=%.16s", id,
		 json_read_text(span, "span_id"));
	show_stacks(client, selection, json_read_double(span, "wall_ns"), term);
	return 0;
}

static int diagnose_trace(const struct diagnose_stored *stored, struct client *client,
			  const struct term *term)
{
	char id[TRACE_ID_HEX + 1], path[PATH_BYTES];
	struct json_value *root;
	int status;

	if (show_find_trace(client, stored->trace, id) < 0)
		return show_failure(client);
	snprintf(path, sizeof(path), "/api/v1/traces/%s", id);
	if (stored->json)
		return show_json(client, path);
	if (client_get_json(client, path, &root) < 0)
		return show_failure(client);
	status = show_trace(client, id, root, term);
	json_read_free(root);
	return status;
}

/* ---- one operation ---- */

/* "shop GET /report": the service ends at the first space. */
static void put_selection(const struct diagnose_stored *stored, struct buf *out)
{
	const char *space = strchr(stored->operation, ' ');
	char service[PATH_BYTES];
	const char *from = stored->from ? stored->from : "-1h";

	snprintf(service, sizeof(service), "%.*s",
		 (int)(space ? space - stored->operation : (long)strlen(stored->operation)),
		 stored->operation);
	buf_append_text(out, "service=");
	client_escape(out, service);
	if (space) {
		buf_append_text(out, "&operation=");
		client_escape(out, space + 1);
	}
	buf_append_text(out, "&from=");
	client_escape(out, from);
	if (stored->to) {
		buf_append_text(out, "&to=");
		client_escape(out, stored->to);
	}
	buf_append_byte(out, 0);
}

/* The slowest span of the selection stands for it, beside the whole. */
static int show_slowest(struct client *client, const char *selection, const struct term *term)
{
	struct json_value *root;
	const struct json_value *span;
	struct buf path;
	char id[TRACE_ID_HEX + 1];
	int rc;

	buf_init(&path, 0);
	buf_printf(&path, "/api/v1/spans?%s&sort=wall&limit=1", selection);
	buf_append_byte(&path, 0);
	rc = client_get_json(client, path.data, &root);
	buf_fini(&path);
	if (rc < 0)
		return show_failure(client);
	span = json_read_at(json_read_get(root, "spans"), 0);
	if (!span) {
		fprintf(stderr,
			"spanwise: no such spans are stored; `spanwise top` lists what is\n");
		json_read_free(root);
		return 1;
	}
	snprintf(id, sizeof(id), "%s", json_read_text(span, "trace_id"));
	printf("the slowest of them:\n");
	rc = show_trace(client, id, root, term);
	json_read_free(root);
	return rc;
}

static int diagnose_operation(const struct diagnose_stored *stored, struct client *client,
			      const struct term *term)
{
	struct buf selection, path;
	int status;

	buf_init(&selection, 0);
	buf_init(&path, 0);
	put_selection(stored, &selection);
	buf_printf(&path, "/api/v1/spans?%s&sort=wall&limit=20", selection.data);
	buf_append_byte(&path, 0);
	if (stored->json)
		status = show_json(client, path.data);
	else
		status = show_slowest(client, selection.data, term);
	if (status == 0 && !stored->json) {
		printf("\nall of them:\n");
		show_stacks(client, selection.data, 0, term);
	}
	buf_fini(&selection);
	buf_fini(&path);
	return status;
}

int diagnose_stored(const struct diagnose_stored *stored, const struct term *term)
{
	struct client client;
	int status;

	client_init(&client, stored->api);
	status = stored->trace ? diagnose_trace(stored, &client, term)
			       : diagnose_operation(stored, &client, term);
	client_fini(&client);
	return status;
}
