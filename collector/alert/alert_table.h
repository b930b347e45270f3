/* SPDX-License-Identifier: Apache-2.0 */
/* The figures that one evaluation of all rules looks at: for each operation and each length of
 * window the window itself, the hour before it, and the same window a day earlier.
 *
 * What lies in the past is read once a minute, the window each time. One thread. */
#pragma once

#include "collector/alert/alert_rules.h"
#include "collector/base/arena.h"
#include "collector/base/map.h"
#include "correlate/alert.h"

#define ALERT_MAX_WINDOWS    16   /* lengths that the rules use */
#define ALERT_MAX_OPERATIONS 4000 /* further ones are left out, and counted */

struct store;

struct alert_window {
	uint32_t minutes;
	bool uses_hour, uses_yesterday;
};

struct alert_row {
	struct alert_subject subject;
	struct alert_measure *measures; /* [window * ALERT_STRETCHES + stretch] */
};

enum alert_stretch { STRETCH_WINDOW, STRETCH_HOUR, STRETCH_YESTERDAY, ALERT_STRETCHES };

struct alert_table {
	struct alert_window windows[ALERT_MAX_WINDOWS];
	unsigned window_count;
	struct arena arena;      /* the rows */
	struct map by_name;      /* hash of the subject -> struct alert_row * */
	struct alert_row **rows; /* owned array */
	size_t count, cap;
	struct str service, operation; /* all others are left out; empty: none is */
	uint32_t minute;               /* of which the past was read; 0: never */
	uint64_t refused;              /* operations over the limit, in the last reading */
};

/* Which windows `rules` need. Any number of rules; windows beyond ALERT_MAX_WINDOWS are refused by
 * alert_table_check, when the configuration is read. */
void alert_table_init(struct alert_table *table, const struct alert_rules *rules);
void alert_table_fini(struct alert_table *table);
/* -EINVAL: more lengths of windows than a table has, and `message` says so. */
int alert_table_check(const struct alert_rules *rules, struct buf *message);

/* Reads what is due. A negative errno leaves the table empty. */
int alert_table_read(struct alert_table *table, struct store *store, uint64_t now_unix_ns);

/* What alert_judge needs of a row. */
struct alert_input alert_table_input(const struct alert_table *table, const struct alert_row *row,
				     const struct alert_rule *rule);
/* NULL: nothing is known of it. */
const struct alert_row *alert_table_find(const struct alert_table *table,
					 const struct alert_subject *subject);
