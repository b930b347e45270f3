/* SPDX-License-Identifier: Apache-2.0 */
/* Collapsed stacks, as stackcollapse-*.pl, async-profiler and py-spy write them:
 *
 *   main;handle;serialize 42
 *
 * Root first; a number ends the line. async-profiler marks frames (_[j] compiled, _[i] inlined
 * ...); these marks are no part of the names. Such files are mostly sorted: what a line shares with
 * the one before it is not looked up again. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/profile_parser.h"

struct state {
	struct profile_parser *parser;
	struct profile_lines lines;
	struct buf last;                  /* the stack of the line before */
	struct buf scratch;               /* a name that is no slice of it */
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

/* The kernel's mark stays, for it says what code it is. */
static struct str without_mark(struct str frame, bool *out_marked, bool *out_inlined)
{
	const char *mark = frame.data + frame.len - 4;

	*out_marked = frame.len > 4 && mark[0] == '_' && mark[1] == '[' && mark[3] == ']' &&
		      memchr("ij01", mark[2], 4);
	*out_inlined = *out_marked && mark[2] == 'i';
	if (*out_marked)
		frame.len -= 4;
	if (frame.len > 8 && memcmp(frame.data + frame.len - 8, "[inline]", 8) == 0) {
		*out_marked = *out_inlined = true; /* gperftools' pprof */
		frame.len -= 8;
	}
	return frame;
}

/* gperftools' pprof writes "main<00000000000016e5>". */
static struct str without_address(struct str frame)
{
	const char *open = frame.data + frame.len - 18;

	if (frame.len <= 18 || *open != '<' || frame.data[frame.len - 1] != '>')
		return frame;
	for (size_t i = 1; i < 17; i++) {
		if (!is_digit(open[i]) && !(open[i] >= 'a' && open[i] <= 'f'))
			return frame;
	}
	frame.len -= 18;
	return frame;
}

/* Where ":42" at the end starts; text.len: it ends otherwise. An address with a port is no line. */
static size_t line_start(struct str text)
{
	size_t at = text.len;
	bool is_file = false;

	while (at > 0 && is_digit(text.data[at - 1]))
		at--;
	if (at == text.len || at < 2 || text.data[at - 1] != ':')
		return text.len;
	for (size_t i = 0; i < at - 1; i++)
		is_file |= !is_digit(text.data[i]) && text.data[i] != '.';
	return is_file && text.data[at - 2] != ':' ? at - 1 : text.len;
}

/* "render (views.py:31)" and "views.rb:31" are as many functions as they have lines to whoever does
 * not know: the line goes. A slice, or what `scratch` holds then. */
static struct str without_line(struct str frame, struct buf *scratch)
{
	bool is_enclosed = frame.len > 2 && frame.data[frame.len - 1] == ')' &&
			   memmem(frame.data, frame.len, " (", 2);
	struct str text = { frame.data, frame.len - is_enclosed };
	size_t at = line_start(text);

	if (at == text.len || !memchr(text.data, '.', at))
		return frame;
	text.len = at;
	if (!is_enclosed)
		return text;
	buf_clear(scratch);
	buf_append_str(scratch, text);
	buf_append_byte(scratch, ')');
	return buf_str(scratch);
}

static int add_frame(struct state *state, struct str text, uint32_t *out_frame)
{
	struct profile *profile = state->parser->profile;
	bool is_marked, is_inlined;
	struct str name = without_address(without_mark(text, &is_marked, &is_inlined));
	int rc = profile_frame(profile, without_line(name, &state->scratch), out_frame);

	if (rc == 0 && is_marked)
		profile_note_frame(profile, *out_frame, is_inlined);
	return rc;
}

static int walk_stack(struct state *state, struct str stack, uint32_t *out_stack)
{
	struct profile *profile = state->parser->profile;
	uint32_t depth = shared_frames(state, stack);
	size_t at = depth ? state->ends[depth - 1] + 1 : 0;

	while (at < stack.len && depth < PROFILE_MAX_DEPTH) {
		const char *end = memchr(stack.data + at, ';', stack.len - at);
		size_t len = end ? (size_t)(end - stack.data) - at : stack.len - at;
		int rc = add_frame(state, (struct str){ stack.data + at, len },
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
	int rc;

	if (!state)
		return -ENOMEM;
	state->parser = parser;
	profile_lines_init(&state->lines);
	buf_init(&state->last, 0);
	buf_init(&state->scratch, 0);
	parser->state = state;
	rc = profile_add_type(parser->profile, STR("samples"), STR("count"));
	parser->profile->types[0].is_kind_guessed = true;
	parser->profile->types[0].is_unit_guessed = true;
	return rc;
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
	uint64_t good = notes->stacks;
	bool is_partial = state->lines.partial.len > 0;
	int rc = profile_lines_end(&state->lines, on_line, state);

	/* a last line without its number was cut; one with it may only lack the newline */
	if (is_partial && notes->stacks == good && notes->bad_records) {
		notes->is_truncated = true;
		notes->bad_records--;
	}
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
	buf_fini(&state->scratch);
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
