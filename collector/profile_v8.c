/* SPDX-License-Identifier: Apache-2.0 */
/* .cpuprofile, as Node (--cpu-prof), Chrome and Deno save it:
 *
 *   {"nodes":[{"id":1,"callFrame":{"functionName":"f","url":"file:///x.js",...},"hitCount":0,
 *              "children":[2,3]}, ...],
 *    "startTime":..., "endTime":..., "samples":[ids], "timeDeltas":[microseconds]}
 *
 * https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile. A sample lasts
 * until the next one. (idle) is no CPU time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/base/map.h"
#include "collector/json_tokens.h"
#include "collector/profile_name.h"
#include "collector/profile_parser.h"

#define MAX_NODES   (1u << 24)
#define LOOKED_AT   ((size_t)8192)
#define NAME_BYTES  1024
#define SAMPLE_TYPE 0
#define TIME_TYPE   1

struct node {
	uint32_t id, frame;
	uint32_t parent_id; /* 0: none */
	uint32_t hits;
	uint32_t stack; /* PROFILE_NONE: not made yet */
	bool is_idle;
};

struct edge {
	uint32_t parent_id, child_id;
};

struct state {
	struct profile_parser *parser;
	struct node *nodes; /* owned */
	size_t node_count, node_cap;
	struct edge *edges; /* owned */
	size_t edge_count, edge_cap;
	struct map index; /* id -> number of its node + 1 */
};

static int reserve(void *array_pointer, size_t count, size_t *cap, size_t item_bytes)
{
	void **array = array_pointer, *bigger;
	size_t wanted = *cap * 2 + 256;

	if (count < *cap)
		return 0;
	if (wanted > MAX_NODES)
		return -EMSGSIZE;
	bigger = realloc(*array, wanted * item_bytes);
	if (!bigger)
		return -ENOMEM;
	*array = bigger;
	*cap = wanted;
	return 0;
}

/* ---- names ---- */

struct call {
	struct str function, url;
};

static int intern(struct state *state, const struct call *call, struct node *node)
{
	struct str name = call->function.len ? call->function : STR("(anonymous)");
	char room[NAME_BYTES];

	node->is_idle = str_eq(name, STR("(idle)"));
	if (call->url.len) {
		name = profile_name_of(name, call->url, room, sizeof(room));
	} else if (name.data[0] != '(') { /* V8's own parts have round brackets */
		int len = snprintf(room, sizeof(room), "%.*s [native]",
				   (int)MIN(name.len, (size_t)512), name.data);

		name = (struct str){ room, (size_t)len };
	}
	return profile_frame(state->parser->profile, name, &node->frame);
}

static int read_call(struct json_tokens *tokens, struct call *out)
{
	enum json_token token = json_tokens_next(tokens);

	if (token != JSON_TOKEN_OBJECT)
		return -EBADMSG;
	while (json_tokens_key(tokens, &token)) {
		struct str key = tokens->text;

		token = json_tokens_next(tokens);
		if (token == JSON_TOKEN_TEXT && str_eq(key, STR("functionName")))
			out->function = tokens->text;
		else if (token == JSON_TOKEN_TEXT && str_eq(key, STR("url")))
			out->url = tokens->text;
		else if (!json_tokens_skip(tokens, token))
			return -EBADMSG;
	}
	return token == JSON_TOKEN_CLOSE ? 0 : -EBADMSG;
}

/* ---- nodes ---- */

static uint32_t id_of(double number)
{
	return number >= 1 && number < UINT32_MAX ? (uint32_t)number : 0;
}

/* The parent's id may stand behind its children. */
static int read_children(struct state *state, struct json_tokens *tokens)
{
	enum json_token token = json_tokens_next(tokens);
	int rc = token == JSON_TOKEN_ARRAY ? 0 : -EBADMSG;

	while (rc == 0 && (token = json_tokens_next(tokens)) == JSON_TOKEN_NUMBER) {
		rc = reserve(&state->edges, state->edge_count, &state->edge_cap,
			     sizeof(*state->edges));
		if (rc == 0)
			state->edges[state->edge_count++] =
				(struct edge){ 0, id_of(tokens->number) };
	}
	return rc < 0 || token == JSON_TOKEN_CLOSE ? rc : -EBADMSG;
}

static int read_field(struct state *state, struct json_tokens *tokens, struct node *node,
		      struct call *call)
{
	struct str key = tokens->text;
	enum json_token token;

	if (str_eq(key, STR("callFrame")))
		return read_call(tokens, call);
	if (str_eq(key, STR("children")))
		return read_children(state, tokens);
	token = json_tokens_next(tokens);
	if (token == JSON_TOKEN_NUMBER && str_eq(key, STR("id")))
		node->id = id_of(tokens->number);
	else if (token == JSON_TOKEN_NUMBER && str_eq(key, STR("parent")))
		node->parent_id = id_of(tokens->number);
	else if (token == JSON_TOKEN_NUMBER && str_eq(key, STR("hitCount")))
		node->hits = id_of(tokens->number);
	else if (!json_tokens_skip(tokens, token))
		return -EBADMSG;
	return 0;
}

static int add_node(struct state *state, struct node *node, const struct call *call,
		    size_t first_edge)
{
	uint32_t *place;
	int rc = intern(state, call, node);

	if (rc == 0)
		rc = reserve(&state->nodes, state->node_count, &state->node_cap,
			     sizeof(*state->nodes));
	if (rc < 0)
		return rc;
	for (size_t i = first_edge; i < state->edge_count; i++)
		state->edges[i].parent_id = node->id;
	place = map_put(&state->index, &node->id);
	if (!place)
		return -ENOMEM;
	state->nodes[state->node_count++] = *node;
	*place = (uint32_t)state->node_count;
	return 0;
}

static int read_node(struct state *state, struct json_tokens *tokens)
{
	struct node node = { .stack = PROFILE_NONE };
	size_t first_edge = state->edge_count;
	struct call call = { .url = { NULL, 0 } };
	enum json_token token;
	int rc = 0;

	while (rc == 0 && json_tokens_key(tokens, &token))
		rc = read_field(state, tokens, &node, &call);
	if (rc < 0 || token != JSON_TOKEN_CLOSE || !node.id)
		return rc < 0 ? rc : -EBADMSG;
	return add_node(state, &node, &call, first_edge);
}

static struct node *find_node(struct state *state, uint32_t id)
{
	const uint32_t *place = id ? map_get(&state->index, &id) : NULL;

	return place ? &state->nodes[*place - 1] : NULL;
}

static int read_nodes(struct state *state, struct json_tokens *tokens)
{
	enum json_token token = json_tokens_next(tokens);
	int rc = token == JSON_TOKEN_ARRAY ? 0 : -EBADMSG;

	while (rc == 0 && (token = json_tokens_next(tokens)) == JSON_TOKEN_OBJECT)
		rc = read_node(state, tokens);
	if (rc < 0 || token != JSON_TOKEN_CLOSE)
		return rc < 0 ? rc : -EBADMSG;
	for (size_t i = 0; i < state->edge_count; i++) {
		struct node *child = find_node(state, state->edges[i].child_id);

		if (child)
			child->parent_id = state->edges[i].parent_id;
	}
	return 0;
}

/* ---- samples ---- */

/* The way up may be a circle in a hostile file: it ends at the deepest stack there is. "(root)" has
 * no parent and is left out. */
static int stack_of(struct state *state, struct node *node)
{
	uint32_t up[PROFILE_MAX_DEPTH], path[PROFILE_MAX_DEPTH], depth = 0;

	if (node->stack != PROFILE_NONE)
		return 0;
	for (struct node *at = node; at && at->parent_id && depth < PROFILE_MAX_DEPTH;
	     at = find_node(state, at->parent_id))
		up[depth++] = at->frame;
	for (uint32_t i = 0; i < depth; i++)
		path[i] = up[depth - 1 - i];
	state->parser->profile->notes.cut_stacks += depth == PROFILE_MAX_DEPTH;
	return profile_stack(state->parser->profile, path, depth, &node->stack);
}

static int add(struct state *state, struct node *node, int64_t samples, double us)
{
	int64_t values[PROFILE_MAX_TYPES] = { samples };
	int rc;

	if (node->is_idle)
		return 0;
	values[TIME_TYPE] = us > 0 ? (int64_t)MIN(us * NS_PER_US, 9e18) : 0;
	rc = stack_of(state, node);
	if (rc == 0)
		profile_add(state->parser->profile, node->stack, values);
	return rc;
}

static int add_sample(struct state *state, double id, double us)
{
	struct node *node = find_node(state, id_of(id));
	struct profile_notes *notes = &state->parser->profile->notes;

	notes->stacks++;
	if (!node) {
		notes->bad_records++;
		return 0;
	}
	return add(state, node, 1, us);
}

/* Both arrays side by side; a sample lasts for the delta of the one after it, the last as long as
 * the one before it. */
static int walk_samples(struct state *state, struct json_tokens ids, struct json_tokens deltas)
{
	enum json_token id = json_tokens_next(&ids), delta = json_tokens_next(&deltas);
	double us = 0;
	int rc = id == JSON_TOKEN_ARRAY ? 0 : -EBADMSG;

	if (delta == JSON_TOKEN_ARRAY)
		json_tokens_next(&deltas); /* from the start to the first sample */
	while (rc == 0 && (id = json_tokens_next(&ids)) == JSON_TOKEN_NUMBER) {
		if (delta == JSON_TOKEN_ARRAY && json_tokens_next(&deltas) == JSON_TOKEN_NUMBER)
			us = deltas.number;
		else
			delta = JSON_TOKEN_END;
		rc = add_sample(state, ids.number, us);
	}
	return rc < 0 || id == JSON_TOKEN_CLOSE ? rc : -EBADMSG;
}

static int take_hits(struct state *state)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < state->node_count; i++) {
		state->parser->profile->notes.stacks += state->nodes[i].hits;
		if (state->nodes[i].hits)
			rc = add(state, &state->nodes[i], state->nodes[i].hits, 0);
	}
	state->parser->profile->default_type = SAMPLE_TYPE;
	return rc;
}

/* ---- the document ---- */

struct parts {
	struct json_tokens nodes, samples, deltas;
	double start_us, end_us;
};

static bool find_parts(struct str text, struct parts *out)
{
	struct json_tokens tokens = json_tokens_of(text);
	enum json_token token = json_tokens_next(&tokens);

	*out = (struct parts){ .start_us = 0 };
	if (token != JSON_TOKEN_OBJECT)
		return false;
	while (json_tokens_key(&tokens, &token)) {
		struct str key = tokens.text;
		struct json_tokens here = tokens;

		token = json_tokens_next(&tokens);
		if (str_eq(key, STR("nodes")))
			out->nodes = here;
		else if (str_eq(key, STR("samples")))
			out->samples = here;
		else if (str_eq(key, STR("timeDeltas")))
			out->deltas = here;
		else if (str_eq(key, STR("startTime")) && token == JSON_TOKEN_NUMBER)
			out->start_us = tokens.number;
		else if (str_eq(key, STR("endTime")) && token == JSON_TOKEN_NUMBER)
			out->end_us = tokens.number;
		if (!json_tokens_skip(&tokens, token))
			return false;
	}
	return token == JSON_TOKEN_CLOSE && out->nodes.at;
}

static int begin(struct profile_parser *parser)
{
	struct state *state = calloc(1, sizeof(*state));
	int rc;

	parser->state = state;
	if (!state)
		return -ENOMEM;
	state->parser = parser;
	map_init(&state->index, sizeof(uint32_t), sizeof(uint32_t), 0);
	rc = profile_add_type(parser->profile, STR("samples"), STR("count"));
	if (rc == 0)
		rc = profile_add_type(parser->profile, STR("cpu"), STR("nanoseconds"));
	parser->profile->default_type = TIME_TYPE;
	return rc;
}

static int feed(struct profile_parser *parser, struct str text)
{
	struct state *state = parser->state;
	struct parts parts;
	double us;
	int rc = find_parts(text, &parts) ? 0 : -EBADMSG;

	if (rc == 0)
		rc = read_nodes(state, &parts.nodes);
	if (rc == 0 && parts.samples.at && parts.deltas.at)
		rc = walk_samples(state, parts.samples, parts.deltas);
	else if (rc == 0)
		rc = take_hits(state);
	us = parts.end_us - parts.start_us;
	if (rc == 0 && us > 0 && us < 1e15)
		parser->profile->duration_ns = (uint64_t)(us * NS_PER_US);
	if (rc == -EBADMSG)
		buf_printf(parser->message,
			   "it is damaged or cut short, or no .cpuprofile of V8: take it again");
	return rc;
}

static void free_state(struct profile_parser *parser)
{
	struct state *state = parser->state;

	if (!state)
		return;
	map_fini(&state->index);
	free(state->nodes);
	free(state->edges);
	free(state);
}

static bool looks_like(struct str head)
{
	struct str looked = { head.data, MIN(head.len, LOOKED_AT) };

	return looked.len && looked.data[0] == '{' &&
	       memmem(looked.data, looked.len, "\"nodes\"", 7) &&
	       memmem(looked.data, looked.len, "\"callFrame\"", 11);
}

const struct profile_format profile_v8 = {
	.name = "cpuprofile",
	.is_whole = true,
	.looks_like = looks_like,
	.begin = begin,
	.feed = feed,
	.free = free_state,
};
