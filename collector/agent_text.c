/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/agent_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <yaml.h>

#include "collector/agent_config.h"
#include "collector/base/macros.h"

#define MAX_KEY   256
#define MAX_VALUE 256
#define MAX_WORDS 4096 /* of a sequence: a command and its flags */

struct walk {
	int (*on_setting)(void *arg, const char *key, const char *value, unsigned line);
	void *arg;
	struct buf *message;
};

/* SamplesPerSecond, samples-per-second and SAMPLES_PER_SECOND are samples_per_second. */
static void append_key(char *key, struct str part)
{
	size_t len = strlen(key);

	if (len && len + 1 < MAX_KEY)
		key[len++] = '_';
	for (size_t i = 0; i < part.len && len + 1 < MAX_KEY; i++) {
		char c = (char)tolower((unsigned char)part.data[i]);
		bool is_hump = i > 0 && islower((unsigned char)part.data[i - 1]) &&
			       isupper((unsigned char)part.data[i]);

		if (is_hump && len + 2 < MAX_KEY)
			key[len++] = '_';
		key[len++] = c == '-' || c == '.' ? '_' : c;
	}
	key[len] = 0;
}

static void copy_value(char out[static MAX_VALUE], struct str value)
{
	size_t len = MIN(value.len, (size_t)MAX_VALUE - 1);

	for (size_t i = 0; i < len; i++)
		out[i] = value.data[i] ? value.data[i] : '?';
	out[len] = 0;
}

/* ---- words ---- */

static bool is_border(char c)
{
	return c == ' ' || c == '\t' || c == ',' || c == '{' || c == '}' || c == '\r';
}

static struct str next_word(struct str *line)
{
	struct str word;

	while (line->len && is_border(line->data[0])) {
		line->data++;
		line->len--;
	}
	word = (struct str){ line->data, 0 };
	while (word.len < line->len && !is_border(line->data[word.len]))
		word.len++;
	line->data += word.len;
	line->len -= word.len;
	return word;
}

static struct str unquote(struct str text)
{
	while (text.len && (text.data[0] == '"' || text.data[0] == '\'')) {
		text.data++;
		text.len--;
	}
	while (text.len && strchr("\"';", text.data[text.len - 1]))
		text.len--;
	return text;
}

static int tell(struct walk *walk, struct str name, struct str value, unsigned line)
{
	char key[MAX_KEY] = "", text[MAX_VALUE];

	while (name.len && name.data[0] == '-') {
		name.data++;
		name.len--;
	}
	append_key(key, name);
	copy_value(text, unquote(value));
	return *key ? walk->on_setting(walk->arg, key, text, line) : 0;
}

/* `a=b`, `a = b`, `--a b`, `-a=b`, and several of them in a line, as options of an agent are. */
static int walk_line(struct walk *walk, struct str line, unsigned number)
{
	struct str pending = { 0 };
	int rc = 0;

	while (rc == 0) {
		struct str word = next_word(&line);
		const char *equals;

		if (!word.len)
			return 0;
		equals = memchr(word.data, '=', word.len);
		if (word.len == 1 && equals)
			continue; /* the value follows */
		if (equals && equals > word.data) {
			size_t left = (size_t)(equals - word.data);
			/* -agentpath:/x/libasyncProfiler.so=start: the name ends at the last colon
			 */
			rc = tell(walk, (struct str){ word.data, left },
				  (struct str){ equals + 1, word.len - left - 1 }, number);
			pending = (struct str){ 0 };
		} else if (pending.len && word.data[0] != '-') {
			rc = tell(walk, pending, word, number);
			pending = (struct str){ 0 };
		} else {
			pending = word;
		}
	}
	return rc;
}

/* ---- YAML ---- */

struct level {
	size_t key_len; /* of the key above it */
	bool is_mapping;
	bool has_key; /* a key was read, its value comes next */
};

struct yaml_walk {
	struct walk *walk;
	struct level levels[AGENT_CONFIG_MAX_DEPTH];
	unsigned depth;
	char key[MAX_KEY];
	char name[MAX_KEY]; /* of {name: X, value: Y}, as containers' variables are written */
	struct buf words;   /* of the sequence at hand: they may be a command's */
};

static int complain(struct walk *walk, unsigned long line, const char *what)
{
	buf_printf(walk->message, "line %lu: %s", line, what);
	return -EBADMSG;
}

static void end_value(struct yaml_walk *yaml)
{
	if (!yaml->depth)
		return;
	yaml->key[yaml->levels[yaml->depth - 1].key_len] = 0;
	yaml->levels[yaml->depth - 1].has_key = false;
}

static int on_open(struct yaml_walk *yaml, bool is_mapping, unsigned long line)
{
	if (yaml->depth == AGENT_CONFIG_MAX_DEPTH)
		return complain(yaml->walk, line, "nested too deeply");
	yaml->levels[yaml->depth++] = (struct level){ strlen(yaml->key), is_mapping, false };
	return 0;
}

static int on_close(struct yaml_walk *yaml, unsigned line)
{
	int rc = 0;

	if (yaml->depth && !yaml->levels[yaml->depth - 1].is_mapping && yaml->words.len)
		rc = walk_line(yaml->walk, buf_str(&yaml->words), line);
	buf_clear(&yaml->words);
	yaml->name[0] = 0;
	if (yaml->depth)
		yaml->depth--;
	end_value(yaml);
	return rc;
}

static bool is_last_part(const struct yaml_walk *yaml, const char *part)
{
	size_t start = yaml->levels[yaml->depth - 1].key_len;

	start += yaml->key[start] == '_';
	return strcmp(yaml->key + start, part) == 0;
}

/* What a scalar may be besides the value of its key: a variable's name or value, a command. */
static int read_within(struct yaml_walk *yaml, struct str text, unsigned line)
{
	bool is_mapping = yaml->depth && yaml->levels[yaml->depth - 1].is_mapping;
	int rc = 0;

	if (is_mapping && is_last_part(yaml, "name")) {
		yaml->name[0] = 0;
		append_key(yaml->name, text);
	} else if (is_mapping && yaml->name[0] && is_last_part(yaml, "value")) {
		rc = tell(yaml->walk, str_of(yaml->name), text, line);
	} else if (yaml->depth && !is_mapping && yaml->words.len < MAX_WORDS) {
		buf_append_str(&yaml->words, text);
		buf_append_byte(&yaml->words, ' ');
	}
	if (rc == 0 && is_mapping && text.len && memchr(text.data, '=', text.len) &&
	    (text.data[0] == '-' || memmem(text.data, text.len, " -", 2)))
		return walk_line(yaml->walk, text, line);
	return rc;
}

static int on_scalar(struct yaml_walk *yaml, const yaml_event_t *event)
{
	struct str text = { (const char *)event->data.scalar.value, event->data.scalar.length };
	struct level *level = yaml->depth ? &yaml->levels[yaml->depth - 1] : NULL;
	char value[MAX_VALUE];
	int rc;

	if (level && level->is_mapping && !level->has_key) {
		append_key(yaml->key, text);
		level->has_key = true;
		return 0;
	}
	copy_value(value, text);
	rc = yaml->walk->on_setting(yaml->walk->arg, yaml->key, value,
				    (unsigned)event->start_mark.line + 1);
	if (rc == 0)
		rc = read_within(yaml, text, (unsigned)event->start_mark.line + 1);
	end_value(yaml);
	return rc;
}

static int on_event(struct yaml_walk *yaml, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_MAPPING_START_EVENT:
		return on_open(yaml, true, event->start_mark.line + 1);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(yaml, false, event->start_mark.line + 1);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		return on_close(yaml, (unsigned)event->start_mark.line + 1);
	case YAML_SCALAR_EVENT:
		return on_scalar(yaml, event);
	case YAML_ALIAS_EVENT:
		end_value(yaml); /* not followed: an alias of aliases is a bomb */
		return 0;
	default:
		return 0;
	}
}

static int walk_yaml(struct walk *walk, struct str text)
{
	struct yaml_walk yaml = { .walk = walk };
	yaml_parser_t parser;
	bool is_done = false;
	int rc = 0;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	buf_init(&yaml.words, 0);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.len);
	for (unsigned count = 0; rc == 0 && !is_done; count++) {
		yaml_event_t event;

		if (count > AGENT_CONFIG_MAX_EVENTS) {
			rc = complain(walk, parser.mark.line + 1, "too long");
			break;
		}
		if (!yaml_parser_parse(&parser, &event)) {
			rc = complain(walk, parser.problem_mark.line + 1,
				      parser.problem ? parser.problem : "not YAML");
			break;
		}
		is_done = event.type == YAML_STREAM_END_EVENT;
		rc = on_event(&yaml, &event);
		yaml_event_delete(&event);
	}
	buf_fini(&yaml.words);
	yaml_parser_delete(&parser);
	return rc;
}

/* ---- which of them ---- */

static int walk_words(struct walk *walk, struct str text)
{
	unsigned number = 0;
	int rc = 0;

	while (rc == 0 && text.len) {
		const char *end = memchr(text.data, '\n', text.len);
		struct str line = { text.data, end ? (size_t)(end - text.data) : text.len };
		const char *hash = line.len ? memchr(line.data, '#', line.len) : NULL;
		const char *slashes = line.len >= 2 ? memmem(line.data, line.len, "//", 2) : NULL;

		number++;
		text.data += MIN(line.len + 1, text.len);
		text.len -= MIN(line.len + 1, text.len);
		if (slashes == line.data)
			continue;
		if (hash)
			line.len = (size_t)(hash - line.data);
		rc = walk_line(walk, line, number);
	}
	return rc;
}

/* YAML has "key:" at the end or before a space on its first line; the others have "=" or flags. */
static bool is_yaml(struct str text)
{
	while (text.len) {
		const char *end = memchr(text.data, '\n', text.len);
		struct str line = { text.data, end ? (size_t)(end - text.data) : text.len };
		size_t i = 0;

		text.data += MIN(line.len + 1, text.len);
		text.len -= MIN(line.len + 1, text.len);
		while (i < line.len && isspace((unsigned char)line.data[i]))
			i++;
		if (i == line.len || line.data[i] == '#' || line.data[i] == '/')
			continue;
		if (line.len - i >= 3 && memcmp(line.data + i, "---", 3) == 0)
			return true;
		if (line.data[i] == '{')
			return true;
		return memmem(line.data, line.len, ": ", 2) || line.data[line.len - 1] == ':' ||
		       (line.len > 1 && line.data[line.len - 1] == '\r' &&
			line.data[line.len - 2] == ':');
	}
	return true;
}

int agent_text_walk(struct str text,
		    int (*on_setting)(void *arg, const char *key, const char *value, unsigned line),
		    void *arg, struct buf *message)
{
	struct walk walk = { on_setting, arg, message };

	if (!text.len)
		return 0;
	return is_yaml(text) ? walk_yaml(&walk, text) : walk_words(&walk, text);
}
