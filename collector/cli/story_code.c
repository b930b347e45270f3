/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/story_code.h"

#include <stdio.h>

#include "collector/base/macros.h"
#include "correlate/profile_dominant.h"

#define CALLERS 3 /* named behind the frame, outwards */

/* Innermost first, as the API has them; a stack that is not there stands under its cause. */
static int add_stack(struct profile *profile, const struct json_value *entry)
{
	const struct json_value *stack = json_read_get(entry, "stack");
	size_t count = MIN(json_read_count(stack), (size_t)PROFILE_MAX_DEPTH);
	const int64_t ns = (int64_t)json_read_uint(entry, "ns");
	uint32_t frames[PROFILE_MAX_DEPTH] = { 0 }, number;
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; i++)
		rc = profile_frame(profile,
				   str_of(json_read_as_text(json_read_at(stack, count - 1 - i))),
				   &frames[i]);
	if (count == 0) {
		rc = profile_frame(profile, str_of(json_read_text(entry, "no_stack")), &frames[0]);
		count = 1;
	}
	if (rc == 0)
		rc = profile_stack(profile, frames, (uint32_t)count, &number);
	if (rc == 0)
		profile_add(profile, number, &ns);
	return rc;
}

static int make_profile(const struct json_value *code, struct profile *out)
{
	int rc = profile_init(out, 0);

	if (rc == 0)
		rc = profile_add_type(out, STR("cpu"), STR("nanoseconds"));
	for (size_t i = 0; i < json_read_count(code) && rc == 0; i++)
		rc = add_stack(out, json_read_at(code, i));
	if (rc == 0)
		rc = profile_seal(out);
	if (rc < 0)
		profile_fini(out);
	return rc;
}

static void put_frame(const struct term *term, const struct profile *profile, uint32_t node,
		      struct buf *out)
{
	char name[64];
	struct str text = profile_frame_name(profile, profile->nodes[node].frame);

	snprintf(name, sizeof(name), "%.*s", (int)MIN(text.len, sizeof(name) - 1),
		 text.len ? text.data : "");
	term_text(term, name, 48, false, out);
}

static bool is_named(const struct profile *profile, uint32_t node)
{
	struct str name = profile_frame_name(profile, profile->nodes[node].frame);

	return node != PROFILE_ROOT && name.len && name.data[0] != '[';
}

/* Where no subtree holds most: the place that holds more than any other. */
static uint32_t largest_leaf(const struct profile_tally *tally)
{
	uint32_t best = PROFILE_NONE;

	for (uint32_t i = 1; i < tally->profile->node_count; i++) {
		if (is_named(tally->profile, i) && profile_tally_self(tally, i) > 0 &&
		    (best == PROFILE_NONE ||
		     profile_tally_self(tally, i) > profile_tally_self(tally, best)))
			best = i;
	}
	return best;
}

static void put_dominant(const struct term *term, const struct profile_tally *tally,
			 uint64_t running_ns, struct buf *out)
{
	struct profile_dominant found;
	const struct profile *profile = tally->profile;
	char ns[16], share[16];
	bool is_leaf = false;
	double amount;
	uint32_t node;

	profile_dominant_find(tally, false, &found);
	node = found.headline;
	if (node == PROFILE_NONE || !is_named(profile, node)) {
		node = largest_leaf(tally);
		is_leaf = true;
	}
	if (node == PROFILE_NONE)
		return;
	amount = is_leaf ? profile_tally_self(tally, node) : tally->cum[node];
	term_duration((uint64_t)amount, ns);
	term_percent((uint64_t)amount, running_ns, share);
	term_print(term, TERM_DIM, out, "  %-10s", "on CPU");
	buf_printf(out, "%s, %s of what ran, %s ", ns, share, is_leaf ? "in" : "under");
	put_frame(term, profile, node, out);
	for (unsigned i = 0; i + 1 < CALLERS && profile->nodes[node].parent != PROFILE_ROOT; i++) {
		node = profile->nodes[node].parent;
		buf_append_text(out, " < ");
		put_frame(term, profile, node, out);
	}
	buf_append_byte(out, '\n');
}

void story_put_code(const struct term *term, const struct json_value *code, uint64_t running_ns,
		    struct buf *out)
{
	struct profile_tally tally;
	struct profile profile;

	if (make_profile(code, &profile) < 0)
		return;
	if (profile_tally_init(&tally, &profile, 0) == 0) {
		put_dominant(term, &tally, running_ns, out);
		profile_tally_fini(&tally);
	}
	profile_fini(&profile);
}
