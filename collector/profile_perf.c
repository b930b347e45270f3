/* SPDX-License-Identifier: Apache-2.0 */
/* The text of `perf script`:
 *
 *   comm 1234/1235 [001] 4321.012345:   10101010 cpu-clock:u:
 *           55d0c0ffee12 inner+0x12 (/usr/bin/x)
 *           55d0c0ffee99 main+0x9 (/usr/bin/x)
 *
 *   ...
 *
 * Leaf first; an empty line ends a sample. Its weight is one sample, or the period it names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector/base/macros.h"
#include "collector/profile_parser.h"

struct state {
	struct profile_parser *parser;
	struct profile_lines lines;
	uint32_t frames[PROFILE_MAX_DEPTH]; /* of the sample at hand, leaf first */
	uint32_t depth;
	uint32_t inlined; /* of them, the last so many are inlined */
	uint32_t comm;
	bool is_open, is_other, is_cut;
	char event[64]; /* of the first sample: others are not mixed with it */
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct str trim(struct str text)
{
	while (text.len && is_space(text.data[0])) {
		text.data++;
		text.len--;
	}
	while (text.len && is_space(text.data[text.len - 1]))
		text.len--;
	return text;
}

static int close_sample(struct state *state)
{
	struct profile *profile = state->parser->profile;
	uint32_t path[PROFILE_MAX_DEPTH + 1] = { state->comm }, stack;
	int64_t one = 1;
	int rc;

	if (!state->is_open || state->is_other) {
		state->is_open = false;
		return 0;
	}
	state->is_open = false;
	profile->notes.stacks++;
	profile->notes.cut_stacks += state->is_cut;
	for (uint32_t i = 0; i < state->depth; i++)
		path[1 + i] = state->frames[state->depth - 1 - i];
	rc = profile_stack(profile, path, 1 + state->depth, &stack);
	if (rc == 0)
		profile_add(profile, stack, &one);
	return rc;
}

/* The last word of the header that ends in ':' is the event; before it stands "time:". */
static bool find_event(struct str line, struct str *out_event)
{
	const char *at = line.data, *end = line.data + line.len;
	bool has_time = false;

	*out_event = (struct str){ 0 };
	while (at < end) {
		const char *word;

		while (at < end && is_space(*at))
			at++;
		word = at;
		while (at < end && !is_space(*at))
			at++;
		if (at - word < 2 || at[-1] != ':')
			continue;
		if (!has_time && *word >= '0' && *word <= '9') {
			has_time = true;
			continue;
		}
		*out_event = (struct str){ word, (size_t)(at - word) - 1 };
	}
	return has_time || out_event->len;
}

/* The name of the program: what stands before the first word that begins with a digit. */
static struct str comm_of(struct str line)
{
	size_t len = 0;

	for (size_t i = 1; i < line.len; i++) {
		if (is_space(line.data[i - 1]) && line.data[i] >= '0' && line.data[i] <= '9') {
			len = i - 1;
			break;
		}
	}
	return trim((struct str){ line.data, len ? len : MIN(line.len, (size_t)16) });
}

static int open_sample(struct state *state, struct str line)
{
	struct profile_notes *notes = &state->parser->profile->notes;
	struct str event;
	size_t len;

	if (!find_event(line, &event)) {
		if (!notes->bad_records++)
			notes->first_bad_line = state->lines.number;
		return 0;
	}
	len = MIN(event.len, sizeof(state->event) - 1);
	if (!state->event[0] && len)
		memcpy(state->event, event.data, len);
	state->is_other = len && (strncmp(state->event, event.data, len) != 0 || state->event[len]);
	notes->other_events += state->is_other;
	state->is_open = true;
	state->is_cut = false;
	state->depth = state->inlined = 0;
	return profile_frame(state->parser->profile, comm_of(line), &state->comm);
}

/* "(/usr/lib/x86_64-linux-gnu/libc.so.6)" -> "libc.so.6"; empty: not a library of the system. */
static struct str system_library(struct str module)
{
	struct str inside = module.len > 3 ? (struct str){ module.data + 2, module.len - 3 }
					   : (struct str){ 0 };
	const char *slash = inside.len ? memrchr(inside.data, '/', inside.len) : NULL;

	if (!slash || !memmem(inside.data, inside.len, ".so", 3) ||
	    (memcmp(inside.data, "/lib", 4) != 0 &&
	     memmem(inside.data, inside.len, "/usr/lib", 8) != inside.data))
		return (struct str){ 0 };
	return (struct str){ slash + 1, (size_t)(inside.data + inside.len - slash - 1) };
}

/* "([kernel.kallsyms])", "([ext4])"; without a module, by its address. */
static bool is_kernel(struct str module, struct str address)
{
	if (!module.len)
		return address.len == 16 && memcmp(address.data, "ffff", 4) == 0;
	return module.len > 4 && memcmp(module.data, " ([", 3) == 0 &&
	       !memmem(module.data, module.len, "vdso", 4) &&
	       !memmem(module.data, module.len, "unknown", 7) &&
	       !memmem(module.data, module.len, "vsyscall", 8);
}

/* "inner [libc.so.6]", "schedule_[k]" */
static int intern(struct state *state, struct str name, struct str library, bool is_in_kernel,
		  uint32_t *out_frame)
{
	char room[256];
	int len;

	if (is_in_kernel) {
		len = snprintf(room, sizeof(room), "%.*s_[k]", (int)MIN(name.len, (size_t)240),
			       name.data);
		return profile_frame(state->parser->profile, (struct str){ room, (size_t)len },
				     out_frame);
	}
	if (!library.len)
		return profile_frame(state->parser->profile, name, out_frame);
	len = snprintf(room, sizeof(room), "%.*s [%.*s]", (int)MIN(name.len, (size_t)160),
		       name.data, (int)MIN(library.len, (size_t)60), library.data);
	return profile_frame(state->parser->profile, (struct str){ room, (size_t)len }, out_frame);
}

/* Inlined frames do not say where they are: in the library of the function that holds them, which
 * comes after them. */
static int name_inlined(struct state *state, struct str library)
{
	int rc = 0;

	for (uint32_t i = state->depth - state->inlined; rc == 0 && library.len && i < state->depth;
	     i++) {
		char copy[PROFILE_MAX_NAME];
		struct str name = profile_frame_name(state->parser->profile, state->frames[i]);

		memcpy(copy, name.data, name.len);
		rc = intern(state, (struct str){ copy, name.len }, library, false,
			    &state->frames[i]);
	}
	state->inlined = 0;
	return rc;
}

/* Cuts "+0x12" off. */
static void cut_offset(struct str *name)
{
	const char *plus = name->len ? memrchr(name->data, '+', name->len) : NULL;

	if (plus && plus + 2 < name->data + name->len && plus[1] == '0' && plus[2] == 'x')
		name->len = (size_t)(plus - name->data);
}

/* Cuts " (/usr/bin/x)" off and returns it. */
static struct str cut_module(struct str *name)
{
	const char *open = name->len && name->data[name->len - 1] == ')'
				   ? memmem(name->data, name->len, " (", 2)
				   : NULL;
	struct str module = { 0 };

	for (const char *next = open; next; /* the last " (" begins it */
	     next = memmem(next + 1, (size_t)(name->data + name->len - next - 1), " (", 2))
		open = next;
	if (open) {
		module = (struct str){ open, (size_t)(name->data + name->len - open) };
		name->len = (size_t)(open - name->data);
	}
	return module;
}

/* "55d0c0ffee12 inner+0x12 (/usr/bin/x)" -> "inner"; without a name, its address. */
static int add_frame(struct state *state, struct str line)
{
	struct str text = trim(line), name, module, library;
	const char *space = memchr(text.data, ' ', text.len);
	char address[64];
	int rc;

	if (!space || !state->is_open)
		return 0;
	if (state->depth == PROFILE_MAX_DEPTH) {
		state->is_cut = true;
		return 0;
	}
	name = trim((struct str){ space, (size_t)(text.data + text.len - space) });
	module = cut_module(&name);
	library = system_library(module);
	cut_offset(&name);
	if (name.len == 0 || str_eq(name, STR("[unknown]"))) {
		int len = snprintf(address, sizeof(address), "0x%.*s",
				   (int)MIN(space - text.data, 32), text.data);

		name = (struct str){ address, (size_t)len };
		library.len = 0;
	}
	if (str_eq(module, STR(" (inlined)"))) {
		state->inlined++;
		state->parser->profile->notes.inlined_frames++;
	} else if (state->inlined && (rc = name_inlined(state, library)) < 0) {
		return rc;
	}
	rc = intern(state, name, library,
		    is_kernel(module, (struct str){ text.data, (size_t)(space - text.data) }),
		    &state->frames[state->depth]);
	if (rc == 0)
		profile_note_frame(state->parser->profile, state->frames[state->depth++],
				   str_eq(module, STR(" (inlined)")));
	return rc;
}

static int on_line(void *arg, struct str line)
{
	struct state *state = arg;
	int rc;

	if (line.len && line.data[0] == '#')
		return 0;
	if (trim(line).len == 0)
		return close_sample(state);
	if (is_space(line.data[0]) && state->is_open)
		return add_frame(state, line);
	rc = close_sample(state);
	return rc < 0 ? rc : open_sample(state, line);
}

static int begin(struct profile_parser *parser)
{
	struct state *state = calloc(1, sizeof(*state));
	int rc;

	if (!state)
		return -ENOMEM;
	state->parser = parser;
	profile_lines_init(&state->lines);
	parser->state = state;
	rc = profile_add_type(parser->profile, STR("samples"), STR("count"));
	parser->profile->types[0].is_kind_guessed = true;
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
	bool is_cut = state->lines.partial.len > 0; /* perf ends each line, and the text, too */
	int rc = profile_lines_end(&state->lines, on_line, state);

	notes->is_truncated |= is_cut;
	if (rc == 0)
		rc = close_sample(state);
	if (rc == 0 && notes->bad_records > notes->stacks + notes->other_events) {
		buf_printf(parser->message, "most of it is not the text of `perf script`");
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
	free(state);
}

/* A header line and then an indented one that begins with an address. */
static bool looks_like(struct str head)
{
	const char *at = head.data, *end = head.data + head.len;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		struct str line = { at, (size_t)((newline ? newline : end) - at) }, event, address;

		at = newline ? newline + 1 : end;
		if (trim(line).len == 0 || line.data[0] == '#')
			continue;
		if (memchr(line.data, 0, line.len) || !find_event(line, &event) || at >= end ||
		    !is_space(*at))
			return false;
		address = trim((struct str){ at, MIN((size_t)(end - at), (size_t)64) });
		return address.len && ((*address.data >= '0' && *address.data <= '9') ||
				       (*address.data >= 'a' && *address.data <= 'f'));
	}
	return false;
}

const struct profile_format profile_perf_script = {
	.name = "perf script",
	.looks_like = looks_like,
	.begin = begin,
	.feed = feed,
	.end = end,
	.free = free_state,
};
