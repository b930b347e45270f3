/* SPDX-License-Identifier: Apache-2.0 */
/* pprof and OTLP profiles into the model: the wire formats are otlp/'s. */
#include <errno.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/profile_name.h"
#include "collector/profile_parser.h"
#include "otlp/otlp_profiles.h"
#include "otlp/pprof_read.h"

struct state {
	struct profile_parser *parser;
	struct pprof_reader *reader; /* owned */
	uint32_t *frames; /* owned; by function: its frame, PROFILE_NONE: not interned yet */
	bool is_second;
	uint32_t path[PROFILE_MAX_DEPTH]; /* the stack at hand, root first */
};

static int frame_of(struct state *state, uint32_t function, uint32_t *out_frame)
{
	char room[128], full[PROFILE_MAX_NAME];
	struct str name;
	int rc = 0;

	if (state->frames[function] == PROFILE_NONE) {
		name = pprof_reader_name(state->reader, function, room, sizeof(room));
		name = profile_name_of(name, pprof_reader_file(state->reader, function), full,
				       sizeof(full));
		rc = profile_frame(state->parser->profile, name, &state->frames[function]);
	}
	*out_frame = state->frames[function];
	return rc;
}

static int on_sample(void *arg, const uint32_t *locations, size_t location_count,
		     const int64_t *values)
{
	struct state *state = arg;
	struct profile *profile = state->parser->profile;
	uint32_t depth = 0, stack;
	int rc;

	profile->notes.stacks++;
	for (size_t i = location_count; i-- > 0;) {
		const uint32_t *lines;
		size_t count = pprof_reader_lines(state->reader, locations[i], &lines);

		for (size_t k = count; k-- > 0 && depth < PROFILE_MAX_DEPTH; depth++) {
			rc = frame_of(state, lines[k], &state->path[depth]);
			if (rc < 0)
				return rc;
			profile_note_frame(profile, state->path[depth], k + 1 < count);
		}
	}
	profile->notes.cut_stacks += depth == PROFILE_MAX_DEPTH;
	rc = profile_stack(profile, state->path, depth, &stack);
	if (rc == 0)
		profile_add(profile, stack, values);
	return rc;
}

static int begin(struct profile_parser *parser)
{
	struct state *state = calloc(1, sizeof(*state));

	parser->state = state;
	if (!state)
		return -ENOMEM;
	state->parser = parser;
	state->reader = pprof_reader_new(on_sample, state);
	return state->reader ? 0 : -ENOMEM;
}

static int feed(struct profile_parser *parser, struct str bytes)
{
	struct state *state = parser->state;
	int rc = pprof_reader_feed(state->reader, bytes);

	if (rc == -EBADMSG)
		buf_printf(parser->message, "it is damaged, or no pprof profile");
	return rc;
}

static void copy_text(char *out, size_t size, struct str text)
{
	size_t len = MIN(text.len, size - 1);

	if (len)
		memcpy(out, text.data, len);
	out[len] = 0;
}

static int take_info(struct state *state)
{
	const struct pprof_info *info = pprof_reader_info(state->reader);
	struct profile *profile = state->parser->profile;

	for (unsigned i = 0; i < info->type_count; i++) {
		int rc = profile_add_type(profile, info->types[i].type, info->types[i].unit);

		if (rc < 0)
			return rc;
	}
	profile->default_type = info->default_type;
	profile->period = info->period;
	profile->time_unix_ns = info->time_unix_ns;
	profile->duration_ns = info->duration_ns;
	copy_text(profile->period_type, sizeof(profile->period_type), info->period_type.type);
	copy_text(profile->period_unit, sizeof(profile->period_unit), info->period_type.unit);
	return 0;
}

static int start_samples(struct state *state)
{
	size_t count;
	bool is_cut = pprof_reader_end(state->reader);
	int rc = pprof_reader_rewind(state->reader);

	if (rc == -EBADMSG)
		buf_printf(state->parser->message,
			   is_cut ? "it ends in the middle, before its names: take it again"
				  : "it has no sample types or no strings: no pprof profile");
	if (rc == 0)
		rc = take_info(state);
	if (rc < 0)
		return rc;
	count = pprof_reader_function_count(state->reader) + 1;
	state->frames = malloc(count * sizeof(*state->frames));
	if (!state->frames)
		return -ENOMEM;
	memset(state->frames, 0xff, count * sizeof(*state->frames));
	state->is_second = true;
	return 1;
}

static int end(struct profile_parser *parser)
{
	struct state *state = parser->state;
	const struct pprof_info *info = pprof_reader_info(state->reader);

	if (!state->is_second)
		return start_samples(state);
	parser->profile->notes.is_truncated |= pprof_reader_end(state->reader);
	parser->profile->notes.bad_records = info->bad_samples;
	parser->profile->notes.inlined_frames = info->inlined_frames;
	return 0;
}

static void free_state(struct profile_parser *parser)
{
	struct state *state = parser->state;

	if (!state)
		return;
	pprof_reader_free(state->reader);
	free(state->frames);
	free(state);
}

static bool is_binary(struct str head)
{
	for (size_t i = 0; i < MIN(head.len, (size_t)4096); i++) {
		uint8_t byte = (uint8_t)head.data[i];

		if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r')
			return true;
	}
	return false;
}

static bool looks_like(struct str head)
{
	return head.len > 2 && (uint8_t)head.data[0] < 0x80 && is_binary(head) &&
	       !otlp_profiles_looks_like(head);
}

const struct profile_format profile_pprof = {
	.name = "pprof",
	.looks_like = looks_like,
	.begin = begin,
	.feed = feed,
	.end = end,
	.free = free_state,
};

/* ---- OTLP ---- */

struct otlp_state {
	struct profile_parser *parser;
	uint32_t type; /* of the profile at hand */
};

/* A Profile message is one type of ours: equal ones are joined. */
static int on_profile(void *arg, const struct otlp_profile_head *head)
{
	struct otlp_state *state = arg;
	struct profile *profile = state->parser->profile;
	char name[sizeof(profile->types[0].name)];
	int rc = 0;

	copy_text(name, sizeof(name), head->type);
	state->type = profile_find_type(profile, name);
	if (state->type == PROFILE_NONE) {
		rc = profile_add_type(profile, head->type, head->unit);
		state->type = profile->type_count - 1;
	}
	if (head->period && !profile->period) {
		profile->period = head->period;
		copy_text(profile->period_type, sizeof(profile->period_type), head->period_type);
		copy_text(profile->period_unit, sizeof(profile->period_unit), head->period_unit);
	}
	profile->time_unix_ns = head->time_unix_ns;
	profile->duration_ns = MAX(profile->duration_ns, head->duration_ns);
	return rc;
}

static int on_otlp_sample(void *arg, const struct str *frames, size_t frame_count, int64_t value)
{
	struct otlp_state *state = arg;
	struct profile *profile = state->parser->profile;
	int64_t values[PROFILE_MAX_TYPES] = { 0 };
	uint32_t path[PROFILE_MAX_DEPTH], depth = 0, stack;
	int rc = 0;

	profile->notes.stacks++;
	for (size_t i = frame_count; rc == 0 && i-- > 0 && depth < PROFILE_MAX_DEPTH; depth++)
		rc = profile_frame(profile, frames[i], &path[depth]);
	if (rc == 0)
		rc = profile_stack(profile, path, depth, &stack);
	values[state->type] = value;
	if (rc == 0)
		profile_add(profile, stack, values);
	return rc;
}

/* Counts the types first: values of all samples have as many places. */
static int declare_type(void *arg, const struct otlp_profile_head *head)
{
	return on_profile(arg, head);
}

static int no_sample(void *arg, const struct str *frames, size_t frame_count, int64_t value)
{
	(void)arg;
	(void)frames;
	(void)frame_count;
	(void)value;
	return 0;
}

static int begin_otlp(struct profile_parser *parser)
{
	parser->state = NULL;
	return 0;
}

static int feed_otlp(struct profile_parser *parser, struct str bytes)
{
	struct otlp_state state = { .parser = parser };
	struct otlp_profiles_visitor types = { declare_type, no_sample, &state };
	struct otlp_profiles_visitor samples = { on_profile, on_otlp_sample, &state };
	uint64_t ignored = 0;
	int rc = otlp_profiles_read(bytes, &types, &ignored);

	if (rc == 0)
		rc = otlp_profiles_read(bytes, &samples, &parser->profile->notes.bad_records);
	if (rc == -EBADMSG)
		buf_printf(parser->message, "it is damaged, or no OTLP profile");
	return rc;
}

static int end_otlp(struct profile_parser *parser)
{
	if (parser->profile->type_count)
		return 0;
	buf_printf(parser->message, "it holds no profile");
	return -EBADMSG;
}

static void free_otlp(struct profile_parser *parser)
{
	(void)parser;
}

static bool looks_like_otlp(struct str head)
{
	return otlp_profiles_looks_like(head);
}

const struct profile_format profile_otlp = {
	.name = "otlp",
	.is_whole = true,
	.looks_like = looks_like_otlp,
	.begin = begin_otlp,
	.feed = feed_otlp,
	.end = end_otlp,
	.free = free_otlp,
};
