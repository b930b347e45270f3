/* SPDX-License-Identifier: Apache-2.0 */
/* speedscope's JSON, sampled and evented. https://github.com/jlfwong/speedscope/wiki
 *
 * The frames may stand behind the profiles that use them, so the text is walked twice. */
#include <errno.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/json_tokens.h"
#include "collector/profile_name.h"
#include "collector/profile_parser.h"

#define MAX_FRAMES  (1u << 24)
#define MAX_SAMPLES (1u << 27)

struct state {
	struct profile_parser *parser;
	uint32_t *frames; /* owned; by number in the file: ours */
	size_t frame_count, frame_cap;
	uint32_t *stacks; /* owned; by sample of the profile at hand */
	size_t stack_count, stack_cap;
	uint32_t path[PROFILE_MAX_DEPTH]; /* the stack at hand, root first */
};

static int add_number(uint32_t **array, size_t *count, size_t *cap, size_t limit, uint32_t number)
{
	if (*count == *cap) {
		size_t wanted = *cap * 2 + 256;
		uint32_t *bigger =
			wanted > limit ? NULL : realloc(*array, wanted * sizeof(*bigger));

		if (!bigger)
			return wanted > limit ? -EMSGSIZE : -ENOMEM;
		*array = bigger;
		*cap = wanted;
	}
	(*array)[(*count)++] = number;
	return 0;
}

/* ---- shared.frames ---- */

/* \" \\ \/ become what they mean; other escapes stay readable as they stand. */
static struct str unescape(struct str text, char *room, size_t room_bytes)
{
	size_t len = 0;

	if (!memchr(text.data, '\\', text.len))
		return text;
	for (size_t i = 0; i < text.len && len + 1 < room_bytes; i++) {
		if (text.data[i] == '\\' && i + 1 < text.len && strchr("\"\\/", text.data[i + 1]))
			i++;
		room[len++] = text.data[i];
	}
	return (struct str){ room, len };
}

static int read_frame(struct state *state, struct json_tokens *tokens)
{
	struct str name = STR("[unknown]"), file = { NULL, 0 };
	char room[PROFILE_MAX_NAME], path[PROFILE_MAX_NAME], full[PROFILE_MAX_NAME];
	enum json_token token;
	uint32_t frame;
	int rc;

	while (json_tokens_key(tokens, &token)) {
		bool is_name = str_eq(tokens->text, STR("name"));
		bool is_file = str_eq(tokens->text, STR("file"));

		token = json_tokens_next(tokens);
		if (is_name && token == JSON_TOKEN_TEXT)
			name = unescape(tokens->text, room, sizeof(room));
		else if (is_file && token == JSON_TOKEN_TEXT)
			file = unescape(tokens->text, path, sizeof(path));
		else if (!json_tokens_skip(tokens, token))
			return -EBADMSG;
	}
	if (token != JSON_TOKEN_CLOSE)
		return -EBADMSG;
	name = profile_name_of(name, file, full, sizeof(full));
	rc = profile_frame(state->parser->profile, name, &frame);
	return rc < 0 ? rc
		      : add_number(&state->frames, &state->frame_count, &state->frame_cap,
				   MAX_FRAMES, frame);
}

static int read_frames(struct state *state, struct json_tokens *tokens)
{
	enum json_token token = json_tokens_next(tokens);
	int rc = token == JSON_TOKEN_ARRAY ? 0 : -EBADMSG;

	while (rc == 0 && (token = json_tokens_next(tokens)) == JSON_TOKEN_OBJECT)
		rc = read_frame(state, tokens);
	return rc < 0 || token == JSON_TOKEN_CLOSE ? rc : -EBADMSG;
}

static int read_shared(struct state *state, struct json_tokens *tokens)
{
	enum json_token token = json_tokens_next(tokens);
	int rc = token == JSON_TOKEN_OBJECT ? 0 : -EBADMSG;

	while (rc == 0 && json_tokens_key(tokens, &token)) {
		if (str_eq(tokens->text, STR("frames")))
			rc = read_frames(state, tokens);
		else if (!json_tokens_skip(tokens, json_tokens_next(tokens)))
			rc = -EBADMSG;
	}
	return rc < 0 || token == JSON_TOKEN_CLOSE ? rc : -EBADMSG;
}

/* ---- profiles ---- */

/* What is deeper than PROFILE_MAX_DEPTH is counted and not kept. */
static int step(struct state *state, uint32_t *depth, double number)
{
	if (!(number >= 0) || number >= (double)state->frame_count)
		return -EBADMSG;
	if (*depth < PROFILE_MAX_DEPTH)
		state->path[*depth] = state->frames[(size_t)number];
	++*depth;
	return 0;
}

static int read_stack(struct state *state, struct json_tokens *tokens)
{
	uint32_t depth = 0, stack;
	enum json_token token;
	int rc = 0;

	while (rc == 0 && (token = json_tokens_next(tokens)) == JSON_TOKEN_NUMBER)
		rc = step(state, &depth, tokens->number);
	if (rc < 0 || token != JSON_TOKEN_CLOSE)
		return rc < 0 ? rc : -EBADMSG;
	state->parser->profile->notes.stacks++;
	rc = profile_stack(state->parser->profile, state->path, depth, &stack);
	return rc < 0 ? rc
		      : add_number(&state->stacks, &state->stack_count, &state->stack_cap,
				   MAX_SAMPLES, stack);
}

static int read_samples(struct state *state, struct json_tokens *tokens)
{
	enum json_token token = json_tokens_next(tokens);
	int rc = token == JSON_TOKEN_ARRAY ? 0 : -EBADMSG;

	while (rc == 0 && (token = json_tokens_next(tokens)) == JSON_TOKEN_ARRAY)
		rc = read_stack(state, tokens);
	return rc < 0 || token == JSON_TOKEN_CLOSE ? rc : -EBADMSG;
}

static int64_t amount_of(double number)
{
	if (!(number > 0))
		return 0;
	return number < 9e18 ? (int64_t)(number + 0.5) : INT64_MAX;
}

static void add_amount(struct state *state, uint32_t stack, double number)
{
	int64_t values[PROFILE_MAX_TYPES] = { amount_of(number) };

	profile_add(state->parser->profile, stack, values);
}

/* Seconds would lose their fractions: all times become nanoseconds. */
static double to_ns(struct state *state)
{
	const struct profile_type *type = &state->parser->profile->types[0];

	return type->unit == PROFILE_NS ? type->factor : 1;
}

static int read_weights(struct state *state, struct json_tokens *tokens, double factor)
{
	enum json_token token = json_tokens_next(tokens);
	size_t i = 0;
	int rc = token == JSON_TOKEN_ARRAY ? 0 : -EBADMSG;

	while (rc == 0 && (token = json_tokens_next(tokens)) == JSON_TOKEN_NUMBER) {
		if (i >= state->stack_count)
			return -EBADMSG;
		add_amount(state, state->stacks[i++], tokens->number * factor);
	}
	if (rc < 0 || token != JSON_TOKEN_CLOSE)
		return rc < 0 ? rc : -EBADMSG;
	state->parser->profile->notes.bad_records += state->stack_count - i;
	return 0;
}

struct event {
	char type;
	double at, frame;
};

static int read_event(struct json_tokens *tokens, struct event *out)
{
	enum json_token token;

	*out = (struct event){ 0 };
	while (json_tokens_key(tokens, &token)) {
		struct str key = tokens->text;

		token = json_tokens_next(tokens);
		if (str_eq(key, STR("type")) && token == JSON_TOKEN_TEXT && tokens->text.len == 1)
			out->type = tokens->text.data[0];
		else if (str_eq(key, STR("at")) && token == JSON_TOKEN_NUMBER)
			out->at = tokens->number;
		else if (str_eq(key, STR("frame")) && token == JSON_TOKEN_NUMBER)
			out->frame = tokens->number;
		else if (!json_tokens_skip(tokens, token))
			return -EBADMSG;
	}
	return token == JSON_TOKEN_CLOSE ? 0 : -EBADMSG;
}

static int add_passed(struct state *state, uint32_t depth, double ns)
{
	uint32_t stack;
	int rc;

	if (!depth || !(ns > 0))
		return 0;
	rc = profile_stack(state->parser->profile, state->path, depth, &stack);
	if (rc == 0)
		add_amount(state, stack, ns);
	return rc;
}

/* Opened and closed frames: what passes between two events belongs to the stack that is open. */
static int read_events(struct state *state, struct json_tokens *tokens, double factor)
{
	enum json_token token = json_tokens_next(tokens);
	struct event event, before = { 0 };
	uint32_t depth = 0;
	int rc = token == JSON_TOKEN_ARRAY ? 0 : -EBADMSG;

	for (bool is_first = true;
	     rc == 0 && (token = json_tokens_next(tokens)) == JSON_TOKEN_OBJECT; is_first = false) {
		rc = read_event(tokens, &event);
		if (rc == 0 && !is_first)
			rc = add_passed(state, depth, (event.at - before.at) * factor);
		state->parser->profile->notes.stacks++;
		before = event;
		if (rc == 0 && event.type == 'O')
			rc = step(state, &depth, event.frame);
		else if (rc == 0 && depth)
			depth--;
	}
	return rc < 0 || token == JSON_TOKEN_CLOSE ? rc : -EBADMSG;
}

/* One profile's keys, in whatever order: unit, then samples, then what weighs them. */
struct parts {
	struct json_tokens unit, samples, weights, events;
};

static int find_parts(struct json_tokens *tokens, struct parts *out)
{
	static const char *const keys[] = { "unit", "samples", "weights", "events" };
	struct json_tokens *places[] = { &out->unit, &out->samples, &out->weights, &out->events };
	enum json_token token;

	*out = (struct parts){ 0 };
	while (json_tokens_key(tokens, &token)) {
		for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
			if (str_eq(tokens->text, str_of(keys[i])))
				*places[i] = *tokens;
		}
		if (!json_tokens_skip(tokens, json_tokens_next(tokens)))
			return -EBADMSG;
	}
	return token == JSON_TOKEN_CLOSE ? 0 : -EBADMSG;
}

static int take_unit(struct state *state, struct parts *parts)
{
	struct profile *profile = state->parser->profile;
	struct str unit = STR("none");
	double factor;

	if (parts->unit.at && json_tokens_next(&parts->unit) == JSON_TOKEN_TEXT)
		unit = parts->unit.text;
	if (profile->type_count == 0) {
		enum profile_unit kind = profile_unit_of(unit, &factor);
		int rc = profile_add_type(
			profile, kind == PROFILE_BYTES ? STR("space") : STR("samples"), unit);

		profile->types[0].is_kind_guessed = kind != PROFILE_BYTES;
		profile->types[0].is_unit_guessed = str_eq(unit, STR("none"));
		return rc;
	}
	if (!str_eq(unit, str_of(profile->types[0].unit_name))) {
		buf_printf(state->parser->message,
			   "its profiles have different units (%s and %.*s): split it, they cannot "
			   "be added",
			   profile->types[0].unit_name, (int)MIN(unit.len, (size_t)32), unit.data);
		return -EBADMSG;
	}
	return 0;
}

static int read_profile(struct state *state, struct json_tokens *tokens)
{
	struct parts parts;
	int rc = find_parts(tokens, &parts);

	state->stack_count = 0;
	if (rc == 0)
		rc = take_unit(state, &parts);
	if (rc == 0 && parts.samples.at)
		rc = read_samples(state, &parts.samples);
	if (rc == 0 && parts.weights.at)
		rc = read_weights(state, &parts.weights, to_ns(state));
	if (rc == 0 && parts.events.at)
		rc = read_events(state, &parts.events, to_ns(state));
	return rc;
}

static int read_profiles(struct state *state, struct json_tokens *tokens)
{
	enum json_token token = json_tokens_next(tokens);
	int rc = token == JSON_TOKEN_ARRAY ? 0 : -EBADMSG;

	while (rc == 0 && (token = json_tokens_next(tokens)) == JSON_TOKEN_OBJECT)
		rc = read_profile(state, tokens);
	return rc < 0 || token == JSON_TOKEN_CLOSE ? rc : -EBADMSG;
}

/* One walk over the document: `shared` first, then `profiles`. */
static int walk(struct state *state, struct str text, struct str key,
		int (*read)(struct state *, struct json_tokens *))
{
	struct json_tokens tokens = json_tokens_of(text);
	enum json_token token = json_tokens_next(&tokens);
	int rc = token == JSON_TOKEN_OBJECT ? 0 : -EBADMSG;

	while (rc == 0 && json_tokens_key(&tokens, &token)) {
		if (str_eq(tokens.text, key))
			return read(state, &tokens);
		if (!json_tokens_skip(&tokens, json_tokens_next(&tokens)))
			rc = -EBADMSG;
	}
	return rc < 0 ? rc : -EBADMSG;
}

static int begin(struct profile_parser *parser)
{
	struct state *state = calloc(1, sizeof(*state));

	parser->state = state;
	if (!state)
		return -ENOMEM;
	state->parser = parser;
	return 0;
}

static int feed(struct profile_parser *parser, struct str text)
{
	struct state *state = parser->state;
	int rc = walk(state, text, STR("shared"), read_shared);

	if (rc == 0)
		rc = walk(state, text, STR("profiles"), read_profiles);
	if (rc == 0 && parser->profile->type_count == 0)
		rc = profile_add_type(parser->profile, STR("samples"), STR("none"));
	/* amounts were taken in nanoseconds */
	if (rc == 0 && parser->profile->types[0].unit == PROFILE_NS)
		parser->profile->types[0].factor = 1;
	if (rc == -EBADMSG && !parser->message->len)
		buf_append_text(
			parser->message,
			(text.len && memmem(text.data, text.len, "\"profiles\"", 10)) ||
					(text.len && memmem(text.data, text.len, "\"shared\"", 8))
				? "it is damaged or cut short, or not speedscope's JSON: take "
				  "it again"
				: "it is JSON, but neither speedscope's nor a .cpuprofile");
	return rc;
}

static void free_state(struct profile_parser *parser)
{
	struct state *state = parser->state;

	if (!state)
		return;
	free(state->frames);
	free(state->stacks);
	free(state);
}

static bool looks_like(struct str head)
{
	size_t i = 0;

	while (i < head.len &&
	       (head.data[i] == ' ' || head.data[i] == '\n' || head.data[i] == '\t'))
		i++;
	return i < head.len && head.data[i] == '{';
}

const struct profile_format profile_speedscope = {
	.name = "speedscope",
	.is_whole = true,
	.looks_like = looks_like,
	.begin = begin,
	.feed = feed,
	.free = free_state,
};
