/* SPDX-License-Identifier: Apache-2.0 */
/* Two or more profiles of the same kind, as differences: who grew, by how much more than chance,
 * and what follows. Stacks are matched by the names of their frames.
 *
 * The first profile is the base; the last is the current one; with three or more, those between
 * show whether growth is a line. */
#pragma once

#include "correlate/profile_diagnose.h"

#define DIFF_MAX_PROFILES 8 /* each becomes a type of one merged profile */
#define DIFF_SIGMAS       3 /* of Poisson noise: below, a difference is none */

struct diff_input {
	const struct profile *profile; /* borrowed */
	unsigned type;
	uint32_t alloc_type; /* what was ever allocated, beside what is in use; PROFILE_NONE */
};

struct diff_options {
	bool is_diff_base; /* pprof's -diff_base: percent of the base; else its -base: of all change
			    */
	bool normalize;    /* scale the others to the base's total */
	double interval_ns; /* between profiles that do not say when they were taken; 0: not known
			     */
};

/* One function, with the nearest code of one's own above it. */
struct diff_entry {
	uint32_t frame; /* where the amount is */
	uint32_t owner; /* PROFILE_NONE: it is one's own code, or has none above */
	double values[DIFF_MAX_PROFILES];
	double allocs[DIFF_MAX_PROFILES];
	double change, alloc_change;
	double noise;            /* differences below it mean nothing; 0: not known */
	double slope_per_s, fit; /* three or more profiles: least squares and its R^2 */
};

struct profile_diff {
	struct profile merged; /* one type for each profile, in the unit */
	unsigned count;
	enum profile_unit unit;
	enum profile_kind kind;
	double times_s[DIFF_MAX_PROFILES]; /* since the first; all 0: not known */
	double totals[DIFF_MAX_PROFILES], alloc_totals[DIFF_MAX_PROFILES];
	bool has_alloc, has_times;
	bool is_by_second;                    /* scaled to the base's length */
	double lengths_ns[DIFF_MAX_PROFILES]; /* of the recordings; 0: not known */
	double scales[DIFF_MAX_PROFILES];
	double change; /* of the whole */
	double noise;
	double whole; /* what percentages are of */
	const char *whole_name;
	struct diff_entry *entries; /* owned; largest change first */
	size_t entry_count;
	struct diff_entry
		inclusive; /* grew most with what it calls; frame PROFILE_NONE: none beyond noise */
	struct finding findings[DIAGNOSIS_MAX_FINDINGS]; /* frames are those of `merged` */
	unsigned finding_count;
	struct buf text;
};

/* -EINVAL: unlike, and `message` says how; -ENOMEM, -EMSGSIZE. profile_diff_fini in any case. */
int profile_diff_init(struct profile_diff *diff, const struct diff_input *inputs, unsigned count,
		      const struct diff_options *options, struct buf *message);
void profile_diff_fini(struct profile_diff *diff);

bool profile_diff_is_noise(const struct diff_entry *entry);
/* "(*logEntry).format -> strings.Join" */
void profile_diff_put_name(const struct profile_diff *diff, const struct diff_entry *entry,
			   struct buf *out);

void profile_diff_say(struct profile_diff *diff, enum profile_rule_id rule, enum finding_role role,
		      const struct diff_entry *entry, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* The rules; called by profile_diff_init. */
void profile_diff_judge(struct profile_diff *diff);
