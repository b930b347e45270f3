/* SPDX-License-Identifier: Apache-2.0 */
/* Collapsed stacks, as stackcollapse-*.pl, async-profiler and py-spy write them:
 *
 *   main;handle;serialize 42
 *
 * Root first; a number ends the line. Such files are mostly sorted: what a line shares with the one
 * before it is not looked up again. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/profile_parser.h"

struct state {
	struct profile_parser *parser;
	struct profile_lines lines;
	struct buf last;                  /* the stack of the line before */
	uint32_t ends[PROFILE_MAX_DEPTH]; /* of its frames */
	uint32_t frames[PROFILE_MAX_DEPTH];
	uint32_t depth;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "42" or "42.5"; at most 18 digits. */
static bool read_value(struct str text, int64_t *out_value)
{
	int64_t value = 0;
	size_t i = 0;

	for (; i < text.len && i < 18 && is_digit(text.data[i]); i++)
		value = value * 10 + (text.data[i] - '0');
	if (i == 0)
		return false;
	*out_value = value;
	if (i < text.len && text.data[i] == '.') {
		*out_value +=
			i + 1 < text.len && text.data[i + 1] >= '5' && text.data[i + 1] <= '9';
		for (i++; i < text.len && is_digit(text.data[i]); i++)
			;
	}
	return i == text.len;
}

/* The stack and the number after the last space. */
static bool split(struct str line, struct str *out_stack, int64_t *out_value)
{
	const char *space;

	while (line.len && line.data[line.len - 1] == ' ')
		line.len--;
	space = line.len ? memrchr(line.data, ' ', line.len) : NULL;
	if (!space)
		return false;
	*out_stack = (struct str){ line.data, (size_t)(space - line.data) };
	return read_value((struct str){ space + 1, (size_t)(line.data + line.len - space - 1) },
			  out_value);
}

static size_t common_bytes(struct str a, struct str b)
{
	size_t len = MIN(a.len, b.len), i = 0;

	for (; i + 8 <= len; i += 8) {
		uint64_t left, right;

		memcpy(&left, a.data + i, 8);
		memcpy(&right, b.data + i, 8);
		if (left != right)
			return i + (size_t)__builtin_ctzll(left ^ right) / 8;
	}
	while (i < len && a.data[i] == b.data[i])
		i++;
	return i;
}

/* How many frames are those of the line before. */
static uint32_t shared_frames(const struct state *state, struct str stack)
{
	size_t common = common_bytes(stack, buf_str(&state->last));
	uint32_t shared = 0;

	while (shared < state->depth && (state->ends[shared] < common ||
					 (state->ends[shared] == common &&
					  (common == stack.len || stack.data[common] == ';'))))
		shared++;
	return shared;
}

static int walk_stack(struct state *state, struct str stack, uint32_t *out_stack)
{
	struct profile *profile = state->parser->profile;
	uint32_t depth = shared_frames(state, stack);
	size_t at = depth ? state->ends[depth - 1] + 1 : 0;

	while (at < stack.len && depth < PROFILE_MAX_DEPTH) {
		const char *end = memchr(stack.data + at, ';', stack.len - at);
		size_t len = end ? (size_t)(end - stack.data) - at : stack.len - at;
		int rc = profile_frame(profile, (struct str){ stack.data + at, len },
				       &state->frames[depth]);

		if (rc < 0)
			return rc;
		at += len;
		state->ends[depth++] = (uint32_t)at;
		at++;
	}
	profile->notes.cut_stacks += at < stack.len;
	state->depth = depth;
	return profile_stack(profile, state->frames, depth, out_stack);
}

static int on_line(void *arg, struct str line)
{
	struct state *state = arg;
	struct profile_notes *notes = &state->parser->profile->notes;
	struct str stack;
	int64_t value;
	uint32_t number;
	int rc;

	if (line.len == 0 || line.data[0] == '#')
		return 0;
	if (!split(line, &stack, &value)) {
		if (!notes->bad_records++)
			notes->first_bad_line = state->lines.number;
		return 0;
	}
	notes->stacks++;
	rc = walk_stack(state, stack, &number);
	if (rc < 0)
		return rc;
	profile_add(state->parser->profile, number, &value);
	buf_clear(&state->last);
	buf_append_str(&state->last, stack);
	return buf_error(&state->last);
}

static int begin(struct profile_parser *parser)
{
	struct state *state = calloc(1, sizeof(*state));

	if (!state)
		return -ENOMEM;
	state->parser = parser;
	profile_lines_init(&state->lines);
	buf_init(&state->last, 0);
	parser->state = state;
	return profile_add_type(parser->profile, STR("samples"), STR("count"));
}

static int feed(struct profile_parser *parser, struct str bytes)
{
	struct state *state = parser->state;

	return profile_lines_feed(&state->lines, bytes, on_line, state);
}

static int end(struct profile_parser *parser)
{
	struct state *state = parser->state;
	struct profile_notes *notes = &parser->profile->notes;
	int rc = profile_lines_end(&state->lines, on_line, state);

	notes->bad_records += state->lines.too_long;
	if (rc == 0 && notes->bad_records > notes->stacks) {
		buf_printf(parser->message,
			   "most of its lines are no collapsed stacks (`a;b;c 42`)");
		return -EBADMSG;
	}
	return rc;
}

static void free_state(struct profile_parser *parser)
{
	struct state *state = parser->state;

	if (!state)
		return;
	profile_lines_fini(&state->lines);
	buf_fini(&state->last);
	free(state);
}

/* Printable, and the first line that is no comment ends in a number. */
static bool looks_like(struct str head)
{
	while (head.len) {
		const char *newline = memchr(head.data, '\n', head.len);
		size_t len = newline ? (size_t)(newline - head.data) : head.len;
		struct str stack;
		int64_t value;

		if (len && memchr(head.data, 0, len))
			return false;
		if (len && head.data[0] != '#')
			return split((struct str){ head.data, len - (head.data[len - 1] == '\r') },
				     &stack, &value);
		head.data += MIN(len + 1, head.len);
		head.len -= MIN(len + 1, head.len);
	}
	return false;
}

const struct profile_format profile_collapsed = {
	.name = "collapsed",
	.looks_like = looks_like,
	.begin = begin,
	.feed = feed,
	.end = end,
	.free = free_state,
};
