/* SPDX-License-Identifier: Apache-2.0 */
/* A flame graph as one SVG file that needs nothing else: root on top, width is the amount, order
 * has no meaning (largest first). In a browser: click zooms, `/` or Search finds, the pointer
 * explains.
 *
 * Frames too narrow to be seen are left out and counted in the picture. Not thread safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"
#include "correlate/profile_text.h"

#define FLAME_NO_PARENT UINT32_MAX
#define FLAME_MAX_DEPTH 512 /* rows drawn; what lies deeper is left out */
#define FLAME_MAX_DRAWN 20000

struct flame_frame {
	struct str name; /* borrowed; any bytes */
	uint32_t parent; /* index of an earlier frame, or FLAME_NO_PARENT */
	double total;    /* its own and its descendants' */
	double change;   /* against the base; read when is_diff */
	bool is_marked;  /* part of the finding: framed and never greyed */
	uint8_t colour;  /* 0: a warm one, by its name; else flame_svg.kinds[colour - 1] */
};

/* What a colour stands for, told below the title. */
struct flame_svg_kind {
	const char *name;
	const char *colour; /* of the web: "#cf222e" */
	double total;       /* 0: not shown */
};

struct flame_svg {
	const char *title;   /* may be NULL */
	const char *finding; /* one line below the title; may be NULL */
	enum profile_unit unit;
	const char *noun; /* of counts: "samples" */
	bool is_diff;     /* coloured by change: red grew, blue shrank, the largest change most */
	const struct flame_svg_kind *kinds; /* kind_count of them; may be NULL */
	unsigned kind_count;
	const struct flame_frame *frames; /* parents before children */
	size_t count;
};

/* Appends the picture. -ENOMEM; -EINVAL: a parent does not come before its child. */
int flame_svg_write(const struct flame_svg *flame, struct buf *out);
