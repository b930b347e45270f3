/* SPDX-License-Identifier: Apache-2.0 */
/* A diagnosis for people, and for programs. */
#include <stdio.h>
#include <string.h>

#include "collector/base/macros.h"
#include "collector/cli/diagnose.h"
#include "collector/profile_picture.h"

#define CHILDREN         5
#define DOUBTFUL_SAMPLES 1e6 /* without a unit: more likely time or bytes */

static const char *noun_of(const struct diagnosis *d)
{
	return profile_noun(&d->profile->types[d->type]);
}

static enum profile_unit unit_of(const struct diagnosis *d)
{
	return d->profile->types[d->type].unit;
}

/* ---- text ---- */

static void put_line(const struct term *term, enum term_colour colour, const char *label,
		     const char *text, struct buf *out)
{
	buf_append_text(out, "  ");
	term_colour(term, colour, out);
	buf_printf(out, "%-9s", label);
	term_reset(term, out);
	buf_printf(out, " %s\n", text);
}

/* "width-not-calls" at the end of a line would be noise: only traps and caveats name their rule. */
static void put_role(struct diagnosis *d, enum finding_role role, enum term_colour colour,
		     const char *label, const struct term *term, struct buf *out)
{
	const struct finding *verdict = diagnosis_verdict(d);

	for (unsigned i = 0; i < d->finding_count; i++) {
		const struct finding *finding = &d->findings[i];

		if (finding->role == role && finding != verdict)
			put_line(term, colour, label, diagnosis_text(d, finding), out);
	}
}

static void put_confidence(struct diagnosis *d, const struct finding *verdict,
			   const struct term *term, struct buf *out)
{
	double share = d->tree.total > 0 ? verdict->part / d->tree.total : 0, off;
	char text[160];

	const struct profile_type *type = &d->profile->types[d->type];

	if (d->all.samples <= 0 || d->kind == PROFILE_OFF_CPU || d->kind == PROFILE_THREADS ||
	    (type->is_unit_guessed && d->all.samples >= DOUBTFUL_SAMPLES))
		return;
	off = 100 * diagnosis_uncertainty(share, d->all.samples);
	snprintf(text, sizeof(text), "%.0f %% +- %.1f points (95 %%) from %.0f sample%s; rule %s",
		 100 * share, MIN(off, 100.0), d->all.samples, d->all.samples < 1.5 ? "" : "s",
		 profile_rules[verdict->rule].name);
	put_line(term, TERM_DIM, "sure", text, out);
}

static uint32_t next_child(const struct profile_tally *tree, uint32_t node, double before,
			   uint32_t last)
{
	uint32_t best = PROFILE_NONE;

	for (uint32_t at = tree->first_child[node]; at != PROFILE_NONE; at = tree->next[at]) {
		bool is_later = tree->cum[at] < before || (tree->cum[at] == before && at > last);

		if (is_later && (best == PROFILE_NONE || tree->cum[at] > tree->cum[best] ||
				 (tree->cum[at] == tree->cum[best] && at < best)))
			best = at;
	}
	return best;
}

static void put_amount_row(struct diagnosis *d, double part, const char *name, struct buf *out)
{
	struct buf amount;

	buf_init(&amount, 0);
	profile_put_amount(&amount, part, unit_of(d), NULL);
	buf_append_byte(&amount, 0);
	buf_printf(out, "            %12s  ", amount.data);
	buf_fini(&amount);
	buf_init(&amount, 0);
	profile_put_share(&amount, part, d->tree.total);
	buf_append_byte(&amount, 0);
	buf_printf(out, "%7s  %s\n", amount.data, name);
	buf_fini(&amount);
}

/* What lies under the headline: self, and the children, largest first. */
static void put_below(struct diagnosis *d, const struct term *term, struct buf *out)
{
	uint32_t node = d->dominant.headline, last = 0;
	double before = 1e300;

	if (node == PROFILE_NONE || d->dominant.is_whole_program)
		return;
	put_line(term, TERM_BOLD, "below", diagnosis_name(d, d->tree.profile->nodes[node].frame),
		 out);
	if (profile_tally_self(&d->tree, node) > 0)
		put_amount_row(d, profile_tally_self(&d->tree, node), "[self]", out);
	for (unsigned i = 0; i < CHILDREN; i++) {
		uint32_t child = next_child(&d->tree, node, before, last);

		if (child == PROFILE_NONE || !(d->tree.cum[child] > 0))
			return;
		put_amount_row(d, d->tree.cum[child],
			       diagnosis_name(d, d->tree.profile->nodes[child].frame), out);
		before = d->tree.cum[child];
		last = child;
	}
}

static void put_head(struct diagnosis *d, const char *path, const char *format,
		     const struct term *term, struct buf *out)
{
	struct buf text;

	buf_init(&text, 0);
	buf_printf(&text, "%s: %s profile (%s), ", path, profile_kind_name(d->kind), format);
	profile_put_amount(&text, d->all.total, unit_of(d), noun_of(d));
	buf_printf(&text, " in %u distinct stacks", d->profile->value_count);
	if (d->profile->duration_ns) {
		buf_append_text(&text, ", over ");
		profile_put_amount(&text, (double)d->profile->duration_ns, PROFILE_NS, NULL);
	}
	buf_append_byte(&text, 0);
	term_print(term, TERM_DIM, out, "%s", text.data);
	buf_append_text(out, "\n\n");
	buf_fini(&text);
}

static void put_findings(struct diagnosis *d, const struct term *term, struct buf *out)
{
	put_role(d, FINDING_VERDICT, TERM_PLAIN, "also", term, out);
	put_role(d, FINDING_DETAIL, TERM_PLAIN, "detail", term, out);
	put_role(d, FINDING_NEXT, TERM_GREEN, "do", term, out);
	put_role(d, FINDING_TRAP, TERM_YELLOW, "beware", term, out);
	put_role(d, FINDING_CAVEAT, TERM_RED, "caution", term, out);
}

void diagnose_show(struct diagnosis *d, const char *path, const char *format,
		   const struct term *term, struct buf *out)
{
	const struct finding *verdict = diagnosis_verdict(d);

	put_head(d, path, format, term, out);
	if (verdict)
		put_line(term, TERM_BOLD, "verdict", diagnosis_text(d, verdict), out);
	put_findings(d, term, out);
	if (verdict)
		put_confidence(d, verdict, term, out);
	put_below(d, term, out);
	buf_append_byte(out, '\n');
	profile_picture_text(d, term, out);
}

static void put_text(const struct term *term, const char *label, const struct buf *text,
		     struct buf *out)
{
	buf_append_text(out, "  ");
	term_colour(term, TERM_BOLD, out);
	buf_printf(out, "%-9s", label);
	term_reset(term, out);
	buf_printf(out, " %.*s\n", (int)text->len, text->len ? text->data : "");
}

void diagnose_show_pair(const struct profile_pair *pair, struct diagnosis *on,
			struct diagnosis *off, const struct term *term, struct buf *out)
{
	struct diagnosis *larger = pair->on_ns > pair->waiting_ns ? on : off;

	put_text(term, "verdict", &pair->verdict, out);
	put_text(term, "wall", &pair->partition, out);
	/* where nobody's code is at fault, none is named */
	if (pair->rule != RULE_PAIR_STARVED && pair->rule != RULE_PAIR_GAP) {
		put_findings(larger, term, out);
		put_below(larger, term, out);
	}
	buf_append_byte(out, '\n');
	profile_picture_text(larger, term, out);
}

/* ---- JSON ---- */

static void put_frame(struct json *json, const char *key, const struct diagnosis *d, uint32_t frame)
{
	if (frame == PROFILE_NONE)
		json_null(json, key);
	else
		json_str(json, key, profile_frame_name(d->profile, frame));
}

static double share_of(const struct diagnosis *d, double part)
{
	return d->tree.total > 0 ? part / d->tree.total : 0;
}

static void json_findings(struct diagnosis *d, struct json *json)
{
	static const char *const roles[] = {
		[FINDING_VERDICT] = "verdict", [FINDING_DETAIL] = "detail", [FINDING_NEXT] = "next",
		[FINDING_TRAP] = "trap",       [FINDING_CAVEAT] = "caveat",
	};

	json_array(json, "findings");
	for (unsigned i = 0; i < d->finding_count; i++) {
		const struct finding *finding = &d->findings[i];

		json_object(json, NULL);
		json_text(json, "role", roles[finding->role]);
		json_text(json, "rule", profile_rules[finding->rule].name);
		put_frame(json, "frame", d, finding->frame);
		json_double(json, "amount", finding->part, 0);
		json_text(json, "text", diagnosis_text(d, finding));
		json_end(json);
	}
	json_end(json);
}

static void json_verdict(struct diagnosis *d, struct json *json)
{
	const struct finding *verdict = diagnosis_verdict(d);

	if (!verdict) {
		json_null(json, "verdict");
		return;
	}
	json_object(json, "verdict");
	json_text(json, "rule", profile_rules[verdict->rule].name);
	put_frame(json, "frame", d, verdict->frame);
	json_double(json, "amount", verdict->part, 0);
	json_double(json, "share", share_of(d, verdict->part), 4);
	json_double(json, "uncertain",
		    diagnosis_uncertainty(share_of(d, verdict->part), d->all.samples), 4);
	json_text(json, "text", diagnosis_text(d, verdict));
	json_end(json);
}

static void json_node(struct diagnosis *d, const char *key, uint32_t node, struct json *json)
{
	if (node == PROFILE_NONE) {
		json_null(json, key);
		return;
	}
	json_object(json, key);
	put_frame(json, "frame", d, d->tree.profile->nodes[node].frame);
	json_double(json, "amount", d->tree.cum[node], 0);
	json_double(json, "self", profile_tally_self(&d->tree, node), 0);
	json_double(json, "share", share_of(d, d->tree.cum[node]), 4);
	json_end(json);
}

static void json_dominant(struct diagnosis *d, struct json *json)
{
	const struct profile_dominant *found = &d->dominant;
	double before = 1e300;
	uint32_t last = 0;

	json_object(json, "dominant");
	json_node(d, "subtree", found->headline, json);
	json_node(d, "deepest", found->deepest, json);
	json_node(d, "change", found->change, json);
	json_array(json, "path");
	for (unsigned i = 0; i < found->depth; i++)
		put_frame(json, NULL, d, d->tree.profile->nodes[found->path[i]].frame);
	json_end(json);
	json_array(json, "children");
	for (unsigned i = 0; found->headline != PROFILE_NONE && i < CHILDREN; i++) {
		uint32_t child = next_child(&d->tree, found->headline, before, last);

		if (child == PROFILE_NONE)
			break;
		json_node(d, NULL, child, json);
		before = d->tree.cum[child];
		last = child;
	}
	json_end(json);
	put_frame(json, "callee", d, d->callee);
	json_end(json);
}

static void json_body(struct diagnosis *d, struct json *json)
{
	const struct profile_type *type = &d->profile->types[d->type];
	static const char *const units[] = { "count", "ns", "bytes" };

	json_text(json, "kind", profile_kind_name(d->kind));
	json_text(json, "type", type->name);
	json_text(json, "unit", units[type->unit]);
	json_double(json, "total", d->all.total, 0);
	json_double(json, "samples", d->all.samples, 0);
	json_uint(json, "stacks", d->profile->value_count);
	json_verdict(d, json);
	json_dominant(d, json);
	json_findings(d, json);
}

void diagnose_json(struct diagnosis *d, const char *path, const char *format, struct json *json)
{
	json_object(json, NULL);
	json_text(json, "file", path);
	json_text(json, "format", format);
	json_body(d, json);
	json_end(json);
}

void diagnose_json_pair(const struct profile_pair *pair, const char *key, struct diagnosis *on,
			struct diagnosis *off, struct json *json)
{
	json_object(json, key);
	json_double(json, "wall_ns", pair->wall_ns, 0);
	json_double(json, "on_cpu_ns", pair->on_ns, 0);
	json_double(json, "waiting_ns", pair->waiting_ns, 0);
	json_double(json, "runnable_ns", pair->runnable_ns, 0);
	json_double(json, "missing_ns", pair->missing_ns, 0);
	json_double(json, "surplus_ns", pair->surplus_ns, 0);
	json_object(json, "verdict");
	json_text(json, "rule", profile_rules[pair->rule].name);
	json_str(json, "text", buf_str(&pair->verdict));
	json_end(json);
	json_str(json, "partition", buf_str(&pair->partition));
	json_object(json, "on_cpu");
	json_body(on, json);
	json_end(json);
	json_object(json, "off_cpu");
	json_body(off, json);
	json_end(json);
	json_end(json);
}
