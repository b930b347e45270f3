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
#include "collector/profile_picture.h"

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
		out->notes.is_of_spans = true;
		out->types[0].is_unit_guessed = false;
		out->types[0].unit = PROFILE_NS;
		out->types[0].factor = 1;
	}
	buf_fini(&body);
	buf_fini(&message);
	return rc;
}

/* Both sides of a selection, judged together. */
struct sides {
	struct profile on, off;
	struct diagnosis on_side, off_side;
	struct profile_pair pair;
};

static int judge(struct sides *sides, double wall_ns)
{
	int on_rc = diagnosis_init(&sides->on_side, &sides->on, 0, PROFILE_CPU);
	int off_rc = diagnosis_init(&sides->off_side, &sides->off, 0, PROFILE_OFF_CPU);

	if (on_rc < 0 || off_rc < 0)
		return on_rc < 0 ? on_rc : off_rc;
	return profile_pair_judge(&sides->on_side, &sides->off_side, wall_ns, &sides->pair);
}

static void sides_fini(struct sides *sides)
{
	profile_pair_fini(&sides->pair);
	diagnosis_fini(&sides->on_side);
	diagnosis_fini(&sides->off_side);
	profile_fini(&sides->on);
	profile_fini(&sides->off);
}

/* -ENOENT: the daemon has no stacks of both. On success, sides_fini. */
static int sides_init(struct sides *sides, struct client *client, const char *selection,
		      double wall_ns)
{
	int rc;

	*sides = (struct sides){ .pair = { .wall_ns = 0 } };
	rc = fetch_side(client, selection, true, &sides->on);
	if (rc < 0)
		return rc;
	rc = fetch_side(client, selection, false, &sides->off);
	if (rc < 0) {
		profile_fini(&sides->on);
		return rc;
	}
	rc = judge(sides, wall_ns);
	if (rc < 0)
		sides_fini(sides);
	return rc;
}

static struct diagnosis *larger(struct sides *sides)
{
	return sides->pair.on_ns > sides->pair.waiting_ns ? &sides->on_side : &sides->off_side;
}

/* The picture that was asked for. Exit status. */
static int save_picture(struct sides *sides, const char *title, const char *path)
{
	struct buf finding;
	int rc;

	buf_init(&finding, 0);
	buf_append_str(&finding, buf_str(&sides->pair.verdict));
	buf_append_byte(&finding, 0);
	rc = profile_picture_save(larger(sides), title, finding.data, path);
	buf_fini(&finding);
	return rc < 0 ? 1 : 0;
}

/* The stacks of a selection, if the daemon has them: as text on stdout, or as the member "profiles"
 * of `json`; and as a picture. Exit status. */
static int show_stacks(const struct diagnose_stored *stored, struct client *client,
		       const char *selection, double wall_ns, const char *title,
		       const struct term *term, struct json *json)
{
	struct sides sides;
	struct buf out;
	int status = 0;

	if (sides_init(&sides, client, selection, wall_ns) < 0) {
		if (json)
			json_null(json, "profiles");
		if (stored->svg)
			fprintf(stderr, "spanwise: no stacks are stored of it: no picture\n");
		return stored->svg ? 1 : 0;
	}
	buf_init(&out, 0);
	if (json) {
		diagnose_json_pair(&sides.pair, "profiles", &sides.on_side, &sides.off_side, json);
	} else {
		buf_append_byte(&out, '\n');
		diagnose_show_pair(&sides.pair, &sides.on_side, &sides.off_side, term, &out);
	}
	if (stored->svg)
		status = save_picture(&sides, title, stored->svg);
	if (stored->svg && status == 0 && !json)
		buf_printf(&out, "\nflame graph: %s\n", stored->svg);
	if (out.len)
		fwrite(out.data, 1, out.len, stdout);
	buf_fini(&out);
	sides_fini(&sides);
	return status;
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

static bool is_better_root(const struct json_value *span, const struct json_value *than)
{
	bool has_parent = json_read_text(span, "parent_span_id")[0];
	bool other_has = than && json_read_text(than, "parent_span_id")[0];

	if (!than || has_parent != other_has)
		return !than || other_has;
	return json_read_double(span, "wall_ns") > json_read_double(than, "wall_ns");
}

/* The one with this id; NULL: a span without a parent, else the longest. */
static const struct json_value *choose_span(const struct json_value *spans, const char *span_id)
{
	const struct json_value *best = NULL;

	for (size_t i = 0; i < json_read_count(spans); i++) {
		const struct json_value *span = json_read_at(spans, i);

		if (span_id && strcmp(json_read_text(span, "span_id"), span_id) == 0)
			return span;
		if (is_better_root(span, best))
			best = span;
	}
	return best;
}

static void put_trace(const struct json_value *span, const char *id, struct buf *out)
{
	profile_put_name(out, str_of(json_read_text(span, "name")), 80);
	buf_append_text(out, " (");
	profile_put_name(out, str_of(json_read_text(span, "service")), 60);
	buf_printf(out, "), trace %s\n\n  verdict   ", id);
	profile_put_name(out, str_of(json_read_text(json_read_get(span, "verdict"), "text")), 0);
	buf_append_byte(out, '\n');
	put_ledger(span, out);
	put_waits(span, out);
}

/* As the API says it. */
static int json_span(struct client *client, const char *id, const char *span_id, struct json *json)
{
	char path[PATH_BYTES];
	struct buf body;
	int status;

	snprintf(path, sizeof(path), "/api/v1/spans/%s/%.16s", id, span_id);
	buf_init(&body, 0);
	status = client_get(client, path, &body);
	if (status == 200)
		json_raw(json, "span", buf_str(&body));
	else
		json_null(json, "span");
	buf_fini(&body);
	return status < 0 ? show_failure(client) : 0;
}

/* The ledger of one span, and its own stacks, so that they add up to its wall. */
static int show_trace(const struct diagnose_stored *stored, struct client *client, const char *id,
		      const char *span_id, const struct term *term, struct json *json)
{
	char path[PATH_BYTES], selection[PATH_BYTES];
	const struct json_value *span;
	struct json_value *root;
	struct buf out;
	int status = 0;

	snprintf(path, sizeof(path), "/api/v1/traces/%s", id);
	if (client_get_json(client, path, &root) < 0)
		return show_failure(client);
	span = choose_span(json_read_get(root, "spans"), span_id);
	buf_init(&out, 0);
	if (!span) {
		fprintf(stderr, "spanwise: trace %s has no spans\n", id);
		status = 1;
	} else if (json) {
		json_text(json, "trace_id", id);
		status = json_span(client, id, json_read_text(span, "span_id"), json);
	} else {
		put_trace(span, id, &out);
		fwrite(out.data, 1, out.len, stdout);
	}
	if (span && status == 0) {
		snprintf(selection, sizeof(selection), "trace=%s&span=%.16s", id,
			 json_read_text(span, "span_id"));
		status = show_stacks(stored, client, selection, json_read_double(span, "wall_ns"),
				     json_read_text(span, "name"), term, json);
	}
	buf_fini(&out);
	json_read_free(root);
	return status;
}

static int diagnose_trace(const struct diagnose_stored *stored, struct client *client,
			  const struct term *term, struct json *json)
{
	char id[TRACE_ID_HEX + 1];

	if (show_find_trace(client, stored->trace, id) < 0)
		return show_failure(client);
	return show_trace(stored, client, id, NULL, term, json);
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
static int find_slowest(struct client *client, const char *selection, char out_id[TRACE_ID_HEX + 1],
			char out_span_id[SPAN_ID_HEX + 1])
{
	struct json_value *root;
	const struct json_value *span;
	struct buf path;
	int rc;

	buf_init(&path, 0);
	buf_printf(&path, "/api/v1/spans?%s&sort=wall&limit=1", selection);
	buf_append_byte(&path, 0);
	rc = client_get_json(client, path.data, &root);
	buf_fini(&path);
	if (rc < 0)
		return show_failure(client);
	span = json_read_at(json_read_get(root, "spans"), 0);
	if (span) {
		snprintf(out_id, TRACE_ID_HEX + 1, "%s", json_read_text(span, "trace_id"));
		snprintf(out_span_id, SPAN_ID_HEX + 1, "%s", json_read_text(span, "span_id"));
	} else {
		fprintf(stderr,
			"spanwise: no such spans are stored; `spanwise top` lists what is\n");
	}
	json_read_free(root);
	return span ? 0 : 1;
}

static int diagnose_operation(const struct diagnose_stored *stored, struct client *client,
			      const struct term *term, struct json *json)
{
	struct diagnose_stored unpictured = *stored;
	char id[TRACE_ID_HEX + 1], span_id[SPAN_ID_HEX + 1];
	struct buf selection;
	int status;

	unpictured.svg = NULL; /* the picture is of all of them */
	buf_init(&selection, 0);
	put_selection(stored, &selection);
	status = find_slowest(client, selection.data, id, span_id);
	if (status == 0 && json) {
		json_text(json, "operation", stored->operation);
		json_object(json, "slowest");
	} else if (status == 0) {
		printf("the slowest of them:\n");
	}
	if (status == 0)
		status = show_trace(&unpictured, client, id, span_id, term, json);
	if (status == 0 && json)
		json_end(json);
	else if (status == 0)
		printf("\nall of them:\n");
	if (status == 0)
		status = show_stacks(stored, client, selection.data, 0, stored->operation, term,
				     json);
	buf_fini(&selection);
	return status;
}

int diagnose_stored(const struct diagnose_stored *stored, const struct term *term)
{
	struct client client;
	struct json json;
	struct buf out;
	int status;

	client_init(&client, stored->api);
	buf_init(&out, 0);
	json_init(&json, &out);
	json_object(&json, NULL);
	status = stored->trace
			 ? diagnose_trace(stored, &client, term, stored->json ? &json : NULL)
			 : diagnose_operation(stored, &client, term, stored->json ? &json : NULL);
	if (status == 0 && stored->json) {
		json_end(&json);
		buf_append_byte(&out, '\n');
		fwrite(out.data, 1, out.len, stdout);
	}
	buf_fini(&out);
	client_fini(&client);
	return status;
}
