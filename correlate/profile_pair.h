/* SPDX-License-Identifier: Apache-2.0 */
/* On-CPU and off-CPU time of the same span or operation, together: do they partition its wall time,
 * and what follows. The verdicts are those of a span's ledger (correlate/ledger.h). */
#pragma once

#include "correlate/profile_diagnose.h"

struct profile_pair {
	double wall_ns; /* told, or the sum */
	double base_ns; /* what percentages are of: the wall, or the sum where that exceeds it */
	double on_ns, waiting_ns;
	double runnable_ns; /* ready without a CPU: recorded as that, and what is missing to the
			       wall */
	double missing_ns;  /* of it: recorded by neither */
	double surplus_ns;  /* both together exceed the wall by this */
	bool is_wall_told;
	bool is_of_spans; /* stored ones, of which the ledgers tell the wall */
	enum profile_rule_id rule;
	struct buf verdict;   /* one line */
	struct buf partition; /* one line */
};

/* Both of time. `wall_ns` 0: not known. Adds what not to be fooled by to `off`. profile_pair_fini.
 */
int profile_pair_judge(struct diagnosis *on, struct diagnosis *off, double wall_ns,
		       struct profile_pair *out);
void profile_pair_fini(struct profile_pair *pair);
