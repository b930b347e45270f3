/* SPDX-License-Identifier: Apache-2.0 */
/* What the doctor found: one row per check, in order, each with its remedy when it is bad. */
#pragma once

#include <stdbool.h>

#include "collector/base/arena.h"
#include "collector/base/json.h"
#include "collector/cli/term.h"

#define DOCTOR_MAX_ROWS 512

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_NOTE, /* worth knowing, nothing to be done */
	DOCTOR_BAD,
};

struct doctor_row {
	enum doctor_level level;
	const char *section; /* static text */
	const char *name;    /* of the check: static text */
	char *found;         /* in the arena */
	char *remedy;        /* in the arena; NULL: none */
};

struct doctor_report {
	struct arena arena;
	struct doctor_row *rows; /* owned */
	unsigned count;
	const char *section; /* of the rows to come; static text */
};

/* -ENOMEM. */
int doctor_report_init(struct doctor_report *report);
void doctor_report_fini(struct doctor_report *report);

/* One row; those beyond DOCTOR_MAX_ROWS are dropped. The format is of what was found. */
void doctor_report_add(struct doctor_report *report, enum doctor_level level, const char *name,
		       const char *format, ...) __attribute__((format(printf, 4, 5)));
/* What to do about the row added last. */
void doctor_report_remedy(struct doctor_report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

bool doctor_report_is_well(const struct doctor_report *report);
/* The first row that is bad; NULL: none. */
const struct doctor_row *doctor_report_first_bad(const struct doctor_report *report);

void doctor_report_text(const struct doctor_report *report, const struct term *term,
			struct buf *out);
void doctor_report_json(const struct doctor_report *report, struct buf *out);
