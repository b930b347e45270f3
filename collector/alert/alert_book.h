/* SPDX-License-Identifier: Apache-2.0 */
/* All alerts that are anything but inactive.
 *
 * The alert thread loads and evaluates; any thread visits. What is pending, firing or resolved
 * survives a restart: what an evaluation changes is added to one batch, with the messages that it
 * causes, so that no message is lost and none is made twice. */
#pragma once

#include "collector/alert/alert_batch.h"
#include "collector/alert/alert_table.h"

#define ALERT_MAX_ALERTS 20000 /* beyond it new ones are refused, and counted */

struct alert_book;

struct alert {
	const struct alert_rule *rule; /* borrowed */
	char *service, *operation;     /* owned, in one piece */
	uint8_t kind;                  /* as of alert_subject */
	uint64_t round;                /* the evaluation that looked at it last */
	struct alert_life life;
	/* Of the last evaluation; figures and bounds of the last that had any. */
	struct alert_verdict verdict;
	bool has_figures;
	struct alert_measure window;
	char *evidence; /* owned: alert_evidence.h's object, of the last firing; NULL: none */
};

struct alert_book_options {
	const struct alert_rules *rules; /* borrowed */
	/* An alert has begun to fire: appends why, as JSON, or nothing. Not under the lock. */
	void (*on_evidence)(const struct alert *alert, uint64_t now_unix_ns, struct buf *out,
			    void *arg);
	/* An alert fired or ended: adds its messages. */
	void (*on_event)(const struct alert *alert, struct alert_batch *batch, void *arg);
	void *arg;
};

int alert_book_new(const struct alert_book_options *options, struct alert_book **out_book);
void alert_book_free(struct alert_book *book);

/* What was kept by an earlier run; entries of rules that are gone, or that cannot be read, are
 * removed by `batch`. */
int alert_book_load(struct alert_book *book, struct state_kv *kv, struct alert_batch *batch);

/* Evaluates all rules once. */
void alert_book_evaluate(struct alert_book *book, const struct alert_table *table,
			 uint64_t now_unix_ns, struct alert_batch *batch);

/* Visits all under the lock: be quick, and call nothing of this file. */
int alert_book_each(struct alert_book *book, int (*visit)(const struct alert *alert, void *arg),
		    void *arg);

struct alert_book_counts {
	uint64_t states[ALERT_STATE_COUNT];
	uint64_t fired, ended, refused; /* since the start */
};

void alert_book_count(struct alert_book *book, struct alert_book_counts *out_counts);
