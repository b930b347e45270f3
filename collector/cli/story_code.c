/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/story_code.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "correlate/profile_dominant.h"

#define CALLERS 3 /* named behind the frame, outwards */

/* The stacks of a span as a profile, and which frames are no plumbing. */
struct code {
	struct profile profile;
	bool *is_telling; /* by frame; owned */
};

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

/* What the daemon shows as "where" is what a reader looks for. */
static int mark_telling(struct code *code, const struct json_value *entries)
{
	code->is_telling = calloc(code->profile.frame_count + 1, sizeof(*code->is_telling));
	if (!code->is_telling)
		return -ENOMEM;
	for (size_t i = 0; i < json_read_count(entries); i++) {
		const struct json_value *where = json_read_get(json_read_at(entries, i), "where");

		for (size_t k = 0; k < json_read_count(where); k++) {
			struct str name = str_of(json_read_as_text(json_read_at(where, k)));
			uint32_t known = code->profile.frame_count, frame;
			int rc = profile_frame(&code->profile, name, &frame);

			if (rc < 0)
				return rc;
			if (frame < known)
				code->is_telling[frame] = true;
		}
	}
	return 0;
}

static void code_fini(struct code *code)
{
	free(code->is_telling);
	profile_fini(&code->profile);
}

static int code_init(struct code *code, const struct json_value *entries)
{
	int rc = profile_init(&code->profile, 0);

	code->is_telling = NULL;
	if (rc == 0)
		rc = profile_add_type(&code->profile, STR("cpu"), STR("nanoseconds"));
	for (size_t i = 0; i < json_read_count(entries) && rc == 0; i++)
		rc = add_stack(&code->profile, json_read_at(entries, i));
	if (rc == 0)
		rc = mark_telling(code, entries);
	if (rc == 0)
		rc = profile_seal(&code->profile);
	if (rc < 0)
		code_fini(code);
	return rc;
}

/* The next one outwards that tells a reader something, from this one on; PROFILE_ROOT: none. */
static uint32_t telling(const struct code *code, uint32_t node)
{
	while (node != PROFILE_ROOT && !code->is_telling[code->profile.nodes[node].frame])
		node = code->profile.nodes[node].parent;
	return node;
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

static void put_path(const struct term *term, const struct code *code, uint32_t node,
		     struct buf *out)
{
	put_frame(term, &code->profile, node, out);
	for (unsigned i = 0; i + 1 < CALLERS; i++) {
		node = telling(code, code->profile.nodes[node].parent);
		if (node == PROFILE_ROOT)
			break;
		buf_append_text(out, " < ");
		put_frame(term, &code->profile, node, out);
	}
	buf_append_byte(out, '\n');
}

static void put_dominant(const struct term *term, const struct code *code,
			 const struct profile_tally *tally, uint64_t running_ns, struct buf *out)
{
	struct profile_dominant found;
	char ns[16], share[16];
	bool is_leaf = false;
	double amount;
	uint32_t node;

	profile_dominant_find(tally, false, &found);
	node = found.headline;
	if (node != PROFILE_NONE && telling(code, node) != PROFILE_ROOT)
		node = telling(code, node);
	if (node == PROFILE_NONE || !is_named(&code->profile, node)) {
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
	put_path(term, code, node, out);
}

void story_put_code(const struct term *term, const struct json_value *entries, uint64_t running_ns,
		    struct buf *out)
{
	struct profile_tally tally;
	struct code code;

	if (code_init(&code, entries) < 0)
		return;
	if (profile_tally_init(&tally, &code.profile, 0) == 0) {
		put_dominant(term, &code, &tally, running_ns, out);
		profile_tally_fini(&tally);
	}
	code_fini(&code);
}
