/* SPDX-License-Identifier: Apache-2.0 */
/* spanwise diagnose: reads a profile as a senior engineer would. */
#include "collector/cli/diagnose.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "collector/cli/options.h"
#include "collector/commands.h"
#include "collector/profile_file.h"
#include "collector/profile_picture.h"

#define SOME_WAITING 0.3 /* of what is called CPU time: it is a wall-clock profile */
#define ALL_WAITING  0.8 /* it is an off-CPU profile */

double diagnose_duration_ns(const char *text)
{
	char *end;
	double number = strtod(text, &end), factor;

	if (end == text || !(number >= 0))
		return -1;
	if (strcmp(end, "m") == 0 || strcmp(end, "min") == 0)
		return number * 60e9;
	if (strcmp(end, "h") == 0)
		return number * 3600e9;
	return profile_unit_of(str_of(end), &factor) == PROFILE_NS ? number * factor : -1;
}

/* ---- what the values mean ---- */

static int set_unit(struct profile *profile, unsigned type, const char *unit)
{
	if (!unit)
		return 0;
	if (!profile_unit_is_known(str_of(unit))) {
		fprintf(stderr,
			"spanwise: --unit: '%s' is no unit; samples, ns, us, ms, s or bytes\n",
			unit);
		return -EINVAL;
	}
	snprintf(profile->types[type].unit_name, sizeof(profile->types[type].unit_name), "%s",
		 unit);
	profile->types[type].is_unit_guessed = false;
	profile->types[type].unit = profile_unit_of(str_of(unit), &profile->types[type].factor);
	return 0;
}

/* Samples at a known rate are time. */
static int set_rate(struct profile *profile, unsigned type, const char *hz)
{
	double rate = hz ? strtod(hz, NULL) : 0;

	if (!hz)
		return 0;
	if (!(rate > 0 && rate <= 1e6)) {
		fprintf(stderr, "spanwise: --hz: '%s' is not a rate from 1 to 1000000\n", hz);
		return -EINVAL;
	}
	if (profile->types[type].unit == PROFILE_COUNT) {
		profile->period = (int64_t)(1e9 / rate);
		profile->types[type].unit = PROFILE_NS;
		profile->types[type].is_unit_guessed = false;
		profile->types[type].factor = 1e9 / rate;
		snprintf(profile->period_unit, sizeof(profile->period_unit), "nanoseconds");
	}
	return 0;
}

/* Formats that do not tell are CPU profiles, unless their stacks end where threads wait. */
static int guess_kind(struct profile *profile, unsigned type, enum profile_kind *out_kind)
{
	double share = 0;
	int rc;

	if (*out_kind != PROFILE_CPU || !profile->types[type].is_kind_guessed ||
	    profile->types[type].unit == PROFILE_BYTES)
		return 0;
	rc = profile_waiting_share(profile, type, &share);
	if (rc < 0 || share < SOME_WAITING)
		return rc;
	profile->notes.waiting_share = share;
	profile->types[type].kind = share >= ALL_WAITING ? PROFILE_OFF_CPU : PROFILE_WALL;
	*out_kind = profile->types[type].kind;
	return 0;
}

static int set_kind(const char *kind, enum profile_kind *out_kind)
{
	static const enum profile_kind kinds[] = { PROFILE_CPU, PROFILE_OFF_CPU, PROFILE_WALL,
						   PROFILE_INUSE, PROFILE_ALLOC };

	if (!kind)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kind, profile_kind_name(kinds[i])) == 0) {
			*out_kind = kinds[i];
			return 0;
		}
	}
	fprintf(stderr, "spanwise: --kind: '%s' is none of cpu, off-cpu, wall, heap, alloc\n",
		kind);
	return -EINVAL;
}

static void list_types(const struct profile *profile)
{
	for (unsigned i = 0; i < profile->type_count; i++)
		fprintf(stderr, "%s%s", i ? ", " : "", profile->types[i].name);
	fputc('\n', stderr);
}

/* A heap's default type may be what was allocated; what is in use is asked for more often. */
static int choose_type(const char *path, const char *name, const struct profile *profile,
		       unsigned *out_type)
{
	uint32_t found = name ? profile_find_type(profile, name) : profile->default_type;

	if (!name && profile_find_type(profile, "inuse_space") != PROFILE_NONE)
		found = profile_find_type(profile, "inuse_space");
	if (found >= profile->type_count) {
		fprintf(stderr, "spanwise: %s has no type %s; it has ", path,
			name ? name : "at all");
		list_types(profile);
		return -EINVAL;
	}
	*out_type = found;
	return 0;
}

int diagnose_prepare(const char *path, const struct diagnose_options *options,
		     struct profile *profile, unsigned *out_type, enum profile_kind *out_kind)
{
	int rc = choose_type(path, options->type, profile, out_type);

	if (rc == 0)
		rc = set_unit(profile, *out_type, options->unit);
	if (rc < 0)
		return rc;
	*out_kind = profile->types[*out_type].kind;
	if (!options->kind && guess_kind(profile, *out_type, out_kind) < 0)
		return -ENOMEM;
	if (profile->types[*out_type].unit == PROFILE_BYTES && *out_kind == PROFILE_CPU)
		*out_kind = PROFILE_INUSE;
	rc = set_kind(options->kind, out_kind);
	profile->types[*out_type].kind = *out_kind;
	return rc < 0 ? rc : set_rate(profile, *out_type, options->hz);
}

int diagnose_read(const char *path, const struct diagnose_options *options,
		  struct profile *out_profile, unsigned *out_type, enum profile_kind *out_kind,
		  const char **out_format)
{
	struct profile_file_options file = { options->format, isatty(STDERR_FILENO) };
	struct buf message;
	int rc;

	buf_init(&message, 0);
	rc = profile_file_read(path, &file, out_profile, out_format, &message);
	if (rc < 0)
		fprintf(stderr, "spanwise: %s: %.*s\n", path, (int)message.len,
			message.len ? message.data : "");
	buf_fini(&message);
	if (rc < 0)
		return rc;
	rc = diagnose_prepare(path, options, out_profile, out_type, out_kind);
	if (rc < 0)
		profile_fini(out_profile);
	return rc;
}

/* ---- the command ---- */

int diagnose_finish(const struct diagnose_request *request, const struct diagnosis *pictured,
		    const char *finding, struct buf *out)
{
	if (request->svg &&
	    profile_picture_save(pictured, request->path, finding, request->svg) < 0)
		return 1;
	fwrite(out->data, 1, out->len, stdout);
	if (request->svg && !request->json)
		printf("\nflame graph: %s\n", request->svg);
	return buf_error(out) ? 1 : 0;
}

static int one(const struct diagnose_request *request, struct diagnosis *diagnosis,
	       const char *format)
{
	const struct finding *verdict = diagnosis_verdict(diagnosis);
	struct json json;
	struct buf out;
	int status;

	buf_init(&out, 0);
	if (request->json) {
		json_init(&json, &out);
		diagnose_json(diagnosis, request->path, format, &json);
		buf_append_byte(&out, '\n');
	} else {
		diagnose_show(diagnosis, request->path, format, &request->term, &out);
	}
	status = diagnose_finish(request, diagnosis,
				 verdict ? diagnosis_text(diagnosis, verdict) : NULL, &out);
	buf_fini(&out);
	return status;
}

static int run(const struct diagnose_request *request)
{
	struct diagnosis diagnosis;
	struct profile profile;
	enum profile_kind kind;
	const char *format;
	unsigned type;
	int status;

	if (diagnose_read(request->path, &request->options, &profile, &type, &kind, &format) < 0)
		return 1;
	if (diagnosis_init(&diagnosis, &profile, type, kind) < 0) {
		fprintf(stderr, "spanwise: %s: out of memory\n", request->path);
		status = 1;
	} else {
		status = one(request, &diagnosis, format);
	}
	diagnosis_fini(&diagnosis);
	profile_fini(&profile);
	return status;
}

/* One file, or two: CPU time and waiting. Exit status. */
static int run_files(struct diagnose_request *request, char **paths, int count,
		     const struct options *options)
{
	if (count == 0)
		return options_refuse(options,
				      "which profile? Give a file, --trace or --operation");
	request->path = paths[0];
	if (count == 2 && request->off_path)
		return options_refuse(options, "the off-CPU profile is given twice");
	if (count == 2)
		request->off_path = paths[1];
	if (request->wall_ns < 0)
		return options_refuse(options, "--wall: not a duration such as 612ms");
	if (request->wall_ns > 0 && !request->off_path)
		return options_refuse(options,
				      "--wall needs the off-CPU profile, too: give both files");
	return request->off_path ? diagnose_pair(request) : run(request);
}

static int explain(const char *name)
{
	enum profile_rule_id id = profile_rule_find(name);

	if (strcmp(name, "all") == 0) {
		for (size_t i = 0; i < RULE_COUNT; i++)
			printf("%-17s %-8s %s\n", profile_rules[i].name, profile_rules[i].kind,
			       profile_rules[i].sentence);
		return 0;
	}
	if (id == RULE_COUNT) {
		fprintf(stderr, "spanwise: there is no rule %s; --explain all lists them\n", name);
		return 2;
	}
	printf("%s (%s)\n%s\n", profile_rules[id].name, profile_rules[id].kind,
	       profile_rules[id].sentence);
	return 0;
}

int command_diagnose(int argc, char **argv)
{
	struct diagnose_request request = { 0 };
	struct diagnose_stored stored = { 0 };
	const char *rule = NULL, *colour = NULL, *wall = NULL;
	const struct option_row rows[] = {
		{ "--off-cpu", "FILE", &request.off_path, NULL,
		  "the off-CPU profile of the same span: both together" },
		{ "--wall", "TIME", &wall, NULL, "its wall time (612ms): is anything missing?" },
		{ "--kind", "KIND", &request.options.kind, NULL,
		  "cpu, off-cpu, wall, heap or alloc" },
		{ "--type", "NAME", &request.options.type, NULL,
		  "of several sample types, this one" },
		{ "--unit", "UNIT", &request.options.unit, NULL,
		  "of values without one: us, ms, bytes, samples" },
		{ "--off-unit", "UNIT", &request.off_unit, NULL, "the same for --off-cpu" },
		{ "--hz", "RATE", &request.options.hz, NULL,
		  "samples were taken at this rate: they become time" },
		{ "--format", "NAME", &request.options.format, NULL,
		  "instead of looking at the file" },
		{ "--svg", "FILE", &request.svg, NULL,
		  "write a flame graph with the finding marked" },
		{ "--trace", "ID", &stored.trace, NULL, "a stored trace instead of a file" },
		{ "--operation", "NAME", &stored.operation, NULL,
		  "stored spans: 'SERVICE OPERATION'" },
		{ "--from", "TIME", &stored.from, NULL, "-1h, or RFC 3339" },
		{ "--to", "TIME", &stored.to, NULL, "the end of it; else now" },
		{ "--api", "ADDR", &stored.api, NULL,
		  "the daemon; else SPANWISE_API, else " CLIENT_DEFAULT_API },
		{ "--explain", "RULE", &rule, NULL, "what a rule says; `all` lists them" },
		{ "--json", NULL, NULL, &request.json, "for programs" },
		{ "--color", "WHEN", &colour, NULL, "auto, always or never" },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	const struct options options = { "spanwise diagnose FILE [OFF-CPU-FILE --wall TIME] | "
					 "--trace ID | --operation NAME",
					 "Says what dominates a profile, what to do next, what not "
					 "to be fooled by, and how\n"
					 "sure it is. FILE: collapsed stacks, pprof, speedscope, "
					 "perf script, OTLP or V8's\n"
					 ".cpuprofile; plain or gzip.",
					 rows, 2 };
	int words, rc = options_parse(&options, argc, argv, &words);

	if (rc != 0)
		return rc == OPTIONS_HELP ? 0 : 2;
	if (rule)
		return explain(rule);
	if (term_init(&request.term, colour) < 0)
		return 2;
	if (stored.trace || stored.operation) {
		stored.json = request.json;
		stored.svg = request.svg;
		return diagnose_stored(&stored, &request.term);
	}
	request.wall_ns = wall ? diagnose_duration_ns(wall) : 0;
	if (wall && !(request.wall_ns > 0))
		request.wall_ns = -1;
	return run_files(&request, argv + 1, words, &options);
}
