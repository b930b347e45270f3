/* SPDX-License-Identifier: Apache-2.0 */
/* What a rule would have done over what is stored: evaluated at the end of each minute, as the
 * alert thread would have. Reads the disk: for query workers. */
#pragma once

#include <stdint.h>

#include "correlate/alert.h"

struct store;

struct alert_history_options {
	const struct alert_rule *rule;     /* borrowed */
	uint64_t from_unix_ns, to_unix_ns; /* whole minutes within are evaluated */
	uint64_t deadline_mono_ns;         /* give up then */
	/* A step of an alert: its state is new. Non-zero ends it, and is then returned. */
	int (*visit)(const struct alert_subject *subject, const struct alert_life *life,
		     const struct alert_verdict *verdict, uint64_t at_unix_ns, void *arg);
	void *arg;
};

/* `out_until_unix_ns`: how far the deadline let it come. */
int alert_history_run(struct store *store, const struct alert_history_options *options,
		      uint64_t *out_until_unix_ns);
