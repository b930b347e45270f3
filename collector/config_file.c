/* SPDX-License-Identifier: Apache-2.0 */
/* The file of settings: `key = value` lines, and sections [alert NAME] with keys of their own. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "collector/alert/alert_table.h"
#include "collector/config.h"

#define FILE_MAX_BYTES ((size_t)8 << 20) /* thousands of alerts */
#define LINE_BYTES     (CONFIG_TEXT_BYTES + 128)

static char *trim(char *text)
{
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return text;
}

/* Where a file is being read. */
struct reader {
	struct config *config;
	struct alert_rule *rule; /* of the section we are in; NULL: before all sections */
	bool is_skipping;        /* the section is refused; its keys are not looked at */
	struct buf *message;
};

/* "[alert NAME]" */
static int begin_section(struct reader *reader, char *text)
{
	static const char kind[] = "alert ";
	size_t len = strlen(text);
	char *name = text + 1;
	int rc;

	reader->rule = NULL;
	reader->is_skipping = true;
	if (text[len - 1] != ']' || strncmp(name, kind, sizeof(kind) - 1) != 0) {
		buf_printf(reader->message, "\"%.64s\": must be `[alert NAME]`\n", text);
		return -EINVAL;
	}
	text[len - 1] = '\0';
	name = trim(name + sizeof(kind) - 1);
	rc = alert_rules_add(&reader->config->alerts, str_of(name), &reader->rule, reader->message);
	reader->is_skipping = rc < 0;
	return rc;
}

static int set_of_alert(struct reader *reader, const char *key, const char *value)
{
	struct buf said;
	int rc;

	buf_init(&said, 0);
	rc = alert_rule_set(reader->rule, key, value, &said);
	if (rc < 0)
		buf_printf(reader->message, "alert %s: %.64s: \"%.200s\" %.*s\n",
			   reader->rule->name, key, value, (int)said.len,
			   said.len ? said.data : "");
	buf_fini(&said);
	return rc;
}

/* One line without its newline; changed in place. */
static int read_line(struct reader *reader, char *line)
{
	char *text = trim(line);
	char *equals;

	if (!*text || *text == '#')
		return 0;
	if (*text == '[')
		return begin_section(reader, text);
	if (reader->is_skipping)
		return 0;
	equals = strchr(text, '=');
	if (!equals) {
		buf_printf(reader->message, "\"%.64s\": must be `key = value`\n", text);
		return -EINVAL;
	}
	*equals = '\0';
	if (reader->rule)
		return set_of_alert(reader, trim(text), trim(equals + 1));
	return config_set(reader->config, trim(text), trim(equals + 1), reader->message);
}

int config_read_text(struct config *config, const char *name, struct str text, struct buf *message)
{
	struct reader reader = { .config = config, .message = message };
	int rc = 0;
	unsigned number = 0;
	const char *at = text.data, *end = text.data + text.len;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((newline ? newline : end) - at);
		char line[LINE_BYTES];
		size_t before = message->len;
		int line_rc = -EINVAL;

		number++;
		buf_printf(message, "%s:%u: ", name, number);
		if (len >= sizeof(line) || memchr(at, '\0', len)) {
			buf_append_text(message, "the line is too long, or not text\n");
		} else {
			memcpy(line, at, len);
			line[len] = '\0';
			line_rc = read_line(&reader, line);
		}
		if (line_rc == 0)
			message->len = before;
		else
			rc = line_rc;
		at += len + 1;
	}
	if (rc == 0)
		rc = alert_rules_check(&config->alerts, message);
	return rc < 0 ? rc : alert_table_check(&config->alerts, message);
}

static int slurp(const char *path, struct buf *out)
{
	FILE *file = fopen(path, "re");
	size_t got = 1;
	int rc = 0;

	if (!file)
		return -errno;
	while (got > 0 && rc == 0) {
		char *room = buf_reserve(out, 4096);

		if (!room)
			break;
		got = fread(room, 1, 4096, file);
		out->len += got;
		if (ferror(file))
			rc = errno ? -errno : -EIO;
	}
	fclose(file);
	return rc ? rc : buf_error(out);
}

int config_read_file(struct config *config, const char *path, struct buf *message)
{
	struct buf text;
	int rc;

	buf_init(&text, FILE_MAX_BYTES);
	rc = slurp(path, &text);
	if (rc < 0)
		buf_printf(message, "%s: cannot be read: %s\n", path, strerror(-rc));
	else
		rc = config_read_text(config, path, buf_str(&text), message);
	buf_fini(&text);
	return rc;
}
