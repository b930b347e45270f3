/* SPDX-License-Identifier: Apache-2.0 */
/* Alerting: a thread that evaluates all rules each `alert_interval_s`, and one that delivers.
 *
 * Both read the store and their own small state; neither is ever waited for by ingest. */
#pragma once

#include "collector/alert/alert_book.h"
#include "collector/alert/alert_courier.h"

struct alerter;
struct config;
struct daemon;
struct store;

struct alerter_options {
	const struct config *config; /* borrowed, as is the next */
	struct store *store;         /* open: its folder holds our state */
	struct daemon *daemon;       /* borrowed: who knows the names of stacks */
	const char *api_address;     /* what links begin with, unless external_url is set */
};

/* What goes wrong is logged. */
int alerter_start(const struct alerter_options *options, struct alerter **out_alerter);
/* An evaluation under way is finished. Accepts NULL. */
void alerter_stop(struct alerter *alerter);

/* Any thread. */
struct alert_book *alerter_book(struct alerter *alerter);
const char *alerter_url(const struct alerter *alerter);

struct alerter_stats {
	uint64_t rules, operations;
	uint64_t operations_refused; /* over ALERT_MAX_OPERATIONS, in the last evaluation */
	uint64_t evaluations, evaluations_failed, evaluation_ns;
	uint64_t last_unix_ns; /* of the last evaluation; 0: none yet */
	struct alert_book_counts alerts;
	struct alert_courier_stats courier;
};

/* All zeros for NULL. */
void alerter_stats(struct alerter *alerter, struct alerter_stats *out_stats);
