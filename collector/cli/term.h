/* SPDX-License-Identifier: Apache-2.0 */
/* How to write for the reader at hand: colours, UTF-8, width; and text that comes from elsewhere.
 *
 * Names were chosen by observed programs: term_text lets none of their bytes command the terminal.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"

#define TERM_DEFAULT_WIDTH 120 /* into a file or a pipe */
#define TERM_MIN_WIDTH     60
#define TERM_MAX_WIDTH     240

struct term {
	bool is_tty;
	bool colour;
	bool utf8;
	unsigned width;
};

enum term_colour {
	TERM_PLAIN,
	TERM_BOLD,
	TERM_DIM,
	TERM_RED,
	TERM_GREEN,
	TERM_YELLOW,
	TERM_BLUE,
	TERM_MAGENTA,
	TERM_CYAN,
	TERM_GREY,
};

/* Looks at stdout, the locale, COLUMNS and NO_COLOR. `colour`: auto, always or never; NULL: auto.
 * -EINVAL: another word, and the complaint stands on stderr. */
int term_init(struct term *term, const char *colour);

/* Nothing when there are no colours. */
void term_colour(const struct term *term, enum term_colour colour, struct buf *out);
void term_reset(const struct term *term, struct buf *out);
/* A line of its own colour, without the newline. */
void term_print(const struct term *term, enum term_colour colour, struct buf *out,
		const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Foreign text, cut to `columns` with an ellipsis and, with `pad`, filled up to them. */
void term_text(const struct term *term, const char *text, unsigned columns, bool pad,
	       struct buf *out);
/* How many columns it takes uncut. */
unsigned term_columns(const struct term *term, const char *text);

void term_spaces(unsigned count, struct buf *out);

/* "612 ms", "1.25 s", "18.4 us", "0 ns": three digits that matter, at most 7 columns. */
void term_duration(uint64_t ns, char out_text[static 16]);
/* "6 %", "<1 %", "0 %"; `of` 0: "-". */
void term_percent(uint64_t part, uint64_t of, char out_text[static 16]);
/* "2026-11-22 18:10:25.123", local time. */
void term_time(uint64_t unix_ns, char out_text[static 32]);
