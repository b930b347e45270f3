/* SPDX-License-Identifier: Apache-2.0 */
/* diagnose ON OFF: CPU time and waiting of the same span, from two files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/cli/diagnose.h"
#include "correlate/profile_pair.h"

#define UNIT_FITS 30.0 /* times too small or too large for the wall: units are 1,000 apart */

struct side {
	const char *path;
	struct profile profile;
	unsigned type;
	enum profile_kind kind;
};

/* What is read of both files before they are judged. */
struct sides {
	struct side on, off;
	struct buf note; /* what was assumed */
};

static struct profile_type *type_of(struct side *side)
{
	return &side->profile.types[side->type];
}

static double total_of(struct side *side)
{
	return profile_total(&side->profile, side->type);
}

static bool is_time(struct side *side)
{
	return type_of(side)->unit == PROFILE_NS;
}

static int refuse_units(const char *path)
{
	fprintf(stderr,
		"spanwise: %s: its values are no times, so it cannot be added to another: say what "
		"a sample is worth with --hz RATE or --unit us, or give --wall TIME, which tells "
		"the unit\n",
		path);
	return 2;
}

/* A unit that the file does not tell: that of ns, us and ms in which both sides come nearest to the
 * wall. They are a factor of 1,000 apart. */
static void guess_unit(struct sides *sides, double wall_ns)
{
	static const struct unit {
		const char *name;
		double ns;
	} units[] = { { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 } };
	struct side *both[] = { &sides->on, &sides->off };
	double known = 0, unknown = 0;
	const struct unit *best = NULL;
	double best_off = log(UNIT_FITS);

	for (size_t i = 0; i < ARRAY_LEN(both); i++)
		*(is_time(both[i]) ? &known : &unknown) += total_of(both[i]);
	for (size_t i = 0; unknown > 0 && i < ARRAY_LEN(units); i++) {
		double off = fabs(log((known + unknown * units[i].ns) / wall_ns));

		if (off < best_off) {
			best = &units[i];
			best_off = off;
		}
	}
	if (!best)
		return;
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		if (is_time(both[i]))
			continue;
		type_of(both[i])->unit = PROFILE_NS;
		type_of(both[i])->factor = best->ns;
		type_of(both[i])->is_unit_guessed = false;
	}
	buf_printf(&sides->note, "values without a unit are taken as %s, which fits the wall",
		   best->name);
}

static void take_rate(struct side *side, const char *hz)
{
	type_of(side)->unit = PROFILE_NS;
	type_of(side)->factor = 1e9 / strtod(hz, NULL); /* checked for the other side */
}

static int read_sides(const struct diagnose_request *request, struct sides *sides)
{
	struct diagnose_options options = request->options;

	sides->on.path = request->path;
	sides->off.path = request->off_path;
	if (diagnose_read(sides->on.path, &options, &sides->on.profile, &sides->on.type,
			  &sides->on.kind, NULL) < 0)
		return -1;
	options = (struct diagnose_options){ .unit = request->options.unit };
	if (request->off_unit)
		options.unit = request->off_unit;
	if (diagnose_read(sides->off.path, &options, &sides->off.profile, &sides->off.type,
			  &sides->off.kind, NULL) == 0)
		return 0;
	profile_fini(&sides->on.profile);
	return -1;
}

/* The files may stand in the other order. */
static void put_in_order(struct sides *sides)
{
	if (sides->on.kind == PROFILE_OFF_CPU && sides->off.kind == PROFILE_CPU) {
		struct side first = sides->on;

		sides->on = sides->off;
		sides->off = first;
		buf_printf(&sides->note, "%s is the off-CPU profile; ", sides->off.path);
	}
	sides->on.profile.notes.waiting_share = sides->off.profile.notes.waiting_share = 0;
	type_of(&sides->on)->kind = PROFILE_CPU;
	type_of(&sides->off)->kind = PROFILE_OFF_CPU;
}

static int show(const struct diagnose_request *request, struct sides *sides, struct diagnosis *on,
		struct diagnosis *off)
{
	struct profile_pair pair;
	struct json json;
	struct buf out;
	int status, rc = profile_pair_judge(on, off, request->wall_ns, &pair);

	buf_init(&out, 0);
	if (rc == 0 && sides->note.len)
		buf_printf(&pair.partition, " (%.*s)", (int)sides->note.len, sides->note.data);
	if (rc == 0 && request->json) {
		json_init(&json, &out);
		diagnose_json_pair(&pair, NULL, on, off, &json);
		buf_append_byte(&out, '\n');
	} else if (rc == 0) {
		diagnose_show_pair(&pair, on, off, &request->term, &out);
	}
	buf_append_byte(&pair.verdict, 0);
	status = rc < 0 ? 1
			: diagnose_finish(request, pair.on_ns > pair.waiting_ns ? on : off,
					  pair.verdict.data, &out);
	buf_fini(&out);
	profile_pair_fini(&pair);
	return status;
}

static int judge(const struct diagnose_request *request, struct sides *sides)
{
	struct diagnosis on, off;
	int status = 1;

	put_in_order(sides);
	if (request->wall_ns > 0)
		guess_unit(sides, request->wall_ns);
	if (!is_time(&sides->off) && request->options.hz) /* sampled, as the other */
		take_rate(&sides->off, request->options.hz);
	if (!is_time(&sides->on) || !is_time(&sides->off))
		return refuse_units(is_time(&sides->on) ? sides->off.path : sides->on.path);
	if (diagnosis_init(&on, &sides->on.profile, sides->on.type, PROFILE_CPU) == 0) {
		if (diagnosis_init(&off, &sides->off.profile, sides->off.type, PROFILE_OFF_CPU) ==
		    0)
			status = show(request, sides, &on, &off);
		diagnosis_fini(&off);
	}
	diagnosis_fini(&on);
	return status;
}

int diagnose_pair(const struct diagnose_request *request)
{
	struct sides sides = { .on = { .path = NULL } };
	int status;

	if (read_sides(request, &sides) < 0)
		return 1;
	buf_init(&sides.note, 0);
	status = judge(request, &sides);
	buf_fini(&sides.note);
	profile_fini(&sides.on.profile);
	profile_fini(&sides.off.profile);
	return status;
}
