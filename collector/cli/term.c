/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/term.h"

#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "collector/base/macros.h"

static unsigned find_width(bool is_tty)
{
	const char *columns = getenv("COLUMNS");
	unsigned long width = columns ? strtoul(columns, NULL, 10) : 0;
	struct winsize size;

	if (!width && is_tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		width = size.ws_col;
	if (!width)
		return TERM_DEFAULT_WIDTH;
	return (unsigned)MIN(MAX(width, TERM_MIN_WIDTH), TERM_MAX_WIDTH);
}

int term_init(struct term *term, const char *colour)
{
	const char *no_colour = getenv("NO_COLOR"), *name = getenv("TERM");
	bool is_tty = isatty(STDOUT_FILENO) == 1;
	bool is_dumb = name && strcmp(name, "dumb") == 0;

	setlocale(LC_CTYPE, "");
	*term = (struct term){
		.is_tty = is_tty,
		.colour = is_tty && !is_dumb && !(no_colour && *no_colour),
		.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
		.width = find_width(is_tty),
	};
	if (!colour || strcmp(colour, "auto") == 0)
		return 0;
	term->colour = strcmp(colour, "always") == 0;
	if (term->colour || strcmp(colour, "never") == 0)
		return 0;
	fprintf(stderr, "spanwise: --color: '%s' is none of auto, always, never\n", colour);
	return -EINVAL;
}

void term_colour(const struct term *term, enum term_colour colour, struct buf *out)
{
	static const char *const codes[] = {
		[TERM_PLAIN] = "0", [TERM_BOLD] = "1",     [TERM_DIM] = "2",
		[TERM_RED] = "31",  [TERM_GREEN] = "32",   [TERM_YELLOW] = "33",
		[TERM_BLUE] = "34", [TERM_MAGENTA] = "35", [TERM_CYAN] = "36",
		[TERM_GREY] = "90",
	};

	if (term->colour)
		buf_printf(out, "\033[%sm", codes[colour]);
}

void term_reset(const struct term *term, struct buf *out)
{
	term_colour(term, TERM_PLAIN, out);
}

void term_print(const struct term *term, enum term_colour colour, struct buf *out,
		const char *format, ...)
{
	va_list args;

	if (colour != TERM_PLAIN)
		term_colour(term, colour, out);
	va_start(args, format);
	buf_vprintf(out, format, args);
	va_end(args);
	if (colour != TERM_PLAIN)
		term_reset(term, out);
}

/* One character off the front; U+FFFD for bytes that are no UTF-8. */
static uint32_t take_character(const char **text)
{
	const unsigned char *b = (const unsigned char *)*text;
	unsigned len = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
	uint32_t character = len == 1 ? b[0] : b[0] & (0x7fu >> len);

	for (unsigned i = 1; i < len; i++) {
		if ((b[i] & 0xc0) != 0x80)
			len = 0;
		else
			character = character << 6 | (b[i] & 0x3f);
	}
	*text += len ? len : 1;
	return len && character <= 0x10ffff ? character : 0xfffd;
}

static unsigned character_columns(uint32_t character)
{
	int columns = wcwidth((wchar_t)character);

	return columns < 0 ? 1 : (unsigned)columns;
}

/* Controls of either kind and the marks that turn the direction of writing could make a line lie.
 */
static bool is_hostile(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0) ||
	       (character >= 0x200b && character <= 0x200f) ||
	       (character >= 0x2028 && character <= 0x202e) ||
	       (character >= 0x2066 && character <= 0x2069) || character == 0xfeff;
}

static uint32_t take_shown(const struct term *term, const char **text)
{
	uint32_t character = take_character(text);

	if (is_hostile(character) || (!term->utf8 && character > 0x7e))
		return '?';
	return character;
}

unsigned term_columns(const struct term *term, const char *text)
{
	unsigned columns = 0;

	while (*text)
		columns += character_columns(take_shown(term, &text));
	return columns;
}

static void put_character(uint32_t c, struct buf *out)
{
	if (c < 0x80) {
		buf_append_byte(out, (uint8_t)c);
		return;
	}
	if (c < 0x800) {
		buf_append_byte(out, (uint8_t)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			buf_append_byte(out, (uint8_t)(0xe0 | c >> 12));
		} else {
			buf_append_byte(out, (uint8_t)(0xf0 | c >> 18));
			buf_append_byte(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		}
		buf_append_byte(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
	}
	buf_append_byte(out, (uint8_t)(0x80 | (c & 0x3f)));
}

void term_text(const struct term *term, const char *text, unsigned columns, bool pad,
	       struct buf *out)
{
	bool is_cut = term_columns(term, text) > columns;
	unsigned room = is_cut ? columns - MIN(columns, 1u) : columns, used = 0;

	while (*text) {
		uint32_t character = take_shown(term, &text);

		if (used + character_columns(character) > room)
			break;
		used += character_columns(character);
		put_character(character, out);
	}
	if (is_cut && columns) {
		buf_append_text(out, term->utf8 ? "…" : "~");
		used++;
	}
	if (pad && used < columns)
		term_spaces(columns - used, out);
}

void term_spaces(unsigned count, struct buf *out)
{
	while (count--)
		buf_append_byte(out, ' ');
}

void term_duration(uint64_t ns, char out_text[static 16])
{
	static const struct {
		const char *name;
		double ns;
	} units[] = { { "s", 1e9 }, { "ms", 1e6 }, { "us", 1e3 } };
	double value = (double)ns;

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		double in_unit = value / units[i].ns;

		if (in_unit >= 0.9995) {
			snprintf(out_text, 16, "%.*f %s",
				 in_unit < 9.995   ? 2
				 : in_unit < 99.95 ? 1
						   : 0,
				 in_unit, units[i].name);
			return;
		}
	}
	snprintf(out_text, 16, "%" PRIu64 " ns", ns);
}

void term_percent(uint64_t part, uint64_t of, char out_text[static 16])
{
	double percent = of ? 100.0 * (double)part / (double)of : 0;

	if (of == 0)
		snprintf(out_text, 16, "-");
	else if (part && percent < 0.5)
		snprintf(out_text, 16, "<1 %%");
	else
		snprintf(out_text, 16, "%.0f %%", percent);
}

void term_time(uint64_t unix_ns, char out_text[static 32])
{
	time_t seconds = (time_t)(unix_ns / NS_PER_SEC);
	struct tm tm;
	size_t len;

	localtime_r(&seconds, &tm);
	len = strftime(out_text, 32, "%F %T", &tm);
	snprintf(out_text + len, 32 - len, ".%03u", (unsigned)(unix_ns % NS_PER_SEC / NS_PER_MS));
}
