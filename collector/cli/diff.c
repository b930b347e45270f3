/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise diff: what changed between profiles. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/diagnose.h"
#include "collector/cli/options.h"
#include "collector/commands.h"
#include "collector/flame_svg.h"
#include "correlate/profile_diff.h"

#define ROWS           12
#define AMOUNT_COLUMNS 14

struct request {
	struct diagnose_options options;
	struct diff_options diff;
	const char *svg, *limit;
	bool json;
	struct term term;
};

/* ---- text ---- */

static void put_amount(struct buf *out, int columns, const struct profile_diff *diff, double amount,
		       bool is_change)
{
	struct buf text;

	buf_init(&text, 0);
	if (is_change)
		profile_put_change(&text, amount, diff->unit, NULL);
	else
		profile_put_amount(&text, amount, diff->unit, NULL);
	buf_printf(out, "%*.*s", columns, (int)text.len, text.len ? text.data : "");
	buf_fini(&text);
}

static void put_row(const struct profile_diff *diff, const struct diff_entry *entry,
		    struct buf *out)
{
	put_amount(out, AMOUNT_COLUMNS, diff, entry->values[0], false);
	put_amount(out, AMOUNT_COLUMNS, diff, entry->values[diff->count - 1], false);
	put_amount(out, AMOUNT_COLUMNS, diff, entry->change, true);
	buf_printf(out, "%9.1f %%  ", diff->whole > 0 ? 100 * entry->change / diff->whole : 0);
	profile_diff_put_name(diff, entry, out);
	if (profile_diff_is_noise(entry))
		buf_append_text(out, "  (noise)");
	buf_append_byte(out, '\n');
}

static void put_findings(const struct profile_diff *diff, const struct term *term, struct buf *out)
{
	static const struct label {
		const char *word;
		enum term_colour colour;
	} labels[] = {
		[FINDING_VERDICT] = { "verdict", TERM_BOLD },
		[FINDING_DETAIL] = { "detail", TERM_PLAIN },
		[FINDING_NEXT] = { "do", TERM_GREEN },
		[FINDING_TRAP] = { "beware", TERM_YELLOW },
		[FINDING_CAVEAT] = { "caution", TERM_RED },
	};

	for (unsigned role = 0; role < ARRAY_LEN(labels); role++) {
		for (unsigned i = 0; i < diff->finding_count; i++) {
			if (diff->findings[i].role != role)
				continue;
			buf_append_text(out, "  ");
			term_colour(term, labels[role].colour, out);
			buf_printf(out, "%-9s", labels[role].word);
			term_reset(term, out);
			buf_printf(out, " %s\n", diff->text.data + diff->findings[i].text);
		}
	}
}

static void show(const struct profile_diff *diff, const struct request *request, unsigned long rows,
		 struct buf *out)
{
	put_findings(diff, &request->term, out);
	buf_printf(out, "\n%*s%*s%*s%11s  function\n", AMOUNT_COLUMNS, "base", AMOUNT_COLUMNS,
		   "current", AMOUNT_COLUMNS, "change", "share");
	for (size_t i = 0; i < MIN(diff->entry_count, (size_t)rows); i++) {
		if (diff->entries[i].change != 0)
			put_row(diff, &diff->entries[i], out);
	}
}

/* ---- JSON ---- */

static void json_entry(const struct profile_diff *diff, const struct diff_entry *entry,
		       struct json *json)
{
	json_object(json, NULL);
	json_str(json, "function", profile_frame_name(&diff->merged, entry->frame));
	if (entry->owner == PROFILE_NONE)
		json_null(json, "caller");
	else
		json_str(json, "caller", profile_frame_name(&diff->merged, entry->owner));
	json_array(json, "values");
	for (unsigned i = 0; i < diff->count; i++)
		json_double(json, NULL, entry->values[i], 0);
	json_end(json);
	json_double(json, "change", entry->change, 0);
	json_double(json, "share", diff->whole > 0 ? entry->change / diff->whole : 0, 4);
	json_double(json, "noise", entry->noise, 0);
	json_bool(json, "is_noise", profile_diff_is_noise(entry));
	if (diff->has_alloc)
		json_double(json, "allocated", entry->alloc_change, 0);
	if (diff->count >= 3) {
		json_double(json, diff->has_times ? "slope_per_minute" : "slope_per_profile",
			    entry->slope_per_s * (diff->has_times ? 60 : 1), 1);
		json_double(json, "fit", entry->fit, 3);
	}
	json_end(json);
}

static void show_json(const struct profile_diff *diff, unsigned long rows, struct buf *out)
{
	static const char *const roles[] = { "verdict", "detail", "next", "trap", "caveat" };
	static const char *const units[] = { "count", "ns", "bytes" };
	struct json json;

	json_init(&json, out);
	json_object(&json, NULL);
	json_text(&json, "kind", profile_kind_name(diff->kind));
	json_text(&json, "unit", units[diff->unit]);
	json_double(&json, "change", diff->change, 0);
	json_double(&json, "whole", diff->whole, 0);
	json_text(&json, "share_of", diff->whole_name);
	json_array(&json, "findings");
	for (unsigned i = 0; i < diff->finding_count; i++) {
		json_object(&json, NULL);
		json_text(&json, "role", roles[diff->findings[i].role]);
		json_text(&json, "rule", profile_rules[diff->findings[i].rule].name);
		if (diff->findings[i].frame == PROFILE_NONE)
			json_null(&json, "frame");
		else
			json_str(&json, "frame",
				 profile_frame_name(&diff->merged, diff->findings[i].frame));
		json_text(&json, "text", diff->text.data + diff->findings[i].text);
		json_end(&json);
	}
	json_end(&json);
	json_array(&json, "functions");
	for (size_t i = 0; i < MIN(diff->entry_count, (size_t)rows); i++)
		json_entry(diff, &diff->entries[i], &json);
	json_end(&json);
	json_end(&json);
	buf_append_byte(out, '\n');
}

/* ---- the picture: width is all change below, colour its direction ---- */

static int draw(const struct profile_diff *diff, struct buf *out)
{
	const struct profile *profile = &diff->merged;
	struct flame_frame *frames = calloc(profile->node_count, sizeof(*frames));
	struct flame_svg flame = { .title = "change",
				   .unit = diff->unit,
				   .noun = profile_noun(&profile->types[0]),
				   .is_diff = true,
				   .frames = frames,
				   .count = profile->node_count };
	int rc;

	if (!frames)
		return -ENOMEM;
	for (uint32_t i = profile->node_count; i-- > 0;) {
		double change = (double)profile_self(profile, i, diff->count - 1) -
				(double)profile_self(profile, i, 0);

		frames[i].name = profile_frame_name(profile, profile->nodes[i].frame);
		frames[i].parent = i ? profile->nodes[i].parent : FLAME_NO_PARENT;
		frames[i].total += fabs(change);
		frames[i].change += change;
		frames[i].is_marked = i && diff->finding_count &&
				      diff->findings[0].frame == profile->nodes[i].frame;
		if (i) {
			frames[frames[i].parent].total += frames[i].total;
			frames[frames[i].parent].change += frames[i].change;
		}
	}
	flame.finding = diff->finding_count ? diff->text.data + diff->findings[0].text : NULL;
	rc = flame_svg_write(&flame, out);
	free(frames);
	return rc;
}

static int save(const struct profile_diff *diff, const char *path)
{
	struct buf out;
	FILE *file;
	int rc;

	buf_init(&out, 0);
	rc = draw(diff, &out);
	file = rc == 0 ? fopen(path, "we") : NULL;
	if (rc == 0)
		rc = file && fwrite(out.data, 1, out.len, file) == out.len ? 0 : -errno;
	if (file && fclose(file) != 0 && rc == 0)
		rc = -errno;
	if (rc < 0)
		fprintf(stderr, "spanwise: %s: %s\n", path, strerror(-rc));
	buf_fini(&out);
	return rc;
}

/* ---- the command ---- */

static int compare(const struct request *request, const struct diff_input *inputs, unsigned count)
{
	unsigned long rows = ROWS;
	struct profile_diff diff;
	struct buf message, out;
	int rc;

	if (request->limit && options_number("--limit", request->limit, 1, 1000000, &rows) < 0)
		return 2;
	buf_init(&message, 0);
	buf_init(&out, 0);
	rc = profile_diff_init(&diff, inputs, count, &request->diff, &message);
	if (rc < 0) {
		fprintf(stderr, "spanwise: %.*s\n", message.len ? (int)message.len : 13,
			message.len ? message.data : "out of memory");
	} else {
		if (request->json)
			show_json(&diff, rows, &out);
		else
			show(&diff, request, rows, &out);
		fwrite(out.data, 1, out.len, stdout);
		if (request->svg)
			rc = save(&diff, request->svg);
	}
	profile_diff_fini(&diff);
	buf_fini(&message);
	buf_fini(&out);
	return rc < 0 ? 1 : 0;
}

static int read_input(const struct request *request, const char *path, struct profile *profile,
		      struct diff_input *out)
{
	enum profile_kind kind;
	int rc = diagnose_read(path, &request->options, profile, &out->type, &kind, NULL);

	if (rc < 0)
		return rc;
	out->profile = profile;
	profile->types[out->type].kind = kind;
	out->alloc_type = strcmp(profile->types[out->type].name, "inuse_space") == 0
				  ? profile_find_type(profile, "alloc_space")
				  : PROFILE_NONE;
	return 0;
}

static int run(const struct request *request, char **paths, unsigned count)
{
	struct profile profiles[DIFF_MAX_PROFILES];
	struct diff_input inputs[DIFF_MAX_PROFILES];
	unsigned read = 0;
	int status = 1;

	while (read < count &&
	       read_input(request, paths[read], &profiles[read], &inputs[read]) == 0)
		read++;
	if (read == count)
		status = compare(request, inputs, count);
	while (read > 0)
		profile_fini(&profiles[--read]);
	return status;
}

int command_diff(int argc, char **argv)
{
	struct request request = { 0 };
	const char *colour = NULL, *interval = NULL;
	bool is_base = false;
	const struct option_row rows[] = {
		{ "--base", NULL, NULL, &is_base,
		  "percent of all change, as pprof's -base (default)" },
		{ "--diff-base", NULL, NULL, &request.diff.is_diff_base,
		  "percent of the base, as pprof's -diff_base" },
		{ "--normalize", NULL, NULL, &request.diff.normalize,
		  "scale the others to the base's total" },
		{ "--interval", "TIME", &interval, NULL,
		  "between profiles that do not say when they were taken" },
		{ "--kind", "KIND", &request.options.kind, NULL,
		  "cpu, off-cpu, wall, heap or alloc" },
		{ "--type", "NAME", &request.options.type, NULL,
		  "of several sample types, this one" },
		{ "--unit", "UNIT", &request.options.unit, NULL,
		  "of values without one: us, ms, bytes, samples" },
		{ "--format", "NAME", &request.options.format, NULL,
		  "instead of looking at the files" },
		{ "--limit", "N", &request.limit, NULL, "functions to list" },
		{ "--svg", "FILE", &request.svg, NULL, "write a flame graph of the change" },
		{ "--json", NULL, NULL, &request.json, "for programs" },
		{ "--color", "WHEN", &colour, NULL, "auto, always or never" },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	const struct options options = {
		"spanwise diff BASE CURRENT [MORE...]",
		"Says what grew between profiles of CPU, waiting or heap: the suspect and its\n"
		"distance to the next, retention against churn, and what is only noise. With "
		"three\n"
		"or more, whether growth is a line.",
		rows, DIFF_MAX_PROFILES
	};
	int words, rc = options_parse(&options, argc, argv, &words);

	if (rc != 0)
		return rc == OPTIONS_HELP ? 0 : 2;
	if (words < 2)
		return options_refuse(&options,
				      "two profiles are needed: the base and the current one");
	if (is_base && request.diff.is_diff_base)
		return options_refuse(&options, "--base and --diff-base exclude each other");
	if (interval && (request.diff.interval_ns = diagnose_duration_ns(interval)) <= 0)
		return options_refuse(&options, "--interval: not a duration such as 45m");
	if (term_init(&request.term, colour) < 0)
		return 2;
	return run(&request, argv + 1, (unsigned)words);
}
