/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/metrics_text.h"

#include <inttypes.h>

#include "collector/base/hex.h"
#include "collector/base/macros.h"

void metrics_text_init(struct metrics_text *text, bool is_open, struct buf *out)
{
	*text = (struct metrics_text){ .out = out, .is_open = is_open, .name = "" };
}

static bool ends_with(struct str name, const char *suffix)
{
	size_t len = strlen(suffix);

	return name.len > len && memcmp(name.data + name.len - len, suffix, len) == 0;
}

/* OpenMetrics names the family without the suffix of its samples, and its unit. */
static void put_head(struct metrics_text *text, const char *type, const char *help)
{
	static const char *const units[] = { "seconds", "bytes" };
	struct str family = str_of(text->name);

	if (text->is_open && ends_with(family, "_total"))
		family.len -= sizeof("_total") - 1;
	buf_printf(text->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)family.len, family.data,
		   help, (int)family.len, family.data, type);
	for (size_t i = 0; text->is_open && i < ARRAY_LEN(units); i++) {
		if (ends_with(family, units[i]))
			buf_printf(text->out, "# UNIT %.*s %s\n", (int)family.len, family.data,
				   units[i]);
	}
}

void metrics_text_family(struct metrics_text *text, const char *type, const char *name,
			 const char *help)
{
	if (strcmp(text->name, name) == 0)
		return;
	text->name = name;
	put_head(text, type, help);
}

static void put_name(struct metrics_text *text, const char *labels)
{
	buf_append_text(text->out, text->name);
	if (*labels)
		buf_printf(text->out, "{%s}", labels);
	buf_append_byte(text->out, ' ');
}

void metrics_text_value(struct metrics_text *text, const char *labels, double value)
{
	metrics_text_exemplar(text, labels, value, NULL);
}

void metrics_text_count(struct metrics_text *text, const char *labels, uint64_t value)
{
	put_name(text, labels);
	buf_printf(text->out, "%" PRIu64 "\n", value);
}

void metrics_text_exemplar(struct metrics_text *text, const char *labels, double value,
			   const struct metrics_exemplar *exemplar)
{
	char id[TRACE_ID_HEX + 1];

	put_name(text, labels);
	buf_printf(text->out, "%.15g", value);
	if (exemplar && text->is_open) {
		hex_encode(exemplar->trace_id, TRACE_ID_BYTES, id);
		buf_printf(text->out, " # {trace_id=\"%s\"} %.15g %" PRIu64 ".%03u", id,
			   exemplar->value, (uint64_t)(exemplar->unix_ns / NS_PER_SEC),
			   (unsigned)(exemplar->unix_ns % NS_PER_SEC / NS_PER_MS));
	}
	buf_append_byte(text->out, '\n');
}

void metrics_text_end(struct metrics_text *text)
{
	if (text->is_open)
		buf_append_text(text->out, "# EOF\n");
}

void metrics_text_label(struct buf *out, const char *name, struct str value)
{
	buf_printf(out, "%s%s=\"", out->len ? "," : "", name);
	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] == '\n')
			buf_append_text(out, "\\n");
		else if (value.data[i] == '"' || value.data[i] == '\\')
			buf_printf(out, "\\%c", value.data[i]);
		else
			buf_append_byte(out, (uint8_t)value.data[i]);
	}
	buf_append_byte(out, '"');
}
